"""Whoever takes jobs: one thread for photographs, one for clips; the main thread says that they are alive."""

from __future__ import annotations

import errno
import gc
import math
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from PIL import Image

from srstudy import StudyError
from srstudy.enhance.clip import frames_said
from srstudy.enhance.engine import Engine
from srstudy.enhance.models import find_model
from srstudy.enhance.original import open_photo
from srstudy.enhance.record import beside, page, read_record
from srstudy.enhance.steps import Steps
from srstudy.enhance.work import Busy, Settings, ending_for, enhance, is_clip, sentence
from srstudy.files import write_json, write_text
from srstudy.photos.clips import open_clip
from srstudy.serve.jobs import LANES, Jobs, Lost, called
from srstudy.serve.receive import Limits
from srstudy.serve.store import Job

BEAT = 0.5  # seconds between signs of life
SWEEP = 5.0
LEAVE = 8.0  # seconds for which a worker that is to stop waits for what it computes
STUCK = 600.0  # seconds without progress, after which a worker ends itself: a decoder may hang
OUTPUT = "enlarged"
LARGE, TILE = 500_000, 192  # px of a photograph above which tiles are so wide: slower, in less memory


class _Stop(Exception):
    """The worker is to end, or its job to be cancelled."""


class _TooLarge(StudyError):
    """More than the server's limits."""


class Lane(threading.Thread):
    """Takes the jobs of one kind, one after the other."""

    def __init__(self, kind: str, worker: str, jobs: Jobs, limits: Limits, stop: threading.Event):
        super().__init__(name=kind, daemon=True)
        self.job: Job | None = None
        self._kind, self._worker, self._jobs, self._limits, self._stopping = kind, worker, jobs, limits, stop
        self._load = lru_cache(maxsize=2)(Engine)
        self._far, self._moved, self._most, self._over = (0.0, 0.0), 0.0, math.inf, None

    def run(self) -> None:
        """Until the worker is to stop."""
        while not self._stopping.is_set():
            try:
                job = self._jobs.take(self._kind, self._worker)
            except self._jobs.store.unavailable as error:
                print(f"worker: the store can't be reached ({error}); asking again.", file=sys.stderr, flush=True)
                self._stopping.wait(1)
                continue
            if job:
                with suppress(Lost, *self._jobs.store.unavailable):  # another has it by now, or will
                    self._do(job)
                self.job = None
            else:
                self._stopping.wait(0.02)

    def beat(self) -> None:
        """Say that the job in hand is alive; learn whether it still is ours."""
        if (job := self.job) is None:
            return
        if time.monotonic() - self._moved > STUCK:
            print(f"worker: {job['id']} has been stuck for {STUCK:.0f} s; ending.", file=sys.stderr, flush=True)
            os._exit(1)
        try:
            over = self._jobs.beat(job, *self._far)["cancel"]
        except Lost:
            over = True
        if over:
            self._over = job  # this one: by now another may be in hand

    def _progress(self, done: float, total: float) -> None:
        self._far, self._moved = (done, total), time.monotonic()
        if self._over is self.job or self._stopping.is_set():
            raise _Stop
        if done > self._most:  # whatever the file says of itself
            raise _TooLarge(f"{self.job['name']}: over {self._most} frames, which this server takes. Cut it.")

    def _do(self, job: Job) -> None:
        self._far, self._moved, self.job = (0.0, job["total"]), time.monotonic(), job
        source, failed = self._jobs.place(job["id"]) / job["file"], None
        try:
            target = self._enlarge(source, job)
        except _Stop:
            self._jobs.give_back(job)
        except Busy:  # who held it before was paused, and is still at it
            self._stopping.wait(1)
            self._jobs.give_back(job)
        except Exception as error:  # whatever it is, the next job is another's
            said = sentence(error, source, source).replace(str(source), job["name"])
            said = said if job["name"] in said else said.replace(source.name, job["name"])
            said = said.replace(str(source.parent), "")
            full = "disk is full" in said or (isinstance(error, OSError) and error.errno == errno.ENOSPC)
            status = 413 if isinstance(error, _TooLarge) else 503 if full else 422
            failed = {"error": said, "status": status}
        else:
            size = target.stat().st_size
            self._jobs.end(job, "done", done=self._far[1], total=self._far[1], output=target.name, bytes=size)
        if failed:  # only now libvips has closed what it was writing: before, a full disk takes nothing into the store
            gc.collect()
            self._jobs.end(job, "failed", **failed)

    def _enlarge(self, source: Path, job: Job) -> Path:
        asked = dict(job["settings"])
        steps = Steps(**{name: asked.pop(name) for name in ("denoise", "strength", "clahe", "mark")})
        self._most, pixels = self._check(source, job)
        settings = Settings(**asked, steps=steps, tile=TILE if pixels > LARGE else None)
        target = source.with_name(OUTPUT + ending_for(source, settings))
        enhance(source, target, settings, self._engine(settings), self._progress)
        _as_sent(target, job["name"])
        return target

    def _check(self, source: Path, job: Job) -> tuple[float, int]:
        """The most frames of a clip, or the pixels of a photograph. Raises _TooLarge by what the file says of itself,
        before anything of it is decoded.
        """
        name, limits = job["name"], self._limits
        if clip := is_clip(source):
            opened = open_clip(source)
            with opened.container:
                found = opened.stream
                sizes = [(found.width, found.height)]
                frames = frames_said(opened)
            if job["lane"] == "photograph":
                raise StudyError(f"{name}: is a clip; send it to /jobs.")
            if frames > limits.frames:
                raise _TooLarge(f"{name}: {frames} frames; this server takes {limits.frames}. Cut it.")
        for width, height in sizes if clip else _sizes(source):
            if width * height > (most := limits.frame_pixels if clip else limits.pixels):
                raise _TooLarge(f"{name}: {width}x{height} pixels; this server takes {most:,} in all. Cut a part out.")
        return (limits.frames, 0) if clip else (math.inf, width * height)

    def _engine(self, settings: Settings) -> Engine:
        return self._load(find_model(settings.model), settings.mode)


def _as_sent(target: Path, name: str) -> None:
    """Let the record name the files as its reader has them: what he sent, and what he fetches."""
    record, picture = read_record(beside(target, "record.json")), beside(target, "consistency.png")
    record["input"]["file"], record["output"]["file"] = Path(name).name, called(name, target)
    if frames := record["what"].get("each_frame"):
        frames["file"] = f"{called(name, target)}.frames.csv"
    shown = picture.read_bytes() if picture.is_file() else b""
    write_text(beside(target, "record.html"), page(record["output"]["file"], record, shown))
    write_json(beside(target, "record.json"), record)


def _sizes(photo: Path) -> Iterator[tuple[int, int]]:
    """Width and height, first as Pillow has them: it unfolds what libvips does not know, when that is opened."""
    with suppress(Exception), Image.open(photo) as image:
        yield image.size
    height, width = open_photo(photo).size
    yield width, height


def work(folder: Path, redis: str | None, limits: Limits, name: str | None = None, tied: bool = False) -> NoReturn:
    """Take jobs until SIGTERM or SIGINT comes, or, if `tied`, until who started this process is gone; then end it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if tied:  # whoever started this holds the other end of its input, and nobody else does
        threading.Thread(target=lambda: (os.read(0, 1), stop.set()), daemon=True).start()
    worker = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    jobs = Jobs(folder, redis)
    lanes = [Lane(kind, worker, jobs, limits, stop) for kind in LANES]
    for lane in lanes:
        lane.start()
    swept = 0.0
    while not stop.wait(BEAT) and all(lane.is_alive() for lane in lanes):  # else another worker does better
        try:
            for lane in lanes:
                lane.beat()
            if time.monotonic() - swept > SWEEP:
                jobs.sweep()
                swept = time.monotonic()
        except jobs.store.unavailable as error:
            print(f"worker: the store can't be reached ({error}); trying again.", file=sys.stderr, flush=True)
    stop.set()
    until = time.monotonic() + LEAVE
    for lane in lanes:
        lane.join(max(0, until - time.monotonic()))
    sys.stderr.flush()
    os._exit(0)  # a lane may compute still: OpenVINO aborts where Python takes its thread away
