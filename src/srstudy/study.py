"""`params.yaml` under one profile, and each run of it resolved once: `load_study().run(name)`."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from srstudy import StudyError
from srstudy.checks import check
from srstudy.parsing import merge, parse, pick, read_yaml
from srstudy.settings import (
    Ablation,
    Camera,
    Content,
    Data,
    Evaluation,
    Params,
    Profile,
    Recipe,
    TileSet,
    Training,
    Variant,
    followed,
)


@dataclass(frozen=True)
class Run:
    """A generator of the study, trained or to be trained, and all that decides it.

    `steps` are updates; `epoch_steps` how many of them see every image once; `snapshot_step` the one after which the
    generator is also kept as it then is, `snapshot` the paper's epochs that this is. `tile_set` is a prepared set, or
    None for the training photographs that the recipe names. `camera` makes LR in place of bicubic reduction. `folder`
    holds what training leaves, `checkpoints` what it needs to go on.
    """

    name: str
    recipe: Recipe
    steps: int
    epoch_steps: int
    seed: int
    folder: Path
    checkpoints: Path
    kind: Literal["variant", "pretrain", "released"] = "variant"
    tile_set: str | None = None
    camera: Camera | None = None
    warm_start: Run | None = None
    snapshot: float | None = None
    snapshot_step: int | None = None
    note: str = ""  # what titles say of the images that it is trained on

    @property
    def label(self) -> str:
        """How tables and pictures call it."""
        return f"warm start {self.name}" if self.kind == "pretrain" else self.name

    @property
    def how_to_train(self) -> str:
        """The command that trains it."""
        if self.kind == "released":
            return f"python notebooks/run.py 03_train --name {self.name} -p variant {self.name}"
        if self.folder.parent.name not in ("models", "pretrained"):
            return f"python notebooks/chain.py {self.folder.parent.name}"
        return f"dvc repro {'pretrain' if self.kind == 'pretrain' else 'train'}@{self.name}"

    @property
    def is_trained(self) -> bool:
        """Whether its generator is here."""
        return (self.folder / "generator.keras").is_file()

    @property
    def generator(self) -> Path:
        """The trained generator. Raises StudyError, naming the command that trains it, if there is none yet."""
        if self.is_trained:
            return self.folder / "generator.keras"
        raise StudyError(f"{self.name}: not trained yet; run `{self.how_to_train}`.")


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
    kept_sources: tuple[str, ...]  # of the profile that this one extends: their photographs keep their splits
    sets: dict[str, TileSet]
    variants: dict[str, Variant]
    recipes: dict[str, Recipe]
    pretrain: dict[str, Recipe]
    released: dict[str, Recipe]
    ablation: Ablation

    @property
    def note(self) -> str:
        """What every title says of its figures: the profile, and how many images stand for the paper's counts."""
        counts = ", ".join(f"{name} = {count:,}" for name, count in self.profile.images.items())
        return f"{self.profile_name} profile: {counts} images"

    def folder(self, kind: str) -> Path:
        """`data`, `models` or `reports`, or the profile's own folder there."""
        return self.root / kind / (self.profile_name if self.profile.folder else "")

    @cached_property
    def runs(self) -> dict[str, Run]:
        """All that is judged, by name: warm starts that variants begin with, variants, released models."""
        variants = {name: self.run(name) for name in self.variants}
        warm_starts = {run.warm_start.name: run.warm_start for run in variants.values() if run.warm_start is not None}
        return {**warm_starts, **variants, **{name: self.run(name) for name in self.released}}

    def named(self, names: Sequence[str] | str | None) -> dict[str, Run]:
        """Runs by name: of a list, of a text such as "a, b" or "[a, b]", or all that is judged where none is given."""
        if names and not isinstance(names, (list, tuple)):
            names = [name.strip(" []'\"") for name in str(names).split(",")]
        return {name: self.run(name) for name in names} if names else self.runs

    def run(self, name: str) -> Run:
        """A variant, a warm start or a released model. Raises StudyError, naming the nearest one, if there is none."""
        pick({**self.variants, **self.pretrain, **self.released}, name, "variants, pretrain and released")
        if name in self.variants:
            return self._variant(name, self.variants[name])
        kind = "pretrain" if name in self.pretrain else "released"
        recipe = getattr(self, kind)[name]
        return Run(
            name, recipe, recipe.steps, max(1, recipe.steps // 10), self.seed, kind=kind,
            folder=self.root / "models" / {"pretrain": "pretrained"}.get(kind, kind) / name,
            note=f"all training photographs of {', '.join(recipe.photographs)}", **self._shared(recipe, name),
        )  # fmt: skip

    def _variant(self, name: str, variant: Variant) -> Run:
        recipe = pick(self.recipes, variant.recipe, f"variants.{name}.recipe")
        images = self.images(variant.set) * recipe.crops_per_image

        def updates(epochs: float) -> int:
            passes = Fraction(str(epochs)) * Fraction(str(self.profile.epoch_scale))  # 7 × 0.1 is 0.7, no bit more
            return max(1, math.ceil(passes * images / recipe.batch_size))

        return Run(
            name, recipe, updates(variant.epochs), math.ceil(images / recipe.batch_size),
            self.seed + variant.number - 1, folder=self.folder("models") / name, tile_set=variant.set, note=self.note,
            snapshot=variant.snapshot, snapshot_step=updates(variant.snapshot) if variant.snapshot else None,
            **self._shared(recipe, name),
        )  # fmt: skip

    def _shared(self, recipe: Recipe, name: str) -> dict[str, Any]:
        return {
            "camera": self.degradations.get(recipe.degradation),
            "warm_start": self._warm_start(recipe.warm_start, name) if recipe.warm_start else None,
            "checkpoints": self.folder("models") / "checkpoints" / name,
        }

    def _warm_start(self, start: str, name: str) -> Run:
        """What a run begins with: where that is a variant, the training of it that has the run's own seed."""
        own = seeded(start, self.variants[name].number) if name in self.variants else start
        return self.run(own if own in self.variants else start)

    @property
    def arms(self) -> dict[str, Recipe]:
        """The recipes of the ablation by name: that of its variant with one thing changed."""
        recipe = self.run(self.ablation.variant).recipe.model_dump()
        merged = {name: merge(recipe, change) for name, change in self.ablation.changes.items()}
        return parse(dict[str, Recipe], merged, "ablation.changes")

    @property
    def largest_lr_size(self) -> int:
        """The largest LR side among the sets: photographs must be 4 times as large."""
        return max(tiles.lr_size for tiles in self.sets.values())

    def images(self, set_name: str) -> int:
        """How many tiles a set has under this profile."""
        tiles = pick(self.sets, set_name, "sets")
        return pick(self.profile.images, tiles.images, f"sets.{set_name}.images")


def weights_file(root: Path, content: Content) -> Path | None:
    """The user's own weights of a content network; None: those that it comes with. `data/raw/vgg19.npz`, where there is
    one, stands for the download of VGG19's.
    """
    if content.weights != "default":
        return root / content.weights
    own = root / "data" / "raw" / "vgg19.npz"
    return own if content.network == "vgg19" and own.is_file() else None


def find_root(start: str | Path = ".") -> Path:
    """The nearest folder at or above `start` that holds `params.yaml`. Raises StudyError if there is none."""
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise StudyError(f"{start}: no params.yaml here or above; run inside the project's folder.")


def load_study(profile: str | None = None, root: str | Path | None = None) -> Study:
    """Read `params.yaml` under `profile` (default: the one it names itself).

    Raises StudyError where the code that runs is another project's; for a file that is not YAML; with a line for each
    unknown or missing key and wrong value; for an unknown profile; and where a section refers to a name that does not
    exist, or two do not fit.
    """
    root = Path(root) if root else find_root()
    own, imported = root / "src" / "srstudy", Path(__file__).parent
    if own.is_dir() and not own.samefile(imported):
        raise StudyError(f"{imported}: is not the code of {root}; activate the .venv there, or `pip install -e` it.")
    content = read_yaml((root / "params.yaml").read_bytes(), "params.yaml")
    params: Params = parse(Params, content)
    name = profile or params.profile
    chosen = pick(params.profiles, name, "profile")
    variants = _variants(params, chosen)
    used = {key: variants if key == name else {} for key in params.profiles}
    recipes = {key: _recipes(content["recipes"], one, key, used[key]) for key, one in params.profiles.items()}[name]
    sections = {key: getattr(params, key) for key in Params.model_fields if key not in ("profile", "profiles")}
    resolved = {"root": root, "profile_name": name, "profile": chosen, "recipes": recipes}
    resolved["variants"] = variants
    resolved["kept_sources"] = params.profiles[chosen.extends].sources if chosen.extends else ()
    study = Study(**{**sections, **resolved})
    check(study)
    return study


def _recipes(full: dict[str, Any], profile: Profile, name: str, variants: dict[str, Variant]) -> dict[str, Recipe]:
    """The full-size recipes, as read from YAML, with a profile's own values: those that extend another where a variant
    has them.
    """
    for key in profile.recipes:
        pick(full, key, f"profiles.{name}.recipes")
    merged = {key: merge(recipe, profile.recipes.get(key, {})) for key, recipe in full.items()}
    used, waiting = set(), [one.recipe for one in variants.values()]
    for key in waiting:  # which grows by what those extend
        waiting += [str(merged[key]["extends"])] if key not in used and "extends" in merged.get(key, {}) else []
        used.add(key)
    kept = {key: recipe for key, recipe in merged.items() if key in used or "extends" not in recipe}
    return parse(dict[str, Recipe], followed(kept, "recipes"), f"profiles.{name}.recipes")


def _variants(params: Params, profile: Profile) -> dict[str, Variant]:
    """The variants of a profile, each as often as it has seeds."""
    variants = {name: one for name, one in {**params.variants, **profile.variants}.items() if one is not None}
    for name in variants:
        if re.search(r"-seed\d+$", name):
            raise StudyError(f"variants.{name}: names like this are of further seeds; rename it, or give it `seeds`.")
    return {
        seeded(name, number): one.model_copy(update={"number": number})
        for name, one in variants.items()
        for number in range(1, (one.seeds or profile.seeds) + 1)
    }


def seeded(name: str, number: int) -> str:
    """What a variant's training from its first, second, ... seed is called."""
    return name if number == 1 else f"{name}-seed{number}"


if __name__ == "__main__":  # `python -m srstudy.study`: is params.yaml right?
    try:
        load_study()
    except StudyError as error:
        sys.exit(f"error: {error}")
