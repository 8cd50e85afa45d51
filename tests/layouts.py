"""The five sets of the paper in small: their archives' true layouts, filled with photographs of the sample."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

from PIL import Image

PHOTOS = Path(__file__).resolve().parents[1] / "data" / "sample" / "photos"

# By source: the longest side of its images in pixels, their names as on Kaggle, and what lies beside them.
LAYOUTS: dict[str, tuple[int, list[str], list[str]]] = {
    "mirflickr": (
        500,
        [f"mirflickr25k/mirflickr/im{number}.jpg" for number in (1, 2, 10, 25000)],
        ["mirflickr25k/mirflickr/meta/tags/tags1.txt", "mirflickr25k_annotations_v080/people_r1.txt"],
    ),
    "human_detection": (
        640,
        [f"human detection dataset/{name}" for name in ("0/0.png", "0/111.png", "1/0.png", "1/558.png")],
        [],
    ),
    "ffhq": (256, [f"resized/{number:05}.jpg" for number in (0, 1, 40000, 69999)], []),
    "imagenet": (
        500,
        [
            "imagenet-mini/train/n01440764/n01440764_10026.JPEG",
            "imagenet-mini/train/n15075141/n15075141_9993.JPEG",
            "imagenet-mini/val/n01440764/ILSVRC2012_val_00009111.JPEG",
        ],
        [],
    ),
    "intel": (
        150,
        [
            "seg_train/seg_train/buildings/0.jpg",
            "seg_train/seg_train/street/5713.jpg",
            "seg_test/seg_test/glacier/20059.jpg",
            "seg_pred/seg_pred/3.jpg",
        ],
        [],
    ),
}


@functools.cache
def layout_files(source: str) -> dict[str, bytes]:
    """The files of a set by name; each image is another photograph, reduced to the size of the set's images."""
    side, images, others = LAYOUTS[source]
    files = {name: b"no image\n" for name in others}
    for name, path in zip(images, sorted(PHOTOS.iterdir())):
        with Image.open(path) as photo:
            photo.thumbnail((side, side))
            written = io.BytesIO()
            photo.save(written, "PNG" if name.endswith(".png") else "JPEG", quality=90)
        files[name] = written.getvalue()
    return files


def layout_zip(source: str) -> bytes:
    """The set as the zip that Kaggle sends."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in layout_files(source).items():
            file.writestr(name, content)
    return packed.getvalue()


def layout_folder(source: str, folder: Path) -> Path:
    """The set as it lies under /kaggle/input, or unpacked."""
    for name, content in layout_files(source).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
