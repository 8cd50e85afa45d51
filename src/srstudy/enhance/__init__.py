"""Photographs and clips, enlarged four times, with a record of what was done. Needs no TensorFlow.

command     the shell's words                      models      names -> an ONNX file and its card
work        one file and its record                record      JSON, and a page to print
original    any photograph, read in rows           clip        any clip, in segments
photo       its enlargement, in strips             bar         how far it is
tiles       tiled is equal to whole                writing     segments -> a clip with its sound
steps       denoising, blend, CLAHE, mark          metadata    what is kept of EXIF and XMP
engine      the network                            signing     content credentials
looks       aliased? heavily compressed?           verify      a record, derived again
export      Keras -> what `engine` runs, by TensorFlow
"""

import os
import sys

# Both runtimes report home: OpenVINO by this package, when it is imported; ONNX Runtime on Linux from 1.29 on.
sys.modules.setdefault("openvino_telemetry", None)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# oneDNN, inside OpenVINO, keeps the code that it made for each size of picture: 1.5 MB of each, for ever.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "0")

# Endings of clips; a file of another one is a clip if it is no photograph.
CLIPS = {
    ".3gp", ".264", ".265", ".asf", ".avi", ".dav", ".dv", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg",
    ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".vob", ".webm", ".wmv",
}  # fmt: skip
