"""Selections admit what they say, the same for equal seeds, and say how far from grey they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from srstudy import StudyError
from srstudy.sets.select import choose, select, selection_table
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
            ("a-posing-kitten", "gcompris", 4.0, "cat"), ("american-bison", "gcompris", 9.0, "cow"),
            ("aitzgorri", "lomiri", 9.0, "hill"), ("astronaut", "skimage", 1.0, "face"),
            ("coffee", "skimage", 7.0, "cup"), ("rocket", "skimage", -3.0, "sky"),
        ],
        columns=["id", "source", "mean_b", "content"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    """A manifest of 600 photographs of two sources, one of them far from grey."""
    random, tables = np.random.default_rng(0), []
    for source, count, colour in (("faces", 400, (9, 12)), ("places", 200, (0, 3))):
        columns = {"id": [f"{source}--{number:03}" for number in range(count)], "source": source}
        columns |= {name: random.normal(mean, 7, count) for name, mean in zip(("mean_a", "mean_b"), colour)}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    ("wish", "ids"),
    [
        ({}, ["a-posing-kitten", "aitzgorri", "american-bison", "astronaut", "coffee", "rocket"]),
        ({"source": "skimage"}, ["astronaut", "coffee", "rocket"]),
        ({"highest": "mean_b", "share": 0.01}, ["aitzgorri"]),  # at least one; ties go by id
        ({"highest": "mean_b", "share": 0.5}, ["aitzgorri", "american-bison", "coffee"]),
        ({"source": "skimage", "highest": "mean_b", "share": 0.34}, ["coffee"]),
        ({"source": "skimage", "where": "mean_b < 5", "highest": "mean_b", "share": 0.5}, ["astronaut"]),
    ],
)
def test_conditions_add_up_in_their_order(rows, wish, ids):
    assert chosen(rows, **wish) == ids


@pytest.mark.parametrize(
    ("condition", "mask"),
    [
        ("mean_b > 5", lambda t: t.mean_b > 5),
        ("mean_b >= -3 and source == 'skimage'", lambda t: (t.mean_b >= -3) & (t.source == "skimage")),
        ("not (mean_b > 5 or content == 'cat')", lambda t: ~((t.mean_b > 5) | (t.content == "cat"))),
        ("not mean_b > 5 and source != 'skimage'", lambda t: ~(t.mean_b > 5) & (t.source != "skimage")),
        ("content not in ('cat', 'cup')", lambda t: ~t.content.isin(["cat", "cup"])),
        ("\n  0 < mean_b <= 7\n", lambda t: (t.mean_b > 0) & (t.mean_b <= 7)),
    ],
)
def test_a_condition_selects_where_it_is_true(rows, condition, mask):
    assert chosen(rows, where=condition) == sorted(rows.id[mask(rows)])


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"highest": "mean_bb", "share": 0.5}, r"\.highest: 'mean_bb' is unknown, did you mean 'mean_b'\?"),
        ({"highest": "content", "share": 0.5}, r"\.highest: 'content' is no column of numbers"),
        ({"source": "gcompis"}, r"\.source: 'gcompis' is unknown, did you mean 'gcompris'\?"),
        ({"where": "mean_b > 1000"}, ": admits none of 6 training photographs"),
        ({"where": "mean_b > 3 and sorce == 'skimage'"}, r"\.where: 'sorce' is unknown, did you mean 'source'\?"),
        *(({"where": no}, r"\.where: .* is no condition") for no in ("mean_b", "3 < 4", "'cat'", "x = mean_b > 3")),
        *(({"where": no}, r"\.where: .* can't be read") for no in ("mean_b >", "", "\0", "mean_b > 3) or (mean_b < 5")),
        *(({"where": no}, r"\.where: .* compares what") for no in ("source > 5", "mean_b > 'cat'", "not mean_b")),
    ],
)
def test_what_cannot_be_selected_by_is_an_error_that_names_the_key(rows, wish, message):
    with pytest.raises(StudyError, match=f"^{KEY}{message}"):
        chosen(rows, **wish)


def test_the_seed_decides_which_are_drawn_and_nothing_else_does(many):
    first = chosen(many, per_source=50)
    assert first == chosen(many.sample(frac=1, random_state=0), per_source=50)
    assert len(set(first) & set(chosen(many, seed=2, per_source=50))) < 50
    assert set(first) < set(chosen(many, per_source=60))
    others = many[~many.id.isin(first)].iloc[::2]
    assert chosen(many.drop(others.index), per_source=50) == first  # photographs not drawn have no say
    assert dict(select(many, Selection(per_source=250), 1, KEY).source.value_counts()) == {"faces": 250, "places": 200}


def grey_distance(rows: pd.DataFrame) -> float:
    """Length of the mean over sources of their mean (a*, b*)."""
    means = [(group.mean_a.mean(), group.mean_b.mean()) for _, group in rows.groupby("source")]
    return float(np.linalg.norm(np.mean(means, axis=0)))


@pytest.mark.parametrize("radius", [7.0, 5.0, 3.0])
def test_colour_is_brought_within_its_radius_of_grey_and_not_much_farther(many, radius):
    assert 8 < grey_distance(many) < 10
    rows = select(many, Selection(grey_radius=radius), 1, KEY)
    assert radius - 0.2 < grey_distance(rows) <= radius
    strong = many.id[many.mean_b > many.mean_b.quantile(0.9)]  # become rarer, but do not disappear
    assert 0.05 < strong.isin(rows.id).mean() < len(rows) / len(many)
    assert chosen(many, grey_radius=10) == list(many.id)  # near enough before


def test_which_photographs_are_dropped_hangs_on_the_seed_not_on_their_order(many):
    first = chosen(many, grey_radius=4)
    assert first == chosen(many[::-1], grey_radius=4)
    assert first != chosen(many, seed=2, grey_radius=4)
    drawn = chosen(many, per_source=100)  # the draw comes before the colours
    assert set(chosen(many, per_source=100, grey_radius=4)) < set(drawn)


def test_a_colour_that_cannot_become_grey_is_an_error(many):
    yellow = many[many.mean_b > 15]
    for rows in (yellow, yellow[:1]):
        with pytest.raises(StudyError, match=rf"{KEY}\.grey_radius: the mean colour stays \d+\.\d from grey, farther"):
            chosen(rows, grey_radius=3)


def test_the_table_counts_photographs_of_each_source_and_their_distance_from_grey(rows):
    table = selection_table({"all": rows.assign(mean_a=0.0), "cups": rows[rows.content == "cup"].assign(mean_a=3.0)}, 1)
    assert list(table.selection) == ["all", "cups"]
    assert list(table.photographs) == [6, 1]
    assert list(table["of each source"]) == ["gcompris 2, lomiri 1, skimage 3", "skimage 1"]
    assert table["distance from grey"][1] == "7.6 [7.6, 7.6]"  # one photograph, of (3, 7)


def test_the_interval_is_that_of_a_bootstrap_within_sources(many):
    """Against SciPy's, which draws a* and b* apart: they are independent here."""
    cell = selection_table({"all": many}, 1)["distance from grey"][0]
    value, low, high = (float(part.strip("[],")) for part in cell.split())
    groups = [group[["mean_a", "mean_b"]].to_numpy() for _, group in many.groupby("source")]

    def distance(faces_a, faces_b, places_a, places_b, axis=-1):
        return np.hypot(faces_a.mean(axis) + places_a.mean(axis), faces_b.mean(axis) + places_b.mean(axis)) / 2

    channels = [channel for group in groups for channel in group.T]
    expected = stats.bootstrap(channels, distance, method="percentile", n_resamples=2000, rng=0).confidence_interval
    assert value == pytest.approx(grey_distance(many), abs=0.05)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.15)


def test_the_profile_s_selections_choose_among_usable_training_photographs(study, rows):
    rows = rows.assign(contrast=[30, 30, 30, 30, 30, 5], split=[*4 * ["train"], "test", "train"], excluded="")
    rows.loc[1, "excluded"] = "damaged"
    selections = {name: list(chosen.id) for name, chosen in choose(study, rows).items()}
    kitten, hill, astronaut = "a-posing-kitten", "aitzgorri", "astronaut"
    assert selections == {"curated": [kitten, hill, astronaut], "biased": [hill], "mirflickr": [kitten]}
    mine = study.profile.model_copy(update={"selections": {"mine": Selection(where="contrst > 3")}})
    with pytest.raises(StudyError, match=r"^profiles\.sample\.selections\.mine\.where: 'contrst' is unknown"):
        choose(replace(study, profile=mine), rows)
