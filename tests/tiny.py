"""Recipes that train in milliseconds, the settings to go with them, and sets of a few tiles."""

from __future__ import annotations

from pathlib import Path

from srstudy.data.tiles import Tiles, writing_tiles
from srstudy.settings import Content, Discriminator, Generator, Guards, LossWeights, Recipe, Training

RECIPES = {
    "srgan": Recipe(
        generator=Generator("srgan", filters=4, blocks=1),
        loss_weights=LossWeights(content=1.0, adversarial=1e-3, pixel=0.0),
        learning_rate=2e-4,
        batch_size=1,
        discriminator=Discriminator(filters=2, dense=4, momentum=0.5),
        content=Content("hed-vgg16", "block1_conv1"),
    ),
    "pixel": Recipe(
        generator=Generator("residual", filters=4, blocks=1),
        loss_weights=LossWeights(content=0.0, adversarial=0.0, pixel=1.0),
        learning_rate=1e-3,
        batch_size=4,
        schedule="cosine",
        ema=0.9,
        crop=6,
        flips=True,
    ),
    "footage": Recipe(
        generator=Generator("residual", filters=4, blocks=1),
        loss_weights=LossWeights(content=0.1, adversarial=1e-2, pixel=1.0),
        learning_rate=2e-4,
        batch_size=2,
        discriminator=Discriminator(filters=2, dense=4, momentum=0.5, learning_rate=1e-4),
        content=Content("hed-vgg16", "block1_conv1"),
        label_smoothing=0.1,
        relativistic=True,
        schedule="cosine",
        ema=0.9,
        crop=6,
        flips=True,
        degradation="cctv",
        precision="mixed_bfloat16",
    ),
}
SETTINGS = Training(
    checkpoint_steps=3,
    keep_checkpoints=2,
    validation_photos=2,
    validations=2,
    precision="float32",
    guards=Guards(discriminator_won=0.99, discriminator_lost=0.3, patience=3, collapse=0.3, colour_shift=5.0),
)


def save_tiles(folder: Path, tiles: Tiles) -> None:
    """Write a set that is in memory."""
    with writing_tiles(folder, len(tiles), tiles.lr.shape[1]) as write:
        for pair in zip(tiles.hr, tiles.lr):
            write(*pair)
