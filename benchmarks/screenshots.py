"""Pictures of the page for docs/page: real runs in Chromium, with photographs of the sample made small.

`srstudy serve` has to run, after `web/vendor.sh`. Needs Playwright; CHROMIUM names its program, if it is another.
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
WIDE, PHONE = {"width": 1200, "height": 840}, {"width": 390, "height": 844}
LONG = 600_000  # ms


def photo(name: str, width: int, folder: str) -> Path:
    """A photograph of the sample without its lower edge, where people are, made small."""
    path = Path(folder, f"{name}.png")
    with Image.open(ROOT / "data" / "sample" / "photos" / f"{name}.jpg") as image:
        upper = image.crop((0, 0, image.width, image.height * 5 // 6))
        upper.resize((width, width * upper.height // upper.width), Image.Resampling.LANCZOS).save(path)
    return path


def keep(page: Page, name: str) -> None:
    """Save what is to be seen."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(ROOT / "docs" / "page" / f"{name}.webp", quality=80, method=6)


def enlarge(page: Page, path: Path, seen: str) -> None:
    """Enlarge a file in the browser, until `seen` is."""
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Enlarge").click()
    expect(page.locator(seen)).to_be_visible(timeout=LONG)


if __name__ == "__main__":
    address, chromium = (*sys.argv[1:], "http://localhost:8000/")[0], os.environ.get("CHROMIUM", "chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which(chromium), args=["--no-sandbox"])
        for name, look in (("desktop", {}), ("dark", {"color_scheme": "dark"}), ("phone", {"has_touch": True})):
            page = browser.new_page(viewport=PHONE if name == "phone" else WIDE, is_mobile=name == "phone", **look)
            page.goto(address)
            enlarge(page, photo("flower" if name == "phone" else "berlin-cathedral", 160, folder), "#result")
            keep(page, name)
        page = browser.new_page(viewport=WIDE)
        page.goto(address)
        enlarge(page, photo("berlin-cathedral", 480, folder), "#left:text('3 of')")
        keep(page, "progress")
        page.reload()
        page.set_input_files("#file", {"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
        expect(page.get_by_role("alert")).to_be_visible()
        keep(page, "error")
