"""Judging a generator while it is trained, on a handful of photographs."""

from collections.abc import Mapping
from itertools import combinations

import keras
import numpy as np

from srstudy.degrade.camera import lr_for_scoring
from srstudy.judge.distance import Distance
from srstudy.judge.metrics import Picture, colour_shift, psnr, ratio
from srstudy.networks.enhance import Enhancer
from srstudy.settings import Camera


class Validation:
    """Judges a generator as it is on fixed photographs: call it with the weights, get figures and SR images."""

    def __init__(
        self, photos: Mapping[str, np.ndarray], generator: keras.Model, statistics: str,
        camera: Camera | None = None, seed: int = 0,
    ):  # fmt: skip
        """`photos`: HR uint8 [H, W, 3] by name; `generator`: one of the same architecture, which is not changed.

        LR is bicubic, or made by a `camera` from `seed`.
        """
        self.photos, self._distance = dict(photos), Distance()
        self.identity = (*photos, statistics, camera, seed)  # names what decides its figures
        self._lrs = {name: lr_for_scoring(name, hr, camera, seed) for name, hr in photos.items()}
        self._hrs = {name: (Picture(hr), self._distance.features(hr)) for name, hr in photos.items()}
        self._enhance = Enhancer(keras.models.clone_model(generator), statistics)

    def __call__(self, weights: list[np.ndarray]) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Means over the photographs, and SR uint8 by name.

        `diversity` is how different SR images are from each other, relative to HR: near 0, the output has collapsed.
        """
        self._enhance.generator.set_weights(weights)
        srs, rows = {name: self._enhance(lr) for name, lr in self._lrs.items()}, []
        for name, (hr, features) in self._hrs.items():
            sr = Picture(srs[name])
            shifts, far = colour_shift(hr.lab, sr.lab), self._distance.between(features, srs[name])
            rows.append((psnr(hr.luma, sr.luma), *shifts, far))
        means = (float(np.mean(column)) for column in zip(*rows))
        figures = dict(zip(("psnr_y", "shift_a", "shift_b", "perceptual"), means))
        return {**figures, "diversity": ratio(_spread(srs), _spread(self.photos))}, srs


def _spread(images: Mapping[str, np.ndarray]) -> float:
    """How different images are from each other: mean difference in 8-bit levels, or the contrast of a single one."""
    side = min(min(image.shape[:2]) for image in images.values())
    squares = [image[:side:4, :side:4].astype(float) for image in images.values()]
    return float(np.mean([np.abs(a - b).mean() for a, b in combinations(squares, 2)] or [squares[0].std()]))
