#!/usr/bin/env bash
# Title: pyvips drops a Ctrl-C that comes while it writes an image: the program goes on as if nothing had happened.
#
# Versions: pyvips 3.2.0 with pyvips-binary 8.18.7, Python 3.10 to 3.12, Linux.
#
# Behaviour: an image that comes slowly, from a source in Python, is written by write_to_file; after half a second comes
# SIGINT. The file is written to its end, in 2 seconds, and write_to_file returns as if nothing had been; "Exception
# ignored from cffi callback" is printed, and no KeyboardInterrupt is raised, then or later. If another thread writes
# while the main thread waits for it, KeyboardInterrupt comes after half a second.
#
# Why a good guess is wrong: where a call into C can't be stopped, Python keeps the signal and raises KeyboardInterrupt
# as soon as the call is over, so a loop over a folder of images ends after the one in hand. But pyvips passes libvips's
# log on to Python: when the last thread ends, libvips writes a line, Python's handler runs inside that callback, and cffi
# drops what a callback raises. So a loop that enlarges a folder can't be stopped but between two images, in the Python
# around them. Write in a thread of its own, and let what is read answer with nothing once it is to stop.
#
# Output seen:
#   SIGINT after 0.5 s of 2 s:
#   write_to_file in the main thread: nothing is raised, the file is whole
#   time.sleep in the main thread: KeyboardInterrupt after 0.5 s
#   write_to_file in another thread, the main thread waits: KeyboardInterrupt after 0.5 s
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check pyvips==3.2.0 pyvips-binary==8.18.7
cd "$folder"
"$python" - 2>"$folder/log" <<'PYTHON' || { tail -3 "$folder/log" >&2; exit 1; }
import signal
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor, wait

import pyvips

WIDTH, STRIPS, ROWS = 400, 40, 16


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png():  # black, and slow: 40 strips, each after a twentieth of a second
    packed = zlib.compressobj(0)
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, STRIPS * ROWS, 8, 2, 0, 0, 0))
    for _ in range(STRIPS):
        time.sleep(0.05)
        yield chunk(b"IDAT", packed.compress(bytes((1 + 3 * WIDTH) * ROWS)))
    yield chunk(b"IDAT", packed.flush()) + chunk(b"IEND", b"")


def opened() -> pyvips.Image:
    parts, rest = png(), b""

    def read(size: int) -> bytes:
        nonlocal rest
        rest = rest or next(parts, b"")
        part, rest = rest[:size], rest[size:]
        return part

    source = pyvips.SourceCustom()
    source.on_read(read)
    return pyvips.Image.new_from_source(source, "", access="sequential")


def stopped_after(work) -> float | None:
    """Seconds until KeyboardInterrupt, from the moment that the work begins; none if it never comes."""
    began = time.monotonic()
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    try:
        work()
    except KeyboardInterrupt:
        return time.monotonic() - began
    return None


def in_a_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(opened().write_to_file, "other.png")
        try:
            while not writing.done():
                wait([writing], timeout=0.1)
        except KeyboardInterrupt:
            heard.append(time.monotonic())
            raise


def said(seconds: float | None) -> str:
    return "nothing is raised" if seconds is None else f"KeyboardInterrupt after {seconds:.1f} s"


heard, image = [], opened()
alone = stopped_after(lambda: image.write_to_file("one.png"))
written = pyvips.Image.new_from_file("one.png")
whole = (written.width, written.height) == (WIDTH, STRIPS * ROWS) and written.max() == 0
slept = stopped_after(lambda: [time.sleep(0.05) for _ in range(STRIPS)])
began = time.monotonic()
stopped_after(in_a_thread)  # which ends with the thread; when it was heard of stands in `heard`
print("SIGINT after 0.5 s of 2 s:")
print(f"write_to_file in the main thread: {said(alone)}, the file is {'whole' if whole else 'cut off'}")
print(f"time.sleep in the main thread: {said(slept)}")
print(f"write_to_file in another thread, the main thread waits: {said(heard[0] - began if heard else None)}")
if alone is not None or not whole or slept is None or slept > 1 or not heard or heard[0] - began > 1:
    raise SystemExit("this has changed")
PYTHON
