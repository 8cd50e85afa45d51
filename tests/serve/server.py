"""A server of enlargements in processes of its own, a client that asks it, and what it is sent."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import requests
from PIL import Image
from tests.enhance.footage import picture, write

PATIENCE = 300  # seconds for what takes a moment on a machine that has nothing else to do
HEAD = {"Content-Type": "multipart/form-data; boundary=edge"}


def until(found):
    """What `found()` gives, once that is true."""
    end = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < end, f"not within {PATIENCE} s"
        time.sleep(0.02)
    return value


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def png(pixels) -> bytes:
    """A photograph's file."""
    Image.fromarray(pixels).save(file := io.BytesIO(), "png")
    return file.getvalue()


def clip(frames: int, side: int = 16, name: str = "a.mp4") -> bytes:
    """A clip's file; each frame shows its number."""
    with TemporaryDirectory() as folder:
        return write(Path(folder) / name, (picture(n % 256, side, side) for n in range(frames))).read_bytes()


def form(content: bytes, name: str = "a.png", **fields) -> bytes:
    """A form, as a browser sends it with HEAD."""
    name = name.replace('"', '\\"')
    parts = [f'"{field}"\r\n\r\n{value}\r\n'.encode() for field, value in fields.items()]
    parts.append(f'"file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n")
    return b"".join(b"--edge\r\nContent-Disposition: form-data; name=" + part for part in parts) + b"--edge--\r\n"


class Server:
    """`srstudy serve` with `arguments`; `limits` are its variables SRSTUDY_..."""

    def __init__(self, folder: Path, *arguments: str, **limits: int):
        self.folder, self.log, self.port = folder, folder.with_suffix(".log"), free_port()
        place = f"--port={self.port}", f"--folder={folder}"
        self._call = [sys.executable, "-m", "srstudy", "serve", *place, *arguments]
        self._environment = os.environ | {f"SRSTUDY_{name.upper()}": str(value) for name, value in limits.items()}
        self.start()

    def start(self):
        """Start it, also once more after a kill, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._call, env=self._environment, stderr=log)
        until(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0 or self.process.poll() is not None)
        assert self.get("health").ok, self.log.read_text()

    def close(self):
        """Tell it to stop, and wait."""
        self.process.terminate()
        self.process.wait(PATIENCE)

    def workers(self) -> list[psutil.Process]:
        """The processes that enlarge for it."""
        running = psutil.process_iter(["cmdline"])
        return [one for one in running if {"worker", str(self.folder)} <= set(one.info["cmdline"] or ())]

    def get(self, path: str, method: str = "GET", **more) -> requests.Response:
        """An answer."""
        return requests.request(method, f"http://127.0.0.1:{self.port}/{path}", timeout=PATIENCE, **more)

    def send(self, path: str, content: bytes, name: str = "a.png", **fields) -> requests.Response:
        """The answer to a form."""
        return self.get(path, "POST", data=form(content, name, **fields), headers=HEAD)

    def result(self, path: str, content: bytes, name: str = "a.png", **fields) -> requests.Response:
        """The same; of a job, the answer at its end."""
        answer = self.send(path, content, name, **fields)
        if answer.status_code == 202:
            answer = self.get(f"jobs/{self.events(answer.json()['id'])[-1]['id']}/result")
        return answer

    def events(self, job: str, meanwhile=lambda: None) -> list[dict]:
        """What is told of a job to its end."""
        answer = self.get(f"jobs/{job}/events", stream=True)
        meanwhile()
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith(b"data: ")]

    def files(self) -> set[str]:
        """The names in the folder of jobs."""
        return set(os.listdir(self.folder / "jobs"))
