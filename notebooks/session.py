"""What `10_kaggle` runs: a card for each of two processes, which train their runs in turn until the time is up."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from srstudy import StudyError
from srstudy.files import sha256, write_json, write_text
from srstudy.kaggle import MANIFEST, TAIL

SETTLED = 600.0  # seconds of training that say how fast it is; in less, its start counts for too much
OVERRUN = 900.0  # seconds after its time at which a training that goes on is told to save and end


class Session:
    """A session under `root`, laid out as Kaggle does it: `input` (read-only), `temp`, `working` (kept).

    `job`: `cards` (names of runs in turn by CUDA_VISIBLE_DEVICES), `datasets` (SHA-256 of each one's files), `inputs`
    (a digest by run), `slug`, `commit`; `image`: versions of what computes. Results lie in `working`, beside MANIFEST
    with the hash of each.
    """

    def __init__(self, root: Path, job: dict[str, Any], image: dict[str, str], hours: float):
        self.deadline = time.monotonic() + 3600 * hours
        self.job, self.image, self.project, self.working = job, image, root / "temp" / "srstudy", root / "working"
        places = ("input/*", "input/datasets/*/*", "input/notebooks/*/*")
        self.mounts = sorted(path for place in places for path in root.glob(place) if path.is_dir())
        self.wanted = {name for names in job["cards"].values() for name in names}
        self.runs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}
        self.writing = threading.RLock()  # both cards' threads write settings and manifest
        self.environment = {**os.environ, "KERAS_HOME": str(self.project / "keras")}

    def prepare(self) -> None:
        """Put data, packages that the image lacks, and earlier checkpoints in their places.

        Raises StudyError where one is not mounted, has changed, or belongs to another image.
        """
        for kind in ("models", "reports"):
            (self.working / kind).mkdir(parents=True, exist_ok=True)
            if not (self.project / kind).exists():
                (self.project / kind).symlink_to(self.working / kind, target_is_directory=True)
        files = [(dataset, *one) for dataset, digests in self.job["datasets"].items() for one in digests.items()]
        for dataset, name, digest in files:
            found = self._mounted(dataset, name, digest)
            if name.endswith(".pack"):
                zipfile.ZipFile(found).extractall(self.project)
            else:  # SET.hr.npy is hr.npy of that set
                place = self.project / "data" / "prepared" / name.split(".")[0] / name.partition(".")[2]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(found)
        lacking = [path for path in sorted(self.project.glob("packages/*")) if not _installed(path.name)]
        self.environment["PYTHONPATH"] = os.pathsep.join(map(str, lacking))
        for name in sorted(self.wanted):
            self._resume(name)
        self._write("running")

    def run(self) -> str:
        """Train on both cards; "complete", "budget" where runs are left for another session, or "failed"."""
        cards = dict(self.job["cards"])
        self._train_in_turn("0,1", cards.pop("0,1", []))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._train_in_turn, cards, cards.values()))
        done = {name for name in self.wanted if self.runs.get(name, {}).get("complete")}
        failed = any("failed" in run for run in self.runs.values())
        state = "failed" if failed else "complete" if done == self.wanted else "budget"
        self._write(state)
        return state

    def _mounted(self, dataset: str, name: str, digest: str) -> Path:
        found = [path for mount in self.mounts if (path := mount / name).is_file()]
        for path in found:
            if sha256(path) == digest:
                return path
        what = "has changed" if found else "is not mounted"
        raise StudyError(f"{name}: {what}; attach the data set {dataset} and run all anew.")

    def _resume(self, name: str) -> None:
        """Take over the furthest checkpoint that an earlier session left of a run, if one is mounted."""
        found: list[tuple[int, Path, dict[str, Any]]] = []
        for mount in (mount for mount in self.mounts if (mount / MANIFEST).is_file()):
            manifest = json.loads((mount / MANIFEST).read_text(encoding="utf-8"))
            run = manifest["runs"].get(name)
            if run and manifest["inputs"].get(name) == self.job["inputs"].get(name):  # else it was another run
                found.append((run["step"] if run["complete"] else _step(mount, name), mount, manifest))
        step, mount, best = max(found, key=lambda one: one[0], default=(0, None, {}))
        if not step:
            return
        if best["runs"][name]["complete"]:
            self.runs[name] = {**best["runs"][name], "earlier": best["slug"]}
            return
        if best["image"] != self.image:
            said = f"{name}: its checkpoint is of {best['image']}, this image is {self.image}"
            way_out = "`python -m srstudy.kaggle.command push --anew` trains it from its beginning"
            raise StudyError(f"{said}; pin the notebook to the image of {best['slug']}, or {way_out}.")
        folder = Path("models", "checkpoints", name)
        for path in sorted(file for file in (mount / folder).rglob("*") if file.is_file()):
            place = path.relative_to(mount).as_posix()
            if best["files"].get(place, digest := sha256(path)) != digest:
                raise StudyError(f"{place}: is not as {best['slug']} left it; attach its output again.")
            (self.working / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, self.working / place)
        print(f"{name}: goes on at step {step} of {best['slug']}", flush=True)

    def _train_in_turn(self, card: str, names: list[str]) -> None:
        for name in names:
            if not self.runs.get(name, {}).get("complete") and time.monotonic() < self.deadline:
                self._train(card, name)

    def _train(self, card: str, name: str) -> None:
        """Train one run on a card as its stage does, until it is complete or the time is up; note what it left."""
        start, started = _step(self.working, name), time.monotonic()
        left, params = self.deadline - started, self.project / "params.yaml"
        with self.writing:  # both have one deadline, so it is nothing to either if it reads what the other wrote
            text = params.read_text(encoding="utf-8")
            write_text(params, re.sub(r"(?m)^( +time_budget:).*", rf"\1 {max(left / 60, 1e-6):.6f}", text))
            self.runs[name] = {"step": start, "complete": False, "rate": 0.0}
            self._write("running")  # what is found if Kaggle ends the session before its time
        command = [sys.executable, "notebooks/run.py", "03_train", "--name", name, "-p", "variant", name]
        environment, log = {**self.environment, "CUDA_VISIBLE_DEVICES": card}, self.working / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=self.project, env=environment, stdout=out, stderr=out)
            try:
                process.wait(left + OVERRUN)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
        record = self.working / "reports" / "runs" / f"{name}.json"
        said = json.loads(record.read_text(encoding="utf-8")) if process.returncode == 0 else {}
        complete = said.get("complete", False) or "not_finite" in said  # which ends a run, too
        done = said["step"] if complete else _step(self.working, name)
        seconds = time.monotonic() - started
        run = {"step": done, "complete": complete, "rate": (done - start) / seconds if seconds > SETTLED else 0.0}
        if process.returncode and process.returncode != -15 and time.monotonic() < self.deadline + OVERRUN:
            lines = re.split(r"[\r\n]+", log.read_text(encoding="utf-8", errors="replace"))
            run["failed"] = [line for line in lines if line.strip()][-TAIL:]
        kept = [self.working / "models" / name, self.working / "models" / "checkpoints" / name]
        paths = [path for folder in kept for path in folder.rglob("*")] + [*self.working.glob(f"reports/*/{name}.*")]
        found = {path.relative_to(self.working).as_posix(): sha256(path) for path in paths if path.is_file()}
        with self.writing:
            self.runs[name] = run
            self.files |= found
            self._write("running")
        print(f"{name}: step {done}, {'complete' if complete else 'not complete'}", flush=True)

    def _write(self, state: str) -> None:
        about = {key: self.job[key] for key in ("slug", "commit", "cards", "inputs")}
        about |= {"state": state, "image": self.image, "runs": self.runs, "files": self.files}
        write_json(self.working / MANIFEST, about)


def _step(place: Path, name: str) -> int:
    """The update after which the last checkpoint of a run was saved; 0 if there is none."""
    indices = place.glob(f"models/checkpoints/{name}/*/ckpt-*.index")
    return max((int(path.stem.removeprefix("ckpt-")) for path in indices), default=0)


def _installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False
