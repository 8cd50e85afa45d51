"""How much disk a training takes, by `params.yaml` alone: said, and looked for, before tiles are cut."""

import shutil

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE
from srstudy.settings import Recipe
from srstudy.study import Study


def set_bytes(study: Study, name: str) -> int:
    """What the two files of a prepared set hold: uint8 tiles, HR and LR, behind NumPy's 128 bytes each."""
    lr_size = study.sets[name].lr_size
    return sum(128 + study.images(name) * side * side * 3 for side in (SCALE * lr_size, lr_size))


def checkpoint_bytes(recipe: Recipe, lr_size: int) -> int:
    """About what a checkpoint holds: weights of convolutions and dense layers, Adam's two moments, and averages."""
    filters, blocks, own = recipe.generator.filters, recipe.generator.blocks, recipe.discriminator
    ends = 72 * filters + 486 if recipe.generator.kind == "srgan" else 459
    weights = filters * (9 * filters * (2 * blocks + 1) + ends)
    if recipe.loss_weights.adversarial:
        side = -(-(recipe.crop or lr_size) // 4)  # HR, halved four times
        weights += own.filters * (9 * 127 * own.filters + 8 * side * side * own.dense)
    return (4 if recipe.ema else 3) * 4 * weights


def run_bytes(study: Study, name: str) -> int:
    """Most that a set and the checkpoints of a run on it take, one more while it is written; they go with its end."""
    recipes = [study.recipes[variant.recipe] for variant in study.variants.values() if variant.set == name]
    largest = max((checkpoint_bytes(recipe, study.sets[name].lr_size) for recipe in recipes), default=0)
    return set_bytes(study, name) + (study.training.keep_checkpoints + 1) * largest


def require_space(study: Study, name: str) -> None:
    """Say what a set takes, with a run on it, and all sets. Raises StudyError if the disk has no room for the set."""
    sizes = set_bytes(study, name), run_bytes(study, name), sum(set_bytes(study, one) for one in study.sets)
    tiles, need, every, free = (f"{size / 1e9:,.3f} GB" for size in (*sizes, shutil.disk_usage(study.root).free))
    print(f"{name}: {tiles}, with a run's checkpoints {need}; all sets: {every}; free: {free}")
    if sizes[0] > shutil.disk_usage(study.root).free:
        raise StudyError(f"{name}: needs {tiles}, {free} are free; lower the profile's `images`, or free some space.")
