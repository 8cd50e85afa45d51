"""What an enlarged photograph keeps of the original's metadata: listed tags alone, and that it was made by a network.

One function for all formats. Orientation and size are set anew; there is no thumbnail, maker's note or serial number.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyvips
from PIL import ExifTags, Image

Base, IFD = ExifTags.Base, ExifTags.IFD
KEPT = [Base.ImageDescription, Base.Make, Base.Model, Base.DateTime, Base.Artist, Base.Copyright]
KEPT_OF_EXIF = [
    Base.DateTimeOriginal, Base.DateTimeDigitized, Base.OffsetTime, Base.OffsetTimeOriginal, Base.SubsecTimeOriginal,
    Base.ExposureTime, Base.FNumber, Base.ISOSpeedRatings, Base.FocalLength,
]  # fmt: skip
RATIOS = [Base.ExposureTime, Base.FNumber, Base.FocalLength]
DATES = [Base.DateTimeOriginal, Base.DateTimeDigitized]
ANGLES = {"GPSLatitude": ExifTags.GPS.GPSLatitude, "GPSLongitude": ExifTags.GPS.GPSLongitude}
# A trained network filled in what was not there. IPTC has "algorithmicallyEnhanced" for sharpening and the like.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SPACES = {
    "x": "adobe:ns:meta/", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/", "tiff": "http://ns.adobe.com/tiff/1.0/", "exif": "http://ns.adobe.com/exif/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/", "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}  # fmt: skip
KEPT_OF_XMP = {
    "dc": ["title", "creator", "description", "rights"], "xmp": ["CreateDate"],
    "tiff": [tag.name for tag in KEPT if tag != Base.DateTime], "exif": [tag.name for tag in (*DATES, *RATIOS)],
    "xmpRights": ["Marked", "UsageTerms", "WebStatement"],
}  # fmt: skip
PLACE = ["GPSLatitude", "GPSLongitude", "GPSAltitude", "GPSAltitudeRef", "GPSTimeStamp"]
MOST_XMP = 1 << 20  # bytes; a packet with more is not read
MOST_WRITTEN = 59_000  # bytes; libvips leaves a longer packet out of a JPEG, and with it what the picture is
LONGEST = 1000  # characters of what EXIF says


def with_metadata(image: pyvips.Image, original: Path, tool: str, gps: bool = False) -> pyvips.Image:
    """`image`, to be saved in any format, with what is kept of the original's EXIF and XMP. Damaged tags are left out.

    It has no metadata of its own before. TIFF has no EXIF here: what is kept of it stands in XMP, as for every format,
    but for sensitivity, fractions of seconds, offsets of time and, of the place, all but latitude and longitude.
    """
    (kept, known), xmp = _kept(Image.Exif(), gps), b""
    with suppress(Exception), Image.open(original) as opened:  # whatever is wrong with it, the picture is not
        xmp = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp", "").encode()
        exif = opened.getexif()
        xmp = xmp or exif.get(ExifTags.Base.XMLPacket)
        kept, known = _kept(exif, gps)  # while the file is open: of TIFF, parts are read only now
    xmp = xmp if isinstance(xmp, bytes) else b""
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    image.set_type(pyvips.GValue.blob_type, "exif-data", kept.tobytes())
    made = packet(known, xmp, tool, gps)
    made = made if len(made) <= MOST_WRITTEN else packet(known, b"", tool, gps)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", made)
    return image


def _kept(exif: Image.Exif, gps: bool) -> tuple[Image.Exif, dict[tuple[str, str], str]]:
    """The tags that are kept, as EXIF, and the most asked for as XMP has them; Base.DateTime is of the last change."""
    kept, details, place = _sound(exif, KEPT), {Base.ColorSpace: 1}, {}
    with suppress(Exception):
        details |= _sound(exif.get_ifd(IFD.Exif), KEPT_OF_EXIF)
    with suppress(Exception):
        place = _sound(exif.get_ifd(IFD.GPSInfo), ExifTags.GPS) if gps else {}
    known = {("exif", tag.name): _moment(details.get(tag)) for tag in DATES}
    known |= {("xmp", "ModifyDate"): _moment(kept.get(Base.DateTime))}
    known |= {("tiff", tag.name): kept.get(tag) for tag in KEPT if tag != Base.DateTime}
    known |= {("exif", tag.name): _ratio(details[tag]) for tag in RATIOS if tag in details}
    known |= {("exif", name): _angle(place, number) for name, number in ANGLES.items()}
    result = Image.Exif()
    kept = {tag: value.encode("latin-1", "replace") if isinstance(value, str) else value for tag, value in kept.items()}
    result.update(kept | {IFD.Exif: details} | ({IFD.GPSInfo: place} if place else {}))
    return result, {key: text for key, value in known.items() if value and (text := _text(value))}


def _text(value: Any) -> str:
    """A value in one line. Pillow reads as Latin-1 what most programs write in UTF-8."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:LONGEST]


def _moment(date: Any) -> str:
    """A date of EXIF as XMP has it."""
    return str(date or "").replace(":", "-", 2).replace(" ", "T")


def _ratio(value: Any) -> str:
    """A number as EXIF's part of XMP has it."""
    with suppress(Exception):
        return "{}/{}".format(*Fraction(float(value)).limit_denominator(100_000).as_integer_ratio())
    return ""


def _angle(place: Mapping[int, Any], number: int) -> str:
    """A latitude or longitude of EXIF as XMP has it: degrees,minutes and its side of the world."""
    with suppress(Exception):
        degrees, minutes, seconds = map(float, place[number])
        degrees, minutes = divmod(60 * degrees + minutes + seconds / 60, 60)
        return f"{int(degrees)},{minutes:.6f}{place[number - 1]}"  # int: there is no whole number of 0/0
    return ""


def _sound(tags: Mapping[int, Any], wanted: Iterable[int]) -> dict[int, Any]:
    """Those of the wanted tags that can be read, and written again."""
    found = {}
    for tag in wanted:
        with suppress(Exception):
            if tag in tags:
                alone = Image.Exif()
                alone[tag] = tags[tag]
                alone.tobytes()
                found[int(tag)] = tags[tag]
    return found


def packet(known: dict[tuple[str, str], str], original: bytes, tool: str, gps: bool = False) -> bytes:
    """An XMP packet: what is kept of the original's, what EXIF says, who made it, and IPTC's term for what it is."""
    for prefix, space in SPACES.items():
        ET.register_namespace(prefix, space)
    root = ET.Element(_name("x", "xmpmeta"))
    body = ET.SubElement(root, _name("rdf", "RDF"))
    body = ET.SubElement(body, _name("rdf", "Description"), {_name("rdf", "about"): ""})
    wanted = {_name(prefix, key) for prefix, keys in KEPT_OF_XMP.items() for key in keys}
    wanted |= {_name("exif", key) for key in PLACE} if gps else set()
    with suppress(Exception):
        for part in ET.fromstring(original[:MOST_XMP].rstrip(b"\0")).iter(_name("rdf", "Description")):
            body.attrib.update({key: value for key, value in part.attrib.items() if key in wanted})
            body.extend(child for child in part if child.tag in wanted)
    for (prefix, key), value in known.items():
        if _name(prefix, key) not in body.attrib and body.find(_name(prefix, key)) is None:
            body.set(_name(prefix, key), value)
    body.set(_name("xmp", "CreatorTool"), tool)
    body.set(_name("Iptc4xmpExt", "DigitalSourceType"), SOURCE_TYPE)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{text}<?xpacket end="w"?>'.encode()


def _name(prefix: str, key: str) -> str:
    return f"{{{SPACES[prefix]}}}{key}"
