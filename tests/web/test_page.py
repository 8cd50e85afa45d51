"""The page in a real Chromium: its pixels against native ONNX Runtime and Pillow, and what a user can do with it.

They need `pip install -e ".[web]"`, Chromium (CHROMIUM names its program, if it is another) and what `web/vendor.sh`
fetches; else they are left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
onnxruntime, playwright = (pytest.importorskip(name) for name in ("onnxruntime", "playwright.sync_api"))
Page, expect, sync_playwright = playwright.Page, playwright.expect, playwright.sync_playwright

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
SMALL = ROOT / "models" / "released" / "recommended-psnr" / "generator.onnx"
PHOTO = ROOT / "data" / "sample" / "photos" / "berlin-cathedral.jpg"
CHROMIUM = shutil.which(os.environ.get("CHROMIUM", "chromium"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM or not (WEB / "vendor").is_dir(), reason="no Chromium, or no web/vendor"),
]
CAUTION = "Super-resolution invents detail."
HEADERS = json.loads((WEB / "vercel.json").read_text())["headers"][0]["headers"]


class Handler(SimpleHTTPRequestHandler):
    """The folder with the headers that the page is published with, a small model, and, if asked for, a server's API."""

    def __init__(self, *args, api: bool, **kwargs):
        self.api = api
        self.log_message = lambda *words: None
        super().__init__(*args, directory=str(WEB), **kwargs)

    def end_headers(self):
        for header in HEADERS:
            self.send_header(header["key"], header["value"])
        super().end_headers()

    def answer(self, content: bytes, kind: str = "application/json"):
        self.send_response(200)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "X-Record": "/records/1"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        path, content = self.path.partition("?")[0], SMALL.read_bytes()
        if path == "/models.json":
            small = {"name": "small", "title": "Small", "use": "For tests.", "file": "models/small.onnx"}
            small |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            known = json.loads((WEB / "models.json").read_text())["models"]
            return self.answer(json.dumps({"models": [small, *known]}).encode())
        if path == "/models/small.onnx":
            return self.answer(content, "application/octet-stream")
        api = {"/health": {"status": "ok"}, "/models": [{"name": "big", "use": "On the server."}]}
        api["/records/1"] = {"output": {"file": "from-server.png"}, "computed_by": {"engine": "stub"}}
        if self.api and path in api:
            return self.answer(json.dumps(api[path]).encode())
        return super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert b'name="mode"' in body and b'name="strength"' in body and b'name="model"' in body
        picture = io.BytesIO()
        Image.new("RGB", (384, 256), (10, 200, 30)).save(picture, "PNG")
        self.answer(picture.getvalue(), "image/png")


def serve(api: bool = False) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, api=api))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address():
    server = serve()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: line.type == "error" and "404" not in line.text and page.errors.append(line.text))
    page.goto(address)
    yield page
    assert asked and all(url.startswith((address, "blob:")) for url in asked), "a request left the origin"
    assert page.errors == []
    context.close()


def picture(width: int, height: int, folder: Path, name: str = "photo.png") -> Path:
    with Image.open(PHOTO) as photo:
        photo.convert("RGB").crop((40, 60, 40 + width, 60 + height)).save(folder / name, quality=90)
    return folder / name


def enlarge(page: Page, path: Path, strength: float = 1) -> tuple[np.ndarray, bytes, dict]:
    """Pixels, file and record of what the page makes of a file."""
    page.set_input_files("#file", path)
    page.locator("#strength").fill(str(strength))
    page.get_by_role("button", name="Enlarge").click()
    expect(page.locator("#result, #message").filter(visible=True)).to_be_visible(timeout=300_000)
    content = save(page, "#save")
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) if content[:4] == b"\x89PNG" else None
    return pixels, content, json.loads(save(page, "#save-record"))


def save(page: Page, link: str) -> bytes:
    with page.expect_download() as download:
        page.locator(link).click()
    return Path(download.value.path()).read_bytes()


def native(path: Path) -> np.ndarray:
    session, lr = onnxruntime.InferenceSession(SMALL), np.asarray(Image.open(path).convert("RGB"))
    return session.run(None, {"lr": lr[None]})[0][0]


def furthest(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("size, name", [((96, 64), "photo.png"), ((96, 64), "photo.jpg"), ((401, 190), "photo.png")])
def test_pixels_equal_native_onnx_runtime_tiled_or_whole(page, tmp_path, size, name):
    path = picture(*size, tmp_path, name)
    pixels, content, record = enlarge(page, path)
    assert furthest(pixels, native(path)) <= 1
    for part, data in (("input", path.read_bytes()), ("output", content), ("model", SMALL.read_bytes())):
        assert record[part]["sha256"] == hashlib.sha256(data).hexdigest()
    assert record["model"]["name"] == "small" and record["settings"]["strength"] == 1
    assert record["caution"].startswith(CAUTION)
    assert record["computed_by"]["tiles"] == (1 if size == (96, 64) else 6)
    assert f"{record['computed_by']['ms_per_tile']} ms per tile" in page.locator("#badge").inner_text()
    expect(page.locator("#result")).to_contain_text(CAUTION)


def test_strength_is_the_share_of_the_network_and_0_is_bicubic(page, tmp_path):
    path = picture(96, 64, tmp_path)
    bicubic = np.asarray(Image.open(path).resize((384, 256), Image.Resampling.BICUBIC))
    assert furthest(enlarge(page, path, 0)[0], bicubic) <= 1
    half = (native(path).astype(float) + bicubic) / 2
    assert np.abs(enlarge(page, path, 0.5)[0] - half).max() <= 1.5


def test_consistency_map_reduces_as_matlab_does(page, tmp_path):
    path = picture(200, 90, tmp_path)
    pixels, *_ = enlarge(page, path)
    page.get_by_role("button", name="Compare with the original").click()
    expect(page.locator("#psnr")).to_be_visible()
    error = ((matlab(matlab(pixels.astype(float), 0), 1) - np.asarray(Image.open(path))) ** 2).mean()
    assert f"{10 * np.log10(255**2 / error):.2f} dB" in page.locator("#psnr").inner_text()


def matlab(pixels: np.ndarray, axis: int) -> np.ndarray:
    """A quarter by antialiased bicubic along one axis, the border's pixel repeated, in 8 bits."""
    x = np.abs((np.arange(16) - 7.5) / 4)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    rows, weights = np.moveaxis(pixels, axis, 0), np.where(x <= 1, near, far)
    padded = np.pad(rows, [(6, 6), (0, 0), (0, 0)], mode="edge")
    made = np.stack([np.tensordot(weights / weights.sum(), padded[i : i + 16], 1) for i in range(0, len(rows), 4)])
    return np.moveaxis(np.floor(made + 0.5).clip(0, 255), 0, axis)


def test_a_text_named_jpg_gives_one_plain_sentence(page):
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    words = page.get_by_role("alert").inner_text()
    assert re.fullmatch(r"“x.jpg” is not a picture or clip that this browser can read; choose [^.]+\.", words)
    expect(page.get_by_role("button", name="Enlarge")).to_be_disabled()


def test_too_large_is_said_before_any_work(page, tmp_path):
    Image.new("L", (5000, 40)).save(tmp_path / "wide.png")
    page.set_input_files("#file", tmp_path / "wide.png")
    expect(page.get_by_role("alert")).to_contain_text("too large: 5000 × 40 pixels")
    assert page.workers == [], "nothing was begun"


def test_cancel_and_then_again(page, tmp_path):
    page.set_input_files("#file", picture(600, 400, tmp_path))
    page.get_by_role("button", name="Enlarge").click()
    expect(page.locator("#left")).to_contain_text("tiles")
    page.keyboard.press("Enter")  # the focus is on Cancel
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#live")).to_have_text("Cancelled. Nothing was kept.")
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#go")).to_be_focused()
    page.wait_for_timeout(2000)
    assert page.workers == [], "only ending them gives the memory back"
    enlarge(page, picture(40, 30, tmp_path))


def test_history_survives_a_reload_and_can_be_deleted(page, tmp_path):
    enlarge(page, picture(60, 40, tmp_path, "first.png"))
    enlarge(page, picture(50, 40, tmp_path, "second.png"))
    page.reload()
    entries = page.locator("#history li")
    expect(entries.first).to_contain_text("second-x4.png")
    page.get_by_role("button", name="Delete second-x4.png").click()
    expect(entries).to_have_count(1)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator("#past")).to_be_hidden()
    page.reload()
    assert page.locator("#history li").count() == 0


def test_slider_and_lens_by_keyboard(page, tmp_path):
    enlarge(page, picture(96, 64, tmp_path))
    page.get_by_label("Line between").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#split")).to_have_attribute("aria-valuetext", re.compile("^before to 51 %"))
    page.keyboard.press("Tab")
    expect(page.locator("#lens")).to_be_focused()
    place = page.locator("#place").inner_text()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.keyboard.press(key)
    assert page.locator("#place").inner_text() != place
    expect(page.locator("#zoom")).to_have_value("8 ×")


def test_clip_keeps_frames_times_and_colours(page, tmp_path):
    av = pytest.importorskip("av")
    still = np.asarray(Image.open(picture(96, 64, tmp_path)))
    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("libx264", 30, width=96, height=64, options={"crf": "5"})
        for number in range(7):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(still, 4 * number, axis=1), format="rgb24")))
        file.mux(stream.encode())
    _, content, record = enlarge(page, tmp_path / "clip.mp4")
    assert record["what"]["frames"] == 7 and record["output"]["file"] == "clip-x4.webm"
    with av.open(io.BytesIO(content)) as file:
        frames = list(file.decode(video=0))
    assert [round(frame.time * 30) for frame in frames] == list(range(7))
    assert (frames[0].width, frames[0].height) == (384, 256)
    Image.fromarray(np.roll(still, 24, axis=1)).save(tmp_path / "last.png")
    error = frames[-1].to_ndarray(format="rgb24") - native(tmp_path / "last.png").astype(float)
    assert (error**2).mean() < 60 and np.abs(error.mean((0, 1))).max() < 2  # untagged, small: BT.601
    page.locator("#clip-after").evaluate("video => video.currentTime = 0.1")
    page.get_by_role("button", name="One frame forward").click()
    page.wait_for_timeout(500)
    assert page.locator("#clip-before").evaluate("video => video.currentTime") == pytest.approx(4.5 / 30, abs=0.001)


def test_works_without_a_network_after_the_first_load(browser, tmp_path):
    server = serve()
    page = browser.new_context().new_page()
    page.goto(f"http://localhost:{server.server_port}/")
    expect(page.locator("#offline")).to_contain_text("Works without the internet", timeout=60_000)
    server.shutdown()
    server.server_close()
    page.reload()
    path = picture(96, 64, tmp_path)
    assert furthest(enlarge(page, path)[0], native(path)) <= 1
    page.context.close()


def test_phone_has_no_horizontal_scrolling(browser, address, tmp_path):
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(address)
    enlarge(page, picture(150, 100, tmp_path, "a-rather-long-name-of-a-photograph-from-some-camera-0001.png"))
    page.get_by_text("The record", exact=True).click()
    page.get_by_role("button", name="Compare with the original").click()
    expect(page.locator("#psnr")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_the_server_is_offered_where_there_is_one_and_told_of_before(browser, tmp_path):
    server = serve(api=True)
    page = browser.new_context().new_page()
    page.goto(f"http://localhost:{server.server_port}/")
    page.get_by_label("by the server").check()
    expect(page.locator("#upload")).to_contain_text("Your file will be sent to localhost")
    page.set_input_files("#file", picture(96, 64, tmp_path))
    page.get_by_role("button", name="Send and enlarge").click()
    expect(page.locator("#result")).to_be_visible()
    assert json.loads(save(page, "#save-record"))["computed_by"] == {"engine": "stub"}
    page.context.close()
