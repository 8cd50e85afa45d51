"""From YAML values to annotated types: every mistake is a line that names the key and the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any

from srstudy.errors import StudyError

POSITIVE, UNIT, NO_LESS = "above 0", "from 0 to 1", "of at least 0"
Count = Annotated[int, POSITIVE]  # at least 1
Amount = Annotated[float, POSITIVE]  # above 0
Share = Annotated[float, UNIT]  # from 0 to 1
Weight = Annotated[float, NO_LESS]  # 0 or more
Seed = Annotated[int, NO_LESS]
Range = Annotated[tuple[float, float], (0, math.inf)]  # two numbers, the lower first, within those bounds


def pick(mapping: dict[str, Any], name: str, where: str) -> Any:
    """`mapping[name]`. Raises StudyError, naming the nearest and all known names, if there is none."""
    if name in mapping:
        return mapping[name]
    raise StudyError(f"{where}: '{name}' is unknown{_nearest(name, mapping)}; known: {', '.join(mapping)}.")


def build_fields(kinds: dict[str, Any], required: set[str], value: Any, where: str) -> dict[str, Any]:
    """Make each value of a mapping into the type that `kinds` has for its key; `where` is "" for the whole file.

    Raises StudyError with a line for each thing that is wrong: no mapping, unknown keys, missing ones, values that do
    not fit.
    """
    place = where or "params.yaml"
    _check_mapping(value, place)
    wrong = [f"{place}: unknown key '{key}'{_nearest(key, kinds) or '.'}" for key in value if key not in kinds]
    missing = [f"'{key}'" for key in kinds if key in required - set(value)]
    if missing:
        keys = f"key {missing[0]} is" if len(missing) == 1 else f"keys {', '.join(missing)} are"
        wrong.append(f"{place}: the {keys} missing.")
    items = [(key, kinds[key], item, f"{where}.{key}".lstrip(".")) for key, item in value.items() if key in kinds]
    return _build_each(items, wrong)


def build(kind: Any, value: Any, where: str) -> Any:
    """Make `value`, as read from YAML, into the annotated type `kind`; `where` is its place in the file.

    Knows dataclasses, `X | None`, dict[str, X], tuple[X, ...] of at least one, Literal, `Count`, `Amount`, `Share`,
    `Weight`, `Seed`, `Range`, Any and plain types.
    Raises StudyError if the value does not fit, with a line for each part of it that doesn't.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else build(arguments[0], value, where)
    if origin is dict:
        _check_mapping(value, where)
        return _build_each([(str(key), arguments[1], item, f"{where}.{key}") for key, item in value.items()])
    if origin is typing.Literal:
        pick(dict.fromkeys(arguments), value, where) if isinstance(value, str) else _check_scalar(str, value, where)
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or not value:
            raise StudyError(f"{where}: expected a list of at least one, found {value!r}.")
        items = [(place, arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value)]
        return tuple(_build_each(items).values())
    if origin is Annotated and isinstance(arguments[1], tuple):
        return _build_range(value, arguments[1], where)
    if origin is Annotated:
        number = build(arguments[0], value, where)
        fits = {POSITIVE: number > 0, UNIT: 0 <= number <= 1, NO_LESS: number >= 0}[arguments[1]]
        if not (fits and math.isfinite(number)):
            raise StudyError(f"{where}: expected a number {arguments[1]}, found {value!r}.")
        return number
    return _check_scalar(kind, value, where)


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `override` in place of its own, level by level."""
    merged = dict(base)
    for key, value in override.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _build_dataclass(kind: type, value: Any, where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    missing = dataclasses.MISSING
    required = {name for name, field in fields.items() if field.default is field.default_factory is missing}
    return kind(**build_fields(typing.get_type_hints(kind, include_extras=True), required, value, where))


def _build_each(items: Iterable[tuple[Any, Any, Any, str]], wrong: Iterable[str] = ()) -> dict[Any, Any]:
    """{key: what `build` makes} of (key, kind, value, where). Raises StudyError with `wrong` and all that it raises."""
    built, wrong = {}, list(wrong)
    for key, kind, value, where in items:
        try:
            built[key] = build(kind, value, where)
        except StudyError as error:
            wrong.append(str(error))
    if wrong:
        raise StudyError("\n".join(wrong))
    return built


def _check_mapping(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise StudyError(f"{where}: expected keys and values, found {value!r}.")


def _build_range(value: Any, bounds: tuple[float, float], where: str) -> tuple[float, float]:
    numbers = build(tuple[float, ...], value, where) if isinstance(value, list) and value else ()
    if len(numbers) != 2 or not bounds[0] <= numbers[0] <= numbers[1] <= bounds[1]:
        limits = f"from {bounds[0]:g}" + (f" to {bounds[1]:g}" if math.isfinite(bounds[1]) else "")
        raise StudyError(f"{where}: expected two numbers {limits}, the lower first, found {value!r}.")
    return numbers


def _check_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool)):
        if kind is float and not math.isfinite(value):
            raise StudyError(f"{where}: expected a finite number, found {value!r}.")
        return value
    raise StudyError(f"{where}: expected {kind.__name__}, found {value!r}.")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""
