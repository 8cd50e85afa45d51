"""What `params.yaml` holds, section by section, as frozen dataclasses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from srstudy.schema import Amount, Count, Share, Weight

BICUBIC = "bicubic"  # the degradation that needs no section
GRID_LR = 64  # LR side of the tiles that warm starts and released models take their random crops from


@dataclass(frozen=True)
class Augmentation:
    """Largest change either way: degrees, degrees, and a fraction of the HR size (paper IV-D)."""

    rotation: float
    shear: float
    translation: float


@dataclass(frozen=True)
class PaperRow:
    """What the paper's Table 1 says of a data set."""

    description: str
    images: str
    attributes: str
    use: str


@dataclass(frozen=True)
class Source:
    """A set of photographs: where to get it, what is in it, and on what terms. See `sources.locate`.

    `images` is a pattern for their names inside the archive, in which `*` stands for folders too; `table` is a CSV with
    the columns file, split, source, content, title, author and licence.
    """

    title: str
    licence: str
    images: str
    native: str  # size of its images, in words
    kaggle: str | None = None  # OWNER/NAME, or competitions/NAME
    version: Count | None = None  # none: the newest
    path: str | None = None  # a folder or archive; goes before `kaggle`
    inner: str | None = None  # the archive inside the archive that holds the images, if there is one
    table: str | None = None
    paper: PaperRow | None = None


@dataclass(frozen=True)
class Scan:
    """How files are looked at, see `scan.scan_source`. `window` in pixels; `workers` changes no result."""

    window: Count
    workers: Count | None = None  # processes; None: one a core


@dataclass(frozen=True)
class Duplicates:
    """When two photographs count as one, see `duplicates.duplicate_groups`."""

    distance: Count  # most differing bits of 64-bit hashes
    correlation: Share  # least, of thumbnails
    flat: Amount  # a thumbnail that varies less (standard deviation, 8-bit levels) is like no other


@dataclass(frozen=True)
class Data:
    """Where photographs come from, how they are known, and how HR crops are chosen.

    `flat_std`: least standard deviation of luma in 8-bit levels.
    """

    sources: dict[str, Source]
    scan: Scan
    duplicates: Duplicates
    held_out: Count  # 1 photograph in so many goes to the test split, and 1 to validation
    flat_std: float
    augmentation: Augmentation


@dataclass(frozen=True)
class Selection:
    """Which training photographs a set may draw from: the fields apply one after the other, none means all of them."""

    source: str | None = None  # only photographs of this source
    where: str | None = None  # only those for which this is true of the manifest's columns, such as "contrast > 20"
    highest: str | None = None  # manifest column to rank by, greatest first...
    share: Share = 1.0  # ...of which this share is kept
    per_source: Count | None = None  # at most so many of each source, drawn by the seed
    grey_radius: Amount | None = None  # some are dropped, until the mean (a*, b*) is no farther than this from grey


@dataclass(frozen=True)
class TileSet:
    """One training set: `images` HR tiles of 4*lr_size pixels a side, cut from the photographs of a selection."""

    selection: str
    images: str
    lr_size: Count
    augment: bool


@dataclass(frozen=True)
class Generator:
    """`kind` is srgan (paper III-A) or residual (the recommended one)."""

    kind: Literal["srgan", "residual"]
    filters: Count
    blocks: Count
    momentum: Share = 0.5
    upscaling: Literal["pixel_shuffle", "nearest"] = "pixel_shuffle"


@dataclass(frozen=True)
class Discriminator:
    """Filters of the first block, units of the dense layer, batch-norm momentum (paper III-B).

    One that learns more slowly than the generator wins later; other games need the opposite (Heusel et al. 2017,
    arXiv:1706.08500).
    """

    filters: Count
    dense: Count
    momentum: Share
    learning_rate: Amount | None = None  # None: the generator's


@dataclass(frozen=True)
class Content:
    """The VGG whose features make the content loss (paper III-C)."""

    network: Literal["vgg19", "hed-vgg16"]
    layer: str
    weights: str = "default"
    feature_scale: Amount = 1 / 12.75


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's loss terms; a term of weight 0 is not computed."""

    content: Weight
    adversarial: Weight
    pixel: Weight


Precision = Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"]


@dataclass(frozen=True)
class Recipe:
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
    scales: tuple[Amount, ...] = (1.0,)  # factors of the photographs' sides, at each of which tiles are cut


@dataclass(frozen=True)
class Variant:
    """One run of the study: a set, a recipe, and the paper's number of epochs."""

    set: str
    recipe: str
    epochs: Amount
    snapshot: Amount | None = None  # also keep the generator as it was after this many epochs


@dataclass(frozen=True)
class Evaluation:
    """`statistics`: what batch norm normalises with at test time, see `enhance.Enhancer`."""

    statistics: Literal["image", "moving"]

    @property
    def other(self) -> str:
        """The reading of batch norm that is shown beside the chosen one."""
        return {"image": "moving", "moving": "image"}[self.statistics]

    def other_name(self, run: str) -> str:
        """How the tables call a run that is judged under the other reading."""
        return f"{run} ({self.other} statistics)"


@dataclass(frozen=True)
class Ablation:
    """Which variant's recipe is taken apart: for so many seconds an arm, under so many seeds as it is."""

    variant: str
    seconds: Amount
    seeds: Count
    changes: dict[str, dict[str, Any]]  # by the arm's name, what differs from the recipe


@dataclass(frozen=True)
class Profile:
    """One size of the whole study. `sources` are names under `data.sources`; `recipes` overrides single values of the
    full-size recipes.
    """

    sources: tuple[str, ...]
    images: dict[str, Count]
    epoch_scale: Amount
    selections: dict[str, Selection]
    test_crop: Count | None = None
    recipes: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Guards:
    """When a run counts as gone wrong, see `guards.guard_events`.

    The discriminator's accuracy over `patience` rows of history; diversity of SR relative to HR; colour shift as the
    length of the mean (a*, b*) shift.
    """

    discriminator_won: Share
    discriminator_lost: Share
    patience: Count
    collapse: Share
    colour_shift: Amount


@dataclass(frozen=True)
class Training:
    """How every run is kept and watched; of what is learnt `precision` and `time_budget` alone change anything."""

    checkpoint_steps: Count
    keep_checkpoints: Count
    validation_photos: Count
    validations: Count  # at most so many, at ends of epochs
    precision: Precision
    guards: Guards
    time_budget: Amount | None = None  # minutes for one run
