"""Real encoders: Pillow's JPEG and x264, each against what a file of it decodes to elsewhere."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2ycbcr

from srstudy.degrade import codecs
from srstudy.judge.noreference import blockiness


def distance(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_jpeg_is_what_a_jpeg_file_of_that_quality_shows(photo, quality, tmp_path):
    image = photo[100:141, 100:164]
    Image.fromarray(image).save(tmp_path / "image.jpg", quality=quality)  # Pillow's default is 4:2:0 too
    with Image.open(tmp_path / "image.jpg") as file:
        np.testing.assert_array_equal(codecs.jpeg(image, quality), np.array(file.convert("RGB")))


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
    nearest = min(range(quantiser - 8, quantiser + 5), key=lambda own: distance(codecs.h264(image, own), other))
    assert nearest == quantiser - 3


def test_the_finest_quantiser_loses_next_to_nothing_of_a_grey_image(photo):
    grey = np.repeat(photo[100:148, 100:164, :1], 3, axis=2)
    assert np.abs(codecs.h264(grey, 0).astype(int) - grey).max() <= 1


@pytest.mark.parametrize(("codec", "strengths"), [(codecs.h264, (15, 25, 35, 45)), (codecs.jpeg, (95, 60, 25, 5))])
def test_the_stronger_the_compression_the_more_is_lost(photo, codec, strengths):
    image = photo[:128, 200:328]
    lost = [distance(codec(image, strength), image) for strength in strengths]
    assert lost == sorted(lost)
    assert lost[-1] > 2 * lost[0]


@pytest.mark.parametrize(("codec", "strength"), [(codecs.h264, 42), (codecs.jpeg, 10)])
def test_strong_compression_shows_its_blocks(photo, codec, strength):
    image = photo[:256, 150:406]
    assert blockiness(codec(image, strength)) > blockiness(image) + 0.1


@pytest.mark.parametrize("codec", [codecs.h264, codecs.jpeg])
def test_equal_images_give_equal_bytes_and_keep_their_size(photo, codec):
    image = photo[:24, :40]
    first = codec(image, 30)
    np.testing.assert_array_equal(first, codec(image.copy(), 30))
    assert first.shape == image.shape


@pytest.mark.parametrize("asm", ["0", "SSE2", "SSSE3"])
def test_h264_gives_on_any_processor_what_it_gives_on_this_one(photo, asm, monkeypatch):
    """x264 is told to do without what newer processors have; SSE2 and SSSE3 are no names elsewhere than on x86."""
    image, quantisers, encoder_of = photo[:128, 200:328], (22, 34), codecs._encoder
    expected = [codecs.h264(image, quantiser) for quantiser in quantisers]

    def without(*arguments):
        encoder = encoder_of(*arguments)
        encoder.options = {**encoder.options, "x264-params": f"{encoder.options['x264-params']}:asm={asm}"}
        return encoder

    monkeypatch.setattr(codecs, "_encoder", without)
    np.testing.assert_array_equal([codecs.h264(image, quantiser) for quantiser in quantisers], expected)


@pytest.mark.parametrize("colour", [(0, 204, 68), (1, 173, 225), (2, 44, 141), (4, 194, 109), (5, 65, 25)])
def test_luma_of_exactly_half_a_level_is_rounded_up(colour):
    """Else it would hang on the order in which a processor adds."""
    exact = 16 + sum(Fraction(w, 255_000) * c for w, c in zip((65_481, 128_553, 24_966), colour))
    assert exact.denominator == 2
    planes = codecs._to_yuv(np.full((2, 2, 3), colour, np.uint8)).to_ndarray().ravel()
    assert planes[:4].tolist() == [exact + Fraction(1, 2)] * 4


def test_colours_are_those_of_bt_601(photo):
    image = photo[:64, 200:264]
    expected = rgb2ycbcr(image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)) / 255)[..., 1:]
    found = codecs._to_yuv(image).to_ndarray().ravel()[64 * 64 :].reshape(2, 32, 32)
    assert np.abs(found - np.moveaxis(expected, -1, 0)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(("codec", "strength"), [(codecs.h264, 20), (codecs.jpeg, 60)])
def test_a_codec_has_no_tint_of_its_own(photo, codec, strength):
    np.testing.assert_allclose(codec(photo, strength).mean(axis=(0, 1)), photo.mean(axis=(0, 1)), atol=0.5)


def test_h264_refuses_odd_sides(photo):
    with pytest.raises(ValueError, match="23x24"):
        codecs.h264(photo[:23, :24], 30)
