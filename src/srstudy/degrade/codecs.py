"""What storing a picture does to it: real encoders, JPEG by Pillow and H.264 by PyAV's libx264.

Both work on one thread and on whole numbers, x264 alike on every processor, so equal pictures give equal bytes on any
machine, for a given version of the encoders. FFmpeg's own conversion of colours is not used: what it gives may differ
between processors.
"""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from PIL import Image
from skimage.color import ycbcr2rgb

from srstudy.errors import StudyError

# Luma, blue and red of ITU-R BT.601 as video has it, in 255,000ths of a level for each level of R, G and B.
BT_601 = np.array([[65_481, 128_553, 24_966], [-37_797, -74_203, 112_000], [112_000, -93_786, -18_214]])


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after JPEG of a quality from 1 to 100, colours at half resolution: uint8 [H, W, 3] -> [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as decoded:
        return np.asarray(decoded.convert("RGB"))


def h264(image: np.ndarray, quantiser: int) -> np.ndarray:
    """The image after H.264 as a frame that is coded by itself: uint8 [H, W, 3], sides even -> the same shape.

    `quantiser` is x264's constant one, from 0 (finest) to 51: unlike a rate, it asks nothing of the rest of the frame
    that a crop was cut from. A frame coded as the change of one before it costs more and looked much the same.
    Raises StudyError if this PyAV has no libx264, ValueError if a side is odd.
    """
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"{height}x{width}: H.264 halves the resolution of colours, so both sides must be even")
    encoder, decoder = _encoder(height, width, quantiser), av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = [packet for frame in (_to_yuv(image), None) for packet in encoder.encode(frame)]
    [decoded] = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    return _to_rgb(decoded)


def _encoder(height: int, width: int, quantiser: int) -> av.VideoCodecContext:
    try:
        encoder = av.CodecContext.create("libx264", "w")
    except av.codec.codec.UnknownCodecError:
        raise StudyError("PyAV: built without libx264; install the `av` package of requirements.lock.") from None
    encoder.height, encoder.width, encoder.pix_fmt = height, width, "yuv420p"
    encoder.time_base = Fraction(1, 10)  # it must have one
    encoder.thread_count = 1
    # ipratio: by default such a frame gets a finer quantiser than the one asked for. cpu-independent: by default what
    # the encoder decides differs between processors.
    exact = "ipratio=1:cpu-independent=1"
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "qp": str(quantiser), "x264-params": exact}
    return encoder


def _to_yuv(image: np.ndarray) -> av.VideoFrame:
    """Colours as means of 2 by 2 pixels. In whole numbers, for luma may lie just between two levels."""
    height, width = image.shape[:2]
    pixels = image.astype(int)
    blocks = pixels.reshape(height // 2, 2, width // 2, 2, 3).sum(axis=(1, 3))
    luma = 16 + (pixels @ BT_601[0] + 127_500) // 255_000
    blue, red = (128 + (blocks @ weights + 510_000) // 1_020_000 for weights in BT_601[1:])
    levels = np.concatenate([luma.ravel(), blue.ravel(), red.ravel()])
    return av.VideoFrame.from_ndarray(levels.astype(np.uint8).reshape(-1, width), format="yuv420p")


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    size, half = (frame.width, frame.height), (frame.width // 2, frame.height // 2)
    luma, *chroma = np.split(frame.to_ndarray().ravel(), np.cumsum([size[0] * size[1], half[0] * half[1]]))
    small = [Image.fromarray(plane.reshape(half[::-1])) for plane in chroma]
    large = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in small]
    colours = np.stack([luma.reshape(size[::-1]), *large], axis=-1)
    return np.floor(255 * ycbcr2rgb(colours.astype(float)) + 0.5).clip(0, 255).astype(np.uint8)
