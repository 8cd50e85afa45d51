"""What the browser costs: the network in WebAssembly on one thread, against ONNX Runtime on one thread of this machine.

Both enlarge one photograph of 320x240 as a whole with `fast`, alternately; on a busy machine, look at the
processor's time. At last the page itself does, in tiles that overlap. Needs `web/vendor.sh`, `pip install -e ".[web]"`
and Chromium (CHROMIUM names its program, if it is another). Usage: python benchmarks/page.py [rounds]
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import expect, sync_playwright

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

ROOT = Path(__file__).resolve().parents[1]
NAME = "fast"
MODEL = ROOT / "models" / "released" / NAME / "generator.onnx"
LONG = 600_000  # ms
BEGIN = """async (pixels) => {
  const ort = await import('/vendor/ort-1.30.0/ort.wasm.min.mjs');
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create('/models/NAME.onnx', { executionProviders: ['wasm'] });
  window.enlarge = async () => {
    const lr = new ort.Tensor('uint8', Uint8Array.from(pixels), [1, 240, 320, 3]), began = performance.now();
    const { data } = Object.values(await session.run({ lr }))[0];
    return { ms: performance.now() - began, first: Array.from(data.subarray(0, 4 * 320 * 3)) };
  };
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves without a word, and without the headers that would let the page have more than one thread."""

    def log_message(self, *_) -> None:
        """Nothing."""


def spent_by_browser() -> float:
    """Seconds of the processor."""
    return sum(sum(one.cpu_times()[:2]) for one in psutil.Process().children(recursive=True))


def main(rounds: int) -> None:
    """Measure, and print."""
    with Image.open(ROOT / "data" / "sample" / "photos" / "flower.jpg") as image:
        photo = image.convert("RGB").resize((320, 240), Image.Resampling.LANCZOS)
    options, lr = onnxruntime.SessionOptions(), np.asarray(photo)[None]
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL, options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(ROOT / "web")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.goto(f"http://localhost:{server.server_port}/")
        expect(page.locator("#offline")).to_contain_text("from now on", timeout=LONG)  # nothing is loaded any more
        page.evaluate(BEGIN.replace("NAME", NAME), lr.ravel().tolist())
        native, wasm = [], []
        for _ in range(rounds + 1):
            began, spent = time.perf_counter(), time.process_time()
            sr = session.run(None, {"lr": lr})[0]
            native.append(((time.perf_counter() - began) * 1000, (time.process_time() - spent) * 1000))
            spent = spent_by_browser()
            answer = page.evaluate("enlarge()")
            wasm.append((answer["ms"], (spent_by_browser() - spent) * 1000))
        off = np.abs(sr[0, 0].ravel().astype(int) - answer["first"]).max()
        for at, what in enumerate(("by the clock", "of the processor")):
            one, two = (median(times[at] for times in both[1:]) for both in (native, wasm))
            print(f"ms {what}: native {one:.0f}, browser {two:.0f}, ratio {two / one:.2f}; levels apart: {off}")
        photo.save(f"{folder}/photo.png")
        page.locator("#model").select_option(NAME)
        page.set_input_files("#file", f"{folder}/photo.png")
        page.get_by_role("button", name="Enlarge").click()
        expect(page.locator("#result")).to_be_visible(timeout=LONG)
        print(f"the page: {page.locator('#badge').inner_text()}")


if __name__ == "__main__":
    main(int((*sys.argv[1:], 9)[0]))
