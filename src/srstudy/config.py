"""`params.yaml` as frozen dataclasses. An unknown key is an error that names it and the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from srstudy.errors import StudyError


@dataclass(frozen=True)
class Augmentation:
    """Largest change either way: degrees, degrees, and a fraction of the HR size (paper IV-D)."""

    rotation: float
    shear: float
    translation: float


@dataclass(frozen=True)
class Data:
    """How HR crops are chosen. `flat_std`: least standard deviation of luma in 8-bit levels."""

    flat_std: float
    augmentation: Augmentation


@dataclass(frozen=True)
class Selection:
    """Which training photographs a set may draw from; the conditions add up, none means all of them."""

    source: str | None = None  # only photographs of this source
    highest: str | None = None  # manifest column to rank by, greatest first...
    share: float = 1.0  # ...of which this share is kept


@dataclass(frozen=True)
class TileSet:
    """One training set: `images` HR tiles of 4*lr_size pixels a side, cut from the photographs of a selection."""

    selection: str
    images: str
    lr_size: int
    augment: bool


@dataclass(frozen=True)
class Generator:
    """`kind` is srgan (paper III-A) or residual (the recommended one)."""

    kind: str
    filters: int
    blocks: int
    momentum: float = 0.5
    upscaling: str = "pixel_shuffle"


@dataclass(frozen=True)
class Discriminator:
    """Filters of the first block, units of the dense layer, batch-norm momentum (paper III-B)."""

    filters: int
    dense: int
    momentum: float


@dataclass(frozen=True)
class Content:
    """The VGG whose features make the content loss (paper III-C)."""

    network: str
    layer: str
    weights: str = "default"
    feature_scale: float = 1 / 12.75


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's loss terms; a term of weight 0 is not computed."""

    content: float
    adversarial: float
    pixel: float


@dataclass(frozen=True)
class Recipe:
    """How a generator is trained. `crop` is an LR side in pixels; rates are per step."""

    generator: Generator
    loss_weights: LossWeights
    learning_rate: float
    batch_size: int
    discriminator: Discriminator | None = None
    content: Content | None = None
    schedule: str = "constant"
    ema: float = 0.0
    crop: int | None = None
    flips: bool = False
    crops_per_image: int = 1
    warm_start: str | None = None
    steps: int | None = None  # given for warm starts only; variants count epochs


@dataclass(frozen=True)
class Variant:
    """One run of the study: a set, a recipe, and the paper's number of epochs."""

    set: str
    recipe: str
    epochs: float
    snapshot: float | None = None  # also keep the generator as it was after this many epochs


@dataclass(frozen=True)
class Profile:
    """One size of the whole study. `recipes` overrides single values of the full-size recipes."""

    photos: str
    images: dict[str, int]
    epoch_scale: float
    selections: dict[str, Selection]
    distance_network: str
    note: str
    test_crop: int | None = None
    recipes: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """All of `params.yaml` under one profile. `root` is the project's folder."""

    root: Path
    profile_name: str
    seed: int
    data: Data
    profile: Profile
    sets: dict[str, TileSet]
    variants: dict[str, Variant]
    recipes: dict[str, Recipe]
    pretrain: dict[str, Recipe]

    def variant(self, name: str) -> Variant:
        """The variant called `name`. Raises StudyError, naming the nearest one, if there is none."""
        return _pick(self.variants, name, "variants")

    def recipe(self, name: str) -> Recipe:
        """The recipe of a variant, or of a warm start."""
        if name in self.pretrain:
            return self.pretrain[name]
        return _pick(self.recipes, self.variant(name).recipe, f"variants.{name}.recipe")

    def steps(self, name: str) -> int:
        """Generator updates of a variant, or of a warm start."""
        if name in self.pretrain:
            return self.pretrain[name].steps or 1
        return self.steps_of(name, self.variant(name).epochs)

    def steps_of(self, name: str, epochs: float) -> int:
        """Updates in so many of the paper's epochs: images x epochs / batch size, scaled by the profile, at least 1."""
        recipe = self.recipe(name)
        images = self.images(self.variant(name).set) * recipe.crops_per_image
        return max(1, math.ceil(epochs * self.profile.epoch_scale * images / recipe.batch_size))

    def snapshot_step(self, name: str) -> int | None:
        """The step after which a variant's snapshot is taken, if it wants one."""
        epochs = None if name in self.pretrain else self.variant(name).snapshot
        return None if epochs is None else self.steps_of(name, epochs)

    def snapshot_name(self, name: str) -> str:
        """How the tables call a variant's snapshot."""
        return f"{name} after {self.variant(name).snapshot:g} epochs"

    def model_path(self, name: str) -> Path:
        """Where the trained generator of a variant, or of a warm start, is kept."""
        if name in self.pretrain:
            return self.root / "models" / "pretrained" / f"{name}.keras"
        return self.root / "models" / name / "generator.keras"

    def warm_start_path(self, name: str) -> Path | None:
        """The saved model from which a run starts, or None if it starts from scratch."""
        warm_start = self.recipe(name).warm_start
        return None if warm_start is None else self.model_path(warm_start)

    @property
    def largest_lr_size(self) -> int:
        """The largest LR side among the sets: photographs must be 4 times as large."""
        return max(tiles.lr_size for tiles in self.sets.values())

    def images(self, set_name: str) -> int:
        """How many tiles a set has under this profile."""
        tiles = _pick(self.sets, set_name, "sets")
        return _pick(self.profile.images, tiles.images, f"sets.{set_name}.images")


def find_root(start: str | Path = ".") -> Path:
    """The nearest folder at or above `start` that holds `params.yaml`. Raises StudyError if there is none."""
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise StudyError(f"{start}: no params.yaml here or above; run inside the project's folder.")


def load_study(profile: str | None = None, root: str | Path | None = None) -> Study:
    """Read `params.yaml` under `profile` (default: the one it names itself).

    Raises StudyError for a file that is not YAML, an unknown or missing key, a wrong type, an unknown profile.
    """
    root = Path(root) if root else find_root()
    text = (root / "params.yaml").read_text(encoding="utf-8")
    try:
        params = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StudyError(f"params.yaml: not valid YAML ({' '.join(str(error).split())}).") from error
    known = {"profile", "seed", "data", "sets", "variants", "recipes", "pretrain", "profiles"}
    _check_keys(params, known, known, "params.yaml")
    name = profile or params["profile"]
    chosen = _build(Profile, _pick(params["profiles"], name, "profiles"), f"profiles.{name}")
    recipes = {
        key: _build(Recipe, _merge(value, chosen.recipes.get(key, {})), f"recipes.{key}")
        for key, value in params["recipes"].items()
    }
    study = Study(
        root=root,
        profile_name=name,
        seed=params["seed"],
        data=_build(Data, params["data"], "data"),
        profile=chosen,
        sets={key: _build(TileSet, value, f"sets.{key}") for key, value in params["sets"].items()},
        variants={key: _build(Variant, value, f"variants.{key}") for key, value in params["variants"].items()},
        recipes=recipes,
        pretrain={key: _build(Recipe, value, f"pretrain.{key}") for key, value in params["pretrain"].items()},
    )
    _check_names(study)
    return study


def _check_names(study: Study) -> None:
    """Every name that a section refers to must exist: found now, not after an hour of training."""
    for key in study.profile.recipes:
        _pick(study.recipes, key, f"profiles.{study.profile_name}.recipes")
    for key, tiles in study.sets.items():
        _pick(study.profile.selections, tiles.selection, f"sets.{key}.selection")
        study.images(key)
    for name in study.variants:
        recipe = study.recipe(name)
        if recipe.warm_start is None:
            continue
        warm = _pick(study.pretrain, recipe.warm_start, f"recipes.{study.variants[name].recipe}.warm_start")
        if warm.generator != recipe.generator:
            raise StudyError(
                f"pretrain.{recipe.warm_start}.generator: differs from recipes.{study.variants[name].recipe}.generator "
                f"under profile {study.profile_name}; a warm start needs the same network."
            )


def _pick(mapping: dict[str, Any], name: str, where: str) -> Any:
    if name in mapping:
        return mapping[name]
    raise StudyError(f"{where}: '{name}' is unknown{_nearest(name, mapping)}; known: {', '.join(mapping)}.")


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def _check_keys(value: Any, known: set[str], required: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise StudyError(f"{where}: expected keys and values, found {value!r}.")
    for key in value:
        if key not in known:
            raise StudyError(f"{where}: unknown key '{key}'{_nearest(key, known)}")
    for key in sorted(required - set(value)):
        raise StudyError(f"{where}: the key '{key}' is missing.")


def _build(kind: type, value: Any, where: str) -> Any:
    """Make `value`, as read from YAML, into the annotated type `kind`."""
    if dataclasses.is_dataclass(kind):
        fields = {field.name: field for field in dataclasses.fields(kind)}
        required = {
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        _check_keys(value, set(fields), required, where)
        hints = typing.get_type_hints(kind)
        return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _build(arguments[0], value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise StudyError(f"{where}: expected keys and values, found {value!r}.")
        return {str(key): _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _check_scalar(kind, value, where)


def _check_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise StudyError(f"{where}: expected {kind.__name__}, found {value!r}.")


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `override` in place of its own, level by level."""
    merged = dict(base)
    for key, value in override.items():
        merged[key] = (
            _merge(merged[key], value) if isinstance(merged.get(key), dict) and isinstance(value, dict) else value
        )
    return merged
