"""Recipes that train in milliseconds, and the settings to go with them."""

from __future__ import annotations

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
}
SETTINGS = Training(
    checkpoint_steps=3,
    keep_checkpoints=2,
    validation_photos=2,
    validations=2,
    precision="float32",
    guards=Guards(discriminator_won=0.99, discriminator_lost=0.3, patience=3, collapse=0.3, colour_shift=5.0),
)
