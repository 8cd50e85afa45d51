"""What the documents point to exists."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml

from srstudy.config import load_study
from srstudy.data.selections import select
from srstudy.report.cards import card
from srstudy.report.claims import judge
from srstudy.report.scores import by_reading, load_scores
from srstudy.schema import merge

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "data", "benchmarks", "models/released")
DOCUMENTS = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md")))]
SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.*"), ROOT / "params.yaml", ROOT / "dvc.yaml"]
# [text](target) and ![text](target "title"), and <img src="target">
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<(?:img|a)\b[^>]*?(?:src|href)=\"([^\"]+)\"")


def name(path: Path) -> str:
    """A file's name for the test's id."""
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A document without its code."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def test_links_and_anchors_are_recognised(tmp_path):
    page = tmp_path / "a.md"
    page.write_text('# A *b*, c\n## D\n## D\n[x](y.md#d) ![z](p.png "t") <img src="q.png"> `[no](no.md)`\n')
    assert anchors(page) == {"a-b-c", "d", "d-1"}
    assert ["".join(groups) for groups in LINK.findall(prose(page))] == ["y.md#d", "p.png", "q.png"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(path):
    for target in ("".join(groups) for groups in LINK.findall(prose(path))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = unquote(target).partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{name(path)}: {target}"
        assert linked.is_relative_to(ROOT), f"{name(path)}: {target} leaves the project"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), f"{name(path)}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_file_named_in_code_marks_exists(path):
    """Such as `src/srstudy/train/losses.py`: a name with a known folder in front, and no placeholder in it."""
    for named in re.findall(r"`((?:src|notebooks|tests|docs|benchmarks)/[\w./-]+\.\w+)`", path.read_text("utf-8")):
        assert (ROOT / named).exists() or (path.parent / named).exists(), f"{name(path)}: {named}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_no_document_names_a_package_index(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"--(?:extra-|default-)?index\b|index-url|--find-links|https?://\S+/simple\b", text)


@pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=name)
def test_nothing_is_marked_as_unfinished(path):
    assert not re.search(r"\b(?:TODO|FIXME|XXX|TBD)\b", path.read_text(encoding="utf-8"))


def committed(root: Path, *paths: str) -> None:
    """Skip where these are not those of a commit: the README speaks of the authors' run, not of a reader's own."""
    changed = subprocess.run(["git", "status", "--porcelain", *paths], cwd=root, capture_output=True, text=True)
    if changed.returncode or changed.stdout:
        pytest.skip(f"{', '.join(paths)}: changed since the last commit, or no git here")


def test_the_readmes_lines_for_photographs_of_one_s_own_make_a_study(root, tmp_path):
    (lines,) = re.findall(r"^```yaml\n(.*?)^```", (root / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    params = merge(params, yaml.safe_load(lines))
    params["profiles"]["smoke"]["selections"]["vivid"] = {}  # as the text below the lines says
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    load_study("smoke", tmp_path)
    study = load_study("sample", tmp_path)
    assert study.profile.sources == ("sample", "holiday")
    selection = study.profile.selections[study.sets[study.variant("vivid").set].selection]
    rows = [("a", "holiday", 50.0), ("b", "holiday", 9.0), ("c", "mate", 70.0)]
    photos = pd.DataFrame(rows, columns=["id", "source", "contrast"])
    assert list(select(photos, selection, study.seed, "vivid").id) == ["a"]


def test_the_readmes_result_table_is_the_reports(root):
    committed(root, "reports/scores")
    study = load_study("sample", root)
    means = by_reading(study, load_scores(study))[0].groupby("method").mean(numeric_only=True)
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in (root / "README.md").read_text("utf-8").splitlines()]
    shown = {row[0]: row[1:] for row in rows if row[0] in means.index}
    assert set(shown) == set(means.index)
    for name, values in shown.items():
        row = means.loc[name]
        assert values == [f"{row.psnr_y:.2f}", f"{row.ssim_y:.3f}", f"{row.perceptual:.3f}", f"{row.delta_e:.2f}"], name


def test_the_readme_names_what_the_ablation_found_far_worse_and_nothing_that_is_better(root):
    committed(root, "reports/ablation.csv")
    table = pd.read_csv(root / "reports" / "ablation.csv").set_index("arm")
    same = table[table.index.str.startswith("as it is")]
    worse = (table.psnr_y < same.psnr_y.min() - 0.1) & (table.perceptual > same.perceptual.max())
    near = table.psnr_y >= same.psnr_y.min() - 0.1
    better = (table.psnr_y > same.psnr_y.max()) & (table.perceptual < same.perceptual.min())
    text = " ".join((root / "README.md").read_text("utf-8").split())
    assert f"by PSNR-Y and by distance, are {', '.join(table.index[worse])}:" in text
    assert (worse | near).all()
    assert not better.any()


def test_the_readme_counts_the_comparisons_as_the_report_does(root):
    committed(root, "reports/scores")
    study = load_study("sample", root)
    table = judge(study, load_scores(study))
    papers = table[table.claim.str.match(r"C\d")]
    text = " ".join((root / "README.md").read_text("utf-8").split())
    (total, undecided), (against, again) = (
        re.search(pattern, text).groups()
        for pattern in (r"of the (\d+) comparisons in the \S+ (\d+) stay", r"(\d+) of the (\d+) comparisons go")
    )
    first, second = (papers[f"verdict, {name} statistics"] for name in ("image", "moving"))
    assert int(total) == int(again) == len(papers)
    assert int(undecided) == (first == "cannot tell at this scale").sum()
    assert int(against) == (second == "not supported").sum()


@pytest.mark.parametrize(
    "model", sorted(ROOT.glob("models/released/*/generator.keras")), ids=lambda path: path.parent.name
)
def test_a_released_models_card_is_what_the_records_say(model, root):
    """Saved anew, a model has no card until it is evaluated and `python -m srstudy.report.cards` was run."""
    committed(root, "models/released", "reports")
    text = model.with_name("README.md").read_text(encoding="utf-8")
    assert text == card(load_study("sample", root), model.parent.name)


@pytest.mark.parametrize(("name", "least"), [("results", 20), ("hours", 10), ("anatomy", 10), ("scale", 2)])
def test_the_benchmarks_readme_has_the_tables_of_their_last_run(root, name, least):
    with (root / "benchmarks" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        expected = [f"| {' | '.join(row)} |" for row in csv.reader(file)]
    text = (root / "benchmarks" / "README.md").read_text(encoding="utf-8")
    between = text.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]
    shown = [line for line in between.splitlines() if line.startswith("|") and "---" not in line]
    assert len(expected) > least
    assert shown == expected
