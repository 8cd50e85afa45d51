"""What a camera does to a picture, a function each: blur, noise, gain, sharpening, interlacing, JPEG, WebP and H.264.

All take and give uint8 [H, W, 3] and plain figures; `camera.py` draws the figures. The encoders are real ones, Pillow's
and PyAV's libx264, on one thread and in whole numbers: equal pictures give equal bytes on any machine, for a given
version of them. FFmpeg's own conversion of colours, which may differ between processors, is not used.
"""

import io
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from PIL import Image
from scipy import fft, ndimage
from skimage.color import ycbcr2rgb

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE, downscale, to_uint8

# Luma, blue and red of ITU-R BT.601 as video has it, in 255,000ths of a level for each level of R, G and B.
BT_601 = np.array([[65_481, 128_553, 24_966], [-37_797, -74_203, 112_000], [112_000, -93_786, -18_214]])
# ipratio: by default such a frame gets a finer quantiser than the one asked for. cpu-independent: by default what the
# encoder decides differs between processors.
X264 = "ipratio=1:cpu-independent=1"
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


def gaussian_kernel(along: float, across: float, angle: float) -> np.ndarray:
    """Blur of a lens out of focus: a Gaussian of two standard deviations in pixels, turned by `angle` radians.

    Float [K, K], K odd, cut at 3 standard deviations of the larger; sums to 1.
    """
    reach = math.ceil(3 * max(along, across))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return kernel / kernel.sum()


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Blur of what moves evenly by `length` pixels while the shutter is open: float [K, K], K odd; sums to 1."""
    reach, points = math.ceil(length / 2) + 1, 4 * max(1, math.ceil(length))
    way = length * ((np.arange(points) + 0.5) / points - 0.5)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    y, x = reach + way * math.sin(angle), reach + way * math.cos(angle)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):  # each point is shared among the four pixels around it
        rows, columns = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
        np.add.at(kernel, (rows, columns), (1 - abs(y - rows)) * (1 - abs(x - columns)))
    return kernel / kernel.sum()


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The image under a kernel, float [K, K] of odd K: beyond the border the image is mirrored."""
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    size = [fft.next_fast_len(length, real=True) for length in padded.shape[:2]]
    spectrum = fft.rfft2(padded.astype(float), size, axes=(0, 1)) * fft.rfft2(kernel, size)[..., None]
    blurred = fft.irfft2(spectrum, size, axes=(0, 1))
    return to_uint8(blurred[2 * reach : padded.shape[0], 2 * reach : padded.shape[1]])


def add_noise(image: np.ndarray, white: float, read: float, random: np.random.Generator) -> np.ndarray:
    """Noise of a sensor that counts `white` electrons where the image is white, with a read noise of `read` electrons.

    The count is Poisson's (shot noise), so in linear light its variance is (light * white + read^2) / white^2. The
    curve of sRGB is steep in the dark: there the same image shows most noise.
    """
    counted = random.poisson(to_linear(image) * white) + random.normal(0, read, image.shape)
    return from_linear(counted / white)


def amplify(image: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Each channel's linear light times its gain, float [3]: exposure and white balance; too bright is cut off."""
    return from_linear(to_linear(image) * gains)


def sharpen(image: np.ndarray, amount: float, sigma: float) -> np.ndarray:
    """Unsharp mask: the image and `amount` times what a Gaussian of `sigma` pixels takes out of it. Leaves halos."""
    soft = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0))
    return to_uint8(image + amount * (image - soft))


def interlace(image: np.ndarray, shift: int) -> np.ndarray:
    """Odd rows of a later field, in which the scene has moved to the right by `shift` pixels, the left if below 0."""
    woven, columns = image.copy(), np.arange(image.shape[1]) - shift
    woven[1::2] = image[1::2][:, columns.clip(0, image.shape[1] - 1)]
    return woven


def to_linear(image: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] of uint8 levels, any shape (IEC 61966-2-1, sRGB)."""
    return np.take(_LINEAR, image)


def from_linear(light: np.ndarray) -> np.ndarray:
    """uint8 levels of linear light, any shape; what is below 0 or above 1 is cut off."""
    light = light.clip(0, 1)
    return to_uint8(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


# Weights of the four pixels of a row that one of LR stands for, in programs that enlarge and reduce by the same few
# pixels: OpenCV's INTER_LINEAR, and its INTER_CUBIC (a = -0.75). Fine structures alias.
TAPS = {"sampled_linear": (0, 0.5, 0.5, 0), "sampled_cubic": (-0.09375, 0.59375, 0.59375, -0.09375)}


def reduce(image: np.ndarray, kernel: str) -> np.ndarray:
    """A quarter of the image's size, sides multiples of 4: as MATLAB's bicubic, by few pixels (TAPS), or as Pillow."""
    if kernel == "matlab":
        return downscale(image)
    if kernel in TAPS:
        return sample(image, TAPS[kernel])
    size = image.shape[1] // SCALE, image.shape[0] // SCALE
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling[kernel.upper()]))


def sample(image: np.ndarray, taps: Sequence[float]) -> np.ndarray:
    """A quarter of the image's size, sides multiples of 4: rows and columns of four pixels, weighted by `taps`."""
    height, width, channels = image.shape
    blocks = image.reshape(height // SCALE, SCALE, width // SCALE, SCALE, channels).astype(float)
    return to_uint8(np.einsum("hawbc,a,b->hwc", blocks, taps, taps))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after JPEG of a quality from 1 to 100, colours at half resolution."""
    return _stored(image, format="JPEG", quality=quality, subsampling="4:2:0")


def webp(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after lossy WebP of a quality from 1 to 100."""
    return _stored(image, format="WEBP", quality=quality)


def _stored(image: np.ndarray, **options: str | int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, **options)
    with Image.open(file) as decoded:
        return np.asarray(decoded.convert("RGB"))


def h264(image: np.ndarray, quantiser: int) -> np.ndarray:
    """The image, sides even, after H.264 as a frame that is coded by itself.

    `quantiser` is x264's constant one, from 0 (finest) to 51: unlike a rate, it asks nothing of the rest of the frame
    that a crop was cut from. Raises StudyError if this PyAV has no libx264, ValueError if a side is odd.
    """
    import av  # here, because photos.facts needs the curve of sRGB alone

    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"{height}x{width}: H.264 halves the resolution of colours, so both sides must be even")
    try:
        encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    except av.codec.codec.UnknownCodecError:
        raise StudyError("PyAV: built without libx264; install the `av` package of requirements.lock.") from None
    encoder.height, encoder.width, encoder.pix_fmt = height, width, "yuv420p"
    encoder.time_base = Fraction(1, 10)  # it must have one
    encoder.thread_count = decoder.thread_count = 1
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "qp": str(quantiser), "x264-params": X264}
    frame = av.VideoFrame.from_ndarray(to_yuv(image), format="yuv420p")
    packets = [packet for one in (frame, None) for packet in encoder.encode(one)]
    [decoded] = [one for packet in (*packets, None) for one in decoder.decode(packet)]
    return _to_rgb(decoded.to_ndarray(), height, width)


def to_yuv(image: np.ndarray) -> np.ndarray:
    """The planes of yuv420p one after the other, uint8 [1.5 H, W]: colours are means of 2 by 2 pixels.

    In whole numbers, for luma may lie just between two levels.
    """
    height, width = image.shape[:2]
    pixels = image.astype(int)
    blocks = pixels.reshape(height // 2, 2, width // 2, 2, 3).sum(axis=(1, 3))
    luma = 16 + (pixels @ BT_601[0] + 127_500) // 255_000
    blue, red = (128 + (blocks @ weights + 510_000) // 1_020_000 for weights in BT_601[1:])
    return np.concatenate([luma.ravel(), blue.ravel(), red.ravel()]).astype(np.uint8).reshape(-1, width)


def _to_rgb(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    luma, chroma = planes[:height], planes[height:].reshape(2, height // 2, width // 2)
    large = [np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)) for plane in chroma]
    return to_uint8(255 * ycbcr2rgb(np.stack([luma, *large], axis=-1).astype(float)))
