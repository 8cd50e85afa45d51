"""The content of a Heroku slug, or of a container: `python deploy/slug.py build/slug [--measure]`.

The project as a wheel, what it needs as a lock with hashes, and how it is started. `--measure` installs it beside the
folder, starts it as Heroku does, and says how large it is, compressed too, and how much memory a photograph takes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import requests

ROOT = Path(__file__).resolve().parents[1]
PROCFILE = "web: FORWARDED_ALLOW_IPS=10.0.0.0/8 srstudy serve --host 0.0.0.0 --port $PORT --folder /tmp/srstudy-jobs\n"
PHOTO = ROOT / "data" / "sample" / "photos" / "berlin-cathedral.jpg"


def build(folder: Path) -> None:
    """Write all that is pushed, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    lock = (ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "requirements.txt").write_text(f"{lock}./{wheel.name} --hash=sha256:{digest}\n", encoding="utf-8")
    (folder / "Procfile").write_text(PROCFILE, encoding="utf-8")
    (folder / ".python-version").write_text("3.12\n", encoding="utf-8")
    shutil.copyfile(ROOT / "deploy" / "Dockerfile", folder / "Dockerfile")
    print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB to push")


def measure(folder: Path, python: str, model: str, image: Path) -> None:
    """Install, start and use it; print sizes, memory, and how long the first photograph takes."""
    os.environ.pop("PYTHONPATH", None)  # or pip finds the project there, and leaves it out
    place = folder.with_name(f"{folder.name}-installed")
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", place], check=True)
    pip = [place / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run([*pip, "--require-hashes", "-r", "requirements.txt"], cwd=folder, check=True)
    files = [file for file in place.rglob("*") if file.is_file() and not file.is_symlink()]
    packed = place.with_suffix(".tar.gz")
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(place)
    sizes = sum(file.stat().st_size for file in files) / 1e6, packed.stat().st_size / 1e6
    print(f"installed {sizes[0]:.0f} MB, compressed {sizes[1]:.0f} MB (at most 500)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = PROCFILE.partition(": ")[2].replace("/tmp/srstudy-jobs", str(place / "jobs"))
    environment = {**os.environ, "PORT": str(port), "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    server = subprocess.Popen(["sh", "-c", f"exec env {command.strip()}"], env=environment)
    try:
        seconds, peak = use(f"http://127.0.0.1:{port}", server.pid, model, image)
    finally:
        server.terminate()
        server.wait(20)
    print(f"first picture {seconds[0]:.2f} s, then {seconds[-1]:.2f} s; memory at most {peak:.0f} MB (512 there are)")


def use(address: str, pid: int, model: str, image: Path) -> tuple[list[float], float]:
    """Seconds of each of five photographs, and the most memory in MB that server and worker had together."""
    for _ in range(300):
        try:
            requests.get(f"{address}/health", timeout=1)
            break
        except requests.ConnectionError:
            time.sleep(0.2)
    seconds, peak, main = [], 0.0, psutil.Process(pid)
    for _ in range(5):
        began = time.monotonic()
        with image.open("rb") as file:
            answer = requests.post(f"{address}/enhance", data={"model": model}, files={"file": file}, timeout=60)
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {answer.text}; measure on a machine that has nothing else to do.")
        seconds.append(time.monotonic() - began)
        everyone = [main, *main.children(recursive=True)]
        peak = max(peak, sum(_most(process.pid) for process in everyone))
    return seconds, peak


def _most(pid: int) -> float:
    """The most memory that a process ever had, in MB, as Linux tells."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def main() -> int:
    """Build, and measure if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--python", default="python3.12", help="what Heroku would run it with")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--image", type=Path, default=PHOTO)
    options = parser.parse_args()
    build(options.folder.resolve())
    if options.measure:
        measure(options.folder.resolve(), options.python, options.model, options.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
