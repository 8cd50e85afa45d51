"""Recipes that train in milliseconds, the settings to go with them, runs of them, and sets of a few tiles."""

from pathlib import Path

import yaml

from srstudy.parsing import parse
from srstudy.sets.tiles import Tiles, writing_tiles
from srstudy.settings import Recipe, Training
from srstudy.study import Run

RECIPES = parse(
    dict[str, Recipe],
    yaml.safe_load("""
    srgan: &srgan
      generator: { kind: srgan, filters: 4, blocks: 1 }
      discriminator: { filters: 2, dense: 4, momentum: 0.5 }
      content: { network: hed-vgg16, layer: block1_conv1 }
      loss_weights: { content: 1.0, adversarial: 1.0e-3, pixel: 0.0 }
      learning_rate: 2.0e-4
      batch_size: 1
    pixel: &pixel
      generator: { kind: residual, filters: 4, blocks: 1 }
      loss_weights: { content: 0.0, adversarial: 0.0, pixel: 1.0 }
      learning_rate: 1.0e-3
      batch_size: 4
      schedule: cosine
      ema: 0.9
      crop: 6
      flips: true
    footage:
      <<: [*pixel, *srgan]
      discriminator: { filters: 2, dense: 4, momentum: 0.5, learning_rate: 1.0e-4 }
      loss_weights: { content: 0.1, adversarial: 1.0e-2, pixel: 1.0 }
      learning_rate: 2.0e-4
      batch_size: 2
      label_smoothing: 0.1
      relativistic: true
      degradation: cctv
      precision: mixed_bfloat16
    """),
)
SETTINGS = parse(
    Training,
    yaml.safe_load("""
    { checkpoint_minutes: 0, keep_checkpoints: 2, validation_photos: 2, validations: 2, precision: float32, guards:
      { discriminator_won: 0.99, discriminator_lost: 0.3, patience: 3, collapse: 0.3, colour_shift: 5.0 } }
    """),
)
GUARDS = SETTINGS.guards


def changed(section, **values):
    """A copy of a recipe or of settings with other values."""
    return section.model_copy(update=values)


def run_of(recipe: Recipe, folder: Path, steps: int = 1, **options) -> Run:
    """A run of a recipe that leaves all in `folder`."""
    options = {"epoch_steps": 8, "seed": 1, "checkpoints": folder / "checkpoints", **options}
    return Run("tiny", recipe, steps, folder=folder / "model", **options)


def save_tiles(folder: Path, tiles: Tiles) -> None:
    """Write a set that is in memory."""
    with writing_tiles(folder, len(tiles), tiles.lr.shape[1]) as write:
        for pair in zip(tiles.hr, tiles.lr):
            write(*pair)
