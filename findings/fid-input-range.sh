#!/usr/bin/env bash
# Title: pytorch-fid and torch-fidelity feed the same Inception weights with different inputs, even without resizing.
#
# Versions: pytorch-fid 0.3.0, torch-fidelity 0.4.0, PyTorch 2.13.0, torchvision 0.28.0, NumPy 2.2.6, SciPy 1.15.3,
# Python 3.10 to 3.12.
#
# Behaviour: both packages download the same weights (of one hash, 6726825d) for the Inception network of 2015. On an
# 8-bit image of 299x299 pixels, which neither resizes, torch-fidelity computes (x - 128) / 128, as the graph of 2015
# does, so white is 0.992; pytorch-fid computes 2 x / 255 - 1, so white is 1. With equal weights (random ones here) the
# 2,048 features of one image then differ. Where pytorch-fid's input is first multiplied by 255/256, they are equal.
#
# Why a good guess is wrong: pytorch-fid's page says that weights and model are exactly the same as in the first FID, and
# that small differences come from the resizing and the libraries. So at 299 pixels, or after one's own resizing to 299,
# one expects equal features. Features saved with the one package are none to compare with those of the other, and an
# FID of the one is no baseline for the other. Compute both sides of a comparison with one package and name it.
#
# Output seen:
#   weights: pt_inception-2015-12-05-6726825d.pth, weights-inception-2015-12-05-6726825d.pth
#   first convolution gets for 0, 128, 255, pytorch-fid: -1.0000 0.0039 1.0000
#   first convolution gets for 0, 128, 255, torch-fidelity: -1.0000 0.0000 0.9922
#   relative difference of the features: above 1e-3
#   the same with pytorch-fid's input times 255/256: below 1e-4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 pytorch-fid==0.3.0 \
  torch-fidelity==0.4.0 numpy==2.2.6 scipy==1.15.3
cd "$folder"
"$python" - <<'PYTHON'
import sys

import torch

# torchvision's compiled operators don't load beside a build of PyTorch for CPUs alone, and importing it then needs the
# names of two. Both packages use only its Inception layers, which are plain PyTorch.
try:
    import torchvision
except RuntimeError:
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from pytorch_fid import inception as pytorch_fid
from torch_fidelity import feature_extractor_inceptionv3 as torch_fidelity

torch.manual_seed(0)
state = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False).state_dict()
torch.save(state, "weights.pth")
pytorch_fid.load_state_dict_from_url = lambda *_, **__: state  # in place of the download
first = pytorch_fid.InceptionV3().eval()
second = torch_fidelity.FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path="weights.pth")

received = {}
for name, layer in {"pytorch-fid": first.blocks[0][0], "torch-fidelity": second.Conv2d_1a_3x3}.items():
    layer.register_forward_pre_hook(
        lambda _, inputs, name=name: received.update({name: inputs[0][0, 0, 0, :3].tolist()})
    )
images = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8)
images[:, :, 0, :3] = torch.tensor([0, 128, 255], dtype=torch.uint8)


def difference(floats: torch.Tensor) -> float:  # of the features of both; pytorch-fid takes values in [0, 1]
    features, others = first(floats)[0].flatten(1), second(images)[0]
    return float((features - others).norm() / others.norm())


scaled = difference(images / 255 * (255 / 256))
plain = difference(images / 255)
weights = [url.rsplit("/", 1)[1] for url in (pytorch_fid.FID_WEIGHTS_URL, torch_fidelity.URL_INCEPTION_V3)]
print("weights:", ", ".join(weights))
for name, values in received.items():
    print(f"first convolution gets for 0, 128, 255, {name}:", *(f"{value:.4f}" for value in values))
print("relative difference of the features:", "above 1e-3" if plain > 1e-3 else "below 1e-3")
print("the same with pytorch-fid's input times 255/256:", "below 1e-4" if scaled < 1e-4 else "above 1e-4")
expected = {"pytorch-fid": [-1, 128 / 127.5 - 1, 1], "torch-fidelity": [-1, 0, 127 / 128]}
as_seen = (
    all(url.endswith("6726825d.pth") for url in weights)
    and all(abs(a - b) < 1e-6 for name in expected for a, b in zip(received[name], expected[name], strict=True))
    and plain > 1e-3
    and scaled < 1e-4
)
sys.exit(0 if as_seen else "the behaviour has changed")
PYTHON
