"""Whether the parts of `params.yaml` fit each other: found while it is read, not after an hour of training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from srstudy.errors import StudyError
from srstudy.schema import pick
from srstudy.settings import BICUBIC, GRID_LR, Recipe

if TYPE_CHECKING:
    from srstudy.config import Study

FOLDERS = ("checkpoints", "live", "pretrained", "released")  # of models/, where every variant has one too


def check_names(study: Study) -> None:
    """Raises StudyError, with the place, if a section refers to a name that does not exist, or two do not fit."""
    _check_sources(study)
    for key in study.profile.recipes:
        pick(study.recipes, key, f"profiles.{study.profile_name}.recipes")
    for key in (*study.variants, *study.on_sample):
        if key in FOLDERS or (key in study.pretrain) + (key in study.released) + (key in study.variants) > 1:
            raise StudyError(f"params.yaml: the name '{key}' is taken in models/; rename this run.")
    _check_on_sample(study)
    _check_selections(study)
    for section in ("recipes", "pretrain", "released"):
        for key, recipe in getattr(study, section).items():
            _check_losses(recipe, f"{section}.{key}")
            _check_degradation(study, recipe, f"{section}.{key}")
    _check_variants(study)
    _check_arms(study)


def _check_sources(study: Study) -> None:
    """Sources name files and ids, so their names are plain; each needs a place, and the profile one source at least."""
    for name, source in study.data.sources.items():
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            raise StudyError(f"data.sources: the name '{name}' may have letters, digits and _ only; rename it.")
        if not source.licence.strip():
            raise StudyError(f"data.sources.{name}.licence: is empty; say on what terms its images may be used.")
        if source.kaggle is None and source.path is None:
            raise StudyError(f"data.sources.{name}: has neither `kaggle` nor `path`; give one of them.")
        if source.kaggle is not None and not re.fullmatch(r"[\w-]+/[\w-]+", source.kaggle):
            raise StudyError(f"data.sources.{name}.kaggle: expected OWNER/NAME, found '{source.kaggle}'.")
        if source.version is not None and source.kaggle and source.kaggle.startswith("competitions/"):
            raise StudyError(f"data.sources.{name}.version: competitions have no versions; set it to null.")
    for name in study.profile.sources:
        pick(study.data.sources, name, f"profiles.{study.profile_name}.sources")


def _check_on_sample(study: Study) -> None:
    """Warm starts and released models count steps, and crop from tiles of one size."""
    for section in ("pretrain", "released"):
        for key, recipe in getattr(study, section).items():
            if recipe.steps is None:
                raise StudyError(f"{section}.{key}: the key 'steps' is missing.")
            _check_warm_start(study, recipe, f"{section}.{key}")
            _check_crop(recipe, GRID_LR, f"{section}.{key}")


def _check_selections(study: Study) -> None:
    """A selection's share needs something to rank by; every set needs a selection and a count of the profile."""
    there = f"profiles.{study.profile_name}.selections"
    for key, selection in study.profile.selections.items():
        if selection.highest is None and selection.share != 1:
            raise StudyError(
                f"{there}.{key}.share: means nothing without 'highest'; name a column there, or leave it out."
            )
    for key, tiles in study.sets.items():
        if tiles.selection not in study.profile.selections:
            raise StudyError(
                f"sets.{key}.selection: there is no '{tiles.selection}' among {there} "
                f"({', '.join(study.profile.selections)}); correct it, or add it there, as in every profile you use."
            )
        study.images(key)


def _check_variants(study: Study) -> None:
    for name, variant in study.variants.items():
        pick(study.sets, variant.set, f"variants.{name}.set")
        if variant.snapshot is not None and variant.snapshot > variant.epochs:
            raise StudyError(
                f"variants.{name}.snapshot: comes after its last epoch; choose at most {variant.epochs:g}."
            )
        _check_on_set(study, study.recipe(name), variant.set, f"recipes.{variant.recipe}")


def _check_on_set(study: Study, recipe: Recipe, set_name: str, where: str) -> None:
    """The tiles of a set are cut before, so a recipe can't choose their scales, nor crops larger than they are."""
    if recipe.scales != (1.0,):
        raise StudyError(f"{where}.scales: means nothing where the tiles are those of a set; leave it out.")
    _check_warm_start(study, recipe, where)
    _check_crop(recipe, study.sets[set_name].lr_size, where)


def _check_warm_start(study: Study, recipe: Recipe, where: str) -> None:
    if recipe.warm_start is None:
        return
    if pick(study.on_sample, recipe.warm_start, f"{where}.warm_start").generator != recipe.generator:
        section = "pretrain" if recipe.warm_start in study.pretrain else "released"
        raise StudyError(
            f"{section}.{recipe.warm_start}.generator: differs from {where}.generator under profile "
            f"{study.profile_name}; a warm start needs the same network."
        )


def _check_arms(study: Study) -> None:
    variant = pick(study.variants, study.ablation.variant, "ablation.variant")
    for name, recipe in study.arms.items():
        where = f"ablation.changes.{name}"
        _check_losses(recipe, where)
        _check_degradation(study, recipe, where)
        _check_on_set(study, recipe, variant.set, where)


def _check_crop(recipe: Recipe, lr_size: int, where: str) -> None:
    if recipe.crop is not None and recipe.crop > lr_size:
        raise StudyError(f"{where}.crop: {recipe.crop} is larger than its LR tiles; choose at most {lr_size}.")


def _check_degradation(study: Study, recipe: Recipe, where: str) -> None:
    if BICUBIC in study.degradations:
        raise StudyError(f"degradations.{BICUBIC}: is what the paper's is called; rename this one.")
    pick({BICUBIC: None, **study.degradations}, recipe.degradation, f"{where}.degradation")


def _check_losses(recipe: Recipe, where: str) -> None:
    """A loss term that has a weight needs its network, and one term at least needs a weight."""
    weights = recipe.loss_weights
    if not (weights.content or weights.adversarial or weights.pixel):
        raise StudyError(f"{where}.loss_weights: all are 0; give one term a weight.")
    for term, network in (("content", recipe.content), ("adversarial", recipe.discriminator)):
        if getattr(weights, term) and network is None:
            section = "content" if term == "content" else "discriminator"
            raise StudyError(f"{where}: loss_weights.{term} is not 0, but the section '{section}' is missing.")
