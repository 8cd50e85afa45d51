"""The paper's sentences that can be true or false, as figures with a verdict; and where the paper is silent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from srstudy.config import Study
from srstudy.evaluation import BICUBIC
from srstudy.report import per_run
from srstudy.statistics import Estimate, bias_difference, estimate, main_effect, verdict

GRID = [
    f"{images}-{size}-{kind}" for images in ("5k", "10k") for size in ("32", "64") for kind in ("plain", "augmented")
]
FINAL = ("5k-32-plain", "10k-64-plain")  # the two models that the paper keeps


def judge(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """The claims as rows: claim, what was compared, difference with its 95% interval, verdict in words."""
    rows = [*_c1(study, scores), *_c2(study, scores), *_c3(study, scores), *_c4(study, scores), *_c6(study, scores)]
    return pd.DataFrame(
        {"claim": claim, "compared": compared, "difference": f"{found:+.3f}", "verdict": verdict(found, expected_sign)}
        for claim, compared, found, expected_sign in rows
    )


def _c1(study: Study, scores: pd.DataFrame):
    claim, runs = "C1: biased data bring a colour bias", ("5k-32-biased", study.snapshot_name("5k-32-plain"))
    first, second = runs  # after equal epochs
    yield claim, f"colour bias: {first} − {second}", _bias(scores, [first], [second], study.seed), 1
    yield claim, f"ΔE2000: {first} − {second}", _difference(scores, "delta_e", first, second, study.seed), 1
    other = [study.evaluation.other_name(run) for run in runs]
    bias = _bias(scores, other[:1], other[1:], study.seed)
    yield claim, f"colour bias, {study.evaluation.other} statistics: {first} − {second}", bias, 1


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
    worse = _difference(scores, "perceptual", first, second, study.seed)
    yield "C4: 40 epochs of MirFlickr are worse", f"VGG16-HED distance: {first} − {second}", worse, 1
    yield "C4: … by colour bias", f"colour bias: {first} − {second}", _bias(scores, [first], [second], study.seed), 1


def _c6(study: Study, scores: pd.DataFrame):
    for run in FINAL:
        for measure, name, sign in (("perceptual", "VGG16-HED distance", -1), ("psnr_y", "PSNR-Y", 1)):
            found = _difference(scores, measure, run, BICUBIC, study.seed)
            yield f"C6: {run} improves on bicubic", f"{name}: {run} − bicubic", found, sign


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
    rows = [
        ("kernel sizes", "first and last 9×9, others 3×3", "networks.py"),
        ("“concatenation with the initial input”", "addition, as in SRGAN", "networks.py"),
        ("output and value range", "tanh, images in [-1, 1]", "networks.py"),
        ("upscaling", generator.upscaling, "recipes.srgan.generator"),
        (
            "generator (16 blocks are stated)",
            f"{generator.filters} filters, {generator.blocks} blocks",
            "recipes.srgan.generator",
        ),
        (
            "discriminator",
            f"from {discriminator.filters} filters, dense {discriminator.dense}",
            "recipes.srgan.discriminator",
        ),
        ("its batch norm while the generator learns", "statistics of the batch", "training.py"),
        ("content features", f"{content.network} {content.layer} × {content.feature_scale:g}", "recipes.srgan.content"),
        ("Adam's other constants", "Keras's defaults", "training.py"),
        ("start of the generator", start, "recipes.srgan.warm_start"),
        ("HR images", "crops at native resolution", "prepare.py"),
        ("LR images", "MATLAB's bicubic with antialiasing, 8 bits", "degrade.py"),
        ("augmentation", f"once per tile, on HR before LR is made: {augment}", "data.augmentation"),
        ("curated set", "sources take turns, flat crops skipped", "profiles.*.selections"),
        ("biased set", _describe(profile.selections["biased"]), "profiles.*.selections"),
        ("MirFlickr set", _describe(profile.selections["mirflickr"]), "profiles.*.selections"),
        ("batch norm at test time", f"{study.evaluation.statistics} statistics", "evaluation.statistics"),
        ("test photographs", tested, "profiles.*.test_crop"),
    ]
    return pd.DataFrame(rows, columns=["left open by the paper", "taken here", "where"])


def _describe(selection) -> str:
    parts = [f"source {selection.source}"] if selection.source else []
    if selection.highest:
        parts.append(f"the {selection.share:.0%} of photographs with the highest {selection.highest}")
    return ", ".join(parts) or "all training photographs"
