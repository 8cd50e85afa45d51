"""The five sets of the paper in small: their archives' true layouts, filled with photographs of the sample."""

import functools
import shutil
import tempfile
from pathlib import Path

from PIL import Image

PHOTOS = Path(__file__).resolve().parents[1] / "data" / "sample" / "photos"
SIDES = {"mirflickr": 500, "human_detection": 640, "ffhq": 256, "imagenet": 500, "intel": 150}  # longest, in px
LAYOUTS = {  # names as on Kaggle
    "mirflickr": [f"mirflickr25k/mirflickr/im{number}.jpg" for number in (1, 10, 2, 25000)],
    "human_detection": [f"human detection dataset/{name}.png" for name in ("0/0", "0/111", "1/0", "1/558")],
    "ffhq": [f"resized/{number:05}.jpg" for number in (0, 1, 40000, 69999)],
    "imagenet": [f"imagenet-mini/{name}.JPEG" for name in ("train/n01/n01_10026", "val/n01/ILSVRC2012_val_00009111")],
    "intel": [
        f"{name}.jpg" for name in ("seg_pred/seg_pred/3", "seg_test/seg_test/sea/2", "seg_train/seg_train/sea/5")
    ],
}
OTHERS = {"mirflickr": ["mirflickr25k/mirflickr/meta/tags/tags1.txt", "mirflickr25k_annotations_v080/people_r1.txt"]}


@functools.cache
def layout_zip(source: str) -> bytes:
    """The set as the zip that Kaggle sends."""
    with tempfile.TemporaryDirectory() as place:
        folder = layout_folder(source, Path(place, "set"))
        return Path(shutil.make_archive(str(folder), "zip", folder)).read_bytes()


def layout_folder(source: str, folder: Path) -> Path:
    """The set as it lies under /kaggle/input, or unpacked; each image is another photograph of its images' size."""
    for name, path in zip(LAYOUTS[source], sorted(PHOTOS.iterdir())):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as photo:
            photo.thumbnail((SIDES[source], SIDES[source]))
            photo.save(folder / name, quality=90)
    for name in OTHERS.get(source, []):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no image\n")
    return folder
