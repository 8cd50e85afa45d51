"""What the documents point to exists, and nothing that is handed on names a place of one machine, or a secret."""

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from srstudy.parsing import merge
from srstudy.study import load_study

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "data", "benchmarks", "findings", "models/released")
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md")))]
# [text](target) and ![text](target "title"), and <img src="target">
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<(?:img|a)\b[^>]*?(?:src|href)=\"([^\"]+)\"")
INDEX = r"--(?:extra-|default-)?index\b|index-url|--find-links|https?://\S+/simple\b"
PLACE = r"(?<![\w./~-])/(?:home|Users|root|work|opt|mnt)/\w"
SECRET = r'KGAT_\w{8}|"key": ?"[0-9a-f]{32}"|BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bghp_\w{20}'


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
    slugs: list[str] = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slugs.append(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    numbered = {f"{slug}-{slugs[:place].count(slug)}".removesuffix("-0") for place, slug in enumerate(slugs)}
    return numbered | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


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


def test_no_text_that_git_tracks_names_a_package_index_a_place_of_one_machine_or_a_secret():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git here")
    texts = (".md", ".py", ".ipynb", ".yaml", ".yml", ".toml", ".lock", ".csv", ".json", ".sh", "")
    for path in (ROOT / tracked for tracked in listed.stdout.split("\0") if tracked and Path(tracked).suffix in texts):
        if path.is_file() and not path.is_relative_to(ROOT / "tests"):  # tests have examples of all three
            for line in path.read_text(encoding="utf-8").splitlines():
                if len(line) < 10_000:  # longer ones are pictures
                    assert not re.search(f"{INDEX}|{PLACE}|{SECRET}", line), f"{name(path)}: {line[:200]}"


def test_the_lines_for_photographs_of_one_s_own_make_a_study(tmp_path):
    (lines,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "own-photographs.md").read_text("utf-8"), re.DOTALL)
    params = merge(yaml.safe_load((ROOT / "params.yaml").read_text("utf-8")), yaml.safe_load(lines))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    study = load_study(None, tmp_path)
    assert (study.profile.sources, study.kept_sources) == (("sample", "holiday"), ("sample",))
    assert study.run("vivid").tile_set == "vivid-5k-32"


def test_the_readme_is_short_and_promises_no_more_than_it_holds():
    assert len(README.splitlines()) <= 130
    assert len(README.split()) <= 1300
    lights = re.findall(r"^\| C\d \|[^|]*\| (\S+)", README, re.MULTILINE)
    tested = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"][len(lights) - lights.count("⚪")]
    assert len(lights) == 8
    assert f"tests {tested} of the paper's eight claims" in README
    assert ("Most claims can't be settled" in " ".join(README.split())) == (lights.count("🟡") + lights.count("⚪") > 4)


@pytest.mark.parametrize("block", ["figures", "claims"])
def test_the_readme_has_the_figures_of_the_reports(block):
    """`make readme` puts them there."""
    from srstudy.report.tables import readme_block

    study = load_study(root=ROOT)
    if study.profile_name != "sample":
        pytest.skip("README speaks of the sample profile")
    assert f"<!-- {block} -->\n{readme_block(study, block)}\n<!-- /{block} -->" in README


def test_the_document_of_profile_tenth_says_its_sizes(root):
    said = " ".join((root / "docs" / "tenth.md").read_text(encoding="utf-8").split())
    tenth, paper = (load_study(name, root) for name in ("tenth", "paper"))
    own, full = tenth.recipes["srgan"], paper.recipes["srgan"]
    sizes = f"{own.generator.filters} filters and {own.generator.blocks} blocks"
    assert f"{sizes} instead of {full.generator.filters} and {full.generator.blocks}" in said
    assert f"begins with {own.discriminator.filters} filters and has a dense layer of {own.discriminator.dense}" in said
    assert f"`{own.content.layer}` of VGG19 instead of `{full.content.layer}`" in said
    assert "{paper-5k} and {paper-10k} tiles".format(**{k: f"{v:,}" for k, v in tenth.profile.images.items()}) in said
    assert tenth.profile.seeds == 3 and "is trained three times, by three seeds, the others twice" in said
