"""A folder of photographs as people have them is read to its end: each file is read, or named with a true reason."""

import re

import pandas as pd
import pytest
from tests.people import make_people_folder

from srstudy.photos.images import readable_images
from srstudy.photos.scan import scan_source
from srstudy.settings import Scan

pytestmark = pytest.mark.slow  # one photograph has 200 megapixels


@pytest.fixture(scope="module")
def people(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("people") / "photos"
    return folder, make_people_folder(folder, root / "data" / "sample" / "photos")


def test_a_scan_reads_every_photograph_and_excludes_the_rest_with_its_reason(people, tmp_path):
    (folder, said), out = people, tmp_path / "out.parquet"
    scan_source("holiday", folder, "*", Scan(window=64, workers=1), out, tmp_path)
    rows = pd.read_parquet(out).set_index("member")
    assert sorted(rows.index) == sorted(said)
    for name, reason in said.items():
        found = rows.excluded[name]
        assert bool(found) == bool(reason) and re.search(reason, found), (name, found)
    read = rows[rows.excluded == ""].drop("huge.jpg")
    assert {*read.width, *read.height} == {96, 128} and (read.height == 128).all()


def test_a_test_set_has_every_photograph_and_a_sentence_for_everything_else(people):
    folder, said = people
    images, left_out = readable_images(folder)
    said = {name.partition("/")[0]: "a folder" if "/" in name else reason for name, reason in said.items()}
    assert sorted(path.name for path in images.values()) == sorted(name for name, reason in said.items() if not reason)
    assert all(name == path.stem for name, path in images.items())
    for name, reason in said.items():
        sentences = [one for one in left_out if one.startswith(f"{folder}/{name}: ")]
        assert len(sentences) == bool(reason) and all(re.search(reason, one) for one in sentences), name
    assert len(left_out) == sum(map(bool, said.values()))
