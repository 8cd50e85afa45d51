"""Whether the parts of `params.yaml` fit each other: found while it is read, not after an hour of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srstudy import StudyError
from srstudy.parsing import pick
from srstudy.settings import BICUBIC, GRID_LR, SAMPLE, Recipe

if TYPE_CHECKING:
    from srstudy.study import Study

FOLDERS = ("checkpoints", "pretrained", "released")  # of models/, where every variant has one too


def check(study: Study) -> None:
    """Raises StudyError where the parts of `params.yaml` don't fit each other."""
    for name in study.profile.sources:
        pick(study.data.sources, name, f"profiles.{study.profile_name}.sources")
    if gone := [name for name in study.kept_sources if name not in study.profile.sources]:
        there = f"profiles.{study.profile_name}.sources"
        raise StudyError(f"{there}: lacks {', '.join(gone)} of the profile that it extends; add what is missing.")
    names = [*study.variants, *study.pretrain, *study.released]
    for name in names:
        if name in FOLDERS or names.count(name) > 1:
            raise StudyError(f"params.yaml: the name '{name}' is taken in models/; rename this run.")
    if BICUBIC in study.degradations:
        raise StudyError(f"degradations.{BICUBIC}: is what the paper's is called; rename this one.")
    for name, tiles in study.sets.items():
        if tiles.selection not in study.profile.selections:
            there = f"profiles.{study.profile_name}.selections"
            raise StudyError(
                f"sets.{name}.selection: there is no '{tiles.selection}' among {there} "
                f"({', '.join(study.profile.selections)}); correct it, or add it there, as in every profile you use."
            )
        study.images(name)
    for section in ("pretrain", "released"):
        for name, recipe in getattr(study, section).items():
            if recipe.steps is None:
                raise StudyError(f"{section}.{name}: the key 'steps' is missing.")
            where = f"{section}.{name}.photographs"
            for source in recipe.photographs:
                if source != SAMPLE and not pick(study.data.sources, source, where).listed:
                    raise StudyError(f"{where}: '{source}' has no list of its splits; choose another.")
            _check_recipe(study, recipe, GRID_LR, f"{section}.{name}")
    for name, variant in study.variants.items():
        pick(study.sets, variant.set, f"variants.{name}.set")
        recipe = pick(study.recipes, variant.recipe, f"variants.{name}.recipe")
        _check_on_set(study, recipe, variant.set, f"recipes.{variant.recipe}")
    if study.ablation.variant not in study.variants and study.profile.variants.get(study.ablation.variant, 0) is None:
        return  # the profile has no such run
    ablated = pick(study.variants, study.ablation.variant, "ablation.variant")
    for name, recipe in study.arms.items():
        _check_on_set(study, recipe, ablated.set, f"ablation.changes.{name}")


def _check_on_set(study: Study, recipe: Recipe, set_name: str, where: str) -> None:
    """The tiles of a set are cut before, so a recipe can't choose their scales, nor crops larger than they are."""
    for key, usual in (("scales", (1.0,)), ("photographs", (SAMPLE,))):
        if getattr(recipe, key) != usual:
            raise StudyError(f"{where}.{key}: means nothing where the tiles are those of a set; leave it out.")
    _check_recipe(study, recipe, study.sets[set_name].lr_size, where)


def _check_recipe(study: Study, recipe: Recipe, lr_size: int, where: str) -> None:
    pick({BICUBIC: None, **study.degradations}, recipe.degradation, f"{where}.degradation")
    if recipe.crop is not None and recipe.crop > lr_size:
        raise StudyError(f"{where}.crop: {recipe.crop} is larger than its LR tiles; choose at most {lr_size}.")
    if recipe.content and recipe.content.remembered and (recipe.crop or recipe.flips or recipe.degradation != BICUBIC):
        raise StudyError(f"{where}.content.remembered: is of whole tiles; leave out crop, flips and degradation.")
    if recipe.warm_start is None:
        return
    variants = {name: study.recipes[one.recipe] for name, one in study.variants.items() if one.recipe in study.recipes}
    starts = {"pretrain": study.pretrain, "released": study.released, "variants": variants}
    known = {name: section for section, recipes in starts.items() for name in recipes}
    section = pick(known, recipe.warm_start, f"{where}.warm_start")
    if starts[section][recipe.warm_start].generator != recipe.generator:
        raise StudyError(
            f"{section}.{recipe.warm_start}.generator: differs from {where}.generator under profile "
            f"{study.profile_name}; a warm start needs the same network."
        )
