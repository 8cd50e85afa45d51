#!/usr/bin/env bash
# Title: OpenVINO keeps memory for each input shape that it has seen, also after everything of that shape is deleted.
#
# Versions: OpenVINO 2026.4.1 (CPU), psutil 7.1.3, NumPy 2.4.6, Python 3.11, on x86-64.
#
# Behaviour: a network of convolutions is compiled for an input, asked once and deleted, with its request and results;
# then the same for an input that is one pixel wider, and so on. After the first few, each new width adds a fifth of a
# megabyte or more to the process, for good: neither `del` and `gc.collect()` nor glibc's `malloc_trim` gives it back. One
# compiled network of dynamic shape, asked for pictures of many sizes, grows alike. The same width again costs nothing.
# With ONEDNN_PRIMITIVE_CACHE_CAPACITY=0 in the environment before the import, the growth is gone.
#
# Why a good guess is wrong: who compiles a network for each size of picture deletes it to be rid of it, and who tests
# that for a leak does so with one picture again and again, which is flat. The memory belongs to a cache of oneDNN's,
# for the whole process, of up to 1,024 kernels and their weights in their own order; OpenVINO's cache for compiled
# models (CACHE_DIR), of which its documentation speaks, is another one and off. So a folder of photographs, no two of
# one size, grows by hundreds of megabytes: set the variable, or cut pictures into tiles of few sizes.
#
# Output seen (kilobytes for each new width, 40 widths after the first 10):
#   compiled anew for each width, then deleted: 221
#   the same width each time: -1
#   one network of dynamic shape: 309
#   compiled anew for each width, ONEDNN_PRIMITIVE_CACHE_CAPACITY=0: 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check openvino==2026.4.1 psutil==7.1.3 numpy==2.4.6
cd "$folder"
cat >grow.py <<'PYTHON'
import gc
import sys

import numpy as np
import openvino
import psutil
from openvino import opset13 as ops

how, core, random = sys.argv[1], openvino.Core(), np.random.default_rng(0)
picture = ops.parameter([1, 3, -1, -1], np.float32)
layer, channels = picture, 3
for _ in range(8):
    kernel = ops.constant(random.normal(0, 0.05, (32, channels, 3, 3)).astype(np.float32))
    layer, channels = ops.relu(ops.convolution(layer, kernel, [1, 1], [1, 1], [1, 1], [1, 1])), 32
model = openvino.Model([layer], [picture])
fixed, seen = core.compile_model(model, "CPU") if how == "dynamic" else None, []
for step in range(50):
    width = 64 if how == "same" else 64 + step
    if how == "dynamic":
        fixed([np.zeros((1, 3, 48, width), np.float32)])
    else:
        own = model.clone()
        own.reshape([1, 3, 48, width])
        compiled = core.compile_model(own, "CPU")
        compiled([np.zeros((1, 3, 48, width), np.float32)])
        del own, compiled
    gc.collect()
    seen.append(psutil.Process().memory_info().rss)
print(round((seen[-1] - seen[9]) / 40 / 1000))
PYTHON
anew=$("$python" grow.py anew)
same=$("$python" grow.py same)
dynamic=$("$python" grow.py dynamic)
off=$(ONEDNN_PRIMITIVE_CACHE_CAPACITY=0 "$python" grow.py anew)
echo "kilobytes for each new width, 40 widths after the first 10"
echo "compiled anew for each width, then deleted: $anew"
echo "the same width each time: $same"
echo "one network of dynamic shape: $dynamic"
echo "compiled anew for each width, ONEDNN_PRIMITIVE_CACHE_CAPACITY=0: $off"
[ "$anew" -gt 100 ] && [ "$dynamic" -gt 100 ] && [ "$same" -lt 60 ] && [ "$off" -lt 50 ] ||
  { echo "the behaviour has changed" >&2; exit 1; }
