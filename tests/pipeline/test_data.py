"""The data phase on the paper's five sources: small archives in their layouts, of photographs of the sample."""

import hashlib
import io
import json
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from clones import repro, run, set_parameter
from PIL import Image, ImageOps

pytestmark = pytest.mark.slow
SOURCES = {  # the name of image number n, and the size that the set's images have
    "mirflickr": ("mirflickr25k/mirflickr/im{}.jpg", (500, 500)),
    "human_detection": ("human detection dataset/1/{}.png", (640, 640)),
    "ffhq": ("resized/{:05}.jpg", (256, 256)),
    "imagenet": ("imagenet-mini/train/n01440764/n01440764_{}.JPEG", (500, 500)),
    "intel": ("seg_train/seg_train/street/{}.jpg", (150, 150)),
}
ALL = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))["data"]["sources"]


def written(photo: Path, name: str, size: tuple[int, int], quality: int = 90) -> bytes:
    """A photograph as a file of the set: FFHQ's are cut square, the others fit into `size`."""
    with Image.open(photo) as image:
        image = ImageOps.fit(image, size) if name.startswith("resized") else ImageOps.contain(image, size)
    file = io.BytesIO()
    image.save(file, "PNG" if name.endswith(".png") else "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture(scope="module")
def archives(root, tmp_path_factory) -> dict[str, Path]:
    """An archive for each source, of its own photographs; ImageNet's has one of MirFlickr's too, an equal file, and a
    damaged one.
    """
    photos = sorted((root / "data" / "sample" / "photos").glob("*.jpg"))
    folder, made = tmp_path_factory.mktemp("archives"), {}
    for place, (source, (name, size)) in enumerate(SOURCES.items()):
        made[source] = folder / f"{source}.zip"
        with zipfile.ZipFile(made[source], "w") as archive:
            for number, photo in enumerate(photos[place::5]):
                archive.writestr(name.format(number), written(photo, name, size))
            if source == "imagenet":
                archive.writestr(name.format(900), written(photos[0], name, (480, 480), quality=70))
                archive.writestr(name.format(902), written(photos[3], name, size))  # as number 0
                archive.writestr(name.format(901), written(photos[1], name, size)[:5000])
    return made


@pytest.fixture(scope="module")
def prepared(clone, archives) -> Path:
    """The clone after its data phase, on those archives."""
    for source, archive in archives.items():
        set_parameter(clone, "data", "sources", source, "path", value=str(archive))
    set_parameter(clone, "data", "held_out", value=5)
    set_parameter(clone, "profiles", "smoke", "sources", value=list(SOURCES))
    selections = {"curated": {"where": "focus > 10"}, "biased": {"highest": "mean_b", "share": 0.2}}
    set_parameter(clone, "profiles", "smoke", "selections", value={**selections, "mirflickr": {"source": "mirflickr"}})
    scans = [f"scan@{name}" for name in ALL]
    assert sorted(repro(clone, "cut@curated-5k-32")) == sorted([*scans, "data", "inputs", "cut@curated-5k-32"])
    assert {path.name for path in sets(clone)} == {"curated-5k-32"}  # a training on it needs no more
    assert repro(clone, "prepare")[-1] == "prepare"
    return clone


def sets(clone: Path) -> list[Path]:
    return sorted(path for path in (clone / "data" / "prepared").iterdir() if path.is_dir())


def cached(clone: Path) -> list[Path]:
    """The files in DVC's cache, once it is seen that each still holds what it is named by."""
    files = [path for path in (clone / ".dvc" / "cache" / "files" / "md5").rglob("*") if path.is_file()]
    assert all(hashlib.md5(path.read_bytes()).hexdigest() == (path.parent.name + path.name)[:32] for path in files)
    return files


@pytest.fixture(scope="module")
def manifest(prepared) -> pd.DataFrame:
    return pd.read_parquet(prepared / "data" / "manifest.parquet")


def test_every_file_is_counted_and_what_cannot_serve_is_left_out_with_its_reason(manifest):
    assert manifest.source.value_counts().to_dict() == {
        "mirflickr": 13, "human_detection": 13, "ffhq": 13, "imagenet": 16, "intel": 12,
    }  # fmt: skip
    reasons = manifest.excluded.str.partition(":")[0]
    intel = manifest[manifest.source == "intel"]
    assert set(intel.excluded[intel.split == "train"].str.partition(":")[0]) == {"smaller than the HR tile of 256x256"}
    assert set(intel.excluded[intel.split != "train"]) == {""}  # 150 px are enough to be judged
    name = "imagenet--imagenet-mini--train--n01440764--n01440764_{}.JPEG"
    damaged, equal, alike = map(name.format, (901, 902, 900))
    assert reasons[manifest.id == damaged].item().startswith("damaged image")
    assert reasons[manifest.id == equal].item() == "equal file"
    pair = manifest[manifest.id.isin([alike, "mirflickr--mirflickr25k--mirflickr--im0.jpg"])]
    assert (pair.group.nunique(), pair.split.nunique(), set(pair.excluded)) == (1, 1, {""})


def test_what_is_trained_on_are_usable_training_photographs_of_every_source(prepared, manifest):
    by_id = manifest.set_index("id")
    rows = {path.name: by_id.loc[pd.read_csv(path.with_name(f"{path.name}.csv")).id] for path in sets(prepared)}
    assert len(rows) == 10
    assert all((one.split == "train").all() and (one.excluded == "").all() for one in rows.values())
    assert set(rows["curated-10k-64"].source) == set(SOURCES) - {"intel"}
    assert set(rows["mirflickr-10k-32"].source) == {"mirflickr"}
    assert np.load(prepared / "data" / "prepared" / "curated-10k-64" / "hr.npy").shape == (4, 256, 256, 3)


def test_the_papers_table_has_true_counts(prepared):
    report = json.loads((prepared / "reports" / "01_data.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in report["cells"] for output in cell.get("outputs", [])]
    tables = "".join("".join(output["data"].get("text/html", "")) for output in outputs if "data" in output)
    row = tables[tables.index("Human Detection Dataset") :].partition("</tr>")[0]
    assert "varies" in row
    assert len(re.findall(r">\s*13\s*<", row)) == 2  # files, and usable ones


def test_nothing_is_read_twice_and_another_copy_of_a_source_is_read_alone(prepared, archives):
    assert repro(prepared, "prepare") == []
    other = archives["intel"].rename(archives["intel"].with_name("again.zip"))
    set_parameter(prepared, "data", "sources", "intel", "path", value=str(other))
    assert repro(prepared, "data") == ["inputs", "scan@intel", "data"]


def test_outputs_are_links_into_the_cache_which_a_set_cut_by_hand_leaves_whole(prepared):
    tiles = prepared / "data" / "prepared" / "curated-10k-64" / "hr.npy"
    before, linked = tiles.read_bytes(), [path for path in cached(prepared) if path.samefile(tiles)]
    if not linked:  # a reflink is a file of its own, in the same blocks
        assert "reflink" in run(prepared, "dvc", "version").stdout.partition("Cache types")[2].splitlines()[0]
    set_parameter(prepared, "seed", value=1)
    run(prepared / "src", sys.executable, "-m", "srstudy.sets.cut", "curated-10k-64")
    assert tiles.read_bytes() != before
    cached(prepared)
    set_parameter(prepared, "seed", value=2023)
    assert "cut@curated-10k-64" in repro(prepared, "prepare")
    assert tiles.read_bytes() == before
    cached(prepared)


def test_archives_are_looked_at_again_when_asked_and_what_has_not_changed_makes_nothing_new(prepared):
    assert len(repro(prepared, "--force", "--single-item", "scan")) == len(ALL)
    assert repro(prepared, "data") == []
