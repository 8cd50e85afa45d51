"""The released models, by name or by path, and what their cards say of them."""

from __future__ import annotations

import re
from pathlib import Path

from srstudy import StudyError

ROOT = Path(__file__).resolve().parents[3]
# In a checkout beside the code; in an installed package they travel with it.
FOLDERS = (ROOT / "models" / "released", Path(__file__).parent / "released")
DEFAULT = "general"  # for pictures as people have them; learned by a pixel loss alone, it invents least
USES = {
    "general": "pictures as people have them",
    "fast": "clean pictures, and clips: the fastest",
    "psnr": "clean pictures, nearest to the original",
    "gan": "clean pictures, sharper; invents most",
    "cctv": "footage of street cameras: noisy, blurred, compressed",
}
CAUTION = (
    "Super-resolution invents detail. What was not in the original was filled in as a network learned from other "
    "photographs: a face, a letter or a number plate may look right and be wrong. This is no evidence of identity."
)
LINK = r"\[([^\]]+)\]\((?:\.\./)*([^)]+)\)"  # of Markdown, from a card's folder


def find_model(name: str) -> Path:
    """The ONNX file of a released model or at a path. Raises StudyError, naming those that there are."""
    if (path := Path(name).expanduser()).suffix == ".onnx":
        return path
    for folder in FOLDERS:
        if (path := folder / name / "generator.onnx").is_file():
            return path
    known = ", ".join(names()) or "none is here; python -m srstudy.enhance.export makes them"
    raise StudyError(f"-n {name}: no such model; choose one of: {known}; or give the path of an .onnx file.")


def names() -> list[str]:
    """The released models that are here."""
    return sorted(path.parent.name for folder in FOLDERS for path in folder.glob("*/generator.onnx"))


def card(model: Path) -> dict[str, str]:
    """What a model's card says it learned from; without a card, that nothing is known."""
    path = model.parent / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    data = re.search(r"^## Data\n(.+?)\n## ", text, re.MULTILINE | re.DOTALL)
    learned = re.sub(LINK, _unlinked, data[1]) if data else "unknown: the model has no card"
    name = model.parent.name if model.stem == "generator" else model.stem
    return {"name": name, "learned_from": " ".join(learned.split())}


def _unlinked(link: re.Match) -> str:
    return link[1] if link[1] == link[2] else f"{link[1]} ({link[2]})"
