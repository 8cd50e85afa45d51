#!/usr/bin/env bash
# Title: TensorFlow on a CPU leaves oneDNN for the gradients of a convolution whose padding is given in numbers.
#
# Versions: TensorFlow 2.21.0 with its oneDNN 3.7.3, NumPy 2.2.6, Python 3.10 to 3.12; x86-64 processors, on which
# TensorFlow has oneDNN. TF_ENABLE_ONEDNN_OPTS=1, the default on newer ones.
#
# Behaviour: tf.nn.conv2d with padding=[[0, 0], [4, 4], [4, 4], [0, 0]] is computed forward by oneDNN. Its gradients to
# the image and to the kernel are not: oneDNN's own record has no backward convolution, only matrix products, with
# which TensorFlow's older code makes the gradients. The same convolution as padding="SAME", or as tf.pad and
# padding="VALID", runs as oneDNN convolutions in all three directions. The results are equal to float32's rounding.
#
# Why a good guess is wrong: padding in numbers is the native argument for this, and one expects it to be the faster
# way, without a padded copy. Whoever checks that the forward pass is by oneDNN takes it that the training step is too.
# Nothing is warned of. Who pads by numbers, as to match PyTorch's padding=1 at stride 2, where "SAME" pads
# otherwise, trains without oneDNN for two thirds of the work: pad with tf.pad and convolve "VALID".
#
# Output seen (directions in which oneDNN ran a convolution):
#   explicit: forward_training
#   pad-valid: backward_data backward_weights forward_training
#   same: backward_data backward_weights forward_training
#   largest relative difference of output and gradients: below 1e-5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check tensorflow==2.21.0 numpy==2.2.6
cd "$folder"
cat > step.py <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf

BORDER = [[0, 0], [4, 4], [4, 4], [0, 0]]
convolutions = {
    "explicit": lambda image, kernel: tf.nn.conv2d(image, kernel, 1, padding=BORDER),
    "pad-valid": lambda image, kernel: tf.nn.conv2d(tf.pad(image, BORDER), kernel, 1, padding="VALID"),
    "same": lambda image, kernel: tf.nn.conv2d(image, kernel, 1, padding="SAME"),
}
normal = tf.random.Generator.from_seed(0).normal
image, kernel = normal([1, 24, 24, 16]), normal([9, 9, 16, 16])


@tf.function
def step(image, kernel):
    with tf.GradientTape() as tape:
        tape.watch([image, kernel])
        output = convolutions[sys.argv[1]](image, kernel)
        loss = tf.reduce_mean(output**2)
    return output, *tape.gradient(loss, [image, kernel])


np.savez(f"{sys.argv[1]}.npz", *step(image, kernel))
PYTHON
for name in explicit pad-valid same; do
  ONEDNN_VERBOSE=1 TF_ENABLE_ONEDNN_OPTS=1 TF_CPP_MIN_LOG_LEVEL=3 "$python" step.py "$name" > "$name.log" 2> "$name.err" ||
    { tail -3 "$name.err" >&2; exit 1; }
  directions=$(sed -n 's/.*,exec,cpu,convolution,[^,]*,\([a-z_]*\),.*/\1/p' "$name.log" | sort -u | paste -sd ' ' -)
  echo "$name: $directions" | tee -a found
done
"$python" - <<'PYTHON'
import sys

import numpy as np

explicit, *others = (list(np.load(f"{name}.npz").values()) for name in ("explicit", "pad-valid", "same"))
pairs = [pair for other in others for pair in zip(explicit, other, strict=True)]
largest = max(np.abs(a - b).max() / np.abs(a).max() for a, b in pairs)
word = "below" if largest < 1e-5 else "above"
print(f"largest relative difference of output and gradients: {word} 1e-5")
every = "backward_data backward_weights forward_training"
expected = f"explicit: forward_training\npad-valid: {every}\nsame: {every}\n"
sys.exit(0 if open("found").read() == expected and word == "below" else "the behaviour has changed")
PYTHON
