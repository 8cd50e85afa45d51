"""Boxes made by hand: which are the same, how many are kept and added, how sure that is, and what follows for C7."""

import numpy as np
import pandas as pd
import pytest

from srstudy.judge.detections import count, overall, overlaps, summary, verdicts

BOX = (10, 10, 50, 90)  # 40 x 80 px


def counts(*, frames=16, detector="persons", **methods):
    """A table of counts of two clips; of each method, a function of clip and frame gives boxes, kept and added."""
    places = [(clip, frame, name) for clip in ("street", "hall") for frame in range(frames) for name in methods]
    rows = [(clip, frame, detector, "cctv", name, *methods[name](clip, frame)) for clip, frame, name in places]
    return pd.DataFrame(rows, columns=["clip", "frame", "detector", "lr", "method", "boxes", "kept", "added"])


def test_overlap_is_intersection_over_union_as_pixels_counted_one_by_one_give_it():
    boxes = np.array([BOX, (30, 10, 70, 90), (10, 50, 50, 130), (200, 0, 210, 10), (12, 15, 48, 80)])
    masks = np.zeros((len(boxes), 140, 220), dtype=bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes):
        mask[top:bottom, left:right] = True
    shared, union = (how(masks[:, None], masks).sum(axis=(2, 3)) for how in (np.logical_and, np.logical_or))
    np.testing.assert_allclose(overlaps(boxes, boxes), shared / union)
    assert overlaps([(5, 5, 5, 5)], [(5, 5, 5, 5)]) == 0  # a box without an area is like nothing


@pytest.mark.parametrize(
    ("found", "kept", "added"),
    [
        ([], 0, 0),
        ([BOX], 1, 0),
        ([BOX, BOX], 1, 1),  # two boxes on one person
        ([(10, 10, 50, 50)], 1, 0),  # IoU 0.5
        ([(10, 10, 50, 49)], 0, 1),
        ([(300, 10, 340, 90), (310, 10, 350, 90)], 0, 2),
    ],
)
def test_a_box_is_kept_when_one_found_overlaps_it_by_half_and_every_other_is_added(found, kept, added):
    assert count([BOX], found) == {"boxes": 1, "kept": kept, "added": added}
    assert count([], found) == {"boxes": 0, "kept": 0, "added": len(found)}


def test_as_many_boxes_are_kept_as_can_be_even_if_the_best_pair_is_not_among_them():
    """The first box found is most like the second of the reference, which is all that the second one found is like."""
    reference, found = [(0, 0, 100, 100), (40, 0, 140, 100)], [(30, 0, 130, 100), (60, 0, 160, 100)]
    assert (overlaps(reference, found) >= 0.5).tolist() == [[True, False], [True, True]]
    assert overlaps(reference, found)[1].argmax() == 0
    assert count(reference, found) == {"boxes": 2, "kept": 2, "added": 0}


def test_figures_of_a_summary_are_those_of_the_sums_and_equal_frames_leave_no_doubt():
    table = summary(counts(bicubic=lambda *_: (4, 2, 1), ours=lambda *_: (4, 3, 0)), seed=1).set_index("method")
    assert table.loc["ours", ["boxes", "kept", "added"]].tolist() == [128, 96, 0]
    assert table.loc["bicubic", "recall"] == (0.5, 0.5, 0.5)
    assert table.loc["bicubic", "precision"].value == pytest.approx(2 / 3)
    assert table.loc["bicubic", "recall_change"] == (0, 0, 0)
    assert (table.loc["ours", "recall_change"], table.loc["ours", "added_change"]) == ((0.25,) * 3, (-1,) * 3)


@pytest.mark.parametrize(
    ("added", "width"),
    [
        (lambda clip, frame: frame // 4 % 2, 0.5),  # 16 blocks, not 64 frames: a standard error of 1/8, not 1/16
        (lambda clip, frame: int(clip == "hall"), 1.0),  # a quarter of the draws are that clip alone
    ],
)
def test_frames_of_a_block_count_as_one_and_clips_that_differ_widen_an_interval(added, width):
    table = summary(counts(frames=32, bicubic=lambda *at: (1, 1, added(*at))), seed=1)
    value, low, high = table.added_per_frame[0]
    assert value == 0.5
    assert high - low == pytest.approx(width, abs=0.1)


def test_a_clip_without_boxes_leaves_recall_to_the_others_and_counts_what_is_added_in_it():
    def of(kept, added):
        return lambda clip, _: (2, kept, 0) if clip == "street" else (0, 0, added)

    ours = summary(counts(bicubic=of(1, 0), ours=of(2, 1)), seed=1).set_index("method").loc["ours"]
    assert (ours.recall, ours.recall_change) == ((1, 1, 1), (0.5, 0.5, 0.5))
    assert ours.added_per_frame == (0.5, 0, 1)
    nothing = summary(counts(bicubic=lambda *_: (0, 0, 1)), seed=1).iloc[0]
    assert np.isnan(nothing.recall).all()
    assert nothing.precision == (0, 0, 0)


SAME, MORE, FEWER, NEW = (4, 2, 1), (4, 3, 1), (4, 1, 1), (4, 3, 2)


@pytest.mark.parametrize(
    ("psnr", "gan", "expected"),
    [
        (MORE, FEWER, "supported"),  # one model is enough
        (NEW, FEWER, "contradicted"),  # one invents, the other loses
        (NEW, SAME, "cannot tell"),
        ((4, 4, 0), NEW, "supported"),
        (SAME, SAME, "cannot tell"),
    ],
)
def test_c7_wants_more_boxes_kept_and_no_more_added(psnr, gan, expected):
    table = summary(counts(bicubic=lambda *_: SAME, psnr=lambda *_: psnr, gan=lambda *_: gan), seed=1)
    assert verdicts(table, ["psnr", "gan"]).to_numpy().tolist() == [["persons", "cctv", expected]]


def test_what_one_clip_alone_shows_is_not_sure_and_no_boxes_decide_nothing():
    unsure = counts(bicubic=lambda *_: SAME, psnr=lambda clip, _: MORE if clip == "hall" else SAME)
    empty = counts(bicubic=lambda *_: (0, 0, 0), psnr=lambda *_: (0, 0, 0), detector="faces")
    found = verdicts(summary(pd.concat([unsure, empty]), seed=1), ["psnr"])
    assert found.verdict.tolist() == ["cannot tell", "cannot tell"]


def test_one_verdict_of_many_is_what_all_say_or_mixed_where_two_disagree():
    yes, no, unsure = "supported", "contradicted", "cannot tell"
    found = [overall(said) for said in ([yes, yes], [no], [yes, unsure], [no, unsure], [yes, unsure, no])]
    assert found == [yes, no, unsure, unsure, "mixed"]
