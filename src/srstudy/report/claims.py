"""The paper's sentences that can be true or false, as figures with a verdict; and where the paper is silent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd

from srstudy.config import Study
from srstudy.judge.metrics import BICUBIC
from srstudy.report.scores import by_reading, per_run
from srstudy.statistics import LEVELS, Estimate, bias_difference, estimate, main_effect, verdict

GRID = ["-".join(run) for run in product(*LEVELS)]
FINAL = ("5k-32-plain", "10k-64-plain")  # the two models that the paper keeps


def judge(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """The claims as rows: claim, what was compared, and under each reading of batch norm at test time the difference
    with its 95% interval and the verdict in words.

    A claim whose runs are not among the variants is left out.
    """
    readings = [f"{name} statistics" for name in (study.evaluation.statistics, study.evaluation.other)]
    table: dict[tuple[str, str], dict[str, str]] = {}
    for reading, part in zip(readings, by_reading(study, scores)):
        for claim, compared, found, expected_sign in _rows(study, part):
            row = table.setdefault((claim, compared), {"claim": claim, "compared": compared})
            digits = 2 if abs(found.value) >= 0.1 else 4
            row |= {reading: f"{found:+.{digits}f}", f"verdict, {reading}": verdict(found, expected_sign)}
    return pd.DataFrame(table.values())


def _rows(study: Study, scores: pd.DataFrame) -> Iterator[tuple[str, str, Estimate, int]]:
    """(claim, what is compared, difference, the sign that the claim expects)."""
    claims = {
        _c1: ["5k-32-biased", "5k-32-plain"],
        _c2: GRID,
        _c3: FINAL,
        _c4: ["10k-32-mirflickr", "10k-32-plain"],
        _c6: FINAL,
        _ours: ["recommended"],
    }
    for rows, runs in claims.items():
        if set(runs) <= set(study.variants):
            yield from rows(study, scores)


def _c1(study: Study, scores: pd.DataFrame):
    claim, first, second = "C1: biased data bring a colour bias", "5k-32-biased", "5k-32-plain"
    biased, plain = study.variant(first), study.variant(second)
    epochs = plain.epochs
    if plain.snapshot == biased.epochs and (scores.method == study.snapshot_name(second)).any():
        second, epochs = study.snapshot_name(second), plain.snapshot  # the two are compared after equal epochs
    what = f"{first} ({biased.epochs:g} epochs) − 5k-32-plain ({epochs:g} epochs)"
    yield claim, f"colour bias: {what}", _bias(scores, [first], [second], study.seed), 1
    yield claim, f"ΔE2000: {what}", _difference(scores, "delta_e", first, second, study.seed), 1
    selection = study.profile.selections[study.sets[biased.set].selection]
    if selection.highest == "mean_b":
        shift = _difference(scores, "shift_b", first, second, study.seed)
        yield "C1: … of the data's own colour, yellow", f"b* shift: {what}", shift, 1


def _c2(study: Study, scores: pd.DataFrame):
    plain, augmented = ([name for name in GRID if name.endswith(kind)] for kind in ("plain", "augmented"))
    what = "augmented − plain"
    perceptual, sharpness = (main_effect(per_run(scores, name), 2, study.seed) for name in ("perceptual", "sharpness"))
    yield "C2: augmentation did not help", f"VGG16-HED distance: {what}", perceptual, 1
    yield "C2: … it brought colour bias", f"colour bias: {what}", _bias(scores, augmented, plain, study.seed), 1
    yield "C2: … and blur", f"sharpness: {what}", sharpness, -1


def _c3(study: Study, scores: pd.DataFrame):
    claim, what = "C3: 10k images at 64 px beat 5k at 32", "10k-64-plain − 5k-32-plain"
    for measure, name, sign in (("perceptual", "VGG16-HED distance", -1), ("psnr_y", "PSNR-Y", 1)):
        yield claim, f"{name}: {what}", _difference(scores, measure, "10k-64-plain", "5k-32-plain", study.seed), sign


def _c4(study: Study, scores: pd.DataFrame):
    first, second = "10k-32-mirflickr", "10k-32-plain"
    selection = study.profile.selections[study.sets[study.variant(first).set].selection]
    claim = f"C4: {study.variant(first).epochs:g} epochs of one source ({selection.source}) are worse"
    worse = _difference(scores, "perceptual", first, second, study.seed)
    yield claim, f"VGG16-HED distance: {first} − {second}", worse, 1
    yield "C4: … by colour bias", f"colour bias: {first} − {second}", _bias(scores, [first], [second], study.seed), 1


def _c6(study: Study, scores: pd.DataFrame):
    for run in FINAL:
        yield from _improves(study, scores, run, "C6")


def _ours(study: Study, scores: pd.DataFrame):
    yield from _improves(study, scores, "recommended", "ours")


def _improves(study: Study, scores: pd.DataFrame, run: str, whose: str):
    """A run against bicubic, and against the generator that it began with."""
    for rival in filter(None, (BICUBIC, study.warm_start_name(run))):
        for measure, name, sign in (("perceptual", "VGG16-HED distance", -1), ("psnr_y", "PSNR-Y", 1)):
            found = _difference(scores, measure, run, rival, study.seed)
            yield f"{whose}: {run} improves on {rival}", f"{name}: {run} − {rival}", found, sign


def _difference(scores: pd.DataFrame, measure: str, first: str, second: str, seed: int) -> Estimate:
    runs = per_run(scores, measure)
    return estimate((runs[first] - runs[second]).to_numpy(), seed)


def _bias(scores: pd.DataFrame, first: list[str], second: list[str], seed: int) -> Estimate:
    shift_a, shift_b = (per_run(scores, measure) for measure in ("shift_a", "shift_b"))

    def shifts(runs: list[str]) -> np.ndarray:  # [photos, runs, 2]
        return np.stack([np.stack([shift_a[run], shift_b[run]], axis=-1) for run in runs], axis=1)

    return bias_difference(shifts(first), shifts(second), seed)


def readings(study: Study) -> pd.DataFrame:
    """What the paper leaves open, what was taken under this profile, and where to change it."""
    recipe, limits, profile = study.recipes["srgan"], study.data.augmentation, study.profile
    generator, discriminator, content = recipe.generator, recipe.discriminator, recipe.content
    start = f"warm start '{recipe.warm_start}'" if recipe.warm_start else "from scratch"
    augment = f"rotation ±{limits.rotation:g}°, shear ±{limits.shear:g}°, shift ±{limits.translation:g} of the side"
    tested = f"held out, centre {profile.test_crop} px" if profile.test_crop else "held out, whole"
    fewer = f"{generator.blocks}; a reduction of this profile" if generator.blocks != 16 else "16"
    rows = [
        ("kernel sizes", "first and last 9×9, others 3×3", "networks/architectures.py"),
        ("“concatenation with the initial input”", "addition, as in SRGAN", "networks/architectures.py"),
        ("output and value range", "tanh, images in [-1, 1]", "networks/architectures.py"),
        ("upscaling", generator.upscaling, "recipes.srgan.generator"),
        ("filters of the generator", f"{generator.filters}", "recipes.srgan.generator"),
        ("(not open: 16 residual blocks)", fewer, "recipes.srgan.generator"),
        (
            "discriminator",
            f"from {discriminator.filters} filters, dense {discriminator.dense}",
            "recipes.srgan.discriminator",
        ),
        ("its batch norm while the generator learns", "statistics of the batch", "train/step.py"),
        ("content features", f"{content.network} {content.layer} × {content.feature_scale:g}", "recipes.srgan.content"),
        ("Adam's other constants", "Keras's defaults", "train/players.py"),
        ("start of the generator", start, "recipes.srgan.warm_start"),
        ("HR images", "crops at native resolution", "data/prepare.py"),
        ("LR images", "MATLAB's bicubic with antialiasing, 8 bits", "degrade/bicubic.py"),
        ("augmentation", f"once per tile, on HR before LR is made: {augment}", "data.augmentation"),
        ("curated set", "sources take turns, flat crops skipped", "profiles.*.selections"),
        ("biased set", _describe(profile.selections["biased"]), "profiles.*.selections"),
        ("MirFlickr set", _describe(profile.selections["mirflickr"]), "profiles.*.selections"),
        (
            "batch norm at test time",
            f"{study.evaluation.statistics} statistics; chosen after both were seen on the test photographs",
            "evaluation.statistics",
        ),
        ("where a tile lies too near the edge to be augmented fully", "it is augmented less", "data/prepare.py"),
        ("test photographs", tested, "profiles.*.test_crop"),
    ]
    return pd.DataFrame(rows, columns=["left open by the paper", "taken here", "where"])


def _describe(selection) -> str:
    parts = [f"source {selection.source}"] if selection.source else []
    if selection.highest:
        parts.append(f"the {selection.share:.0%} of photographs with the highest {selection.highest}")
    return ", ".join(parts) or "all training photographs"
