"""Run the study under a profile that has a folder of its own, stage after stage: `python notebooks/chain.py tenth`.

Such a profile trains for a day, on photographs that a clone has not, so no `dvc repro` begins it. What has left its
result is not done again: to make something anew, remove that. Stop it at any moment; it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import pandas as pd
from run import ROOT, run  # which finds the study's code

from srstudy import StudyError
from srstudy.files import write_csv
from srstudy.photos.manifest import open_manifest
from srstudy.photos.scan import scan_source
from srstudy.photos.sources import locate
from srstudy.sets.cut import prepare_set
from srstudy.sets.select import choose
from srstudy.study import Run, Study, load_study

BESIDE = "esrgan-5k-32"  # a profile with this variant has the models that 08_models shows


def main() -> int:
    """Parse the command line, do what is left, say how many hours it will take."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile", help="a profile of params.yaml with `folder: true`")
    parser.add_argument("--left", action="store_true", help="only say what is left to train, and the hours it takes")
    options = parser.parse_args()
    try:
        study = load_study(options.profile, ROOT)
        if not study.profile.folder:
            raise StudyError(f"profiles.{options.profile}: has no `folder: true`; run `make study` under this profile.")
        print(left(study))
        if not options.left:
            prepare(study)
            train_and_judge(study)
            run("05_report", None, {"profile": study.profile_name})
            if BESIDE in study.variants:
                run("08_models", None, {"profile": study.profile_name})
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


def train_and_judge(study: Study) -> None:
    """Train every run that is not, and judge each as soon as it is trained; then the released models.

    Raises StudyError for a signal at once; for a training that can't be finished when all others are.
    """
    failed, released = [], [study.run(name) for name in study.released]
    for one in in_order(study):
        if not scores_of(study, one).is_file() or not ended(study, one):
            try:
                begins_with = [one.warm_start] if one.warm_start and one.warm_start.kind == "variant" else []
                for needed in (*begins_with, one):  # what a run begins with may be lost
                    if not (needed.is_trained and ended(study, needed)):
                        train(study, needed)
                judge(study, one)
            except StudyError as error:
                if "not finite" not in str(error):
                    raise
                failed.append(f"{one.name}: {error}")
    for one in released:
        if one.is_trained and not scores_of(study, one).is_file():
            judge(study, one)
    if failed:
        raise StudyError(" ".join(failed))


def train(study: Study, one: Run) -> None:
    """Train a run, or go on with it, and note the minutes."""
    print(left(study))
    started = time.monotonic()
    try:
        run("03_train", one.name, {"profile": study.profile_name, "variant": one.name})
    finally:
        spend(study, one, (time.monotonic() - started) / 60)


def judge(study: Study, one: Run) -> None:
    """Judge a run, and bicubic beside it, on the profile's test photographs."""
    run("04_evaluate", None, {"profile": study.profile_name, "runs": one.name})


def scores_of(study: Study, one: Run) -> Path:
    """The file with the scores of a run."""
    return study.folder("reports") / "scores" / f"{one.name}.csv"


def in_order(study: Study) -> list[Run]:
    """The first training of every variant before any second one; of these the short ones first, warm starts before
    what begins with them.
    """

    def key(one: Run) -> tuple[int, bool, float]:
        return study.variants[one.name].number, bool(one.warm_start), cost(study, one)

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


def left(study: Study) -> str:
    """How many runs are left, and how many hours they will take, by what those with the nearest recipe have taken."""
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
    hours = sum(map(estimate, waiting)) / 60
    known = f"about {hours:.1f} hours" if hours == hours else "hours are known when the first one is done"
    return f"{study.profile_name}: {len(runs) - len(waiting)} of {len(runs)} runs are trained; left: {known}."


if __name__ == "__main__":
    sys.exit(main())
