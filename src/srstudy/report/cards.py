"""`python -m srstudy.report.cards` writes a card beside each released model, from the records of it; see `card.md`."""

import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml

from srstudy import StudyError
from srstudy.files import sha256, write_text
from srstudy.judge.evaluate import read_scores
from srstudy.judge.metrics import MAIN_MEASURES, MEASURES
from srstudy.judge.ways import beside_bicubic
from srstudy.networks.architectures import load_model
from srstudy.photos.sources import listed_files, sample_photos
from srstudy.report.claims import WORDS
from srstudy.report.tables import markdown
from srstudy.settings import BICUBIC, SAMPLE
from srstudy.study import Run, Study, load_study


def card(study: Study, run: Run) -> str:
    """A released model's card. Raises StudyError if a record is missing, or its history has no validation.

    Saving a model removes its card, whose figures were another's: the order is train, `dvc repro`, card.
    """
    reports, generator = study.root / "reports", run.generator
    record = json.loads(_existing(run, reports / "runs" / f"{run.name}.json").read_text(encoding="utf-8"))
    history = pd.read_csv(_existing(run, reports / "history" / f"{run.name}.csv")).dropna(subset="psnr_y")
    if history.empty:
        raise StudyError(f"reports/history/{run.name}.csv: no validation in it; a card needs `training.validations`.")
    recipe = record["recipe"]
    words = WORDS["cards"][recipe.get("degradation", BICUBIC)]
    photographs = " ".join(_photographs(study, name) for name in recipe.get("photographs", [SAMPLE]))
    content, favours = "", "that `gan` was trained by, and favours it"
    if recipe["loss_weights"]["content"]:
        network, weights = recipe["content"]["network"], recipe["content"]["weights"]
        origin = WORDS["cards"]["networks"][network] if weights == "default" else f"with the weights in {weights}"
        content = f" The content loss looks through `{network}`, {origin}."
        favours = "that this model was trained by, and favours it"
    given = {**recipe, **({"camera": record["camera"]} if "camera" in record else {})}
    template = Path(__file__).with_name("card.md").read_text(encoding="utf-8")
    return template.format(
        name=run.name, megabytes=generator.stat().st_size / 1e6, parameters=load_model(generator).count_params(),
        photographs=photographs, **words, content=content, favours=favours, record=record,
        start=f" on top of `{recipe['warm_start']}`, whose weights it began with" if "warm_start" in recipe else "",
        seen=record["step"] * recipe["batch_size"], last=history.iloc[-1], best=history.loc[history.psnr_y.idxmax()],
        recipe=yaml.safe_dump(given, sort_keys=False, default_flow_style=None, width=100),
        figures=markdown(_figures(study, run)),
        ways=markdown(beside_bicubic(_ways(run, reports), run.name)),
    )  # fmt: skip


def _photographs(study: Study, name: str) -> str:
    """How many training photographs a source has, and their licences."""
    if name == SAMPLE:
        licences = Counter(photo.licence for photo in sample_photos(study.root) if photo.split == "train")
        each = ", ".join(f"{n} under {licence}" for licence, n in licences.most_common())
        return f"The {licences.total()} training photographs of [data/sample](../../../data/sample): {each}."
    source = study.data.sources[name]
    count = (listed_files(study.root, name, source).split == "train").sum()
    where = f"[listed one by one, with hashes](../../../{source.listed}), none of them published here"
    return f"{count} training photographs of `{name}` ({source.title}), {where}. {source.licence}"


def _figures(study: Study, run: Run) -> pd.DataFrame:
    """Means of bicubic and the model on the study's test photographs, on LR by the camera, and on other test sets."""
    reports = study.root / "reports"
    _existing(run, reports / "scores" / f"{run.name}.csv")
    tables = {f"test photographs ({study.profile_name} profile)": _pair(reports, run.name)}
    camera = reports / "footage" / "cctv.csv"  # 07_cctv has judged some there
    if camera.is_file():
        tables["test photographs of data/sample, LR by `cctv`"] = read_scores(camera)
    others = sorted((reports / "test_sets").glob(f"*/scores/{run.name}.csv"))
    tables |= {path.parts[-3]: _pair(path.parents[1], run.name) for path in others}
    rows = []
    for label, scores in tables.items():
        means = scores.groupby("run")[list(MAIN_MEASURES)].mean()
        for name in (BICUBIC, run.name) if run.name in means.index else ():
            psnr, ssim, distance, delta_e = means.loc[name]
            figures = (f"{psnr:.2f}", f"{ssim:.4f}", f"{distance:.4f}", f"{delta_e:.2f}")
            rows.append((label, str(scores.photo.nunique()), name, *figures))
    return pd.DataFrame(rows, columns=["test set", "images", "", *(MEASURES[name][0] for name in MAIN_MEASURES)])


def _ways(run: Run, reports: Path) -> pd.DataFrame:
    table = pd.read_csv(_existing(run, path := reports / "ways" / f"{run.name}.csv"))
    if set(table.model) != {sha256(run.generator)}:
        raise StudyError(f"reports/ways/{path.name}: of another model; run `python -m srstudy.judge.ways {run.name}`.")
    return table


def _pair(reports: Path, name: str) -> pd.DataFrame:
    return read_scores(*(reports / "scores" / f"{run}.csv" for run in (BICUBIC, name)))


def _existing(run: Run, path: Path) -> Path:
    if path.is_file():
        return path
    commands = {"scores": "dvc repro evaluate", "ways": f"python -m srstudy.judge.ways {run.name}"}
    command = commands.get(path.parent.name, run.how_to_train)
    raise StudyError(f"reports/{path.parent.name}/{path.name}: missing, and the card needs it; run `{command}`.")


def main() -> None:
    """Write the cards of the released models that the tool runs; others are a beginning for these."""
    study = load_study()
    for name in study.released:
        path = study.run(name).folder / "README.md"
        if not path.with_name("generator.onnx").is_file():
            continue
        write_text(path, card(study, study.run(name)))
        print(path)


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
