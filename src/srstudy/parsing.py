"""Values read from YAML as pydantic models: every mistake is a line that names its key and the nearest known name."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from ruamel.yaml import YAML, YAMLError

from srstudy import StudyError


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
