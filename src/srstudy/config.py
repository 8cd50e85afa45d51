"""`params.yaml` under one profile. An unknown key is an error that names it and the nearest known one."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from srstudy.checks import check_names
from srstudy.errors import StudyError
from srstudy.schema import Seed, build, build_fields, merge, pick
from srstudy.settings import Ablation, Data, Evaluation, Profile, Recipe, TileSet, Training, Variant
from srstudy.settings_camera import Camera

SECTIONS = {  # of params.yaml
    "profile": str,
    "seed": Seed,
    "data": Data,
    "degradations": dict[str, Camera],
    "evaluation": Evaluation,
    "training": Training,
    "sets": dict[str, TileSet],
    "variants": dict[str, Variant],
    "recipes": dict[str, Recipe],
    "pretrain": dict[str, Recipe],
    "released": dict[str, Recipe],
    "ablation": Ablation,
    "profiles": dict[str, Profile],
}


@dataclass(frozen=True)
class Study:
    """All of `params.yaml` under one profile. `root` is the project's folder."""

    root: Path
    profile_name: str
    seed: int
    data: Data
    degradations: dict[str, Camera]
    evaluation: Evaluation
    training: Training
    profile: Profile
    sets: dict[str, TileSet]
    variants: dict[str, Variant]
    recipes: dict[str, Recipe]
    pretrain: dict[str, Recipe]
    released: dict[str, Recipe]
    ablation: Ablation

    @property
    def note(self) -> str:
        """What every title says of its figures: the profile, and how many images it calls 5k and 10k."""
        counts = ", ".join(f"{name} = {count:,}" for name, count in self.profile.images.items())
        return f"{self.profile_name} profile: {counts} images"

    def note_on(self, name: str) -> str:
        """What titles say of the images that a variant, a warm start or a released model is trained on."""
        return "all training photographs of data/sample" if name in self.on_sample else self.note

    @property
    def on_sample(self) -> dict[str, Recipe]:
        """Recipes trained for a number of steps on all training photographs of `data/sample`, whatever the profile."""
        return {**self.pretrain, **self.released}

    def variant(self, name: str) -> Variant:
        """The variant called `name`. Raises StudyError, naming the nearest one, if there is none."""
        return pick(self.variants, name, "variants")

    def recipe(self, name: str) -> Recipe:
        """The recipe of a variant, a warm start or a released model."""
        if name in self.on_sample:
            return self.on_sample[name]
        variant = pick({**self.variants, **self.on_sample}, name, "variants")  # an error names those too
        return pick(self.recipes, variant.recipe, f"variants.{name}.recipe")

    def steps(self, name: str) -> int:
        """Generator updates of a variant, a warm start or a released model."""
        if name in self.on_sample:
            return self.on_sample[name].steps
        return self.steps_of(name, self.variant(name).epochs)

    def steps_of(self, name: str, epochs: float) -> int:
        """Updates in so many of the paper's epochs: images x epochs / batch size, scaled by the profile, at least 1."""
        recipe = self.recipe(name)
        images = self.images(self.variant(name).set) * recipe.crops_per_image
        return max(1, math.ceil(epochs * self.profile.epoch_scale * images / recipe.batch_size))

    def epoch_steps(self, name: str) -> int:
        """Updates in which a run sees every image of its set once; of a run that counts steps, a tenth of all."""
        if name in self.on_sample:
            return max(1, self.steps(name) // 10)
        recipe = self.recipe(name)
        return math.ceil(self.images(self.variant(name).set) * recipe.crops_per_image / recipe.batch_size)

    def snapshot_step(self, name: str) -> int | None:
        """The step after which a variant's snapshot is taken, if it wants one."""
        epochs = None if name in self.on_sample else self.variant(name).snapshot
        return None if epochs is None else self.steps_of(name, epochs)

    def snapshot_name(self, name: str) -> str:
        """How the tables call a variant's snapshot."""
        return f"{name} after {self.variant(name).snapshot:g} epochs"

    def model_folder(self, name: str) -> Path:
        """Where the trained generator of a variant, a warm start or a released model is kept."""
        models = self.root / "models"
        if name in self.on_sample:
            return models / ("pretrained" if name in self.pretrain else "released") / name
        return models / name

    def method_name(self, name: str) -> str:
        """How the tables call the generator of a variant, a warm start or a released model."""
        return f"warm start {name}" if name in self.pretrain else name

    def warm_start_name(self, name: str) -> str | None:
        """How the tables call the generator from which a run starts, or None if it starts from scratch."""
        warm_start = self.recipe(name).warm_start
        return None if warm_start is None else self.method_name(warm_start)

    @property
    def warm_starts(self) -> list[str]:
        """The warm starts that the variants begin with."""
        return list(dict.fromkeys(filter(None, (self.recipe(name).warm_start for name in self.variants))))

    def warm_start_path(self, name: str) -> Path | None:
        """The saved model from which a run starts, or None if it starts from scratch. Raises as `generator_path`."""
        warm_start = self.recipe(name).warm_start
        return None if warm_start is None else self.generator_path(warm_start)

    def generator_path(self, name: str) -> Path:
        """The saved generator of a variant, a warm start or a released model.

        Raises StudyError, naming the command that trains it, if it is not trained yet.
        """
        path = self.model_folder(name) / "generator.keras"
        if path.is_file():
            return path
        raise StudyError(f"{name}: not trained yet; run `{self.how_to_train(name)}`.")

    def how_to_train(self, name: str) -> str:
        """The command that trains a variant, a warm start or a released model."""
        if name in self.released:
            return f"python notebooks/run.py 03_train --name released-{name} -p variant {name}"
        return f"dvc repro {'pretrain' if name in self.pretrain else 'train'}@{name}"

    @property
    def arms(self) -> dict[str, Recipe]:
        """The recipes of the ablation by name: that of its variant with one thing changed."""
        recipe = asdict(self.recipe(self.ablation.variant))
        merged = {name: merge(recipe, change) for name, change in self.ablation.changes.items()}
        return build(dict[str, Recipe], merged, "ablation.changes")

    def camera(self, recipe: Recipe) -> Camera | None:
        """The camera that makes a recipe's LR; None if that is bicubic."""
        return self.degradations.get(recipe.degradation)

    @property
    def largest_lr_size(self) -> int:
        """The largest LR side among the sets: photographs must be 4 times as large."""
        return max(tiles.lr_size for tiles in self.sets.values())

    def images(self, set_name: str) -> int:
        """How many tiles a set has under this profile."""
        tiles = pick(self.sets, set_name, "sets")
        return pick(self.profile.images, tiles.images, f"sets.{set_name}.images")


def find_root(start: str | Path = ".") -> Path:
    """The nearest folder at or above `start` that holds `params.yaml`. Raises StudyError if there is none."""
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise StudyError(f"{start}: no params.yaml here or above; run inside the project's folder.")


def load_study(profile: str | None = None, root: str | Path | None = None) -> Study:
    """Read `params.yaml` under `profile` (default: the one it names itself).

    Raises StudyError for a file that is not YAML; with a line for each unknown or missing key and wrong value, those
    among the profiles' recipes once all others are mended; for an unknown profile; and as `check_names` does.
    """
    root = Path(root) if root else find_root()
    text = (root / "params.yaml").read_text(encoding="utf-8")
    try:
        params = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StudyError(f"params.yaml: not valid YAML ({' '.join(str(error).split())}).") from error
    sections = build_fields(SECTIONS, set(SECTIONS), params, "")
    name, profiles = profile or sections["profile"], sections.pop("profiles")
    chosen = pick(profiles, name, "profile")
    recipes = _recipes_by_profile(params["recipes"], profiles)[name]
    study = Study(**{**sections, "root": root, "profile_name": name, "profile": chosen, "recipes": recipes})
    check_names(study)
    return study


def _recipes_by_profile(full: dict[Any, Any], profiles: dict[str, Profile]) -> dict[str, dict[str, Recipe]]:
    """The full-size recipes, as read from YAML, with each profile's own values: {profile: {recipe: Recipe}}.

    Raises StudyError with a line for each value that doesn't fit, at its place in the profile.
    """
    merged = {
        name: {str(key): merge(recipe, profile.recipes.get(str(key), {})) for key, recipe in full.items()}
        for name, profile in profiles.items()
    }
    places = {f"{name}.recipes": recipes for name, recipes in merged.items()}
    built = build_fields(dict.fromkeys(places, dict[str, Recipe]), set(), places, "profiles")
    return dict(zip(profiles, built.values()))


if __name__ == "__main__":  # `python -m srstudy.config`: is params.yaml right?
    try:
        load_study()
    except StudyError as error:
        sys.exit(f"error: {error}")
