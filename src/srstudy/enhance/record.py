"""The record beside every output: a JSON file, and the same as a page to print. It says what a comparably trained
person needs to repeat the work (ASTM E2825): the untouched original, each step in order, software, model, losses.
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyvips

from srstudy import StudyError, __version__
from srstudy.enhance.models import CAUTION
from srstudy.enhance.steps import LIBVIPS
from srstudy.files import replacing, write_json, write_text

TOOL = f"srstudy {__version__}"
STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#111}
table{border-collapse:collapse;margin:.2em 0}td,th{border:1px solid #bbb;padding:.2em .6em}
td,th{text-align:left;vertical-align:top}th{background:#f3f3f3}.caution{border:2px solid #a00;padding:1em}
code{overflow-wrap:anywhere}img{image-rendering:pixelated;max-width:100%;border:1px solid #bbb}"""


def beside(target: Path, what: str) -> Path:
    """A file of the record: `photo-x4.png.record.json` beside `photo-x4.png`."""
    return target.with_name(f"{target.name}.{what}")


def software() -> dict[str, str]:
    """Versions of what computes, reads and writes."""
    packages = {name: version(name) for name in ("numpy", "openvino", "av", "pyvips", "pillow")}
    return {
        "tool": TOOL,
        **packages,
        "libvips": LIBVIPS,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
    }


def write_record(target: Path, record: dict[str, Any], levels: np.ndarray | None = None) -> None:
    """Write the record of `target`, JSON last; `levels` is the map of LR-consistency, [h, w], of a photograph."""
    picture = b""
    if levels is not None:
        gray = (levels * 16).clip(0, 255).astype(np.uint8)
        picture = pyvips.Image.new_from_array(gray[..., None]).pngsave_buffer()
        with replacing(beside(target, "consistency.png")) as temporary:
            temporary.write_bytes(picture)
    write_text(beside(target, "record.html"), page(target.name, record, picture))
    write_json(beside(target, "record.json"), record)


def drop_record(target: Path) -> None:
    """Remove what speaks of an output that is about to be replaced; its frames' rows are replaced with it."""
    for what in ("record.json", "record.html", "consistency.png", "c2pa"):
        beside(target, what).unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """Raises StudyError if it is missing or none of ours."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["settings"]["mode"], record["settings"]["steps"]
        if all(isinstance(record[key]["sha256"] + record[key]["file"], str) for key in ("input", "output", "model")):
            return record
        said = "no names of files"
    except FileNotFoundError:
        raise StudyError(f"{path}: no such record; give the .record.json beside an output.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = getattr(error, "strerror", None) or "it holds something else"
    raise StudyError(f"{path}: no record of this tool ({said}); give the .record.json beside an output.")


def notes(target: Path) -> list[str]:
    """What a user should know of an output without opening its record: what was lost, left out or not so simple."""
    what = read_record(beside(target, "record.json"))["what"]
    said = {
        f"{what.get('packets_lost')} packets did not decode": what.get("packets_lost"),
        f"{what.get('bits')} bits a sample were read as 8": what.get("bits", 8) > what.get("bits_read", 16),
        "it ends cut": what.get("ends_cut"),
    }
    return [*what.get("notes", []), *what.get("left_out", []), *(text for text, true in said.items() if true)]


def page(title: str, record: dict[str, Any], picture: bytes) -> str:
    """The record as HTML without any file or address beside it."""
    shown = f"""<h2>Where SR differs from LR</h2>
<p>Bright: made small again, the enlargement is not the original there.</p>
<img alt="map of LR-consistency" src="data:image/png;base64,{b64encode(picture).decode()}">"""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}: record</title>
<style>{STYLE}</style><h1>Record of <code>{html.escape(title)}</code></h1>
<p class="caution"><strong>{html.escape(CAUTION)}</strong></p>
{_table(record)}{shown if picture else ""}</html>
"""


def _table(value: Any) -> str:
    if isinstance(value, dict):
        names = (html.escape(str(key).replace("_", " ")) for key in value)
        rows = (f"<tr><th>{name}</th><td>{_table(item)}</td></tr>" for name, item in zip(names, value.values()))
        return f"<table>{''.join(rows)}</table>"
    if isinstance(value, list):
        return "<ol>" + "".join(f"<li>{_table(item)}</li>" for item in value) + "</ol>" if value else "none"
    return f"<code>{html.escape(str(value))}</code>"
