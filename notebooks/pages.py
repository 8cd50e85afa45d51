"""Web pages of all executed notebooks, in `build/pages/`: `python notebooks/pages.py`. Each needs nothing else.

A page of an equal notebook stays. The first variant's training is copied among the reports on the way: those
of the others stay with their models, out of git.
"""

from __future__ import annotations

import hashlib
import html
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # the code beside it, as in run.py
from srstudy import StudyError
from srstudy.files import write_text
from srstudy.study import load_study

sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema would build a grammar of web addresses, for 2 s
ROOT = Path(__file__).resolve().parent.parent
STYLE = Path(__file__).with_name("page.css")


def main() -> None:
    """Make the pages that are missing or of another notebook or style; the mark at the end of a page tells of which."""
    copy_example()
    made, pages = 0, ROOT / "build" / "pages"
    for path in executed():
        name = path.stem if path.parent.name == "reports" else f"{path.stem} {path.parent.name}"
        target = pages / f"{name.replace(' ', '-')}.html"
        made_of = b"".join(file.read_bytes() for file in (path, STYLE, Path(__file__)))
        mark = f"<!-- {hashlib.sha256(made_of).hexdigest()} -->\n"
        if not target.is_file() or not target.read_text(encoding="utf-8").endswith(mark):
            write_text(target, page(path, name) + mark)
            made += 1
    print(f"{made} new pages in {pages}")


def copy_example() -> None:
    """Put the notebook of the first variant's training into `reports/`, if there is one."""
    study = load_study(root=ROOT)
    example = study.run(next(iter(study.variants))).folder / "03_train.ipynb"
    copy = ROOT / "reports" / example.name
    if example.is_file() and not (copy.is_file() and copy.read_bytes() == example.read_bytes()):
        write_text(copy, example.read_text(encoding="utf-8"))


def executed() -> list[Path]:
    """The executed notebooks: those in `reports/`, and those of trainings beside their models."""
    trainings = [path for path in (ROOT / "models").rglob("03_train.ipynb") if "checkpoints" not in path.parts]
    return sorted((ROOT / "reports").glob("*.ipynb")) + sorted(trainings)


def page(path: Path, title: str) -> str:
    """A notebook as one HTML page that needs nothing else and stays small."""
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_filename(str(path))
    style = STYLE.read_text(encoding="utf-8") + HtmlFormatter().get_style_defs(".highlight")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>\n{style}\n</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
