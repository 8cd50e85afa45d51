"""Run the study under a profile that has a folder of its own, stage after stage: `python notebooks/chain.py tenth`.

Such a profile trains for a day, on photographs that a clone has not, so no `dvc repro` begins it. What has left its
result is not done again: to make something anew, remove that. Stop it at any moment; it goes on where it was.

One run is trained on each core, by one thread: small networks gain little by a second one, and so results don't depend
on how many cores there are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
from run import ROOT, run  # which finds the study's code

from srstudy import StudyError
from srstudy.files import write_csv
from srstudy.photos.manifest import open_manifest
from srstudy.photos.scan import scan_source
from srstudy.photos.sources import locate
from srstudy.sets.cut import prepare_set
from srstudy.sets.select import choose
from srstudy.study import Run, Study, load_study

BESIDE = "esrgan-5k-32"  # a profile with this variant has the models that 09_models shows
MEMORY = 2 * 2**30  # bytes that a run may take
ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")


def main() -> int:
    """Parse the command line, do what is left, say how many hours it will take."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile", help="a profile of params.yaml with `folder: true`")
    parser.add_argument("--left", action="store_true", help="only say what is left to train, and the hours it takes")
    # One at a time on a GPU, which they would have to share.
    room = 1 if shutil.which("nvidia-smi") else min(os.cpu_count() or 1, psutil.virtual_memory().total // MEMORY)
    parser.add_argument("--at-once", type=int, default=max(1, room), help="runs side by side (%(default)s)")
    options = parser.parse_args()
    if options.at_once < 1:
        parser.error("--at-once: give 1 or more")
    try:
        study = load_study(options.profile, ROOT)
        if not study.profile.folder:
            raise StudyError(f"profiles.{options.profile}: has no `folder: true`; run `make study` under this profile.")
        print(left(study, options.at_once))
        if not options.left:
            prepare(study)
            train_and_judge(study, options.at_once)
            run("05_report", None, {"profile": study.profile_name})
            if BESIDE in study.variants:
                run("09_models", None, {"profile": study.profile_name})
    except (StudyError, KeyboardInterrupt) as error:
        print(f"error: {' '.join(str(error).split()) or 'stopped by Ctrl-C; run it again to go on.'}", file=sys.stderr)
        return 1
    return 0


def prepare(study: Study) -> None:
    """Scans, manifest and sets that are not there yet."""
    profile, data = {"profile": study.profile_name}, study.folder("data")
    for name in study.profile.sources:
        if not (out := data / "scans" / f"{name}.parquet").is_file():
            images = study.data.sources[name].images
            scan_source(name, locate(study, name), images, study.data.scan, out, study.root)
    if not (data / "manifest.parquet").is_file():
        run("01_data", None, profile)
    manifest = open_manifest(data / "manifest.parquet")
    for name in dict.fromkeys(variant.set for variant in study.variants.values()):
        if not (data / "prepared" / f"{name}.csv").is_file():
            selection = study.sets[name].selection
            prepare_set(study, name, choose(study, manifest, selection)[selection])


def train_and_judge(study: Study, at_once: int) -> None:
    """Train every run that is not, so many at once, and judge each as soon as it is trained; then the released models.

    Raises StudyError for a signal at once; for a training that can't be finished when all others are.
    """
    stages, made = Stages(study, at_once), {}
    released = [one for one in map(study.run, study.released) if one.is_trained and not scores_of(study, one).is_file()]
    with stages.stopped_by_signals(), ThreadPoolExecutor(at_once) as workers:
        try:
            for one in in_order(study):
                made[one.name] = workers.submit(make, stages, one, made)
            failed = [said for future in as_completed(made.values()) if (said := future.result())]
            for one in released:
                stages.judge(one)
        except BaseException:
            stages.stop()
            workers.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        raise StudyError(" ".join(dict.fromkeys(failed)))


def make(stages: Stages, one: Run, made: dict[str, Future]) -> str:
    """Train and judge a run, where that is not done; what to say at the end where that is impossible."""
    study = stages.study
    if scores_of(study, one).is_file() and ended(study, one):
        return ""
    needed = one.warm_start if one.warm_start and one.warm_start.kind == "variant" else None
    if needed and (said := made[needed.name].result()):  # it is before this one in the order, so it has begun
        return said
    try:
        if needed:
            stages.train(needed)  # its model may be lost
        stages.train(one)
        stages.judge(one)
    except StudyError as error:
        if "not finite" not in str(error):
            raise
        return f"{one.name}: {error}"
    return ""


class Stages:
    """Runs notebooks for a study, each in a process of its own, by one thread."""

    def __init__(self, study: Study, at_once: int):
        self.study, self.at_once = study, at_once
        self._noting, self._judging = threading.Lock(), threading.Lock()
        self._training = {name: threading.Lock() for name in study.variants}
        self._processes: set[subprocess.Popen] = set()
        self._judged: set[str] = set()
        self._stopped = False

    def train(self, one: Run) -> None:
        """Train a run that is not, or go on with it, and note the minutes."""
        with self._training[one.name]:
            if one.is_trained and ended(self.study, one):
                return
            with self._noting:
                print(left(self.study, self.at_once), flush=True)
            started = time.monotonic()
            try:
                self._run("03_train", one, ("variant", one.name), "--name", one.name)
            finally:
                with self._noting:
                    spend(self.study, one, (time.monotonic() - started) / 60)

    def judge(self, one: Run) -> None:
        """Judge a run, and bicubic, on the profile's test photographs; one process at a time, as all write some files.

        It judges all that wait by then: for them, bicubic is judged and photographs are read once.
        """
        with self._judging:
            if one.name not in self._judged:
                trained = [other for other in in_order(self.study) if ended(self.study, other) and other.is_trained]
                waiting = [other.name for other in trained if not scores_of(self.study, other).is_file()]
                due = dict.fromkeys([one.name, *waiting])
                self._run("04_evaluate", one, ("runs", ",".join(due)))
                self._judged.update(due)

    def _run(self, title: str, one: Run, parameter: tuple[str, str], *options: str) -> None:
        """Run a notebook, with lines of its progress that begin with the run's name. Raises StudyError as it does."""
        parameters = "-p", *parameter, "-p", "profile", self.study.profile_name
        command = [sys.executable, str(ROOT / "notebooks" / "run.py"), title, *options, *parameters]
        if self._stopped:
            raise StudyError(f"{one.name}: not begun; run again to go on.")
        texts = {"stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
        with subprocess.Popen(command, env={**os.environ, **ONE_THREAD}, **texts) as process:
            self._processes.add(process)
            if self._stopped:
                process.terminate()
            last = ""
            for line in filter(str.strip, process.stderr):  # a bar that is drawn anew is a new line
                last = line.strip()
                print(f"{one.name}: {last}", file=sys.stderr, flush=True)
        self._processes.discard(process)
        if process.returncode:
            said = last.removeprefix("error: ") if last.startswith("error: ") else f"{title} ended; run again to go on."
            raise StudyError(f"{one.name}: {said}")

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C reach all processes. Each then saves where it is; not on Windows, which just ends them."""
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """End what runs, and begin nothing more."""
        self._stopped = True
        for process in list(self._processes):
            process.terminate()


def scores_of(study: Study, one: Run) -> Path:
    """The file with the scores of a run."""
    return study.folder("reports") / "scores" / f"{one.name}.csv"


def in_order(study: Study) -> list[Run]:
    """The first training of every variant before any second one; of these the short ones first, warm starts before
    what begins with them.
    """

    def key(one: Run) -> tuple[int, int, float]:
        return study.variants[one.name].number, depth(one), cost(study, one)

    def depth(one: Run) -> int:
        return 1 + depth(one.warm_start) if one.warm_start else 0

    return sorted((study.run(name) for name in study.variants), key=key)


def cost(study: Study, one: Run) -> float:
    """About how long a run takes, in a unit of its recipe's own: pixels of LR that it sees."""
    return one.steps * one.recipe.batch_size * study.sets[one.tile_set].lr_size ** 2


def ended(study: Study, one: Run) -> bool:
    """Whether a run reached its end, or a loss that is not finite ended it, here or where its record was made."""
    path = study.folder("reports") / "runs" / f"{one.name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return record.get("complete", False) or "not_finite" in record


def minutes(study: Study) -> dict[str, float]:
    """What each run has taken so far."""
    path = study.folder("reports") / "minutes.csv"
    return dict(pd.read_csv(path).itertuples(index=False)) if path.is_file() else {}


def spend(study: Study, one: Run, more: float) -> None:
    """Note that a run has taken so many minutes more."""
    taken = minutes(study)
    taken[one.name] = round(taken.get(one.name, 0.0) + more, 1)
    write_csv(study.folder("reports") / "minutes.csv", pd.DataFrame(taken.items(), columns=["run", "minutes"]))


def left(study: Study, at_once: int) -> str:
    """How many runs are left, and how many hours that takes, so many at once, by what the like of them took."""
    runs, taken = in_order(study), minutes(study)
    done = {one.name: one for one in runs if ended(study, one) and one.name in taken}
    kinds = [
        lambda one: (one.recipe.generator.kind, one.recipe.batch_size, study.sets[one.tile_set].lr_size),
        lambda one: one.recipe.generator.kind,
        lambda one: None,
    ]

    def estimate(one: Run) -> float:
        for kind in kinds:
            if like := [other for other in done.values() if kind(other) == kind(one)]:
                rate = min(taken[other.name] / cost(study, other) for other in like)  # where least else ran beside it
                return max(0.0, rate * cost(study, one) - taken.get(one.name, 0.0))
        return float("nan")

    waiting = [one for one in runs if not ended(study, one)]
    hours = sum(map(estimate, waiting)) / 60 / at_once
    known = f"about {hours:.1f} hours" if hours == hours else "hours are known when the first one is done"
    return f"{study.profile_name}: {len(runs) - len(waiting)} of {len(runs)} runs are trained; left: {known}."


if __name__ == "__main__":
    sys.exit(main())
