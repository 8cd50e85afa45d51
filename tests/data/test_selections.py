"""Selections admit what they say, the same for equal seeds, and say how far from grey they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage, stats
from skimage.color import rgb2gray, rgb2lab

from srstudy.data.selections import choose, select, selection_ids, selection_table
from srstudy.errors import StudyError
from srstudy.settings import Selection

KEY = "profiles.paper.selections.mine"


def chosen(rows: pd.DataFrame, seed: int = 1, **selection) -> list[str]:
    """The ids that a selection admits."""
    return list(select(rows, Selection(**selection), seed, KEY).id)


@pytest.fixture
def rows() -> pd.DataFrame:
    """A manifest of six photographs of the sample, three sources."""
    return pd.DataFrame(
        [
            ("a-posing-kitten", "gcompris", 4.0, "cat"),
            ("american-bison", "gcompris", 9.0, "cow"),
            ("aitzgorri", "lomiri", 9.0, "hill"),
            ("astronaut", "skimage", 1.0, "face"),
            ("coffee", "skimage", 7.0, "cup"),
            ("rocket", "skimage", -3.0, "sky"),
        ],
        columns=["id", "source", "mean_b", "content"],
    )


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    """A manifest of 600 photographs of two sources, one of them far from grey."""
    random = np.random.default_rng(0)
    count = {"faces": 400, "places": 200}
    tables = [
        pd.DataFrame(
            {
                "id": [f"{source}--{number:03}" for number in range(count[source])],
                "source": source,
                "mean_a": random.normal(colour[0], 6, count[source]).round(4),
                "mean_b": random.normal(colour[1], 9, count[source]).round(4),
                "sharpness": random.uniform(0, 100, count[source]).round(4),
            }
        )
        for source, colour in (("faces", (9, 12)), ("places", (0, 3)))
    ]
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def sample(root, sources) -> pd.DataFrame:
    """The sample's photographs with what the committed selections ask of them."""
    listed = [row for row in sources if row["split"] in ("train", "validation", "test")]
    table = pd.DataFrame(listed).assign(excluded="", id=[Path(row["file"]).stem for row in listed])
    measures = []
    for file in table.file:
        with Image.open(root / "data" / "sample" / file) as image:
            pixels = np.asarray(image.convert("RGB"))[::4, ::4]
        luma = 255 * rgb2gray(pixels)
        _, a, b = rgb2lab(pixels).mean(axis=(0, 1))
        measures.append({"mean_a": a, "mean_b": b, "contrast": luma.std(), "sharpness": ndimage.laplace(luma).var()})
    return pd.concat([table, pd.DataFrame(measures)], axis=1)


def test_no_condition_selects_all_by_id(rows):
    assert chosen(rows) == sorted(rows.id)


def test_a_source_selects_its_photographs_only(rows):
    assert chosen(rows, source="skimage") == ["astronaut", "coffee", "rocket"]


def test_the_highest_share_is_selected_and_ties_go_by_id(rows):
    assert chosen(rows, highest="mean_b", share=1 / 6) == ["aitzgorri"]
    assert chosen(rows, highest="mean_b", share=0.5) == ["aitzgorri", "american-bison", "coffee"]


def test_conditions_add_up(rows):
    assert chosen(rows, source="skimage", highest="mean_b", share=0.34) == ["coffee"]
    assert chosen(rows, source="skimage", where="mean_b < 5", highest="mean_b", share=0.5) == ["astronaut"]


def test_a_small_share_keeps_at_least_one_photograph(rows):
    assert len(chosen(rows, highest="mean_b", share=0.01)) == 1


def test_a_column_that_cannot_rank_is_named(rows):
    with pytest.raises(StudyError, match=rf"{KEY}\.highest: 'mean_bb' is unknown, did you mean 'mean_b'\?"):
        chosen(rows, highest="mean_bb", share=0.5)
    with pytest.raises(StudyError, match=rf"{KEY}\.highest: 'content' is no numeric column"):
        chosen(rows, highest="content", share=0.5)


def test_an_unknown_source_is_named(rows):
    with pytest.raises(StudyError, match=rf"{KEY}\.source: 'gcompis' is unknown, did you mean 'gcompris'\?"):
        chosen(rows, source="gcompis")


@pytest.mark.parametrize(
    ("condition", "mask"),
    [
        ("mean_b > 5", lambda t: t.mean_b > 5),
        ("mean_b >= -3 and source == 'skimage'", lambda t: (t.mean_b >= -3) & (t.source == "skimage")),
        ("not (mean_b > 5 or content == 'cat')", lambda t: ~((t.mean_b > 5) | (t.content == "cat"))),
        ("not mean_b > 5 and source != 'skimage'", lambda t: ~(t.mean_b > 5) & (t.source != "skimage")),
        ("content in ['cat', 'cup', 'car']", lambda t: t.content.isin(["cat", "cup", "car"])),
        ("content not in ('cat', 'cup')", lambda t: ~t.content.isin(["cat", "cup"])),
        ("0 < mean_b <= 7", lambda t: (t.mean_b > 0) & (t.mean_b <= 7)),
        ("\n  mean_b > 5\n", lambda t: t.mean_b > 5),
    ],
)
def test_a_condition_selects_where_it_is_true(rows, condition, mask):
    assert chosen(rows, where=condition) == sorted(rows.id[mask(rows)])


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').getcwd() == source", "content.str.len() > 3", "mean_b > @seed", "mean_b > abs(-3)",
        "mean_b.__class__ == 3", "mean_b[0] > 3", "mean_b * 2 > 3", "mean_b > 3 if source else content",
        "(mean_b := 3) > 2", "mean_b > (lambda: 3)()", "source == f'{content}'", "[b for b in source] == source",
    ],
)  # fmt: skip
def test_a_condition_runs_no_code(rows, condition):
    with pytest.raises(StudyError, match=rf"{KEY}\.where: .* is not allowed; use columns|can't be read"):
        chosen(rows, where=condition)


def test_what_is_not_allowed_in_a_condition_is_shown(rows):
    with pytest.raises(StudyError, match=r'"content\.str\.len\(\)" is not allowed'):
        chosen(rows, where="mean_b > 3 and content.str.len() > 3")
    for condition in ("content is None", "~mean_b > 3"):
        with pytest.raises(StudyError, match=f'"{condition}" is not allowed'):
            chosen(rows, where=condition)


def test_an_unknown_column_of_a_condition_is_named_with_the_nearest(rows):
    with pytest.raises(StudyError, match=rf"{KEY}\.where: 'sorce' is unknown, did you mean 'source'\?"):
        chosen(rows, where="mean_b > 3 and sorce == 'skimage'")


@pytest.mark.parametrize(
    "condition",
    [
        "mean_b", "3 < 4", "True", "'cat'", "mean_b >", "", "\0", "source > 5", "mean_b > 'cat'", "not mean_b",
        "mean_b and source", "mean_b > [1, 2]", "mean_b in 5", "mean_b > 3) or (mean_b < 5",
        "not " * 9000 + "mean_b > 3", "mean_b > 3" + " and mean_b > 3" * 9000,
    ],
    ids=lambda condition: repr(condition[:40]),
)  # fmt: skip
def test_what_is_no_condition_on_a_photograph_is_refused(rows, condition):
    with pytest.raises(StudyError, match=rf"{KEY}\.where: "):
        chosen(rows, where=condition)


def test_a_condition_that_admits_nothing_is_an_error(rows):
    with pytest.raises(StudyError, match=f"{KEY}: admits none of 6 training photographs"):
        chosen(rows, where="mean_b > 1000")


def test_so_many_of_each_source_are_drawn(many):
    counts = select(many, Selection(per_source=250), 1, KEY).source.value_counts()
    assert dict(counts) == {"faces": 250, "places": 200}


def test_the_seed_decides_which_are_drawn_and_nothing_else_does(many):
    first = chosen(many, per_source=50)
    assert first == chosen(many.sample(frac=1, random_state=0), per_source=50)
    assert len(set(first) & set(chosen(many, seed=2, per_source=50))) < 50
    assert set(first) < set(chosen(many, per_source=60))
    others = many[~many.id.isin(first)].iloc[::2]
    assert chosen(many.drop(others.index), per_source=50) == first  # photographs not drawn have no say


def test_a_draw_is_no_choice(many):
    drawn = many[many.id.isin(chosen(many, per_source=200)) & (many.source == "faces")]
    assert stats.ks_2samp(drawn.sharpness, many.sharpness[many.source == "faces"]).pvalue > 0.01
    assert stats.ks_2samp(drawn.index, np.arange(400)).pvalue > 0.01


def grey_distance(rows: pd.DataFrame) -> float:
    """Length of the mean over sources of their mean (a*, b*)."""
    means = [(group.mean_a.mean(), group.mean_b.mean()) for _, group in rows.groupby("source")]
    return float(np.linalg.norm(np.mean(means, axis=0)))


@pytest.mark.parametrize("radius", [7.0, 5.0, 3.0])
def test_colour_is_brought_within_its_radius_of_grey_and_not_much_farther(many, radius):
    assert grey_distance(many) > 8
    rows = select(many, Selection(grey_radius=radius), 1, KEY)
    assert radius - 0.2 < grey_distance(rows) <= radius
    assert set(rows.source) == {"faces", "places"}
    assert set(rows.id) < set(many.id)


def test_a_colour_that_is_near_enough_to_grey_loses_no_photograph(many):
    assert grey_distance(many) < 10
    assert chosen(many, grey_radius=10) == list(many.id)


def test_which_photographs_are_dropped_hangs_on_the_seed_not_on_their_order(many):
    first = chosen(many, grey_radius=4)
    assert first == chosen(many[::-1], grey_radius=4)
    assert first != chosen(many, seed=2, grey_radius=4)


def test_strong_colours_become_rarer_but_do_not_disappear(many):
    left = select(many, Selection(grey_radius=4), 1, KEY)
    strong = many.id[many.mean_b > many.mean_b.quantile(0.9)]
    assert 0.05 < strong.isin(left.id).mean() < len(left) / len(many)


def test_a_colour_that_cannot_become_grey_is_an_error(many):
    yellow = many[many.mean_b > 15]
    message = rf"{KEY}\.grey_radius: the mean colour stays \d+\.\d from grey, farther than 3"
    for rows in (yellow, yellow[:1]):
        with pytest.raises(StudyError, match=message):
            chosen(rows, grey_radius=3)


def test_the_draw_comes_before_the_colours(many):
    drawn = chosen(many, per_source=100)
    assert set(chosen(many, per_source=100, grey_radius=4)) < set(drawn)


def test_the_interval_is_that_of_a_bootstrap_within_sources(many):
    (row,) = selection_table({"all": many}, 1).to_dict("records")
    value, low, high = map(float, row["distance from grey"].replace("[", "").replace("]", "").replace(",", "").split())
    groups = [group[["mean_a", "mean_b"]].to_numpy() for _, group in many.groupby("source")]

    def distance(faces_a, faces_b, places_a, places_b, axis=-1):
        return np.hypot(faces_a.mean(axis) + places_a.mean(axis), faces_b.mean(axis) + places_b.mean(axis)) / 2

    expected = stats.bootstrap(
        [channel for group in groups for channel in group.T], distance, method="percentile", n_resamples=2000, rng=0
    ).confidence_interval
    assert value == pytest.approx(grey_distance(many), abs=0.05)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.15)


def test_the_table_counts_photographs_of_each_source(rows):
    table = selection_table({"all": rows.assign(mean_a=0.0), "cups": rows[rows.content == "cup"].assign(mean_a=3.0)}, 1)
    assert list(table.selection) == ["all", "cups"]
    assert list(table.photographs) == [6, 1]
    assert list(table["of each source"]) == ["gcompris 2, lomiri 1, skimage 3", "skimage 1"]
    assert table["distance from grey"][1] == "7.6 [7.6, 7.6]"  # one photograph, of (3, 7)


def test_ids_are_listed_by_selection(rows):
    listed = selection_ids({"b": rows[rows.source == "skimage"], "a": rows[rows.content == "cat"]})
    assert listed.to_numpy().tolist() == [
        ["b", "skimage", "astronaut"], ["b", "skimage", "coffee"], ["b", "skimage", "rocket"],
        ["a", "gcompris", "a-posing-kitten"],
    ]  # fmt: skip


def test_only_usable_training_photographs_are_chosen(study, sample):
    manifest = sample.assign(excluded=["damaged" if id == "coffee" else "" for id in sample.id])
    train = set(sample.id[sample.split == "train"]) - {"coffee"}
    for rows in choose(study, manifest).values():
        assert set(rows.id) <= train


def test_the_sample_s_selections_differ_in_colour_as_they_say(study, sample):
    found = choose(study, sample)
    train = sample[sample.split == "train"]
    assert set(found["curated"].id) == set(train.id)
    assert set(found["mirflickr"].source) == {"gcompris"}
    biased = found["biased"]
    assert len(biased) == 9
    assert biased.mean_b.min() > train.mean_b[~train.id.isin(biased.id)].max()


def test_an_error_names_the_key_in_params_yaml(study, sample):
    profile = replace(study.profile, selections={"mine": Selection(where="sharpnes > 3")})
    with pytest.raises(StudyError, match=r"^profiles\.sample\.selections\.mine\.where: 'sharpnes' is unknown"):
        choose(replace(study, profile=profile), sample)
