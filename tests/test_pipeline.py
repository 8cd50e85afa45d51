"""`dvc.yaml`: a stage depends on the code and the parameters that decide its outputs, and on nothing else."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml

from srstudy.config import load_study

ROOT = Path(__file__).resolve().parents[1]
CODE = ROOT / "src" / "srstudy"
TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
# A stage that is run once per variant, or warm start, keeps its description under `do`.
STAGES = {name: stage.get("do", stage) for name, stage in yaml.safe_load(TEXT)["stages"].items()}
STUDY = [name for name in STAGES if name not in ("pretrain", "released")]  # hours long: they have rules of their own

# Modules that are no dependency although they are imported, and why. What they import doesn't count either.
EVERYWHERE = {
    "config": "reads params.yaml, whose values are dependencies themselves",
    "schema": "checks params.yaml",
    "checks": "checks params.yaml too",
    "errors": "says what went wrong; then there is no output",
    "files": "writes whole files, whatever is in them",
    "settings": "names the values of params.yaml, which are dependencies themselves",
    "data.download": "brings archives as they are; params.yaml says which",
    "settings_camera": "names the values of params.yaml, which are dependencies themselves",
}
PICTURES = {
    "figures": "a package that draws what was computed: a changed picture must not train for hours",
    "report.tables": "shows what was computed as HTML",
}
WORKERS = {"devices": "says where training runs"}
EXCLUDED = {
    "scan": {"degrade.bicubic": "gives the scale alone", "data.sources": "finds the files, which params.yaml names"},
    "data": PICTURES,
    "prepare": PICTURES,
    "train": PICTURES
    | {
        "train.cost": "counts what a step costs, for the notebook",
        "train.records": "writes what the run has found",
        "judge.guards": "reads the history when the run is over",
        "judge.evaluation": "judges validation photographs; a changed judge must not train for hours",
        "judge.metrics": "its figures are those of the validation photographs",
        "networks.enhance": "makes pictures of validation photographs",
        "data.images": "reads photographs for warm starts; a variant's tiles come in as data/prepared",
        "data.sources": "lists photographs for warm starts",
        "degrade.bicubic": "made the tiles' LR in data/prepared; here it gives the scale, which they have too",
    },
    "evaluate": PICTURES | WORKERS,
    "evaluate-given": PICTURES | WORKERS,
    "footage": {"figures": PICTURES["figures"]} | WORKERS,  # tables are what it makes
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
        found |= {module_of(name) for name in names if name.startswith("srstudy.")}
    return found


def module_of(name: str) -> str:
    """`srstudy.data.scan.scan_source` -> `data.scan`, `srstudy.config.load_study` -> `config`."""
    first, *rest = name.split(".")[1:]
    return f"{first}.{rest[0]}" if rest and (CODE / first).is_dir() else first


def is_left_out(module: str, stage: str) -> bool:
    """Whether a module, or its package, is no dependency of the stage."""
    return not {module, module.split(".")[0]}.isdisjoint(EVERYWHERE | EXCLUDED[stage])


def started(program: str) -> set[str]:
    """Modules that a module's or a notebook's code names."""
    if program.startswith("srstudy."):
        return {module_of(program)}
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
        if not is_left_out(name, stage):
            waiting |= imported((CODE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")) - found
    return found


def value_of(key: str) -> object:
    """What `params.yaml` says at a path such as "data.sources". Raises KeyError where it says nothing."""
    place = PARAMS
    for part in key.split("."):
        place = place[part]
    return place


def is_there(key: str) -> bool:
    """Whether `params.yaml` says something at this path."""
    try:
        value_of(key)
    except KeyError:
        return False
    return True


def names(outs: list) -> list[str]:
    """Paths of a stage's outputs."""
    return [name for out in outs for name in (out if isinstance(out, dict) else [out])]


def test_imports_are_found_however_they_are_written():
    code = "import os, srstudy.a\nfrom srstudy import b\nfrom srstudy.data import c\ndef f(): import srstudy.data.d"
    assert imported(code) == {"a", "b", "data.c", "data.d"}


@pytest.mark.parametrize("stage", STUDY)
def test_a_stage_depends_on_the_modules_that_decide_its_outputs_and_on_no_others(stage):
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    wanted = [name.replace(".", "/") for name in met(stage) if not is_left_out(name, stage)]
    assert listed == [f"src/srstudy/{name}.py" for name in sorted(wanted)]


@pytest.mark.parametrize("stage", [stage for stage in STUDY if stage != "scan"])
def test_a_stage_depends_on_its_notebook_and_what_runs_it(stage):
    notebook = STAGES[stage]["cmd"].split()[2]
    assert STAGES[stage]["deps"][:2] == [f"notebooks/{notebook}.ipynb", "notebooks/run.py"]


def test_no_exclusion_outlives_its_import():
    modules = [path.read_text(encoding="utf-8") for path in CODE.rglob("*.py")]
    assert set().union(*map(imported, modules)) >= EVERYWHERE.keys()
    reached = {stage: met(stage) | {name.split(".")[0] for name in met(stage)} for stage in STUDY}
    assert {stage: EXCLUDED[stage].keys() - reached[stage] for stage in STUDY} == {stage: set() for stage in STUDY}


def test_a_package_imports_from_those_before_it_alone():
    order = ["degrade", "data", "networks", "judge", "figures", "train", "report"]
    assert {path.name for path in CODE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(order)
    for path in CODE.rglob("*.py"):
        package = path.parent.name if path.parent != CODE else None
        met_packages = {name.split(".")[0] for name in imported(path.read_text(encoding="utf-8"))} & set(order)
        allowed = set(order[: order.index(package) + 1]) if package else set()
        assert met_packages <= allowed, path


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
            assert is_there(key), key


def test_a_warm_start_is_trained_anew_for_other_photographs_or_another_recipe_alone():
    """Not for edited code, nor for a report of it that JupyterLab saved again: it takes hours."""
    stage = STAGES["pretrain"]
    assert stage["deps"] == ["data/sample/SOURCES.csv", "data/sample/photos"]
    assert stage["params"] == ["pretrain.${key}"]
    assert names(stage["outs"]) == ["models/pretrained/${key}/generator.keras"]


def test_a_released_model_is_never_trained_by_a_repro():
    """DVC runs no frozen stage; where a model is missing, it says so and stops."""
    stage = STAGES["released"]
    assert stage["frozen"]
    assert stage["params"] == ["released.${key}"]
    assert names(stage["outs"]) == ["models/released/${key}/generator.keras"]


def test_a_run_depends_on_the_warm_starts_that_variants_begin_with():
    studies = [load_study(profile, ROOT) for profile in PARAMS["profiles"]]
    begun = {study.generator_path(name).relative_to(ROOT).as_posix() for study in studies for name in study.warm_starts}
    assert [dep for dep in STAGES["train"]["deps"] if dep.startswith("models/")] == sorted(begun)


def test_what_is_given_is_judged_like_what_is_trained():
    each = yaml.safe_load(TEXT)["stages"]["evaluate-given"]["foreach"]
    assert [name for name, item in each.items() if item["section"] == "pretrain"] == list(PARAMS["pretrain"])
    assert [name for name, item in each.items() if item["section"] == "released"] == list(PARAMS["released"])


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_never_removes_an_output_before_its_stage_runs(stage):
    for out in STAGES[stage]["outs"] + STAGES[stage].get("metrics", []):
        assert all(options["persist"] for options in out.values())


def test_the_file_stays_readable():
    assert len(TEXT.splitlines()) <= 170
    assert max(map(len, TEXT.splitlines())) <= 120
