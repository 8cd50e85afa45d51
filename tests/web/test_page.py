"""The page in a real Chromium, from a real `srstudy serve`: its pixels, and what a user can do with it.

They need `pip install -e ".[dev,web]"`, Chromium (CHROMIUM names its program, if it is another) and what
`web/vendor.sh` fetches; else they are left out. AXE names a file axe.min.js; without it npm is asked for one.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
NEEDED = ("onnxruntime", "playwright.sync_api", "av", "srstudy.serve.app", "tests.serve.server")
onnxruntime, playwright, av, _, serving = (pytest.importorskip(name) for name in NEEDED)
Page, expect, sync_playwright = playwright.Page, playwright.expect, playwright.sync_playwright
Server, until = serving.Server, serving.until
expect.set_options(timeout=60_000)

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
NAME = json.loads((ROOT / "web" / "models.json").read_text())["models"][0]["name"]  # which the page begins with
MODEL = ROOT / "models" / "released" / NAME / "generator.onnx"
CHROMIUM = shutil.which(os.environ.get("CHROMIUM", "chromium"))
READY = CHROMIUM and (ROOT / "web" / "vendor").is_dir()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not READY, reason="no Chromium, or no web/vendor")]
LONG = 300_000  # ms; the machine may be busy


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    place = tmp_path_factory.mktemp
    with ExitStack() as stack:
        yield lambda *how, **limits: stack.enter_context(closing(Server(place("web") / "folder", *how, **limits)))


@pytest.fixture(scope="module")
def server(serve):
    return serve()


@pytest.fixture
def visit(browser):
    """Opens pages; at the end none of them may have failed, or asked for anything from elsewhere."""
    contexts, errors, asked = [], [], []

    def opened(server: Server, without: str = "", **options) -> Page:
        address = f"http://localhost:{server.port}/"
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        context.on("request", lambda request: asked.append((request.url, address)))
        if without:
            context.route(re.compile(without), lambda route: route.fulfill(status=404))
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: line.type == "error" and errors.append(line.text))
        page.goto(address)
        expect(page.locator("#where")).to_be_visible()
        return page

    yield opened
    assert asked and all(url.startswith((address, "blob:")) for url, address in asked), "a request left the origin"
    assert [error for error in errors if "Failed to load resource" not in error] == []
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit, server):
    return visit(server)


def picture(width: int, height: int, folder: Path, name: str = "photo.png") -> Path:
    with Image.open(SAMPLE / "photos" / "berlin-cathedral.jpg") as photo:
        photo.convert("RGB").crop((200, 130, 200 + width, 130 + height)).save(folder / name, quality=90)
    return folder / name


def begin(page: Page, path: Path, at_server: bool = False) -> None:
    page.set_input_files("#file", path)
    if at_server:
        page.get_by_label("by the server").check()
    page.get_by_role("button", name="Send and enlarge" if at_server else "Enlarge").click()


def finish(page: Page) -> tuple[np.ndarray | None, bytes, dict]:
    """Pixels, file and record of what the page makes of a file."""
    expect(page.locator("#result, #message").filter(visible=True)).to_be_visible(timeout=LONG)
    content = save(page, "#save")
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) if content[:4] == b"\x89PNG" else None
    return pixels, content, json.loads(save(page, "#save-record"))


def enlarge(page: Page, path: Path, strength: float = 1, at_server: bool = False):
    page.locator("#strength").fill(str(strength))
    begin(page, path, at_server)
    return finish(page)


def save(page: Page, link: str) -> bytes:
    with page.expect_download() as download:
        page.locator(link).click()
    return Path(download.value.path()).read_bytes()


def native(path: Path) -> np.ndarray:
    session, lr = onnxruntime.InferenceSession(MODEL), np.asarray(Image.open(path).convert("RGB"))
    return session.run(None, {"lr": lr[None]})[0][0]


def command(path: Path, *options: str) -> np.ndarray:
    target = path.with_name("by-command.png")
    words = [sys.executable, "-m", "srstudy", "enhance", path, "-o", target, "-n", NAME, "--mode=evidence", *options]
    subprocess.run(words, check=True, capture_output=True)
    return np.asarray(Image.open(target))


def furthest(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("size, name", [((96, 64), "photo.png"), ((96, 64), "photo.jpg"), ((401, 190), "photo.png")])
def test_pixels_equal_native_onnx_runtime_tiled_or_whole(page, tmp_path, size, name):
    path = picture(*size, tmp_path, name)
    pixels, content, record = enlarge(page, path)
    assert furthest(pixels, native(path)) <= 1
    for part, data in (("input", path.read_bytes()), ("output", content), ("model", MODEL.read_bytes())):
        assert record[part]["sha256"] == hashlib.sha256(data).hexdigest()
    assert record["model"]["name"] == NAME and record["settings"]["strength"] == 1
    assert record["computed_by"]["tiles"] == (1 if size == (96, 64) else 6)
    assert record["caution"].startswith("Super-resolution invents detail.")


def test_strength_is_the_share_of_the_network_and_0_is_bicubic(page, tmp_path):
    path = picture(96, 64, tmp_path)
    bicubic = np.asarray(Image.open(path).resize((384, 256), Image.Resampling.BICUBIC))
    assert furthest(enlarge(page, path, 0)[0], bicubic) <= 1
    for strength in (1, 0.5):
        assert furthest(enlarge(page, path, strength)[0], command(path, "--no-mark", f"--strength={strength}")) <= 1


def test_consistency_map_reduces_as_matlab_does(page, tmp_path):
    bicubic = pytest.importorskip("srstudy.degrade.bicubic")
    path = picture(200, 90, tmp_path)
    pixels, *_ = enlarge(page, path)
    page.get_by_role("button", name="Compare with the original").click()
    expect(page.locator("#psnr")).to_be_visible()
    error = ((bicubic.downscale(pixels).astype(float) - np.asarray(Image.open(path))) ** 2).mean()
    assert f"{10 * np.log10(255**2 / error):.2f} dB" in page.locator("#psnr").inner_text()


def test_a_comparison_that_another_result_overtakes_is_told_of_nowhere(page, tmp_path):
    enlarge(page, picture(96, 64, tmp_path))  # 4 strips
    page.evaluate("() => { const soon = setTimeout; window.setTimeout = (call, ms) => soon(call, ms || 2000); }")
    page.get_by_role("button", name="Compare with the original").click()
    enlarge(page, picture(40, 30, tmp_path, "other.png"))
    page.wait_for_timeout(8500)
    expect(page.locator("#consistency")).to_be_hidden()
    with page.expect_download() as download:  # of the earlier one: its canvases are gone
        page.locator("#history li").last.get_by_text("Record").click()
    records = [json.loads(save(page, "#save-record")), json.loads(Path(download.value.path()).read_text())]
    assert [record["input"]["file"] for record in records] == ["other.png", "photo.png"]
    assert not any("lr_consistency_psnr_db" in record["what"] for record in records)


def test_a_comparison_whose_result_is_given_up_writes_into_no_record(page, tmp_path):
    enlarge(page, picture(96, 64, tmp_path))  # 4 strips
    page.evaluate("() => { const soon = setTimeout; window.setTimeout = (call, ms) => soon(call, ms || 500); }")
    page.get_by_role("button", name="Compare with the original").click()
    begin(page, picture(600, 400, tmp_path, "large.png"))  # its canvases are given back
    page.wait_for_timeout(4000)
    assert page.locator("#work").is_visible()
    page.get_by_role("button", name="Cancel").click()
    page.reload()
    with page.expect_download() as download:
        page.locator("#history li").get_by_text("Record").click()
    assert "lr_consistency_psnr_db" not in json.loads(Path(download.value.path()).read_text())["what"]


@pytest.mark.parametrize("at_server", [False, True])
def test_what_is_transparent_is_white_before_and_after(page, tmp_path, at_server):
    with Image.open(picture(60, 40, tmp_path)) as photo:
        photo.putalpha(0)
        photo.save(tmp_path / "clear.png")
    enlarge(page, tmp_path / "clear.png", at_server=at_server)
    shown = "all => all.map(one => [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data])"
    sides = np.array(page.locator("#frame canvas").evaluate_all(shown)).reshape(2, 160, 240, 4)
    assert sides[:, :120, :160].min() >= 254  # away from the label


def test_one_pixel_is_enlarged_here_and_by_the_server(page, tmp_path):
    path = picture(1, 1, tmp_path)
    assert furthest(enlarge(page, path)[0], native(path)) <= 1
    assert furthest(enlarge(page, path, at_server=True)[0], command(path)) == 0


OTHER = {"text.jpg": b"no picture", "empty.png": b"", "letter.pdf": b"%PDF-1.7\n", "archive.mp4": b"PK\3\4"}
OTHER["broken.jpg"] = (SAMPLE / "photos" / "flower.jpg").read_bytes()[:300]


@pytest.mark.parametrize("name", OTHER)
def test_what_is_no_picture_gives_one_plain_sentence(page, name):
    given = {"name": name, "mimeType": "video/mp4" if name == "archive.mp4" else "", "buffer": OTHER[name]}
    page.set_input_files("#file", given)
    sentence = rf"“{name}” is not a picture or clip that this browser can read; choose [^.]+\."
    if name == "archive.mp4":  # the server may know more
        begin(page, given, at_server=True)
        sentence = rf"The server: {name}: [^.]+\."
    expect(page.get_by_role("alert")).to_have_text(re.compile(f"^{sentence}$"), timeout=LONG)
    assert page.locator("#result").is_hidden()


@pytest.mark.parametrize("width, height", [(8000, 8000), (5000, 40)])
def test_too_large_is_said_before_any_work(page, tmp_path, width, height):
    Image.new("L", (width, height)).save(tmp_path / "large.png")
    page.set_input_files("#file", tmp_path / "large.png")
    expect(page.get_by_role("alert")).to_contain_text(f"too large: {width} × {height} pixels", timeout=LONG)
    assert page.workers == [], "nothing was begun"


def test_cancel_and_then_again(page, tmp_path):
    begin(page, picture(600, 400, tmp_path))
    expect(page.locator("#left")).to_contain_text("tiles", timeout=LONG)
    page.keyboard.press("Enter")  # the focus is on Cancel
    expect(page.locator("#live")).to_have_text("Cancelled. Nothing was kept.")
    expect(page.locator("#go")).to_be_focused()
    for _ in range(300):
        page.wait_for_timeout(100 * bool(page.workers))
    assert page.workers == [], "only ending them gives the memory back"
    enlarge(page, picture(40, 30, tmp_path))


def test_history_survives_a_reload_and_can_be_deleted(page, tmp_path):
    enlarge(page, picture(60, 40, tmp_path, "first.png"))
    enlarge(page, picture(50, 40, tmp_path, "second.png"))
    page.reload()
    entries = page.locator("#history li")
    page.get_by_role("button", name="Delete second-x4.png").click()
    expect(entries).to_have_count(1)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator("#past")).to_be_hidden()
    assert entries.count() == 0


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
    still = np.array(Image.open(picture(96, 64, tmp_path)))
    still[:16], still[-16:] = (200, 30, 30), (30, 160, 40)  # by BT.709 for BT.601 they would be 15 levels off
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
    Image.fromarray(np.roll(still, 24, axis=1)).save(tmp_path / "last.png")
    last = frames[-1].to_ndarray(format="rgb24").astype(float)
    assert ((last - native(tmp_path / "last.png")) ** 2).mean() < 60
    for band, colour in ((last[8:48], still[0, 0]), (last[-48:-8], still[-1, 0])):  # untagged, small: BT.601
        assert np.abs(band.mean((0, 1)) - colour).max() < 5
    page.locator("#clip-after").evaluate("video => video.currentTime = 0.1")
    page.get_by_role("button", name="One frame forward").click()
    page.wait_for_timeout(500)
    assert page.locator("#clip-before").evaluate("video => video.currentTime") == pytest.approx(4.5 / 30, abs=0.001)


def test_works_without_a_network_after_the_first_load(visit, serve, tmp_path):
    server, path = serve(), picture(96, 64, tmp_path)
    page = visit(server)
    expect(page.locator("#offline")).to_contain_text("Works without the internet", timeout=LONG)
    server.close()
    page.reload()
    assert furthest(enlarge(page, path)[0], native(path)) <= 1
    expect(page.locator("#where")).to_be_hidden()


def test_a_kept_model_that_is_not_the_one_listed_is_fetched_anew(visit, server, tmp_path):
    page, path = visit(server), picture(96, 64, tmp_path)
    expect(page.locator("#offline")).to_contain_text("Works without the internet", timeout=LONG)
    kept = "caches.open('large').then((cache) => cache.keys()).then((all) => all.map(({ url }) => url))"
    (model,) = (url for url in page.evaluate(kept) if f"/{NAME}.onnx" in url)
    page.evaluate("url => caches.open('large').then((cache) => cache.put(url, new Response('another')))", model)
    page.reload()
    assert furthest(enlarge(page, path)[0], native(path)) <= 1


def test_phone_has_no_horizontal_scrolling_and_a_finger_moves_the_line(visit, server, tmp_path):
    page = visit(server, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    enlarge(page, picture(150, 100, tmp_path, "a-rather-long-name-of-a-photograph-from-some-camera-0001.png"))
    page.locator("#frame").scroll_into_view_if_needed()
    box, touch = page.locator("#frame").bounding_box(), page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.6), ("touchMove", 0.75), ("touchEnd", None)):
        points = [{"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2}] if share else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator("#split")).to_have_attribute("aria-valuetext", re.compile("^before to 7[45] %"))
    page.get_by_text("The record", exact=True).click()
    page.get_by_role("button", name="Compare with the original").click()
    expect(page.locator("#psnr")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    path = Path(os.environ.get("AXE") or tmp_path_factory.mktemp("axe") / "node_modules/axe-core/axe.min.js")
    if not path.is_file() and (npm := shutil.which("npm")):
        words = [npm, "install", "--prefix", path.parents[2], "--ignore-scripts", "--no-audit", "axe-core@4"]
        subprocess.run(words, capture_output=True)
    return path.read_text(encoding="utf-8") if path.is_file() else pytest.skip("no axe-core")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, server, axe, tmp_path, scheme):
    page, found = visit(server, color_scheme=scheme), []

    def look(state: str) -> None:
        page.evaluate(axe)
        found.extend((state, one["id"], one["nodes"][0]["html"]) for one in page.evaluate("axe.run()")["violations"])

    look("empty")
    page.set_input_files("#file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("by the server").check()
    look("error")
    begin(page, picture(600, 400, tmp_path))
    look("progress")
    page.get_by_role("button", name="Cancel").click()
    enlarge(page, picture(60, 40, tmp_path))
    page.get_by_text("The record", exact=True).click()
    page.get_by_role("button", name="Compare with the original").click()
    expect(page.locator("#psnr")).to_be_visible()
    look("result")
    assert found == []


def test_photograph_by_the_server_is_told_of_before_and_equals_the_command(page, tmp_path):
    path = picture(96, 64, tmp_path, "küche 1.png")
    expect(page.get_by_label("in this browser")).to_be_checked()
    page.get_by_label("by the server").check()
    expect(page.locator("#upload")).to_contain_text("Your file will be sent to localhost:")
    expect(page.locator("#model")).to_contain_text("Street camera (cctv)")
    pixels, content, record = enlarge(page, path, at_server=True)
    assert furthest(pixels, command(path)) == 0
    assert record["settings"]["mode"] == "evidence" and record["model"]["name"] == NAME
    assert record["output"]["sha256"] == hashlib.sha256(content).hexdigest()
    expect(page.locator("#save")).to_have_attribute("download", "küche 1-x4.png")
    page.route("**/enhance", lambda route: route.continue_(url=route.request.url.replace("enhance", "jobs")))
    assert furthest(enlarge(page, path, at_server=True)[0], pixels) == 0, "an answer 202 is followed to its end"


def film(folder: Path, frames: int = 10) -> Path:
    """The beginning of the sample's clip, small; this browser can't read it."""
    with av.open(str(SAMPLE / "cctv.avi")) as source, av.open(str(folder / "cctv.avi"), "w") as file:
        stream = file.add_stream("mpeg4", 10, width=96, height=72)
        for _, frame in zip(range(frames), source.decode(video=0)):
            file.mux(stream.encode(frame.reformat(96, 72, "yuv420p")))
        file.mux(stream.encode())
    return folder / "cctv.avi"


def test_clip_by_the_server_tells_how_far_it_is(page, tmp_path):
    page.evaluate("""() => { window.told = []; const left = document.getElementById("left");
        new MutationObserver(() => told.push(left.textContent)).observe(left, { childList: true }); }""")
    _, content, _ = enlarge(page, film(tmp_path), at_server=True)
    told = page.evaluate("told")
    assert told[0].startswith("Sending") and any(re.match("[0-9]+ of 10 frames, ", words) for words in told)
    with av.open(io.BytesIO(content)) as file:
        assert [(frame.width, frame.height) for frame in file.decode(video=0)] == [(384, 288)] * 10
    expect(page.locator("#save")).to_have_attribute("download", "cctv-x4.mp4")
    after = page.locator("#clip-after")
    after.evaluate("video => video.play().then(() => { video.pause(); video.currentTime = 0.2; })")
    page.get_by_role("button", name="One frame forward").click()  # of 10 a second, as the record says
    page.wait_for_timeout(500)
    assert after.evaluate("video => video.currentTime") == pytest.approx(0.35, abs=0.001)


def test_without_a_network_the_servers_picture_is_called_bicubic_too(page, tmp_path):
    enlarge(page, picture(24, 16, tmp_path), 0, at_server=True)
    assert page.locator(".made").all_text_contents() == ["bicubic"] * page.locator(".made").count()
    assert "bicubic only" in page.locator("#history").text_content()


def test_cancel_removes_the_job(page, server, tmp_path):
    with page.expect_response("**/jobs") as answer:
        begin(page, film(tmp_path, 150), at_server=True)
    job = answer.value.json()["id"]
    expect(page.locator("#left")).to_contain_text("of 150 frames", timeout=LONG)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#live")).to_have_text("Cancelled. Nothing was kept.")
    assert until(lambda: server.get(f"jobs/{job}").status_code == 404 and job not in server.files())


def test_a_server_that_comes_back_is_taken_up_again_and_one_that_stays_away_is_told_of(visit, serve, tmp_path):
    server = serve()
    page = visit(server)
    for back in (True, False):
        begin(page, film(tmp_path, 150), at_server=True)
        expect(page.locator("#left")).to_contain_text("of 150 frames", timeout=LONG)
        server.process.kill()
        expect(page.locator("#left")).to_contain_text("does not answer; trying again")
        if back:
            server.start()
            assert finish(page)[2]["what"]["frames"] == 150
    expect(page.get_by_role("alert")).to_have_text("The server went away before it was done. Try again later.")


def test_a_token_is_asked_for_and_a_refusal_says_when_to_try_again(visit, serve, tmp_path):
    (tmp_path / "tokens").write_text("ada a-token-that-nobody-guesses\n")
    server = serve("--tokens", str(tmp_path / "tokens"), per_minute=1)
    path, ada = picture(40, 30, tmp_path), {"username": "ada", "password": "a-token-that-nobody-guesses"}
    stranger = visit(server, http_credentials=ada | {"password": "a-guess"})
    begin(stranger, path, at_server=True)
    expect(stranger.get_by_role("alert")).to_contain_text("The server: This server asks for a token")
    page = visit(server, http_credentials=ada)
    _, content, _ = enlarge(page, film(tmp_path), at_server=True)
    assert content
    begin(page, path, at_server=True)
    expect(page.get_by_role("alert")).to_have_text(re.compile(r"^The server: Too many .+ Try again in \d+ s\.$"))


def test_without_its_runtime_the_page_leaves_all_to_the_server(visit, server, tmp_path):
    page, path = visit(server, without="/(vendor|models)/."), picture(96, 64, tmp_path)
    expect(page.locator("#offline")).to_have_text(re.compile(r"^This browser can't compute here, [^.]+\.$"))
    expect(page.get_by_label("by the server")).to_be_checked()
    expect(page.get_by_label("in this browser")).to_be_disabled()
    assert furthest(enlarge(page, path, at_server=True)[0], command(path)) == 0
    enlarge(page, film(tmp_path), at_server=True)
