"""Whoever is killed, at whatever moment: a clip is enlarged once, and is the clip of a run that nobody disturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest
from tests.enhance.footage import packets
from tests.serve.server import clip, png, until

from srstudy.enhance.engine import Engine
from srstudy.enhance.models import find_model
from srstudy.enhance.work import Settings, enhance
from srstudy.serve.app import Wishes
from srstudy.serve.jobs import ATTEMPTS, Jobs

KILLS = int(os.environ.get("SRSTUDY_KILLS", 3))  # of each clip
FRAMES = 1100  # five segments
pytestmark = pytest.mark.slow


def outcome(folder):
    """The packets of an enlarged clip, and its frames' rows."""
    return packets(folder / "enlarged.mkv", "video"), (folder / "enlarged.mkv.frames.csv").read_text()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A clip, and what becomes of it undisturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "original.mp4").write_bytes(content := clip(FRAMES))
    how, engine = Settings("psnr", "evidence", codec="ffv1"), Engine(find_model("psnr"), "evidence")
    enhance(folder / "original.mp4", folder / "enlarged.mkv", how, engine, lambda *done: None)
    return content, outcome(folder)


class Watched:
    """A job of a server with two workers, as the store and the disk have it."""

    def __init__(self, serve, redis, sample):
        self.server = serve("--workers", "2", *(["--redis", redis] if redis else []))
        self.jobs, self.made, (content, self.undisturbed) = Jobs(self.server.folder, redis), {}, sample
        self.name = self.server.send("jobs", content, "a.mp4", mode="evidence", model="psnr").json()["id"]

    def now(self):
        """The job; a segment that was there before still is the same."""
        for piece in self.jobs.place(self.name).glob(".enlarged.mkv.parts/0*.json"):
            with suppress(FileNotFoundError):  # it is done
                assert self.made.setdefault(piece.name, piece.stat().st_mtime_ns) == piece.stat().st_mtime_ns
        job = self.jobs.store.read(self.name)
        assert job["state"] in ("queued", "running", "done"), job["error"]
        return job

    def wait(self, frames):
        """Until so many frames are done and a kill more is no reason to give up, or until all is done."""

        def far():
            job = self.now()
            return job["state"] == "done" or (job["done"] >= frames and job["attempts"] < ATTEMPTS - 1)

        until(far)

    def holder(self):
        """The process that works at it, if there is one."""
        name = self.now()["worker"]
        return [one for one in self.server.workers() if name in one.info["cmdline"]]

    def end(self):
        """What it became, once it is done and nothing else is to do."""
        self.wait(FRAMES + 1)
        made = outcome(self.jobs.place(self.name))
        self.jobs.sweep()
        assert self.jobs.take("clip", "me") is None and [job["id"] for job in self.jobs.store.all()] == [self.name]
        self.server.close()
        assert not {"Traceback", "Fatal"} & set(self.server.log.read_text().split())
        return made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
@pytest.mark.parametrize("who", ["worker", "server", "all"])
def test_killed_at_any_moment_a_clip_is_enlarged_once(serve, redis, sample, who, number):
    watched, moments = Watched(serve, redis, sample), random.Random(f"{who} {number}")
    server = watched.server
    for frames in sorted(moments.sample(range(FRAMES), KILLS)):
        watched.wait(frames)
        time.sleep(moments.uniform(0, 0.5))
        hit = watched.holder() if who == "worker" else [server.process, *(server.workers() if who == "all" else [])]
        for process in hit:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if who != "worker":
            server.process.wait(60)
            until(lambda: not server.workers())  # none is left behind
            server.start()
    assert watched.end() == watched.undisturbed


def test_a_worker_that_was_paused_lets_go_of_what_is_anothers_by_now(serve, redis, sample):
    watched = Watched(serve, redis, sample)
    watched.wait(1)
    (paused,), holder = watched.holder(), watched.now()["worker"]
    paused.suspend()
    until(lambda: watched.now()["worker"] != holder)
    paused.resume()
    assert watched.end() == watched.undisturbed


def test_a_worker_ends_well_while_a_photograph_is_computed(tmp_path, photo):
    jobs = Jobs(tmp_path)
    jobs.place(name := jobs.new_name()).mkdir(parents=True)
    (jobs.place(name) / "original.png").write_bytes(png(np.tile(photo[:100, :100], (10, 10, 1))))
    asked = Wishes(model="psnr", mode="evidence").settings()
    jobs.add(name, "photograph", owner="", name="a.png", file="original.png", settings=asked)
    late = "type('', (), {'__del__': lambda self, wait=time.sleep: wait(60)})()"  # an interpreter that is slow to end
    code = f"import sys, time\nfrom srstudy.serve import worker\nworker.LEAVE, sys.late = 0, {late}\n"
    code += "worker.work(worker.Path(sys.argv[1]), None, worker.Limits())"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        until(lambda: jobs.store.read(name)["done"])
        process.terminate()
        assert process.wait(120) == 0
    assert jobs.store.read(name)["state"] == "running"
