"""What FID and KID are computed from, and when they are refused."""

import numpy as np
import pytest

from srstudy import StudyError
from srstudy.judge import distributions
from srstudy.judge.distributions import Moments, fid, kid, moments, network


def of(vectors: np.ndarray) -> Moments:
    found = Moments()
    found.add(vectors)
    return found


@pytest.fixture
def normal() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4096, 8)).astype(np.float32)


def test_fid_needs_2048_samples_and_says_so(normal):
    assert fid(of(normal[:2048]), of(normal[2048:] + 2)) == pytest.approx(8 * 4, rel=0.05)
    for few in (1, 2047):
        with pytest.raises(
            StudyError, match=f"FID: of {few:,} samples it would tell their number more than the images"
        ):
            fid(of(normal), of(normal[:few]))


def test_kid_of_one_distribution_is_0_within_its_spread_and_of_two_is_not(normal):
    same, spread = kid(of(normal[:2048]), of(normal[2048:]))
    far, _ = kid(of(normal[:2048]), of(normal[2048:] + 1))
    assert 0 < spread < 0.1
    assert abs(same) < spread < far
    with pytest.raises(StudyError, match="KID: 3 samples are too few; give at least 4"):
        kid(of(normal[:3]), of(normal))


def test_samples_are_patches_side_by_side_or_whole_images_of_any_size(photo):
    seen = []

    def vectors(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return images.mean(axis=(1, 2))

    images = [photo[:70, :97], photo[:70, :97], photo[:33, :32]]
    assert moments(images, vectors).count == 3
    assert [batch.shape for batch in seen] == [(2, 70, 97, 3), (1, 33, 32, 3)]
    seen.clear()
    assert moments(images, vectors, 32).count == 2 * 2 * 3 + 1
    np.testing.assert_array_equal(np.concatenate(seen)[5], photo[32:64, 64:96])
    for wrong, size in ((8, "97x70"), (34, "32x33")):
        with pytest.raises(StudyError, match=f"patches of {wrong} px of {size} px; a sample has 16 px a side or more"):
            moments(images, vectors, wrong)
    with pytest.raises(StudyError, match="the whole of 15x20 px; a sample has 16 px"):
        moments([photo[:20, :15]], vectors)


def test_every_vector_of_a_stream_has_the_same_chance_to_be_kept(monkeypatch):
    monkeypatch.setattr(distributions, "KEPT", 100)
    kept = []
    for seed in range(50):
        found = Moments(seed)
        for start in range(0, 1000, 32):
            found.add(np.arange(start, min(start + 32, 1000), dtype=np.float32)[:, None])
        kept.append(found.sample)
    assert np.mean(kept) == pytest.approx(499.5, abs=4 * 289 / np.sqrt(5000))
    assert len(np.unique(kept[0])) == 100


def test_the_embedded_network_tells_a_blurred_photograph_from_a_sharp_one(photo):
    vectors = network("hed-vgg16")
    left, right = moments([photo[:, :256]], vectors, 64), moments([photo[:, 256:]], vectors, 64)
    assert left.mean.shape == (512,)
    coarse = np.kron(photo[::8, :256:8], np.ones((8, 8, 1), np.uint8))
    assert kid(left, moments([coarse], vectors, 64))[0] > kid(left, right)[0]


def test_a_network_that_can_t_be_had_is_named(tmp_path):
    with pytest.raises(
        StudyError, match="network 'vgg': unknown to FID and KID; choose one of hed-vgg16, inception-2015"
    ):
        network("vgg")
    with pytest.raises(StudyError, match=r"none\.h5: no such file of weights"):
        network("inception-keras", tmp_path / "none.h5")
    wrong = tmp_path / "wrong.weights.h5"
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(wrong)
    with pytest.raises(StudyError, match=r"wrong\.weights\.h5: not the weights of inception-keras; give those\.$"):
        network("inception-keras", wrong)
