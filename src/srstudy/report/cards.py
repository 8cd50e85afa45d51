"""`python -m srstudy.report.cards` writes a card beside each released model; every figure on it comes from a record."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from srstudy.config import Study, load_study
from srstudy.data.sources import sample_photos
from srstudy.errors import StudyError
from srstudy.files import write_text
from srstudy.judge.metrics import BICUBIC, MAIN_MEASURES, MEASURES
from srstudy.networks.architectures import load_model
from srstudy.report.scores import how_to_evaluate
from srstudy.train.records import seconds_trained, stood_still

DIGITS = dict(zip(MAIN_MEASURES, (".2f", ".4f", ".4f", ".2f")))
LIMITS = """\
- **Super-resolution invents detail.** A face, a letter or a number plate in its output may look right and be wrong: it
  is no evidence of anything.
- It enlarges four times, no more and no less.
- {seen}
- It has seen few photographs, so what is rare among them (text, crowds, night) it does worse.
- The VGG16-HED distance looks through the network of the content loss that {whom} trained by, so it favours {them}.
- The figures are means. For the study's own test photographs, intervals and differences to other runs are in
  [05_report](../../../reports/05_report.ipynb) and, on LR as a simulated street camera makes it, in
  [07_cctv](../../../reports/07_cctv.ipynb)."""

SEEN = {  # by whether its LR was bicubic
    True: """It knows LR images that are clean photographs reduced by bicubic interpolation. Noise, blur and compression
  of a real camera were not among them, and are enlarged with the rest.""",
    False: """It knows LR images as a simulated street camera makes them, tuned to one clip in daylight. Clean images it
  enlarges worse than a generator trained on those.""",
}

NETWORKS = {  # of the content loss, with their own weights
    "hed-vgg16": "a VGG16 that others trained on ImageNet, then to find edges",
    "vgg19": "a VGG19 that others trained on ImageNet",
}

USE = """\
In the study's environment, from the project's folder:

```python
from PIL import Image

from srstudy.data.images import read_rgb
from srstudy.networks.architectures import load_model
from srstudy.networks.enhance import Enhancer

enlarge = Enhancer(load_model("models/released/{name}/generator.keras"), "image")
Image.fromarray(enlarge(read_rgb("small.jpg"))).save("large.png")
```"""

LICENCE = """\
The weights come with the project and under its [licence](../../../LICENSE). The photographs that they were trained on
keep their own, and are named with their authors in [SOURCES.csv](../../../data/sample/SOURCES.csv)."""


def write_card(study: Study, name: str) -> Path:
    """Write `models/released/NAME/README.md`; returns its path. Raises as `card` does."""
    path = study.model_folder(name) / "README.md"
    write_text(path, card(study, name))
    return path


def card(study: Study, name: str) -> str:
    """A released model's card, from what training and evaluation have recorded.

    Saving a model removes its card, whose figures were another's: the order is train, `dvc repro`, card. Raises
    StudyError if a record is missing, or has no validation.
    """
    model = _existing(study.model_folder(name) / "generator.keras", study, name)
    record = _existing(study.root / "reports" / "runs" / f"{name}.json", study, name)
    run = json.loads(record.read_text(encoding="utf-8"))
    sections = {
        f"# {name}": f"A generator of the study: an image of any size in, one four times as large out. It is "
        f"`{model.name}`, {model.stat().st_size / 1e6:.2f} MB, {load_model(model).count_params():,} parameters.",
        "## Use": USE.format(name=name),
        "## Data": _data(study, run),
        "## Training": _training(study, name, run),
        "## Figures": _figures(study, name),
        "## Limits": _limits(run),
        "## Licence": LICENCE,
    }
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections.items()) + "\n"


def _limits(run: dict[str, Any]) -> str:
    whom, them = ("it was", "it") if run["recipe"]["loss_weights"]["content"] else ("others were", "those")
    return LIMITS.format(seen=SEEN["camera" not in run], whom=whom, them=them)


def _data(study: Study, run: dict[str, Any]) -> str:
    licences = Counter(photo.licence for photo in sample_photos(study.root) if photo.split == "train")
    listed = ", ".join(f"{count} under {licence}" for licence, count in licences.most_common())
    where = "[data/sample](../../../data/sample)"
    text = f"The {licences.total()} training photographs of {where}, and no other: {listed}."
    if "camera" in run:
        text += " Their LR came from a simulated camera whose ranges were chosen to look like the clip there, cctv.avi."
    if run["recipe"]["loss_weights"]["content"]:
        network, weights = (run["recipe"]["content"][key] for key in ("network", "weights"))
        origin = NETWORKS[network] if weights == "default" else f"with the weights in {weights}"
        text += f" The content loss looks through `{network}`, {origin}."
    return text


def _training(study: Study, name: str, run: dict[str, Any]) -> str:
    """The recipe is the one that was trained, whatever params.yaml says by now."""
    reports = study.root / "reports"
    rates = pd.read_csv(_existing(reports / "rates" / f"{name}.csv", study, name))
    history = pd.read_csv(_existing(reports / "history" / f"{name}.csv", study, name))
    recipe = run["recipe"]
    start, batch_size = recipe.get("warm_start"), recipe["batch_size"]
    begun = f", from the weights of `{start}`, whose training comes on top" if start else ""
    seen = f", their LR by `{recipe['degradation']}`," if "camera" in run else ""
    judged = history.dropna(subset="psnr_y")
    if judged.empty:
        raise StudyError(f"reports/history/{name}.csv: no validation in it; a card needs `training.validations`.")
    last, best = judged.iloc[-1], judged.loc[judged.psnr_y.idxmax()]
    camera = {"camera": run["camera"]} if "camera" in run else {}
    slept = " (a standstill of the machine counted at the median rate)" if stood_still(rates).any() else ""
    return (
        f"{run['step']:,} of {run['steps']:,} steps in {seconds_trained(rates, batch_size) / 60:.0f} minutes"
        f"{slept}{begun}; {rates.images_per_second.median():.0f} images a second (median), "
        f"{run['step'] * batch_size:,} in all. On validation photographs{seen} it ended at {last.psnr_y:.2f} dB "
        f"(PSNR-Y) and a VGG16-HED distance of {last.perceptual:.4f}; its highest PSNR there was {best.psnr_y:.2f} dB, "
        f"at step {best.step:,.0f}. The recipe as it was trained; what its words mean stands in "
        "[params.yaml](../../../params.yaml):\n\n"
        f"```yaml\n{yaml.safe_dump({**recipe, **camera}, sort_keys=False, default_flow_style=None, width=100)}```"
    )


def _figures(study: Study, name: str) -> str:
    """Means over the study's test photographs, LR by the camera too, and over every other set that it was judged on."""
    reports = study.root / "reports"
    own = _existing(reports / "scores" / f"{name}.csv", study, name)
    sets = {f"test photographs ({study.profile_name} profile)": own}
    camera = reports / "footage" / "cctv.csv"  # 07_cctv has judged some there
    if camera.is_file() and name in set(pd.read_csv(camera).method):
        sets["test photographs of data/sample, LR by `cctv`"] = camera
    sets |= {path.parts[-3]: path for path in sorted((reports / "test_sets").glob(f"*/scores/{name}.csv"))}
    heads = ["test set", "images", "", *(MEASURES[measure][0] for measure in DIGITS)]
    lines = [heads, ["---"] * len(heads)]
    for label, path in sets.items():
        scores = pd.read_csv(path)
        means = scores.groupby("method")[list(DIGITS)].mean()
        for method in (BICUBIC, name):
            row = means.loc[method]
            figures = [f"{row[measure]:{digits}}" for measure, digits in DIGITS.items()]
            lines.append([label, str(scores.photo.nunique()), method, *figures])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _existing(path: Path, study: Study, name: str) -> Path:
    if path.is_file():
        return path
    command = how_to_evaluate(study, name) if path.parent.name == "scores" else f"`{study.how_to_train(name)}`"
    raise StudyError(f"{path.relative_to(study.root).as_posix()}: missing, and the card needs it; run {command}.")


def main() -> int:
    """Write the cards of all released models; return the exit code."""
    try:
        study = load_study()
        for name in study.released:
            print(write_card(study, name))
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
