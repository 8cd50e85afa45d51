"""A server of enlargements in processes of its own, and a client that asks it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

PATIENCE = 300  # seconds for what takes a moment on a machine that has nothing else to do
EDGE = "edge"  # of the parts of a form


def until(found: Callable[[], Any], what: str) -> Any:
    """What `found` gives, once that is true."""
    end = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s"
        time.sleep(0.05)
    return value


def form(content: bytes, name: str = "a.png", **fields: Any) -> bytes:
    """A form, as a browser sends it."""
    parts = [f'form-data; name="{field}"\r\n\r\n{value}\r\n'.encode() for field, value in fields.items()]
    name = name.replace('"', '\\"')
    parts.append(f'form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n")
    head = f"--{EDGE}\r\nContent-Disposition: ".encode()
    return b"".join(head + part for part in parts) + f"--{EDGE}--\r\n".encode()


class Server:
    """`srstudy serve` on a free port; `arguments` and `limits` (as SRSTUDY_...) are what is asked of it."""

    def __init__(self, folder: Path, *arguments: str, **limits: int):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.address = folder, f"http://127.0.0.1:{self.port}"
        self._call = [sys.executable, "-m", "srstudy", "serve", "--port", str(self.port), "--folder", str(folder)]
        self._call += arguments
        self._environment = os.environ | {f"SRSTUDY_{name.upper()}": str(value) for name, value in limits.items()}
        self.start()

    def start(self) -> None:
        """Start it, once more after a kill."""
        self.log = open(self.folder.with_suffix(".log"), "ab")  # noqa: SIM115
        self.process = subprocess.Popen(self._call, env=self._environment, stderr=self.log)
        until(self._answers, "a server that answers")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.folder.with_suffix(".log").read_text()
        try:
            return self.ask("health").ok
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        """Tell it to stop, and wait."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()

    def ask(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        """An answer to a request."""
        return requests.request(method, f"{self.address}/{path}", timeout=PATIENCE, **more)

    def send(self, path: str, content: bytes, name: str = "a.png", more: dict | None = None, **fields: Any):
        """An answer to a form; `more` are further arguments of the request."""
        given = {"headers": {}, **(more or {})}
        given["headers"]["Content-Type"] = f"multipart/form-data; boundary={EDGE}"
        return self.ask(path, "POST", data=form(content, name, **fields), **given)

    def events(self, job: str) -> list[dict[str, Any]]:
        """What is told of a job to its end."""
        lines = self.ask(f"jobs/{job}/events", stream=True).iter_lines()
        return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]

    def files(self) -> set[str]:
        """The names in the folder of jobs."""
        return {path.name for path in (self.folder / "jobs").iterdir()}
