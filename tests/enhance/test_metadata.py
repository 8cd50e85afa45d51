"""Of an original's metadata the listed tags are kept, in every format; nothing shows more than the picture does."""

import io
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational
from tests.people import odd_exif

from srstudy.enhance.metadata import SOURCE_TYPE, packet

Base, IFD = ExifTags.Base, ExifTags.IFD
XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmp:CreateDate="2021-05-04T10:11:12" aux:SerialNumber="SERIAL-4711" exif:GPSLatitude="52,31.2N">
<dc:creator><rdf:Seq><rdf:li>Ada L.</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@pytest.fixture
def small(photo):
    return np.ascontiguousarray(photo[100:124, 180:196])


def camera_photo(save_image, small, ending):
    """A turned photograph with all that a camera and an editor leave in it; as JPEG, with a thumbnail."""
    exif = Image.Exif()
    exif.update({Base.Make: "Maker", Base.Model: "Model 1", Base.DateTime: "2021:05:04 10:11:13", Base.Orientation: 6})
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2021:05:04 10:11:12", Base.ExifImageWidth: 9999, Base.FNumber: 2.8,
                      Base.BodySerialNumber: "SERIAL-4711", Base.MakerNote: b"MAKER-NOTE-4711"}  # fmt: skip
    exif[IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)}
    options = {"exif": with_thumbnail(exif.tobytes()[6:]) if ending == "jpg" else exif}
    if ending == "tif":
        options = {"tiffinfo": {tag: exif[tag] for tag in (271, 272, 306, 274)} | {700: XMP}}
    return save_image(small, f"camera.{ending}", xmp=XMP, lossless=True, quality=95, **options)


def with_thumbnail(tags):
    """EXIF, big-endian, with a second directory of a thumbnail, as cameras write it."""
    file = io.BytesIO()
    Image.new("RGB", (16, 24), "red").save(file, "jpeg", comment=b"CUT-OFF-4711")
    end = 10 + 12 * struct.unpack_from(">H", tags, 8)[0]
    entries = [(0x0103, 3, 6 << 16), (0x0201, 4, len(tags) + 2 + 3 * 12 + 4), (0x0202, 4, len(file.getvalue()))]
    second = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    second = struct.pack(">H", len(entries)) + second + bytes(4)
    return b"Exif\0\0" + tags[:end] + struct.pack(">I", len(tags)) + tags[end + 4 :] + second + file.getvalue()


def read(path):
    """EXIF, its details, its place, and XMP as text."""
    with Image.open(path) as image:
        exif = image.getexif()
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", "").encode() or exif.get(700)
    ElementTree.fromstring(xmp)
    return exif, exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo), bytes(xmp).decode()


PAIRS = [
    "jpg-jpg",
    "jpg-png",
    "jpg-webp",
    "jpg-avif",
    "jpg-tif",
    "webp-jpg",
    "png-jpg",
    "avif-webp",
    "tif-tif",
    "tif-jpg",
]


@pytest.mark.parametrize("pair", PAIRS)
def test_make_model_and_dates_are_kept_and_no_place_number_or_thumbnail(enlarge, save_image, small, tmp_path, pair):
    ending, written = pair.split("-")
    path, target = camera_photo(save_image, small, ending), tmp_path / f"out.{written}"
    assert ending != "jpg" or pyvips.Image.new_from_file(str(path)).get_typeof("jpeg-thumbnail-data")
    assert enlarge(path, target.name).shape == (64, 96, 3)  # upright
    exif, details, place, xmp = read(target)
    for unwanted in ("SERIAL-4711", "MAKER-NOTE", "52,31.2N", "CUT-OFF"):
        assert unwanted.encode() not in target.read_bytes() and unwanted not in xmp
    assert not any("thumbnail" in field for field in pyvips.Image.new_from_file(str(target)).get_fields())
    assert place == {} and Base.BodySerialNumber not in details and exif.get(Base.Orientation, 1) == 1
    if written != "tif":
        assert (exif[Base.Make], exif[Base.Model]) == ("Maker", "Model 1")
        assert details.get(Base.DateTimeOriginal, exif[Base.DateTime])[:16] == "2021:05:04 10:11"
        assert (details[Base.ExifImageWidth], details[Base.ExifImageHeight]) == (96, 64)
    editor = () if ending == "png" else ("Ada L.", "CreateDate")  # Pillow writes no XMP into PNG
    for wanted in ("Maker", "Model 1", "2021-05-04T10:11:1", SOURCE_TYPE, "srstudy 1", *editor):
        assert wanted in xmp


@pytest.mark.parametrize("written", ["jpg", "webp", "png", "avif"])
def test_the_place_is_kept_on_request(enlarge, save_image, small, tmp_path, written):
    enlarge(camera_photo(save_image, small, "jpg"), f"out.{written}", gps=True)
    _, _, place, xmp = read(tmp_path / f"out.{written}")
    assert [float(part) for part in place[2]] == [52, 31, 12] and "52,31.2N" in xmp and "SERIAL" not in xmp


def test_a_tiff_has_in_its_xmp_what_others_have_in_exif(enlarge, save_image, small, tmp_path):
    exif = Image.Exif()
    exif.update({Base.Artist: "Ada L.", Base.Copyright: "hers", Base.ImageDescription: "a street"})
    exif[IFD.Exif] = {Base.FNumber: 2.8, Base.ExposureTime: 1 / 250}
    exif[IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "W", 4: (13.5, 0.0, 36.0)}
    enlarge(save_image(small, "camera.jpg", exif=exif), "out.tif", gps=True)
    for wanted in ('tiff:Artist="Ada L."', 'tiff:Copyright="hers"', 'tiff:ImageDescription="a street"',
                   'exif:FNumber="14/5"', 'exif:ExposureTime="1/250"',
                   'exif:GPSLatitude="52,31.200000N"', 'exif:GPSLongitude="13,30.600000W"'):  # fmt: skip
        assert wanted in read(tmp_path / "out.tif")[3]
    enlarge(tmp_path / "out.tif", "again.tif")
    again = read(tmp_path / "again.tif")[3]
    assert 'tiff:Artist="Ada L."' in again and 'exif:FNumber="14/5"' in again and "GPS" not in again


def test_a_long_description_never_costs_the_label(enlarge, small, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", small, photometric="rgb", description="word " * 14_000)
    enlarge(tmp_path / "a.tif", "out.jpg")
    assert SOURCE_TYPE in read(tmp_path / "out.jpg")[3]
    long = XMP.replace(b"Ada L.", b"Ada L." * 11_000)
    Image.fromarray(small).save(tmp_path / "b.webp", xmp=long, lossless=True)
    enlarge(tmp_path / "b.webp", "out.jpg")
    assert SOURCE_TYPE in read(tmp_path / "out.jpg")[3]


def test_names_in_utf8_and_places_without_a_fix_are_what_they_are(enlarge, save_image, small, tmp_path):
    exif = Image.Exif()
    exif[Base.Copyright] = "\u00a9 Zo\u00eb".encode()
    exif[IFD.GPSInfo] = {1: "N", 2: (IFDRational(0, 0),) * 3}
    enlarge(save_image(small, "a.jpg", exif=exif), "out.jpg", gps=True)
    kept, _, _, xmp = read(tmp_path / "out.jpg")
    assert kept[Base.Copyright].encode("latin-1").decode() == "\u00a9 Zo\u00eb"
    assert 'tiff:Copyright="\u00a9 Zo\u00eb"' in xmp and "nan" not in xmp


def test_a_tiff_keeps_what_lies_in_directories_of_its_own(enlarge, save_image, small, tmp_path):
    exif = Image.Exif()
    exif[IFD.Exif] = {Base.DateTimeOriginal: "2021:05:04 10:11:12", Base.FNumber: 2.8}
    exif[IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)}
    enlarge(save_image(small, "camera.tif", exif=exif.tobytes()), "out.jpg", gps=True)
    _, details, place, xmp = read(tmp_path / "out.jpg")
    assert details[Base.FNumber] == 2.8 and [float(part) for part in place[2]] == [52, 31, 12]
    assert 'exif:DateTimeOriginal="2021-05-04T10:11:12"' in xmp and "ModifyDate" not in xmp


def test_a_last_change_is_not_the_moment_of_the_photograph(enlarge, save_image, small, tmp_path):
    exif = Image.Exif()
    exif[Base.DateTime] = "2024:01:02 03:04:05"
    enlarge(save_image(small, "edited.jpg", exif=exif), "out.jpg")
    _, _, _, xmp = read(tmp_path / "out.jpg")
    assert 'xmp:ModifyDate="2024-01-02T03:04:05"' in xmp and "DateTimeOriginal" not in xmp


def test_sixteen_bits_keep_their_metadata(enlarge, small, tmp_path):
    extra = [(271, "s", 0, "Maker", True), (700, "B", len(XMP), XMP, True)]
    tifffile.imwrite(tmp_path / "a.tif", small.astype(np.uint16) * 257, photometric="rgb", extratags=extra)
    enlarge(tmp_path / "a.tif", "out.png")
    exif, _, _, xmp = read(tmp_path / "out.png")
    assert exif[Base.Make] == "Maker" and "Ada L." in xmp and SOURCE_TYPE in xmp


@pytest.mark.parametrize("tag", [0x010F, 0x0132, 0x8769, 0x8825, 0x9003, 0x829D])
def test_damaged_exif_harms_nothing(enlarge, save_image, small, tmp_path, tag):
    expected = enlarge(save_image(small.transpose(1, 0, 2)[:, ::-1].copy(), "upright.png"))
    for kind in range(1, 14, 2):
        for value in (b"\xff" * 8, b"text\0\0\0\0", b"\1\0\0\0\0\0\0\0"):
            path = save_image(small, "a.png", exif=odd_exif(6, tag, kind, value))
            assert np.array_equal(enlarge(path, gps=True), expected)
    save_image(small, "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", xmp=b"<x:xmpmeta")
    enlarge(tmp_path / "b.jpg", "out.jpg")
    assert SOURCE_TYPE in read(tmp_path / "out.jpg")[3]


def test_damaged_xmp_gives_a_packet_of_what_is_known():
    known = {("tiff", "Make"): "Tom & <Co>"}
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    for original in (
        b"",
        b"\0\xff",
        b"<a>",
        b"text",
        bomb,
        XMP[:-200],
        b'<?xml version="1.0" encoding="odd"?><a/>',
    ):
        root = ElementTree.fromstring(packet(known, original, "srstudy 1"))
        described = root.find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description").attrib
        assert described["{http://ns.adobe.com/tiff/1.0/}Make"] == "Tom & <Co>"
        assert SOURCE_TYPE in described.values()
