"""The ways of making a picture small, against each other and against bicubic reduction."""

import numpy as np
import pandas as pd

from srstudy.degrade.bicubic import downscale, upscale
from srstudy.judge.evaluate import Method
from srstudy.judge.metrics import Picture, measures
from srstudy.judge.ways import WAYS, beside_bicubic, measured


def test_there_are_twelve_ways_and_each_makes_another_quarter(photo):
    hr = photo[:96, :128]
    made = {way: make(hr) for way, make in WAYS.items()}
    assert len({lr.tobytes() for lr in made.values()}) == len(WAYS) == 12
    assert all((lr.shape, lr.dtype) == ((24, 32, 3), np.uint8) for lr in made.values())
    np.testing.assert_array_equal(made["MATLAB, bicubic"], downscale(hr))
    stored = [made[f"bicubic, JPEG {quality}"] for quality in (95, 75, 50, 30)]
    errors = [np.abs(lr.astype(int) - downscale(hr)).mean() for lr in stored]
    assert errors == sorted(errors)


def test_a_method_and_bicubic_get_the_same_small_picture(photo):
    seen = []
    copy = Method("copy", "", "", lambda lr: (seen.append(lr), upscale(lr))[1])
    table = measured({"one": photo[:96, :128]}, [copy])
    assert [way for way, _ in table.groupby("way", sort=False)] == list(WAYS)
    for (_, part), make, lr in zip(table.groupby("way", sort=False), WAYS.values(), seen, strict=True):
        np.testing.assert_array_equal(lr, make(photo[:96, :128]))
        assert part.psnr_y.nunique() == part.perceptual.nunique() == 1
        figures = measures(Picture(photo[:96, :128]), Picture(upscale(lr)))
        assert abs(part.psnr_y.iloc[0] - figures["psnr_y"]) < 1e-9


def test_what_is_not_better_than_bicubic_is_said_to_be_worse():
    rows = [("a", "bicubic", 26.0, 0.5), ("a", "x", 26.1, 0.4), ("b", "bicubic", 26.0, 0.5), ("b", "x", 25.99, 0.4)]
    said = beside_bicubic(pd.DataFrame(rows, columns=["way", "run", "psnr_y", "perceptual"]), "x")
    assert list(said["it is"]) == ["better", "worse by PSNR"]
