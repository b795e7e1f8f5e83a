"""Make docs/images/page-*.png: the demo is started, works for six minutes, and is photographed in Chromium.

``make screenshots``. Nothing is arranged: what the pictures show is what the demo did meanwhile.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.demo.running_demo import RunningDemo  # noqa: E402 - after the path
from tests.readers import chromium  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WORKED = 60 * float(os.environ.get("MINUTES", "6"))  # seconds, so that charts have something to show
LARGEST = 200_000  # bytes
VIVID = 60  # between a colour's strongest and weakest channel
DESK = {"width": 1280, "height": 830}
PHONE = {"width": 390, "height": 780}
CANCELLED = 23  # each such turn cancels something
ENDLESS = {"iterations": 20_000, "width": 4096, "height": 4096, "center": [-0.2, 0.0], "span": 0.1}


@dataclass(frozen=True)
class Picture:
    """What is photographed, and how."""

    name: str
    view: str
    there: str  # a selector of what must be on the screen
    look: str = "light"
    phone: bool = False


def pictures(ids: dict[str, str]) -> list[Picture]:
    """Return all pictures, given ids of operations by what they are."""
    return [
        Picture("overview-light", "dashboard/?minutes=15", ".figures b"),
        Picture("overview-dark", "dashboard/?minutes=15", ".figures b", "dark"),
        Picture("operations-light", "dashboard/operations", "tbody tr"),
        Picture("operation-dark", f"dashboard/operations/{ids['import']}", ".lines .line", "dark"),
        Picture("webhooks-light", "dashboard/webhooks", "section.log li"),
        Picture("workers-dark", "dashboard/workers", "tbody tr", "dark"),
        Picture("run-light", "dashboard/run?route=POST%20/fractals", "textarea"),
        Picture("operations-phone", "dashboard/operations", "tbody tr", phone=True),
        Picture("operation-phone", f"dashboard/operations/{ids['tale']}", ".lines .line", "dark", phone=True),
    ]


def main() -> int:
    """Make the pictures; 1 where there is no browser, or a picture is too large."""
    if why := chromium.missing():
        print(f"No pictures: {why}.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        demo = RunningDemo(Path(folder) / "data")
        try:
            demo.wait_for("Ctrl-C ends the demo")
            return _photographed(demo.url)
        finally:
            demo.end()
            demo.kill_all()


def _photographed(url: str) -> int:
    with httpx2.Client(base_url=url, timeout=120, trust_env=False) as client:
        stopping = threading.Event()
        working = threading.Thread(target=_work, args=(client, stopping))
        working.start()
        try:
            print(f"The demo works for {WORKED:.0f} seconds")
            time.sleep(WORKED)
            return _taken(url, client)
        finally:
            stopping.set()
            working.join()


def _work(client: httpx2.Client, stopping: threading.Event) -> None:
    """Submit what a shop would: small things mostly, now and then a large one, a wrong one, one that is cancelled."""
    export = client.get("/orders.csv").content
    turn = 0
    while not stopping.wait(1.5):
        turn += 1
        metadata = {"Operation-Metadata": f'customer="{turn % 9 + 40}"'}
        client.post("/tales", json={"words": 400 + turn % 5 * 900, "seed": turn}, headers=metadata)
        for every, path, options in (
            (9, "/forecasts", {"json": {"cities": ["Oslo", "Rome", "Athens"]}}),
            (10, "/fractals", {"json": {"width": 512, "height": 512}}),
            (15, "/imports", {"files": {"file": ("notes.txt", b"not an export\n", "text/plain")}}),
            (17, "/imports", {"files": {"file": ("orders.csv", export, "text/csv")}}),
            (25, "/reports", {"json": {"title": "A year of rain"}}),
        ):
            if turn % every == 0:
                client.post(path, headers=metadata, **options)
        if turn % CANCELLED == 0:
            endless = client.post("/fractals", json=ENDLESS, headers=metadata).json()
            client.post(f"{endless['links']['self']}/cancel")


def _taken(url: str, client: httpx2.Client) -> int:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it is absent on machines without a browser

    export = client.get("/orders.csv").content
    ids = {"tale": client.post("/tales", json={"words": 4000, "seed": 11}).json()["id"]}
    status = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.EXECUTABLE, args=chromium.ARGUMENTS)
        ids["import"] = client.post("/imports", files={"file": ("orders.csv", export, "text/csv")}).json()["id"]
        in_order = sorted(pictures(ids), key=lambda each: each.name != "operation-dark")  # while the import runs
        for picture in in_order:
            size = _take(browser, url, picture)
            print(f"docs/images/page-{picture.name}.png {size / 1000:.0f} kB")
            if size > LARGEST:
                print(f"That is more than {LARGEST / 1000:.0f} kB.", file=sys.stderr)
                status = 1
        browser.close()
    return status


def _take(browser: Any, url: str, picture: Picture) -> int:
    scheme = picture.look
    viewport = PHONE if picture.phone else DESK
    context = browser.new_context(color_scheme=scheme, viewport=viewport, device_scale_factor=1.5)
    page = context.new_page()
    page.goto(f"{url}/{picture.view}")
    page.wait_for_selector(picture.there)
    page.wait_for_timeout(600)  # bars slide to where they are
    taken = page.screenshot()
    context.close()
    file = IMAGES / f"page-{picture.name}.png"
    _with_few_colours(Image.open(io.BytesIO(taken)).convert("RGB")).save(file, optimize=True)
    return file.stat().st_size


def _with_few_colours(image: Image.Image) -> Image.Image:
    """Keep 256 colours exactly and move the others, which are edges of letters, to the nearest: a third of the size.

    Pillow's own palettes move the ground by a shade, or drop the green dot of a live connection.
    """
    pixels = np.asarray(image, dtype=np.int32).reshape(-1, 3)
    found, inverse, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    common = np.argsort(-counts, kind="stable")
    vivid = common[np.ptp(found[common], axis=1) > VIVID][:64]
    kept = np.unique(np.concatenate([vivid, common[: 256 - len(vivid)]]))
    palette = found[kept]
    nearest = [int(np.argmin(((palette - colour) ** 2).sum(axis=1))) for colour in found]
    few = Image.fromarray(np.array(nearest, dtype=np.uint8)[inverse.reshape(image.height, image.width)], mode="P")
    few.putpalette(palette.astype(np.uint8).tobytes())
    return few


if __name__ == "__main__":
    sys.exit(main())
