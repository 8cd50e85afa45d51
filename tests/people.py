"""A folder of photographs as people have them, made of the committed ones by the libraries that write such files."""

import io
import itertools
import os
import struct
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin
from skimage.color import rgb2lab

# From linear Display P3 and Adobe RGB to linear sRGB (CSS Color 4, section 19), and the columns of their ICC profiles.
P3 = np.array([[1.2249402, -0.2249402, 0], [-0.0420570, 1.0420570, 0], [-0.0196376, -0.0786361, 1.0982737]])
ADOBE = np.array([[1.3983557, -0.3983557, 0], [0, 1, 0], [0, -0.0429290, 1.0429290]])
P3_COLUMNS = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_COLUMNS = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def _icc(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4."""
    place, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s12s4s", place + len(data), b"", 0x02400000, kind, space, connection, b"", b"acsp")
    return (head + bytes(28) + _xyz(0.9642, 1, 0.8249)[8:]).ljust(128, b"\0") + table + data


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))


def _curve(levels: np.ndarray) -> bytes:
    """What 1,024 levels of 0 to 1 mean in light."""
    return b"curv\0\0\0\0" + struct.pack(">I", len(levels)) + np.round(65535 * levels).astype(">u2").tobytes()


def _colours(columns: tuple, light: np.ndarray) -> bytes:
    tags = {b"wtpt": _xyz(0.9642, 1, 0.8249)} | {b"%cXYZ" % name: _xyz(*xyz) for name, xyz in zip(b"rgb", columns)}
    return _icc(b"RGB ", b"XYZ ", tags | {b"%cTRC" % name: _curve(light) for name in b"rgb"})


def _inks() -> bytes:
    """An ICC profile of four inks that multiply, from white paper to black; cyan is (0, 158, 224) in sRGB."""
    inks = np.array([[0, 158, 224], [230, 0, 126], [255, 237, 0], [0, 0, 0]]) / 255
    nodes = [np.prod(np.where(np.array(on)[:, None], inks, 1), axis=0) for on in itertools.product((0, 1), repeat=4)]
    lab = rgb2lab(np.array(nodes)) * (2.55, 1, 1) + (0, 128, 128)
    ramp, identity = bytes(range(256)), struct.pack(">9i", *(65536 * np.eye(3, dtype=int).ravel()))
    table = lab.round().clip(0, 255).astype(np.uint8).tobytes()
    return _icc(b"CMYK", b"Lab ", {b"A2B0": b"mft1\0\0\0\0\4\3\2\0" + identity + 4 * ramp + table + 3 * ramp})


LEVELS = np.linspace(0, 1, 1024)
PROFILES = {
    "p3": _colours(P3_COLUMNS, np.where(LEVELS <= 0.04045, LEVELS / 12.92, ((LEVELS + 0.055) / 1.055) ** 2.4)),
    "adobe": _colours(ADOBE_COLUMNS, LEVELS ** (563 / 256)),
    "gray": _icc(b"GRAY", b"XYZ ", {b"wtpt": _xyz(0.9642, 1, 0.8249), b"kTRC": _curve(LEVELS**1.8)}),
    "inks": _inks(),
    "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
}


def in_space(pixels: np.ndarray, space: str, levels: int = 255) -> np.ndarray:
    """What a file in the colour space "p3" or "adobe" stores of sRGB uint8 [H, W, 3], as numbers from 0 to `levels`."""
    values = pixels / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = (light @ np.linalg.inv(P3 if space == "p3" else ADOBE).T).clip(0, 1)
    curved = 1.055 * light ** (1 / 2.4) - 0.055
    stored = np.where(light <= 0.0031308, 12.92 * light, curved) if space == "p3" else light ** (256 / 563)
    return np.round(levels * stored).astype(np.uint16 if levels > 255 else np.uint8)


def odd_exif(orientation: int, tag: int = 0x011A, kind: int = 10, value: bytes = struct.pack("<ii", -1, 0)) -> bytes:
    """EXIF with an orientation and one tag more, of any TIFF type and of 8 bytes; here a resolution of -1/0."""
    size = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)[kind]
    entries = sorted([(0x0112, 3, 1, orientation), (tag, kind, len(value) // size, 38)])
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + listed + bytes(4) + value


# What a camera stores for each EXIF orientation from 2 on, made out of the upright picture (EXIF 2.32, tag 274).
STORED = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270"]


def make_people_folder(folder: Path, photos: Path, megapixels: int = 200) -> dict[str, str]:
    """Write some 50 files and links into `folder`: photographs of 96x128, one of so many megapixels, and what lies
    beside them. Returns what must be said of each file (a regular expression), "" of a sound photograph, by its name
    as a scan has it; of hidden ones nothing.

    `photos`: a folder of photographs to begin with.
    """
    pixels = [np.asarray(Image.open(path).convert("RGB").resize((96, 128))) for path in sorted(photos.iterdir())[:12]]
    images, said = itertools.cycle(map(Image.fromarray, pixels)), {}
    folder.mkdir(parents=True)

    def put(name: str, image: Image.Image | None = None, reason: str = "", **options) -> None:
        (image or next(images)).save(folder / name, **options)
        said[name] = reason

    def put_tiff(name: str, samples: np.ndarray, reason: str = "", **options) -> None:
        tifffile.imwrite(folder / name, samples, **options)
        said[name] = reason

    put("IMG_0001.JPG")
    for orientation, turn in enumerate(STORED, 2):  # a phone's, with one odd tag
        turned = next(images).transpose(Image.Transpose[turn])
        odd = (0x8825, 2, b"N 52.5\0\0") if orientation == 6 else (0x011A,)
        put(f"IMG_000{orientation}.JPG", turned, exif=odd_exif(orientation, *odd))
    for space in ("p3", "adobe"):
        put(f"{space}.jpg", Image.fromarray(in_space(pixels[0], space)), icc_profile=PROFILES[space])
    deep, p3 = pixels[1].astype(np.uint16) * 257, in_space(pixels[1], "p3", 65535)
    put_tiff("from raw.tif", p3, iccprofile=PROFILES["p3"], compression="zlib", photometric="rgb")
    put_tiff("big-endian.tiff", deep[..., 1], byteorder=">", photometric="minisblack")
    put_tiff("in planes.tif", np.moveaxis(deep, -1, 0), "samples", planarconfig="separate", photometric="rgb")
    put_tiff("negative.tif", deep[..., 1], "samples", photometric="miniswhite")
    put_tiff("signed.tif", deep[..., 1].astype(np.int16), "samples", photometric="minisblack")
    put_tiff("heights.tif", np.float32(deep[..., 1]), "samples", photometric="minisblack")
    put_tiff("12 bits.tif", deep >> 4, "nearly black", photometric="rgb")
    put("gray.png", Image.fromarray(deep[..., 1]))
    put("scan.jpg", next(images).convert("L"), icc_profile=PROFILES["gray"])
    put("print.jpg", next(images).convert("CMYK"), icc_profile=PROFILES["inks"])
    put("odd profile.jpg", icc_profile=PROFILES["p3"][:200])
    put("cut out.png", next(images).convert("RGBA"), icc_profile=PROFILES["srgb"])
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>" * 200_000, zip=True)
    put("retouched.png", pnginfo=notes)
    for name in ("chat.webp", "new.avif", "mail.jfif", "old.jpe", "camera.bmp", "$5 or $6.jpg", "Ümlaut 写真.jpg"):
        put(name)
    put(f"{'long' * 62}.jpg")  # 252 bytes
    put("both eyes.jpg", format="MPO", save_all=True, append_images=[next(images)])
    put("moving.gif", save_all=True, append_images=[next(images)])
    put("huge.jpg", Image.new("L", (16320, round(megapixels * 1e6 / 16320)), 90))
    for name, content in (("cut.jpg", -500), ("empty.jpg", 0)):
        (folder / name).write_bytes((folder / "IMG_0001.JPG").read_bytes()[:content])
    (folder / "notes.txt").write_text("Lisbon\n")
    (folder / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(500))
    said |= dict.fromkeys(("empty.jpg", "notes.txt", "IMG_0001.HEIC"), "not an image|no ending")
    said["cut.jpg"] = "damaged"
    for name in ("._IMG_0001.JPG", ".DS_Store"):
        (folder / name).write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        " + bytes(100))
    (folder / "2019").mkdir()
    put("2019/beach.jpg")
    if os.name == "posix":
        for name, target in (("album", "2019"), ("2019/all", ".."), ("linked.jpg", "p3.jpg"), ("gone.jpg", "nowhere")):
            (folder / name).symlink_to(target)
        said |= {"album/beach.jpg": "", "linked.jpg": "", "gone.jpg": "links to what is gone|a dead link"}
    if os.name == "posix" and os.uname().sysname == "Linux":  # macOS allows no such name
        buffer = io.BytesIO()
        next(images).save(buffer, "JPEG")
        (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(buffer.getvalue())
        said[r"caf\udce9.jpg"] = "name is not UTF-8"
    return said
