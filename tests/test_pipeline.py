"""`dvc.yaml`: a stage depends on the code and the parameters that decide its outputs, and on nothing else."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# A stage that is run once per variant, or warm start, keeps its description under `do`.
STAGES = {name: stage.get("do", stage) for name, stage in yaml.safe_load(TEXT)["stages"].items()}
STUDY = [name for name in STAGES if name != "pretrain"]  # hours long, so it has a rule of its own below

# Modules that are no dependency although they are imported, and why. What they import doesn't count either.
EVERYWHERE = {
    "config": "reads params.yaml, whose values are dependencies themselves",
    "schema": "checks params.yaml",
    "checks": "checks params.yaml too",
    "errors": "says what went wrong; then there is no output",
    "files": "writes whole files, whatever is in them",
    "settings": "names the values of params.yaml, which are dependencies themselves",
    "download": "brings archives as they are; params.yaml says which",
    "settings_camera": "names the values of params.yaml, which are dependencies themselves",
}
FIGURES = {"figures": "draws what was computed: a changed picture must not train for hours"}
PICTURES = FIGURES | {
    "figures_data": "draws what was computed",
    "tables": "shows what was computed as HTML",
}
WORKERS = {"devices": "says where training runs"}
EXCLUDED = {
    "scan": {"degrade": "gives the scale alone", "sources": "finds the files, which params.yaml names"},
    "data": PICTURES,
    "prepare": FIGURES | {"figures_camera": "draws what was computed", "tables": "shows what was computed as HTML"},
    "train": FIGURES
    | {
        "cost": "counts what a step costs, for the notebook",
        "records": "writes what the run has found",
        "guards": "reads the history when the run is over",
        "tables": "shows what the guards saw",
        "evaluation": "judges validation photographs; a changed judge must not train for hours",
        "metrics": "its figures are those of the validation photographs",
        "enhance": "makes pictures of validation photographs",
        "images": "reads photographs for warm starts; a variant's tiles come in as data/prepared",
        "sources": "lists photographs for warm starts",
        "degrade": "made the tiles' LR in data/prepared; here it gives the scale, which they have too",
    },
    "evaluate": FIGURES | {"tables": "shows what was computed as HTML"} | WORKERS,
    "evaluate-given": FIGURES | {"tables": "shows what was computed as HTML"} | WORKERS,
    "report": WORKERS,  # pictures and tables are what it makes
}


def imported(code: str) -> set[str]:
    """Modules of srstudy that the code imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("srstudy.")}
    return found


def started(program: str) -> set[str]:
    """Modules that a module's or a notebook's code names."""
    if program.startswith("srstudy."):
        return {program.split(".")[1]}
    notebook = json.loads((ROOT / "notebooks" / f"{program}.ipynb").read_text(encoding="utf-8"))
    return imported("\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"))


def met(stage: str) -> set[str]:
    """Modules that the stage's notebook, or the one it runs, imports, itself or through others; an excluded one leads
    no further.
    """
    waiting, found = started(STAGES[stage]["cmd"].split()[2]), set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name not in EVERYWHERE and name not in EXCLUDED[stage]:
            waiting |= imported((ROOT / "src" / "srstudy" / f"{name}.py").read_text(encoding="utf-8")) - found
    return found


def value_of(key: str) -> object:
    """What `params.yaml` says at a path such as "data.sources"."""
    place = PARAMS
    for part in key.split("."):
        assert part in place, key
        place = place[part]
    return place


def names(outs: list) -> list[str]:
    """Paths of a stage's outputs."""
    return [name for out in outs for name in (out if isinstance(out, dict) else [out])]


def test_imports_are_found_however_they_are_written():
    code = "import os, srstudy.a\nfrom srstudy import b, c\nfrom srstudy.d import e\ndef f():\n    import srstudy.g"
    assert imported(code) == {"a", "b", "c", "d", "g"}


@pytest.mark.parametrize("stage", STUDY)
def test_a_stage_depends_on_the_modules_that_decide_its_outputs_and_on_no_others(stage):
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    wanted = met(stage) - EVERYWHERE.keys() - EXCLUDED[stage].keys()
    assert listed == [f"src/srstudy/{name}.py" for name in sorted(wanted)]


@pytest.mark.parametrize("stage", [stage for stage in STUDY if stage != "scan"])
def test_a_stage_depends_on_its_notebook_and_what_runs_it(stage):
    notebook = STAGES[stage]["cmd"].split()[2]
    assert STAGES[stage]["deps"][:2] == [f"notebooks/{notebook}.ipynb", "notebooks/run.py"]


def test_no_exclusion_outlives_its_import():
    modules = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "srstudy").glob("*.py")]
    assert set().union(*map(imported, modules)) >= EVERYWHERE.keys()
    assert {stage: EXCLUDED[stage].keys() - met(stage) for stage in STUDY} == {stage: set() for stage in STUDY}


@pytest.mark.parametrize("profile", PARAMS["profiles"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_of_a_stage_is_there_under_every_profile(stage, profile):
    """DVC stops at a missing one, after the stage has run."""
    each = yaml.safe_load(TEXT)["stages"][stage].get("foreach", "${variants}")
    items = value_of(each.strip("${}")) if isinstance(each, str) else each
    for name, item in items.items():
        for parameter in STAGES[stage]["params"]:
            key = parameter.replace("${profile}", profile).replace("${key}", name)
            for field, value in item.items():
                key = key.replace(f"${{item.{field}}}", str(value))
            value_of(key)


def test_a_warm_start_is_trained_anew_for_other_photographs_or_another_recipe_alone():
    """Not for edited code, nor for a report of it that JupyterLab saved again: it takes hours."""
    stage = STAGES["pretrain"]
    assert stage["deps"] == ["data/sample/SOURCES.csv", "data/sample/photos"]
    assert stage["params"] == ["pretrain.${key}"]
    assert names(stage["outs"]) == ["models/pretrained/${key}"]


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_never_removes_an_output_before_its_stage_runs(stage):
    for out in STAGES[stage]["outs"] + STAGES[stage].get("metrics", []):
        assert all(options["persist"] for options in out.values())


def test_the_file_stays_readable():
    assert len(TEXT.splitlines()) <= 140
    assert max(map(len, TEXT.splitlines())) <= 120
