"""What `params.yaml` holds, section by section, as frozen pydantic models: every mistake is a line naming its key."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from srstudy import StudyError
from srstudy.parsing import merge, parse, pick

BICUBIC = "bicubic"  # the degradation that needs no section, and the baseline of every table
SAMPLE = "sample"  # what a recipe calls the photographs of data/sample, which come with the project
GRID_LR = 64  # LR side of the tiles that warm starts and released models take their random crops from

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
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
    the columns file, split, source, content, title, author and licence; `listed` one for `sources.listed_files`.
    """

    title: str
    licence: Annotated[str, Field(pattern=r"\S")]
    images: str
    native: str  # size of its images, in words
    kaggle: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")] | None = None  # OWNER/NAME, or competitions/NAME
    version: Count | None = None  # none: the newest
    git: Annotated[str, Field(pattern=r"^[^-\s]")] | None = None  # OWNER/REPO on GitHub, or what git takes
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    path: str | None = None  # a folder or archive; goes before `kaggle` and `git`
    inner: str | None = None  # the folder or archive inside that holds the images, if there is one
    table: str | None = None
    listed: str | None = None
    paper: PaperRow | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> Source:
        if not (self.kaggle or self.path or self.git or self.listed):
            raise ValueError("has neither `kaggle` nor `path`, `git` or `listed`; give one of them")
        if (self.git is None) != (self.commit is None):
            raise ValueError("`git` and `commit` go together; give both, or none")
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
    """`kind` is srgan (paper III-A), residual (the recommended one), span, or one of `networks.baselines`."""

    kind: Literal["srgan", "residual", "span", "edsr", "rrdb", "autoencoder"]
    filters: Count
    blocks: Count  # an autoencoder has none, whatever it says
    growth: Count = 32  # channels that each convolution of an rrdb's dense block adds
    code: Count = 128  # numbers for each 8x8 pixels between an autoencoder's halves
    momentum: Share | None = 0.5  # of an srgan's batch norm; null: no norm
    upscaling: Literal["pixel_shuffle", "nearest"] = "pixel_shuffle"


class Discriminator(Section):
    """Filters of the first block, units of the dense layer, batch-norm momentum (paper III-B).

    One that learns more slowly than the generator wins later; other games need the opposite (Heusel et al. 2017,
    arXiv:1706.08500).
    """

    filters: Count
    dense: Count
    momentum: Share | None  # null: no norm
    learning_rate: Amount | None = None  # None: the generator's


Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]


class Content(Section):
    """The VGG whose features make the content loss (paper III-C)."""

    network: Literal["vgg19", "hed-vgg16"]
    layer: str
    weights: str = "default"  # or an .npz; under models/pretrained/ DVC sees it change
    feature_scale: Amount = 1 / 12.75
    activated: bool = True  # features after the layer's ReLU; ESRGAN takes those before it
    precision: Precision | None = None  # of this frozen network alone; null: that of the run
    remembered: bool = False  # HR's features are computed once and kept on disk, as tiles are whole and stay the same


class LossWeights(Section):
    """Weights of the generator's loss terms; a term of weight 0 is not computed."""

    content: Weight
    adversarial: Weight
    pixel: Weight
    frequency: Weight = 0.0


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
    momenta: Annotated[tuple[Momentum, Momentum], Field(strict=False)] = (0.9, 0.999)  # Adam's beta 1 and 2
    weight_decay: Weight = 0.0  # of AdamW
    pixel_loss: Literal["l1", "charbonnier", "mse"] = "l1"
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
    photographs: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = (SAMPLE,)  # or of data.sources
    scales: Annotated[tuple[Amount, ...], Field(strict=False, min_length=1)] = (1.0,)  # of the photographs' sides

    @model_validator(mode="after")
    def _losses_have_networks(self) -> Recipe:
        weights = self.loss_weights
        if not any(weights.model_dump().values()):
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
    seeds: Count | None = None  # how often it is trained, each time by another seed; null: as the profile says
    number: Count = 1  # which of these trainings it is; the second is called NAME-seed2

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
    folder: bool = False  # its results have a folder of its name in data/, models/ and reports/; see notebooks/chain.py
    seeds: Count = 1  # how often each variant is trained
    variants: dict[Name, Variant | None] = {}  # beside those of all profiles, or in place of one; null: without it


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


# As Pillow knows them; and those that take four pixels of a row and leave out the rest, see `signal.TAPS`.
Kernels = tuple[
    Literal["box", "bilinear", "hamming", "bicubic", "lanczos", "matlab", "sampled_linear", "sampled_cubic"], ...
]
Optics = _step("Optics", "Blur of the lens: deviations of a Gaussian in HR px, one for each axis.", sigma=_range(0.1))
Motion = _step("Motion", "Blur of what moves: the way in HR px while the shutter is open.", length=Range)
Noise = _step("Noise", "Electrons where the image is white, and read noise in electrons.", white=_range(1), read=Range)
Gain = _step(
    "Gain", "Factors of linear light: of all channels; of red and blue against green.", gain=Range, balance=Range
)
Sharpening = _step("Sharpening", "Unsharp mask: share, and deviation in LR px.", amount=Range, sigma=Range)
Interlacing = _step("Interlacing", "How far the scene moves between two fields, in LR px.", shift=Range)
Jpeg = _step("Jpeg", "Pillow's quality.", quality=_range(1, 100))
Webp = _step("Webp", "Pillow's quality of lossy WebP.", quality=_range(1, 100))
H264 = _step("H264", "x264's constant quantiser.", quantiser=_range(0, 51))


class Downscaling(Section):
    """Sampling, by one of these kernels."""

    kernels: Annotated[Kernels, Field(strict=False, min_length=1)]


class Camera(Section):
    """How a camera makes LR: a step is taken with its probability, its figures drawn from their ranges for each image.

    `storing_last`: how likely JPEG, WebP and H.264 come after all else, and not anywhere after sampling.
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
    webp: Webp | None = None


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

    @field_validator("recipes", mode="before")
    @classmethod
    def _whole(cls, recipes: Any) -> Any:
        """Those that extend no other: a mistake is named once, and the rest read when a profile is chosen."""
        if not isinstance(recipes, dict):
            return recipes
        return {name: one for name, one in recipes.items() if not (isinstance(one, dict) and "extends" in one)}

    @field_validator("profiles", mode="before")
    @classmethod
    def _extend(cls, profiles: Any) -> Any:
        return {name: _extended(profiles, name) for name in profiles} if isinstance(profiles, dict) else profiles


def followed(recipes: dict[str, Any], where: str) -> dict[str, Any]:
    """Recipes as read from YAML; one that `extends` another, above it, is as that but for what it says itself."""
    whole: dict[str, Any] = {}
    for name, recipe in recipes.items():
        own = dict(recipe) if isinstance(recipe, dict) else recipe
        other = own.pop("extends", None) if isinstance(own, dict) else None
        whole[name] = merge(pick(whole, other, f"{where}.{name}.extends"), own) if other else own
    return whole


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
