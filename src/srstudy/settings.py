"""What `params.yaml` holds, section by section, as frozen pydantic models: every mistake is a line naming its key."""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML, YAMLError

from srstudy import StudyError

BICUBIC = "bicubic"  # the degradation that needs no section, and the baseline of every table
GRID_LR = 64  # LR side of the tiles that warm starts and released models take their random crops from

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0)]


def _range(low: float, high: float = math.inf) -> Any:
    """The type of two numbers within bounds, the lower first."""

    def check(numbers: tuple[float, float]) -> tuple[float, float]:
        if low <= numbers[0] <= numbers[1] <= high:
            return numbers
        limits = f"from {low:g}" + (f" to {high:g}" if math.isfinite(high) else "")
        raise ValueError(f"should be two numbers {limits}, the lower first")

    return Annotated[tuple[float, float], Field(strict=False), AfterValidator(check)]


Range = _range(0)


def _name(name: Any) -> str:
    """A name that folders, stages of `dvc.yaml`, their shell commands and `dvc exp run -S` can all bear."""
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*(-\w+)*", name, re.ASCII):
        return name
    raise ValueError(
        "a name should be letters, digits, _ and single -, the first a letter, as it becomes part of commands"
    )


Name = Annotated[str, BeforeValidator(_name)]


class Section(BaseModel):
    """A part of `params.yaml`: no unknown key, no value of another type, nothing changed once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Augmentation(Section):
    """Largest change either way: degrees, degrees, and a fraction of the HR size (paper IV-D)."""

    rotation: float
    shear: float
    translation: float


class PaperRow(Section):
    """What the paper's Table 1 says of a data set."""

    description: str
    images: str
    attributes: str
    use: str


class Source(Section):
    """A set of photographs: where to get it, what is in it, and on what terms. See `sources.locate`.

    `images` is a pattern for their names inside the archive, in which `*` stands for folders too; `table` is a CSV with
    the columns file, split, source, content, title, author and licence.
    """

    title: str
    licence: Annotated[str, Field(pattern=r"\S")]
    images: str
    native: str  # size of its images, in words
    kaggle: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")] | None = None  # OWNER/NAME, or competitions/NAME
    version: Count | None = None  # none: the newest
    path: str | None = None  # a folder or archive; goes before `kaggle`
    inner: str | None = None  # the folder or archive inside that holds the images, if there is one
    table: str | None = None
    paper: PaperRow | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> Source:
        if self.kaggle is None and self.path is None:
            raise ValueError("has neither `kaggle` nor `path`; give one of them")
        if self.version is not None and (self.kaggle or "").startswith("competitions/"):
            raise ValueError("competitions have no versions; set `version` to null")
        return self


class Scan(Section):
    """How files are looked at, see `scan.scan_source`. `window` in pixels; `workers` changes no result."""

    window: Count
    workers: Count | None = None  # processes; None: one a core


class Duplicates(Section):
    """When two photographs are near-duplicates, see `duplicates.duplicate_groups`; and how many of a group are used."""

    distance: Count  # most differing bits of 64-bit hashes
    correlation: Share  # least, of thumbnails
    flat: Amount  # a thumbnail that varies less (standard deviation, 8-bit levels) is like no other
    per_group: Count


class Data(Section):
    """Where photographs come from, how they are known, and how HR crops are chosen."""

    sources: dict[Name, Source]
    scan: Scan
    duplicates: Duplicates
    held_out: Count  # 1 photograph in so many goes to the test split, and 1 to validation
    flat_std: float  # least standard deviation of a tile's luma, in 8-bit levels
    augmentation: Augmentation


class Selection(Section):
    """Which training photographs a set may draw from: the fields apply one after the other, none means all of them."""

    source: str | None = None  # only photographs of this source
    where: str | None = None  # only those for which this is true of the manifest's columns, such as "contrast > 20"
    highest: str | None = None  # manifest column to rank by, greatest first...
    share: Share = 1.0  # ...of which this share is kept
    per_source: Count | None = None  # at most so many of each source, drawn by the seed
    grey_radius: Amount | None = None  # some are dropped, until the mean (a*, b*) is no farther than this from grey

    @model_validator(mode="after")
    def _share_of_something(self) -> Selection:
        if self.highest is None and self.share != 1:
            raise ValueError("`share` means nothing without `highest`; name a column there, or leave it out")
        return self


class TileSet(Section):
    """One training set: `images` HR tiles of 4*lr_size pixels a side, cut from the photographs of a selection."""

    selection: str
    images: str
    lr_size: Count
    augment: bool


class Generator(Section):
    """`kind` is srgan (paper III-A) or residual (the recommended one)."""

    kind: Literal["srgan", "residual"]
    filters: Count
    blocks: Count
    momentum: Share = 0.5
    upscaling: Literal["pixel_shuffle", "nearest"] = "pixel_shuffle"


class Discriminator(Section):
    """Filters of the first block, units of the dense layer, batch-norm momentum (paper III-B).

    One that learns more slowly than the generator wins later; other games need the opposite (Heusel et al. 2017,
    arXiv:1706.08500).
    """

    filters: Count
    dense: Count
    momentum: Share
    learning_rate: Amount | None = None  # None: the generator's


class Content(Section):
    """The VGG whose features make the content loss (paper III-C)."""

    network: Literal["vgg19", "hed-vgg16"]
    layer: str
    weights: str = "default"  # or an .npz; under models/pretrained/ DVC sees it change
    feature_scale: Amount = 1 / 12.75


class LossWeights(Section):
    """Weights of the generator's loss terms; a term of weight 0 is not computed."""

    content: Weight
    adversarial: Weight
    pixel: Weight


Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]


class Recipe(Section):
    """How a generator is trained. `crop` is an LR side in pixels; rates are per step."""

    generator: Generator
    loss_weights: LossWeights
    learning_rate: Amount
    batch_size: Count
    discriminator: Discriminator | None = None
    content: Content | None = None
    schedule: Literal["constant", "cosine", "step"] = "constant"
    ema: Share = 0.0
    pixel_loss: Literal["l1", "charbonnier"] = "l1"
    label_smoothing: Share = 0.0
    relativistic: bool = False
    devices: Literal["all", "one"] = "all"
    precision: Precision | None = None  # None: what `training.precision` says
    adversarial_ramp: Share = 0.0  # share of the steps over which the adversarial loss gains its weight
    degradation: str = BICUBIC  # how LR is made: bicubic, the paper's, or a name under `degradations`
    crop: Count | None = None
    flips: bool = False
    crops_per_image: Count = 1
    warm_start: str | None = None
    # Of warm starts and released models alone: variants count epochs, and their tiles are prepared.
    steps: Count | None = None
    scales: Annotated[tuple[Amount, ...], Field(strict=False, min_length=1)] = (1.0,)  # of the photographs' sides

    @model_validator(mode="after")
    def _losses_have_networks(self) -> Recipe:
        weights = self.loss_weights
        if not (weights.content or weights.adversarial or weights.pixel):
            raise ValueError("all `loss_weights` are 0; give one term a weight")
        for term, section in (("content", "content"), ("adversarial", "discriminator")):
            if getattr(weights, term) and getattr(self, section) is None:
                raise ValueError(f"loss_weights.{term} is not 0, but the section '{section}' is missing")
        return self


class Variant(Section):
    """One run of the study: a set, a recipe, and the paper's number of epochs."""

    set: str
    recipe: str
    epochs: Amount
    snapshot: Amount | None = None  # also keep the generator as it was after this many epochs

    @model_validator(mode="after")
    def _snapshot_within(self) -> Variant:
        if self.snapshot is not None and self.snapshot > self.epochs:
            raise ValueError(f"`snapshot` comes after the last epoch; choose at most {self.epochs:g}")
        return self


Statistics = Literal["image", "moving"]


class Evaluation(Section):
    """`statistics`: what batch norm normalises with at test time, see `enhance.Enhancer`."""

    statistics: Statistics

    @property
    def other(self) -> Statistics:
        """The reading of batch norm that is shown beside the chosen one."""
        return "moving" if self.statistics == "image" else "image"


class Ablation(Section):
    """Which variant's recipe is taken apart: for so many seconds an arm, under so many seeds as it is."""

    variant: str
    seconds: Amount
    seeds: Count
    changes: dict[str, dict[str, Any]]  # by the arm's name, what differs from the recipe


class Profile(Section):
    """One size of the whole study: names under `data.sources`, and single values of the full-size recipes.

    What one that `extends` another doesn't say is as there; selections that it takes over keep to the other's sources.
    """

    extends: str | None = None
    sources: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    images: dict[Name, Count]
    epoch_scale: Amount
    selections: dict[Name, Selection]
    test_crop: Count | None = None
    recipes: dict[str, dict[str, Any]] = {}


class Guards(Section):
    """When a run counts as gone wrong, see `guard_events`.

    The discriminator's accuracy over `patience` rows of history; diversity of SR relative to HR; colour shift as the
    length of the mean (a*, b*) shift.
    """

    discriminator_won: Share
    discriminator_lost: Share
    patience: Count
    collapse: Share
    colour_shift: Amount


class Training(Section):
    """How every run is kept and watched; of what is learnt `precision` and `time_budget` alone change anything."""

    checkpoint_minutes: Weight  # between two checkpoints; 0: one after each step
    keep_checkpoints: Count
    validation_photos: Count
    validations: Count  # at most so many, at ends of epochs
    precision: Precision
    guards: Guards
    time_budget: Amount | None = None  # minutes for one run


class CameraStep(Section):
    """What a camera does to an image, with which probability, and ranges from which its figures are drawn."""

    probability: Share


def _step(name: str, doc: str, **ranges: Any) -> type[CameraStep]:
    return create_model(name, __base__=CameraStep, __doc__=doc, **{key: (kind, ...) for key, kind in ranges.items()})


Kernels = tuple[Literal["box", "bilinear", "hamming", "bicubic", "lanczos"], ...]  # as Pillow knows them
Optics = _step("Optics", "Blur of the lens: deviations of a Gaussian in HR px, one for each axis.", sigma=_range(0.1))
Motion = _step("Motion", "Blur of what moves: the way in HR px while the shutter is open.", length=Range)
Noise = _step("Noise", "Electrons where the image is white, and read noise in electrons.", white=_range(1), read=Range)
Gain = _step(
    "Gain", "Factors of linear light: of all channels; of red and blue against green.", gain=Range, balance=Range
)
Sharpening = _step("Sharpening", "Unsharp mask: share, and deviation in LR px.", amount=Range, sigma=Range)
Interlacing = _step("Interlacing", "How far the scene moves between two fields, in LR px.", shift=Range)
Jpeg = _step("Jpeg", "Pillow's quality.", quality=_range(1, 100))
H264 = _step("H264", "x264's constant quantiser.", quantiser=_range(0, 51))


class Downscaling(Section):
    """Sampling, by one of these kernels."""

    kernels: Annotated[Kernels, Field(strict=False, min_length=1)]


class Camera(Section):
    """How a camera makes LR: a step is taken with its probability, its figures drawn from their ranges for each image.

    `storing_last`: how likely JPEG and H.264 come after all else, and not anywhere after sampling.
    """

    optics: Optics
    motion: Motion
    downscaling: Downscaling
    noise: Noise
    gain: Gain
    sharpening: Sharpening
    interlacing: Interlacing
    jpeg: Jpeg
    h264: H264
    storing_last: Share


class Params(Section):
    """All of `params.yaml`."""

    profile: str
    seed: Seed
    data: Data
    degradations: dict[Name, Camera]
    evaluation: Evaluation
    training: Training
    sets: dict[Name, TileSet]
    variants: dict[Name, Variant]
    recipes: dict[Name, Recipe]
    pretrain: dict[Name, Recipe]
    released: dict[Name, Recipe]
    ablation: Ablation
    profiles: dict[Name, Profile]

    @field_validator("profiles", mode="before")
    @classmethod
    def _extend(cls, profiles: Any) -> Any:
        return {name: _extended(profiles, name) for name in profiles} if isinstance(profiles, dict) else profiles


def read_yaml(text: str | bytes, where: str) -> Any:
    """Values by YAML 1.2, as DVC reads and writes them: 2e-4 is a number. Raises StudyError that names `where`."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        said = " ".join(str(getattr(error, "problem", error)).split())
        raise StudyError(f"{where}{line}: not valid YAML ({said}); correct it.") from error


def parse(kind: Any, value: Any, where: str = "") -> Any:
    """`value`, as read from YAML, as the type `kind`; `where` is its place in the file.

    Raises StudyError with a line for each unknown or missing key and each wrong value.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        lines = [_sentence(kind, found, where) for found in error.errors(include_url=False)]
        raise StudyError("\n".join(dict.fromkeys(lines))) from None


def pick(mapping: dict[str, Any], name: str, where: str) -> Any:
    """`mapping[name]`. Raises StudyError, naming the nearest and all known names, if there is none."""
    if name in mapping:
        return mapping[name]
    raise StudyError(f"{where}: '{name}' is unknown{_nearest(name, mapping)}; known: {', '.join(mapping)}.")


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `override` in place of its own, level by level."""
    merged = dict(base)
    for key, value in override.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _extended(profiles: dict[str, Any], name: str) -> Any:
    """A profile as read from YAML, with what it doesn't say itself from the one that it extends."""
    profile = profiles[name]
    if not isinstance(profile, dict) or profile.get("extends") is None:
        return profile
    other, where = str(profile["extends"]), f"profiles.{name}.extends"
    base = pick(profiles, other, where)
    if isinstance(base, dict) and base.get("extends") is not None:
        raise StudyError(f"{where}: '{other}' extends a profile itself; name one that extends none.")
    taken = parse(Profile, base, f"profiles.{other}").model_dump(exclude_unset=True)
    keep = f"data_source in {list(taken['sources'])}"
    for selection in taken["selections"].values():
        selection["where"] = f"{keep} and ({selection['where']})" if selection.get("where") else keep
    return merge(taken, profile)


def _sentence(kind: Any, error: dict[str, Any], where: str) -> str:
    """One of pydantic's findings as a sentence that names the place in the file."""
    *above, last = [part for part in error["loc"] if part != "[key]"] or [""]
    parent = ".".join(str(part) for part in (where, *above) if part != "") or "params.yaml"
    if error["type"] in ("extra_forbidden", "invalid_key"):
        return f"{parent}: unknown key '{last}'{_nearest(last, _keys(kind, above)) or '.'}"
    if error["type"] == "missing":
        return f"{parent}: the key '{last}' is missing."
    place = ".".join(str(part) for part in (where, *above, last) if part != "") or "params.yaml"
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "should be").rstrip(".")
    if error["type"] == "value_error" and not isinstance(error["input"], (list, tuple)):
        return f"{place}: {said}."
    return f"{place}: {said}, found {error['input']!r}."


def _keys(kind: Any, path: Iterable[Any]) -> list[str]:
    """The keys that a model has at a path below `kind`."""
    for part in path:
        kind = next((a for a in typing.get_args(kind) if a is not type(None)), kind) if _is_optional(kind) else kind
        is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
        kind = kind.model_fields[part].annotation if is_model else typing.get_args(kind)[-1]
    kind = typing.get_args(kind)[0] if _is_optional(kind) else kind
    return list(getattr(kind, "model_fields", ()))


def _is_optional(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""
