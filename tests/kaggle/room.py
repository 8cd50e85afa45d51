"""A folder laid out as Kaggle lays out a session's: read-only input in three places, no network, two cards in name."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

PLACES = {"old": "{slug}", "datasets": "datasets/{owner}/{slug}", "notebooks": "notebooks/{owner}/{slug}"}
OWNER = "someone"
# In namespaces of its own: input read-only even for root, and nothing but the loopback, which kernels need.
UNSHARE = ("unshare", "-rnmp", "--fork", "--kill-child", "--mount-proc")
CUT_OFF = (
    'mount --bind "$0/input" "$0/input" && mount -o remount,bind,ro "$0/input" && exec "$@"',
    "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH22x', b'lo', 0x41))",
)
EXECUTE = (
    "import json, sys, papermill\n"
    "path, parameters = sys.argv[1:]\n"
    "papermill.execute_notebook(path, path + '.out.ipynb', json.loads(parameters), cwd='.', progress_bar=False)\n"
)


class Room:
    """One session's folder under `root`."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("input", "temp", "working", "bin"):
            (root / name).mkdir(parents=True)
        self.cards("Tesla T4", "Tesla T4")

    def cards(self, *names: str) -> None:
        """What `nvidia-smi` says here."""
        tool, text = self.root / "bin" / "nvidia-smi", "".join(f"{name}, 550.1\\n" for name in names)
        tool.write_text(f"#!/bin/sh\nprintf '{text}'\n")
        tool.chmod(0o755)

    def mount(self, place: str, slug: str, files: dict[str, bytes] | Path) -> None:
        """Attach a data set or another session's output."""
        folder = self.root / "input" / PLACES[place].format(slug=slug, owner=OWNER)
        if isinstance(files, Path):
            shutil.copytree(files, folder)
            return
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def run(
        self, notebook: str, python: str = sys.executable, kill: float | None = None, **parameters: object
    ) -> subprocess.CompletedProcess:
        """Run all of a notebook; with `kill`, SIGKILL ends all its processes after so many seconds of their CPU."""
        path = self.root / "notebook.ipynb"
        path.write_text(notebook, encoding="utf-8")
        versions = {"tensorflow": "", "keras": ""}
        for name in versions:
            code = f"from importlib.metadata import version; print(version('{name}'))"
            found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
            versions[name] = found.stdout.rpartition(".")[0]
        values = json.dumps({"root": str(self.root), **versions, **parameters})
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        path_variable = os.pathsep.join([str(self.root / "bin"), str(Path(python).parent), os.environ["PATH"]])
        environment = {**kept, "HOME": str(self.root / "temp"), "PATH": path_variable, "PYTHONHASHSEED": "0"}
        environment |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
        program = f"{CUT_OFF[1]}\n{EXECUTE}" if _unshares() else EXECUTE
        command = [python, "-c", program, str(path), values]
        if _unshares():
            command = [*UNSHARE, "sh", "-c", CUT_OFF[0], str(self.root), *command]
        else:
            for file in (self.root / "input").rglob("*"):
                file.chmod(0o555 if file.is_dir() else 0o444)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=self.root / "working", env=environment, **pipes) as process:
            if kill is not None:
                threading.Thread(target=_kill_after, args=(process, kill), daemon=True).start()
            said = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, *said)

    @property
    def manifest(self) -> dict:
        return json.loads((self.root / "working" / "session.json").read_text())


def _kill_after(process: subprocess.Popen, seconds: float) -> None:
    """Kill a process when it and all that it started have computed for so long, however busy the machine is."""
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(process.pid)
        while process.poll() is None:
            spent = 0.0
            for one in (top, *top.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    spent += sum(one.cpu_times()[:4])  # its own, and that of its children that have ended
            if spent > seconds:
                return process.kill()
            time.sleep(0.1)


def _unshares() -> bool:
    tried = [*UNSHARE, "true"]
    return bool(shutil.which("unshare")) and subprocess.run(tried, capture_output=True).returncode == 0
