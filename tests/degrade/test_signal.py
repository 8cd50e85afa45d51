"""What light and signal go through, against closed forms, SciPy's direct sums, and what files by the codecs show."""

import io
import math
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2ycbcr

from srstudy.degrade import signal
from srstudy.judge.footage import blockiness
from srstudy.judge.metrics import luma

KERNELS = {"lens": signal.gaussian_kernel(2.0, 0.7, 0.4), "motion": signal.motion_kernel(5.3, 2.0)}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_a_kernel_is_centred_and_sums_to_1_and_convolution_is_the_direct_sum(photo, kernel):
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)
    image = photo[100:133, 50:96]
    direct = ndimage.convolve(image.astype(float), kernel[..., None], mode="reflect")
    assert np.abs(signal.convolve(image, kernel) - direct).max() <= 0.5 + 1e-6


def covariance(kernel):
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - kernel.shape[0] // 2
    return np.array([[(kernel * a * b).sum() for b in (x, y)] for a in (x, y)])


def test_a_lens_blurs_by_its_two_deviations_along_its_turned_axes():
    turn = np.array([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    expected = turn @ np.diag([2.5**2, 1.2**2]) @ turn.T
    np.testing.assert_allclose(covariance(signal.gaussian_kernel(2.5, 1.2, 0.4)), expected, rtol=0.03, atol=0.03)


def test_motion_blurs_along_its_way_alone(photo):
    """The variance of an even spread over 9 px is 81 / 12; sharing a point among its neighbours adds at most 1/4."""
    (along, cross), (_, across) = covariance(signal.motion_kernel(9.0, 0.0))
    assert along == pytest.approx(81 / 12, abs=0.5)
    assert across == cross == 0
    assert covariance(signal.motion_kernel(9.0, math.pi / 4))[0, 1] == pytest.approx(81 / 24, abs=0.5)
    np.testing.assert_array_equal(signal.convolve(photo[:20, :24], signal.motion_kernel(0.0, 1.0)), photo[:20, :24])


def noisy(level, white, read):
    patch = np.full((200, 200, 3), level, np.uint8)
    return signal.add_noise(patch, white, read, np.random.default_rng(1)).astype(float)


@pytest.mark.parametrize("level", [60, 120, 200])
def test_noise_has_the_variance_of_shot_and_read_noise_seen_through_the_curve_of_srgb(level):
    white, read = 4000.0, 10.0
    light = ((level / 255 + 0.055) / 1.055) ** 2.4
    slope = 255 * 1.055 / 2.4 * light ** (1 / 2.4 - 1)
    expected = slope * math.sqrt(light * white + read**2) / white
    result = noisy(level, white, read)
    assert result.std() == pytest.approx(math.hypot(expected, math.sqrt(1 / 12)), rel=0.03)  # 1/12: rounding to levels
    assert result.mean() == pytest.approx(level, abs=0.2)


def test_light_is_that_of_srgb_and_levels_survive_the_way_there_and_back():
    """Fixed points of IEC 61966-2-1: half of the light is level 188, and level 10 lies on its straight part."""
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(signal.from_linear(signal.to_linear(levels)), levels)
    assert signal.to_linear(np.uint8(188)) == pytest.approx(0.5, abs=0.005)
    assert signal.to_linear(np.uint8(10)) == pytest.approx(10 / 255 / 12.92)


def test_gain_multiplies_the_light_of_each_channel_and_too_much_is_cut_off():
    image, gains = np.arange(5, 251, 35, np.uint8)[:, None, None].repeat(3, axis=2), np.array([0.8, 1.0, 0.5])
    light = signal.to_linear(signal.amplify(image, gains))
    step = signal.to_linear(image) - signal.to_linear(image - 1)  # half a level's rounding, in light
    assert (np.abs(light - signal.to_linear(image) * gains) <= 0.6 * step).all()
    bright = signal.amplify(np.full((2, 2, 3), 250, np.uint8), np.array([2.0, 1.0, 2.0]))
    assert bright[0, 0].tolist() == [255, 250, 255]


def test_a_sharpened_edge_has_halos_and_a_flat_place_none():
    edge = np.full((9, 40, 3), 80, np.uint8)
    edge[:, 20:] = 160
    sharp = signal.sharpen(edge, 1.0, 1.0)
    assert (sharp[:, :12] == 80).all()
    assert (sharp[:, 28:] == 160).all()
    np.testing.assert_array_equal(sharp.astype(int).sum(axis=1), edge.astype(int).sum(axis=1))  # as much below as above
    # A Gaussian of 1 px leaves Phi(0.5) = 0.6915 of a step to the first pixel behind it: 0.3085 * 80 is missing there.
    assert sharp[4, 20, 0] - 160 == pytest.approx(0.3085 * 80, abs=1.5)


@pytest.mark.parametrize("shift", [-2, 0, 3])
def test_interlacing_moves_odd_rows_alone_and_repeats_their_border(photo, shift):
    image = photo[:9, :20]
    padded = np.pad(image, ((0, 0), (3, 3), (0, 0)), mode="edge")[:, 3 - shift : 23 - shift]
    woven = signal.interlace(image, shift)
    np.testing.assert_array_equal(woven[::2], image[::2])
    np.testing.assert_array_equal(woven[1::2], padded[1::2])


def distance(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_jpeg_is_what_a_jpeg_file_of_that_quality_shows(photo, quality, tmp_path):
    image = photo[100:141, 100:164]
    Image.fromarray(image).save(tmp_path / "image.jpg", quality=quality)  # Pillow's default is 4:2:0 too
    with Image.open(tmp_path / "image.jpg") as file:
        np.testing.assert_array_equal(signal.jpeg(image, quality), np.array(file.convert("RGB")))


@pytest.mark.parametrize("quantiser", [30, 38, 44])
def test_h264_loses_what_a_file_by_ffmpeg_loses_at_that_quantiser(photo, quantiser):
    """A container and PyAV's own conversion of colours; for a frame coded by itself FFmpeg takes 3 less than told."""
    image = np.repeat(photo[100:196, 100:228, 1:2], 3, axis=2)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": str(quantiser), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")), *stream.encode(None)):
            container.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        [other] = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with pytest.raises(ValueError, match="95x128"):
        signal.h264(image[1:], quantiser)
    nearest = min(range(quantiser - 8, quantiser + 5), key=lambda own: distance(signal.h264(image, own), other))
    assert nearest == quantiser - 3


@pytest.mark.parametrize(("codec", "strengths"), [(signal.h264, (15, 25, 35, 45)), (signal.jpeg, (95, 60, 25, 5))])
def test_the_stronger_the_compression_the_more_is_lost_and_blocks_show_but_no_tint(photo, codec, strengths):
    image = photo[:256, 150:406]
    coded = [codec(image, strength) for strength in strengths]
    lost = [distance(one, image) for one in coded]
    assert lost == sorted(lost)
    assert lost[-1] > 2 * lost[0]
    assert blockiness(luma(coded[-1])) > blockiness(luma(image)) + 0.1
    np.testing.assert_allclose(coded[1].mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=0.5)
    np.testing.assert_array_equal(coded[1], codec(image.copy(), strengths[1]))


@pytest.mark.parametrize("asm", ["0", "SSE2", "SSSE3"])
def test_h264_gives_on_any_processor_what_it_gives_on_this_one(photo, asm, monkeypatch):
    """x264 is told to do without what newer processors have; SSE2 and SSSE3 are no names elsewhere than on x86."""
    image, quantisers = photo[:128, 200:328], (22, 34)
    expected = [signal.h264(image, quantiser) for quantiser in quantisers]
    monkeypatch.setattr(signal, "X264", f"{signal.X264}:asm={asm}")
    np.testing.assert_array_equal([signal.h264(image, quantiser) for quantiser in quantisers], expected)


def test_colours_are_those_of_bt_601_and_luma_of_exactly_half_a_level_is_rounded_up(photo):
    """Else it would hang on the order in which a processor adds."""
    image = photo[:64, 200:264]
    expected = rgb2ycbcr(image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)) / 255)[..., 1:]
    planes = signal.to_yuv(image)[64:].reshape(2, 32, 32)
    assert np.abs(planes - np.moveaxis(expected, -1, 0)).max() <= 0.5 + 1e-9
    for colour in ((0, 204, 68), (1, 173, 225), (2, 44, 141), (4, 194, 109), (5, 65, 25)):
        exact = 16 + sum(Fraction(weight * level, 255_000) for weight, level in zip((65_481, 128_553, 24_966), colour))
        assert exact.denominator == 2
        assert (signal.to_yuv(np.full((2, 2, 3), colour, np.uint8))[:2] == float(exact) + 0.5).all()


def test_sampling_by_few_pixels_is_opencv_s_and_aliases_where_a_mean_does_not():
    """Of a row 0, 1, 2, ... linear and cubic weights give the middle of each four; of stripes, 0 and 255 or less."""
    ramp = np.tile(np.arange(0, 128, 2, dtype=np.uint8)[:, None], (8, 1, 3)).reshape(8, 64, 3)
    for taps in signal.TAPS.values():
        assert sum(taps) == 1
        np.testing.assert_array_equal(signal.sample(ramp, taps)[0, :, 0], np.arange(3, 128, 8))
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, 1::4] = stripes[:, 2::4] = 200  # seen by none but the middle two
    assert signal.sample(stripes, signal.TAPS["sampled_linear"]).min() == 200
    assert signal.sample(stripes, signal.TAPS["sampled_cubic"]).min() > 200
    assert np.asarray(Image.fromarray(stripes).resize((16, 2), Image.Resampling.BOX)).max() == 100


def test_webp_is_pillow_s_own_and_coarser_where_its_quality_is_lower(photo):
    errors = [np.abs(signal.webp(photo, quality).astype(int) - photo).mean() for quality in (95, 60, 20)]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert signal.webp(photo[:37, :41], 50).shape == (37, 41, 3)
