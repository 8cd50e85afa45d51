"""The record of an enlargement says what was done, and that it can be done again."""

import hashlib
import json
import re

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from srstudy import StudyError
from srstudy.enhance import work
from srstudy.enhance.engine import Engine
from srstudy.enhance.models import find_model
from srstudy.enhance.record import beside, notes, page, read_record
from srstudy.enhance.steps import Steps
from srstudy.enhance.verify import verify
from srstudy.enhance.work import Settings, enhance

ALL = Steps(denoise=6, strength=0.5, clahe=True)
EQUAL = "equal: the pixels of the output are what the original gives"


@pytest.fixture
def make(evidence, save_image, photo, tmp_path):
    """A function (name of the original, of the output, steps) -> the output and the path of its record."""

    def make(name="a.png", output="a-x4.png", steps=ALL):
        if not (tmp_path / name).exists():
            save_image(photo[100:196, 100:190].copy(), name)
        settings, target = Settings("psnr", "evidence", codec="ffv1", steps=steps), tmp_path / "out" / output
        assert enhance(tmp_path / name, target, settings, evidence, lambda done, total: None)
        return target, beside(target, "record.json")

    return make


def again(record, original=None):
    return verify(record, original, lambda done, total: None)


def test_two_runs_are_not_at_one_output_at_a_time(make, tmp_path):
    with work._alone(tmp_path / "out" / "a-x4.png"), pytest.raises(StudyError, match="another run is writing it"):
        make()
    assert make()[0].is_file() and not list((tmp_path / "out").glob("*.lock"))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(path, *keys, to):
    """One value of a record."""
    record = part = json.loads(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = to
    path.write_text(json.dumps(record), encoding="utf-8")


def test_a_record_names_files_hashes_steps_and_software(make, model, tmp_path):
    target, path = make()
    record, original = json.loads(path.read_text(encoding="utf-8")), tmp_path / "a.png"
    assert record["input"] == {"file": "../a.png", "sha256": sha256(original), "bytes": original.stat().st_size}
    assert record["output"] == {"file": "a-x4.png", "sha256": sha256(target), "bytes": target.stat().st_size}
    assert record["model"]["sha256"] == sha256(model) and "45 training photographs" in record["model"]["learned_from"]
    assert [step["step"] for step in record["steps"]] == ["denoise", "enlarge", "strength", "clahe", "mark"]
    assert record["steps"][0]["strength"] == 6 and record["steps"][2]["share of the network"] == 0.5
    assert all(step["reference"] for step in record["steps"])
    assert [step["step"] for step in Steps(mark=False).recorded("psnr", True)] == ["enlarge"]
    assert (record["computed_by"]["precision"], record["computed_by"]["threads"]) == ("f32", 2)
    assert record["what"]["lr_consistency"]["psnr_db"] > 20 and record["began"] <= record["ended"]
    assert record["settings"]["steps"] == {"denoise": 6, "strength": 0.5, "clahe": True, "mark": True}
    assert all(re.match(r"\d+\.", record["software"][name]) for name in ("openvino", "libvips", "libavcodec", "pillow"))
    assert "no evidence of identity" in record["caution"]
    with Image.open(beside(target, "consistency.png")) as image:
        assert image.size == (90, 96) and image.mode == "L"


@pytest.mark.skipif("os.name == 'nt'", reason="Windows has no such names")
def test_the_page_escapes_names_and_stands_alone(make):
    target, _ = make("<b>&.png", "<b>&-x4.png")
    text = beside(target, "record.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;-x4.png" in text and not re.search(r"<(b|script|link|iframe)\b", text) and "url(" not in text
    assert re.findall(r'(?:src|href|srcset|action|data)="(.{22})', text) == ["data:image/png;base64,"]
    text = page("t", {"list": [1, {"a_b": "<i>"}], "none": []}, b"")
    assert "<li><code>1</code></li>" in text and "<th>a b</th><td><code>&lt;i&gt;</code>" in text and "<img" not in text


@pytest.mark.parametrize("output", ["a-x4.png", "a-x4.jpg", "a-x4.tif"])
def test_a_record_is_verified_by_doing_it_again(make, tmp_path, output):
    _, record = make(output=output)
    assert again(record) == (True, EQUAL)
    assert again(record, (tmp_path / "a.png").rename(tmp_path / "moved.png")) == (True, EQUAL)
    assert {path.name for path in record.parent.iterdir()} == {output, *(f"{output}.{what}" for what in (
        "record.json", "record.html", "consistency.png"))}  # fmt: skip


def test_sixteen_bits_and_clips_are_verified(make, photo, tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", photo[:20, :20].astype(np.uint16) * 257, photometric="rgb")
    _, record = make("deep.tif", "deep-x4.tif", Steps())
    (tmp_path / "deep.tif").rename(record.with_name("deep.tif"))  # sent with its record, in one folder
    assert again(record) == (True, EQUAL)
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("ffv1", rate=5, width=32, height=24, pix_fmt="yuv420p10le")
        for left in (0, 9, 18):
            pixels = photo[100:124, 100 + left : 132 + left].copy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    target, record = make("a.avi", "a-x4.mkv")
    assert again(record) == (True, EQUAL) and notes(target) == ["10 bits a sample were read as 8"]


def test_a_forged_output_is_told_and_a_level_is_forgiven(make):
    target, record = make()
    for levels, said in ((1, "within a level: at most 1,"), (20, "different: by up to 2[01] levels,")):
        pixels = np.array(Image.open(target))
        pixels[7, 5] = np.where(pixels[7, 5] > 128, pixels[7, 5] - levels, pixels[7, 5] + levels)
        Image.fromarray(pixels).save(target)
        with pytest.raises(StudyError, match=r"a-x4\.png: the output has changed since it was recorded"):
            again(record)
        change(record, "output", "sha256", to=sha256(target))
        same, found = again(record)
        assert same == (levels == 1) and re.fullmatch(f"{said} first at column 5, row 7", found)


@pytest.mark.parametrize(("what", "name"), [("original", "input"), ("output", "output"), ("model", "model")])
def test_what_is_missing_or_has_changed_is_said(make, tmp_path, what, name):
    _, record = make()
    (tmp_path / "other").write_bytes(b"another")
    change(record, name, "file", to="../other")
    with pytest.raises(StudyError, match=f"other: the {what} has changed since it was recorded"):
        again(record)
    (tmp_path / "other").unlink()
    if what == "model":
        change(record, "settings", "model", to="nowhere")
    with pytest.raises(StudyError, match="no such model" if what == "model" else f"the {what} is not there"):
        again(record)


def test_integers_that_have_changed_are_said(save_image, photo, tmp_path):
    source, target, settings = save_image(photo[:24, :24].copy(), "a.png"), tmp_path / "a-x4.png", Settings("fast")
    engine = Engine(find_model("fast"))
    enhance(source, target, settings, engine, lambda done, total: None)
    record = beside(target, "record.json")
    assert again(record) == (True, EQUAL)
    change(record, "model", "integers_sha256", to="0" * 64)
    if engine.integers:
        with pytest.raises(StudyError, match="its 8-bit integers have changed since it was recorded"):
            again(record)


def test_a_new_output_never_stands_beside_an_older_record(make, monkeypatch):
    target, record = make()
    before = sha256(target)
    monkeypatch.setattr(work, "write_record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(steps=Steps(strength=0.1))
    assert sha256(target) != before and [path.name for path in target.parent.glob("[!.]*")] == [target.name]
    monkeypatch.undo()
    make()
    left = target.with_name(f".{target.name}.parts")
    left.mkdir()
    record.rename(record.with_suffix(".away"))
    with pytest.raises(StudyError, match="no record says that it is an output; move it away"):
        make()  # a file of somebody's, where a clip was stopped half way
    record.with_suffix(".away").rename(record)
    settings = Settings("psnr", "evidence", codec="ffv1", steps=ALL)
    engine = Engine(find_model("psnr"), "evidence")
    assert not enhance(target.parent.parent / "a.png", target, settings, engine, lambda done, total: None)
    assert record.is_file() and not left.exists()


@pytest.mark.skipif("os.name == 'nt'", reason="Windows allows links to some users alone")
def test_a_link_is_recorded_by_its_own_name(make, save_image, photo, tmp_path):
    (tmp_path / "a.png").symlink_to(save_image(photo[100:124, 100:124].copy(), "store/f00.png"))
    _, record = make()
    assert read_record(record)["input"]["file"] == "../a.png" and again(record) == (True, EQUAL)


def test_a_mark_without_room_is_no_step(evidence, save_image, photo, tmp_path):
    target = tmp_path / "a-x4.png"
    source = save_image(photo[:10, :10].copy(), "a.png")
    enhance(source, target, Settings("psnr", "evidence"), evidence, lambda done, total: None)
    assert [step["step"] for step in read_record(beside(target, "record.json"))["steps"]] == ["enlarge"]


def test_what_is_no_record_is_refused(make, tmp_path):
    for content in ("", "[]", "{}", '{"input": {"sha256": 1}}', "\0"):
        (tmp_path / "a.record.json").write_text(content)
        with pytest.raises(StudyError, match="no record of this tool"):
            read_record(tmp_path / "a.record.json")
    _, record = make()
    change(record, "settings", "later", to=1)
    with pytest.raises(StudyError, match="of another version of this tool"):
        again(record)
