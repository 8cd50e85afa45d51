"""Any photograph: what it shows, its depth and its transparency are enlarged, in any format; what can't be, is said."""

import io
import threading

import av
import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms
from tests.people import PROFILES, STORED, in_space

from srstudy import StudyError
from srstudy.degrade.bicubic import downscale
from srstudy.enhance.original import open_photo
from srstudy.enhance.photo import enhance_photo
from srstudy.enhance.steps import Steps, denoised, with_clahe
from srstudy.photos.images import read_rgb

LOSSLESS = {"a.png": {}, "a.tif": {}, "a.webp": {"lossless": True}, "a.bmp": {}, "a.jp2": {}, "a[1].png": {}}
LOSSY = {"a.jpg": {"quality": 95}, "a.avif": {"quality": 95}, "a.gif": {}}


@pytest.fixture
def small(photo):
    return np.ascontiguousarray(photo[100:140, 180:210])  # higher than it is wide


@pytest.fixture
def deep(small, tmp_path):
    """It in 16 bits a sample."""
    tifffile.imwrite(tmp_path / "deep.tif", small.astype(np.uint16) * 257, photometric="rgb")
    return tmp_path / "deep.tif"


def away(one, other):
    """The mean difference in levels."""
    assert one.shape == other.shape
    return np.abs(one.astype(float) - other).mean()


def bicubic(pixels):
    return np.asarray(Image.fromarray(pixels).resize((120, 160), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("name", LOSSLESS | LOSSY)
def test_photographs_of_every_format_are_enlarged(evidence, enlarge, save_image, small, name):
    [expected] = evidence.run([small])
    sr = enlarge(save_image(small, name, **(LOSSLESS | LOSSY)[name]))
    assert away(sr, expected) < 6 if name in LOSSY else np.array_equal(sr, expected)


@pytest.mark.parametrize("name", ["out.jpg", "out.webp", "out.avif", "out.png", "out.tif", "out[2].png"])
def test_every_format_is_written_as_srgb(enlarge, save_image, small, tmp_path, name):
    sr = enlarge(save_image(small, "a.png"), name)
    assert away(sr, enlarge(tmp_path / "a.png")) < (2 if name in ("out.jpg", "out.webp", "out.avif") else 1e-9)
    with Image.open(tmp_path / name) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        same = ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
        assert away(np.asarray(same), sr) < 1


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_photographs_come_out_upright(enlarge, save_image, small, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(small).transpose(Image.Transpose[STORED[orientation - 2]])
    expected = enlarge(save_image(small, "upright.png"))
    assert away(enlarge(save_image(turned, "a.jpg", exif=exif, quality=95, subsampling=0)), expected) < 4
    assert np.array_equal(enlarge(save_image(turned, "a.png", exif=exif)), expected)
    assert np.array_equal(enlarge(save_image(turned, "a.tif", tiffinfo={274: orientation})), expected)


@pytest.mark.parametrize("space", ["p3", "adobe"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "deep.tif"])
def test_wide_colours_become_those_of_srgb(enlarge, save_image, small, tmp_path, space, name):
    stored, profile = in_space(small, space), PROFILES[space]
    if name == "deep.tif":
        extra = [(34675, "B", len(profile), profile, True)]
        tifffile.imwrite(tmp_path / name, in_space(small, space, 65535), photometric="rgb", extratags=extra)
    else:
        save_image(stored, name, icc_profile=profile, lossless=True, quality=98)
    expected = enlarge(save_image(small, "srgb.png"))
    assert (
        away(enlarge(tmp_path / name, "out.jpg"), expected) < 2.5 < away(enlarge(save_image(stored, "b.png")), expected)
    )


@pytest.mark.parametrize("profile", [b"junk" * 50, PROFILES["inks"], PROFILES["p3"][:200]], ids=["junk", "inks", "cut"])
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_a_profile_that_fits_nothing_is_passed_over(enlarge, save_image, small, name, profile):
    plain, path = enlarge(save_image(small, f"plain{name[1:]}")), save_image(small, name, icc_profile=profile)
    assert np.array_equal(enlarge(path), plain) and "passed over" in open_photo(path).notes[0]


def test_gray_stays_gray(enlarge, save_image, small):
    gray = Image.fromarray(small).convert("L")
    expected = enlarge(save_image(gray.convert("RGB"), "rgb.png")).mean(axis=2)
    assert np.abs(enlarge(save_image(gray, "a.tif")) - expected).max() <= 0.5
    assert away(enlarge(save_image(gray, "p.png", icc_profile=PROFILES["gray"])), expected) > 2
    bits = enlarge(save_image(gray.convert("1"), "bits.png"))
    assert bits.ndim == 2 and bits.max() > 250


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_inks_become_colours(enlarge, save_image, name):
    inks, options = np.zeros((24, 24, 4), np.uint8), {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    inks[:, 12:, 0] = 255
    path = save_image(Image.fromarray(inks, "CMYK"), name, icc_profile=PROFILES["inks"], **options)
    assert np.abs(enlarge(path).astype(int) - enlarge(save_image(read_rgb(path), "by-pillow.png"))).max() <= 1
    plain = enlarge(save_image(Image.fromarray(inks, "CMYK"), name, **options))
    assert plain[48, 8].min() > 250 and np.abs(plain[48, -8].astype(int) - (0, 158, 224)).max() < 20


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp"])
def test_palettes_become_colours(enlarge, save_image, small, name):
    palette = Image.fromarray(small).quantize(16)
    assert np.array_equal(enlarge(save_image(palette, name)), enlarge(save_image(palette.convert("RGB"), "rgb.png")))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif"])
def test_of_a_moving_picture_the_first_frame_is_taken(enlarge, save_image, small, name):
    rest = [Image.new("RGB", (30, 40), "red")]
    path = save_image(Image.fromarray(small), name, save_all=True, append_images=rest, lossless=True)
    assert away(enlarge(path)[..., :3], enlarge(save_image(small, "one.png"))) < 6
    assert open_photo(path).notes == ["the first of 2 pages or frames"]


@pytest.mark.parametrize("name", ["out.png", "out.webp", "out.tif", "out.avif"])
def test_transparency_is_enlarged_as_pillow_does(enlarge, save_image, small, name):
    alpha = small[..., 1]
    sr = enlarge(save_image(np.dstack([small, alpha]), "a.png"), name, tile=64)
    assert away(sr[..., 3], bicubic(alpha)) < (2 if name == "out.avif" else 1e-9)
    assert np.array_equal(enlarge(save_image(np.dstack([alpha, alpha]), "gray.png"))[..., 1], bicubic(alpha))


def test_where_a_format_has_no_transparency_white_lies_below(enlarge, save_image, small):
    glass = np.dstack([small, np.zeros_like(small[..., 0])])
    glass[:, 15:, 3] = 255
    sr = enlarge(save_image(glass, "a.png"), "out.jpg")
    assert sr[:, :40].min() > 245 and away(sr[:, 80:], enlarge(save_image(small, "b.png"))[:, 80:]) < 3


def test_sixteen_bits_stay_sixteen(enlarge, save_image, small, deep, tmp_path):
    eight = enlarge(save_image(small, "eight.png"))
    enlarge(deep, "out.png")
    enlarge(deep, "out.tif")
    with av.open(str(tmp_path / "out.png")) as container:  # Pillow reads 8 of them
        png = next(container.decode(video=0)).to_ndarray(format="rgb48le")
    assert np.array_equal(png, tifffile.imread(tmp_path / "out.tif")) and len(np.unique(png)) > 1000
    assert np.abs(png / 257 - eight).max() <= 1 and away(enlarge(deep, "out.jpg"), eight) < 2
    ramp = np.linspace(20000, 21000, 900).astype(np.uint16).reshape(30, 30)  # within four levels of 8 bits
    assert len(np.unique(enlarge(save_image(ramp, "ramp.png"), "fine.png"))) > 256


def test_strength_leads_from_pillows_bicubic_to_the_network(evidence, enlarge, save_image, small, deep):
    [network], path = evidence.run([small]), save_image(small, "a.png")
    assert np.array_equal(enlarge(path, strength=0), bicubic(small)) and np.array_equal(enlarge(path), network)
    assert np.abs(enlarge(path, strength=0.5) - (bicubic(small).astype(float) + network) / 2).max() <= 0.5
    assert away(enlarge(deep, "out.jpg", strength=0), bicubic(small)) < 2


def test_denoising_comes_before_and_lowers_noise(enlarge, save_image, small):
    noisy = (small + np.random.default_rng(0).normal(0, 10, small.shape)).clip(0, 255).astype(np.uint8)
    clean, path = enlarge(save_image(small, "a.png")), save_image(noisy, "noisy.png")
    assert away(enlarge(path, denoise=6), clean) < 0.7 * away(enlarge(path), clean)
    assert away(enlarge(path, denoise=6, strength=0), clean) < away(bicubic(noisy), clean)


def test_two_threads_never_get_each_others_picture(photo):
    pictures = [photo[:64, :64].copy(), photo[100:164, 100:164].copy()]
    alone = [denoised(picture, 6.0) for picture in pictures]

    def many(number):
        same.append(all(np.array_equal(denoised(pictures[number], 6.0), alone[number]) for _ in range(40)))

    same, threads = [], [threading.Thread(target=many, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)  # one that waits for the other for ever fails the test
    assert same == [True, True]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_clahe_raises_contrast_where_there_is_little(enlarge, save_image, photo, mode):
    dull = Image.fromarray((photo[100:140, 180:230] // 4 + 90).astype(np.uint8)).convert(mode)
    sr, plain = (enlarge(save_image(dull, "a.png"), clahe=clahe) for clahe in (True, False))
    assert sr.shape == plain.shape and sr[..., 0].std() > 1.3 * plain[..., 0].std()
    assert enlarge(save_image(dull.crop((0, 0, 2, 1)), "tiny.png"), clahe=True).shape[:2] == (4, 8)


def test_clahe_of_strips_is_that_of_the_whole(enlarge, save_image, photo):
    path = save_image(photo[:140, :40].copy(), "a.png")
    plain = with_clahe(pyvips.Image.new_from_array(enlarge(path)).copy(interpretation="srgb")).numpy()
    for tile in (16, 64):
        assert np.array_equal(enlarge(path, clahe=True, tile=tile), plain)


def test_the_mark_lies_in_a_corner_of_what_is_large_enough(enlarge, save_image, photo, deep):
    path = save_image(photo[:96, :96].copy(), "a.png")
    marked, plain = enlarge(path, mark=True), enlarge(path)
    changed = np.argwhere((marked != plain).any(axis=2))
    assert len(changed) > 200 and changed.min(axis=0).tolist() >= [350, 200] and Steps().mark
    assert marked[-3, -3].tolist() == [0, 0, 0] and marked[-15:, -60:].max() > 200
    for pixels, corner in (
        (photo[:96, :96, 0], 0),
        (np.dstack([photo[:96, :96], photo[:96, :96, :1]]), [0, 0, 0, 255]),
    ):
        assert enlarge(save_image(pixels.copy(), "b.png"), mark=True)[-3, -3].tolist() == corner
    assert np.array_equal(enlarge(deep, "b.png", mark=True), enlarge(deep, "c.png"))


@pytest.mark.parametrize("steps", [{}, {"strength": 0.3}, {"denoise": 6}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_consistency_is_that_of_matlabs_reduction(evidence, save_image, photo, tmp_path, steps, mode):
    source = open_photo(save_image(Image.fromarray(photo[:130, :66]).convert(mode), "a.png"))
    steps = Steps(mark=False, **steps)
    found = enhance_photo(source, tmp_path / "out.png", evidence, steps, "srstudy 1", tile=64).summary()
    lr, sr = (np.atleast_3d(np.asarray(Image.open(tmp_path / name))) for name in ("a.png", "out.png"))
    levels = np.abs(downscale(sr).astype(float) - lr)
    assert found["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.square(levels).mean()), abs=0.02)
    assert found["largest_level"] == levels.max()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.gif", "a.avif"])
def test_half_a_file_is_called_damaged(enlarge, save_image, photo, name):
    path = save_image(photo[:90, :90].copy(), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(
        StudyError, match=rf"{name}: (damaged image \(.+\); replace it|not an image that can be read; \w+)"
    ):
        enlarge(path)


def test_what_libvips_said_of_another_file_is_forgotten(enlarge, save_image, small):
    content = save_image(small, "a.jpg").read_bytes()
    sound, cut = (save_image(small, name) for name in ("sound.jpg", "cut.jpg"))
    sound.write_bytes(content.replace(b"\xff\xdb", b"\0\0\0\xff\xdb", 1))  # which is warned of, and can be read
    cut.write_bytes(content[:-2])
    enlarge(sound)
    with pytest.raises(StudyError, match=r"cut\.jpg: damaged image \(VipsJpeg: premature end of JPEG image\)"):
        enlarge(cut)


def test_what_is_no_photograph_is_said_in_a_sentence(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "empty.jpg").write_text("")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((9, 9, 3), np.float32), photometric="rgb")
    for name, message in (("none.jpg", "no such image; check the path"), ("folder.jpg", "a folder, no image"),
                          ("text.png", "not an image that can be read; convert it"), ("empty.jpg", "not an image that"),
                          ("float.tif", "samples of kind 'float', of unknown range")):  # fmt: skip
        with pytest.raises(StudyError, match=f"{name}: {message}"):
            open_photo(tmp_path / name)


def test_what_libvips_lacks_a_decoder_for_is_not_called_damaged(monkeypatch, tmp_path, save_image, small):
    path = save_image(small, "a.avif").rename(tmp_path / "a.heic")
    said = "VipsForeignLoad: a\nheif: Unsupported feature: Support for this compression format has not been built in"
    error = pyvips.Error("unable to load", said)
    monkeypatch.setattr(pyvips.Image, "new_from_file", lambda *_, **more: (_ for _ in ()).throw(error))
    with pytest.raises(StudyError, match=r"a\.heic: not an image that can be read; convert it to"):
        open_photo(path)


@pytest.mark.parametrize("ending", ["bmp", "jp2"])
def test_what_is_read_in_8_bits_of_colour_says_so(save_image, small, ending):
    assert "read as RGB of 8 bits, over white" in open_photo(save_image(small, f"a.{ending}")).notes
    assert open_photo(save_image(small, "a.png")).notes == []


def test_what_is_too_large_is_refused(enlarge, save_image, small, monkeypatch):
    wide = save_image(np.zeros((1, 16_500), np.uint8), "wide.png")
    for ending in ("jpg", "webp", "avif"):
        with pytest.raises(StudyError, match=rf"66000x4 is more than \.{ending} holds; write .tif or .png\."):
            enlarge(wide, f"out.{ending}")
    monkeypatch.setattr("srstudy.enhance.original.MOST_PIXELS", 1000)
    with pytest.raises(StudyError, match="30x40 is too large"):
        open_photo(save_image(small, "a.png"))


@pytest.mark.parametrize("steps", [{"clahe": True}, {"denoise": 6}])
def test_steps_that_need_8_bits_say_so(enlarge, deep, steps):
    with pytest.raises(StudyError, match="works on 8 bits"):
        enlarge(deep, **steps)
