"""How `srstudy serve` bears up: `python benchmarks/serve.py rate | load | abuse | first`.

`rate`: photographs of 640x480 beside `srstudy enhance`'s own calls, in one run. `load`: many small photographs by many
clients, the server killed and started again in the middle; every answer is compared with the one that belongs to it.
`abuse`: uploads with bytes turned over, pictures that unfold to much, clients that are slow or go away.
`first`: from the server's start to its first photograph.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import requests
from PIL import Image

from srstudy.enhance.engine import Engine
from srstudy.enhance.models import find_model
from srstudy.enhance.work import Settings, enhance

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = sorted((ROOT / "data" / "sample" / "photos").glob("*.jpg"))
GOES_ON = (429, 503)  # with Retry-After: to be asked again


class Server:
    """`srstudy serve` on a free port, as a process of its own."""

    def __init__(self, folder: Path, **limits: int):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address, self._folder = f"http://127.0.0.1:{self.port}", folder
        self._limits = {f"SRSTUDY_{name.upper()}": str(value) for name, value in limits.items()}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "srstudy", "serve", "--port", str(self.port), "--folder", str(self._folder)]
        with open(self._folder.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **self._limits}, stderr=log, stdout=log)
        for _ in range(300):
            try:
                requests.get(f"{self.address}/health", timeout=2)
                return
            except requests.ConnectionError:
                time.sleep(0.2)
        raise SystemExit("the server does not start")

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(30)

    def memory(self) -> str:
        """MB of the server and of each worker: now, and the most since it was started, where Linux says that."""
        main, said = psutil.Process(self.process.pid), []
        for process in (main, *main.children(recursive=True)):
            most = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
            said.append(f"{process.memory_info().rss / 1e6:.0f} (at most {int(most[1]) * 1024 / 1e6:.0f})")
        return ", ".join(said)


def pictures(count: int, height: int, width: int, kind: str = "PNG") -> list[bytes]:
    """Parts of the sample's photographs as files of a kind, all different."""
    found = []
    for number in range(count):
        with Image.open(PHOTOS[number % len(PHOTOS)]) as photo:
            x, y = (number // len(PHOTOS) * 7) % 50, 3 * (number // len(PHOTOS)) % 50
            file = io.BytesIO()
            photo.convert("RGB").crop((x, y, x + width, y + height)).save(file, kind)
        found.append(file.getvalue())
    return found


def by_hand(contents: list[bytes], settings: Settings, folder: Path) -> tuple[list[bytes], float]:
    """What `srstudy enhance` makes of PNG files: the outputs' pixels, and seconds for each after the first."""
    engine, outputs, seconds = Engine(find_model(settings.model), settings.mode), [], []
    for number, content in enumerate(contents):
        source, target = folder / f"{number}.png", folder / f"{number}-x4.png"
        source.write_bytes(content)
        began = time.perf_counter()
        enhance(source, target, settings, engine, lambda *_: None)
        seconds.append(time.perf_counter() - began)
        outputs.append(np.asarray(Image.open(target)).tobytes())
    return outputs, float(np.median(seconds[1:]))


def ask(address: str, content: bytes, **fields: str) -> requests.Response:
    """Send a photograph until it is enlarged: what says 'later', and a server that is just gone, is asked again."""
    job = None
    for _ in range(6000):
        try:
            if job:
                answer = requests.get(f"{address}/jobs/{job}/result", timeout=120)
            else:
                sent = {"data": fields, "files": {"file": ("a.png", content)}, "timeout": 120}
                answer = requests.post(f"{address}/enhance", **sent)
            job = answer.json()["id"] if answer.status_code == 202 else job
            if answer.status_code not in (202, 409, *GOES_ON):
                return answer
            time.sleep(float(answer.headers.get("Retry-After", 2)) * random.uniform(0.1, 1))
        except requests.ConnectionError:
            time.sleep(0.5)
    raise SystemExit("the server never took it")


def rate(options: argparse.Namespace, folder: Path) -> None:
    """Seconds for one photograph by the API, beside the same call without it."""
    contents = pictures(12, 480, 640)
    server = Server(folder / "jobs", per_minute=1_000_000)
    shares = []
    for turn in range(3):
        (folder / str(turn)).mkdir()
        _, plain = by_hand(contents, Settings(options.model), folder / str(turn))
        seconds = []
        for content in contents:
            began = time.perf_counter()
            ask(server.address, content, model=options.model).raise_for_status()
            seconds.append(time.perf_counter() - began)
        shares.append(plain / float(np.median(seconds[1:])))
        print(f"{plain * 1000:.0f} ms by hand, {np.median(seconds[1:]) * 1000:.0f} ms by the API: {shares[-1]:.2f}")
    print(f"of `srstudy enhance`'s rate: {np.median(shares):.2f}; MB of server, worker: {server.memory()}")
    server.end()


def load(options: argparse.Namespace, folder: Path) -> None:
    """Requests by many clients at once; every answer has to be its own, and memory has to stay."""
    contents = pictures(60, 48, 64)
    expected, _ = by_hand(contents, Settings(options.model, "evidence"), folder)
    server = Server(folder / "jobs", per_minute=10_000_000, waiting=60)
    statuses, seconds, wrong, lock = Counter(), [], [], threading.Lock()

    def one(number: int) -> None:
        began = time.perf_counter()
        which = number % len(contents)
        answer = ask(server.address, contents[which], model=options.model, mode="evidence")
        took = time.perf_counter() - began
        right = answer.ok and np.asarray(Image.open(io.BytesIO(answer.content))).tobytes() == expected[which]
        with lock:
            statuses[answer.status_code] += 1
            seconds.append(took)
            if not right:
                wrong.append(number)
            if len(seconds) % (options.requests // 10) == 0:
                print(f"{len(seconds)} answers, MB {server.memory()}", flush=True)
            if len(seconds) == options.requests // 2:  # a restart in the middle
                server.end(signal.SIGKILL)
                server.start()

    began = time.perf_counter()
    with ThreadPoolExecutor(options.clients) as clients:
        list(clients.map(one, range(options.requests)))
    took = time.perf_counter() - began
    print(f"{options.requests} requests, {options.clients} clients: {options.requests / took:.1f} a second")
    print(f"median {np.median(seconds):.2f} s, 99 of 100 within {np.percentile(seconds, 99):.2f} s")
    print(f"statuses {dict(statuses)}; wrong or lost: {len(wrong)}; MB {server.memory()}")
    server.end()


def abuse(options: argparse.Namespace, folder: Path) -> None:
    """Uploads that nobody should send. The server answers each, and then a good one."""
    server = Server(folder / "jobs", per_minute=10_000_000, idle_seconds=2, bytes=5_000_000)
    generator, (good,), statuses = random.Random(0), pictures(1, 48, 64), Counter()
    seeds = [file for kind in ("JPEG", "PNG", "WEBP", "TIFF") for file in pictures(2, 96, 128, kind)]
    print(f"before: MB {server.memory()}")
    for _ in range(options.requests):
        content = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 40)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        content = content[: generator.randint(1, len(content))] if generator.random() < 0.3 else content
        statuses[ask(server.address, bytes(content), model=options.model).status_code] += 1
    print(f"{options.requests} with bytes turned over or cut: {dict(statuses)}; MB {server.memory()}")
    print(f"pictures that unfold to 10 gigapixels: {ask(server.address, bomb()).json()}; MB {server.memory()}")
    print(f"a file of 6 MB: {ask(server.address, bytes(6_000_000)).status_code}")
    head = b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += b"Content-Length: 99999\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for line in slow:
        line.sendall(head + b"--b\r\n")
    began = time.perf_counter()
    ask(server.address, good, model=options.model).raise_for_status()
    print(f"beside 100 clients that send nothing more: an answer after {time.perf_counter() - began:.1f} s")
    for line in slow:
        line.settimeout(30)
    print(f"they are told: {Counter(line.recv(100).split(b' ')[1].decode() for line in slow)}")
    for _ in range(50):  # who goes away in the middle
        with socket.create_connection(("127.0.0.1", server.port)) as line:
            line.sendall(head + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nabc')
    ask(server.address, good, model=options.model).raise_for_status()
    left = [*(folder / "jobs" / "jobs").iterdir()]
    print(f"after 50 that went away: a good one is answered; jobs on disk {len(left)}; MB {server.memory()}")
    server.end()


def first(options: argparse.Namespace, folder: Path) -> None:
    """Seconds from the start of the server until it has answered a photograph."""
    content, began = PHOTOS[0].read_bytes(), time.perf_counter()
    server = Server(folder / "jobs")
    ask(server.address, content, model=options.model).raise_for_status()
    print(f"{PHOTOS[0].name}: {time.perf_counter() - began:.1f} s")
    server.end()


def bomb() -> bytes:
    """A PNG of a few hundred kilobytes that says it is 100,000 x 100,000."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    size = (100_000).to_bytes(4, "big")
    head = chunk(b"IHDR", size + size + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100_000_000), 9)) + chunk(b"IEND", b"")


def main() -> int:
    """Run one of them in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("rate", "load", "abuse", "first"))
    parser.add_argument("--model", default="fast")
    parser.add_argument("--requests", type=int, default=10_000, help="of load and abuse (%(default)s)")
    parser.add_argument("--clients", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"rate": rate, "load": load, "abuse": abuse, "first": first}[options.what](options, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
