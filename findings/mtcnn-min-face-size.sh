#!/usr/bin/env bash
# Title: mtcnn finds no face at all, not even a large one, when min_face_size is raised from 24 to 26.
#
# Versions: mtcnn 1.0.0, TensorFlow 2.21.0, NumPy 2.2.6, scikit-image 0.25.2, Python 3.10 to 3.12.
#
# Behaviour: on a photograph with one face of about 84x109 pixels, detect_faces(image, min_face_size=k) returns that
# face for k = 10, 20 and 24, and an empty list for k = 26, 30, 40, 60 and 80. Nothing is raised and nothing is warned
# of. The first network takes windows of 12x12 pixels. The number of levels of the image pyramid does not follow from
# min_face_size, so the smallest level falls below 12 pixels a side from 26 on; the error that this makes inside is taken
# for "no faces".
#
# Why a good guess is wrong: min_face_size is the side below which faces are not looked for. Who raises it to 40, to save
# time on faces that are larger than that anyway, expects the same large faces, sooner. They get none, which looks like
# a photograph without people: a count of detections before and after an enhancement is then 0 of 0.
#
# Output seen (min_face_size: faces found):
#   10: 1
#   20: 1
#   24: 1
#   26: 0
#   40: 0
#   80: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check mtcnn==1.0.0 joblib==1.5.3 lz4==4.4.5 \
  opencv-python-headless==4.14.0.94 tensorflow==2.21.0 numpy==2.2.6 scikit-image==0.25.2
TF_CPP_MIN_LOG_LEVEL=3 "$python" - 2>"$folder/log" <<'PYTHON' || { tail -3 "$folder/log" >&2; exit 1; }
import sys

from mtcnn import MTCNN
from skimage.data import astronaut

detector, expected = MTCNN(), {10: 1, 20: 1, 24: 1, 26: 0, 40: 0, 80: 0}
found = {size: len(detector.detect_faces(astronaut(), min_face_size=size)) for size in expected}
for size, count in found.items():
    print(f"{size}: {count}")
sys.exit(0 if found == expected else "the behaviour has changed")
PYTHON
