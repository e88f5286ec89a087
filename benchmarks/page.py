"""The page of 12 views of 81 frames in a real Chromium, from its files: seconds to load, videos in step, quiet, narrow.

    python benchmarks/page.py

Every frame of every video is one grey level, so that a picture of the page tells which frame each view shows. Stops
with an error where a line of what the page promises does not hold.
"""

import io
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import machine
from PIL import Image
from playwright.sync_api import sync_playwright

from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import GROUPS
from plenodream.geometry.trajectories import make_trajectory
from plenodream.media.preview import write_preview
from plenodream.rendering.source import still_cameras
from plenodream.viewer.page import Page, PageView, PageWindow, write_page

FRAMES, SIDE, STEP = 81, 64, 3  # STEP: grey levels between two frames


def write(folder: Path) -> Path:
    """The page and its videos."""
    levels = (STEP * torch.arange(FRAMES, dtype=torch.uint8))[:, None, None, None]
    source = still_cameras(FRAMES, SIDE, SIDE)
    names, views = ["source", *GROUPS["basic12"]], []
    for name in names:
        write_preview(folder / f"{name}.mp4", levels.expand(FRAMES, SIDE, SIDE, 3).contiguous(), 24)
        cameras = source if name == "source" else trajectory_cameras(make_trajectory(name), source)
        window = PageWindow((("source", 1.0),), (("source", 1.0),))
        kind, windows = ("source", ()) if name == "source" else ("view", (window,))
        views.append(PageView(name, kind, folder / f"{name}.mp4", cameras, windows))
    return write_page(folder, Page("12 views of 81 frames", tuple(views)))


def frames_shown(tab) -> np.ndarray:
    """Which frame every card shows, in one picture of the page."""
    picture = np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert("L")).astype(float)
    boxes = tab.evaluate(
        "all('.card canvas').map(c => { const b = c.getBoundingClientRect(); return [b.x, b.y, b.width]; })"
    )
    middles = [picture[int(y + w / 3) : int(y + w / 2), int(x + w / 3) : int(x + w / 2)].mean() for x, y, w in boxes]
    return np.array(middles) / STEP


def turn_and_compare(tab) -> bool:
    """Drag the cameras in space, then compare two views; whether both did something."""
    tab.locator("#space").scroll_into_view_if_needed()
    box, before = tab.locator("#space").bounding_box(), tab.evaluate("look.turn")
    tab.mouse.move(box["x"] + 200, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 300, box["y"] + 150)
    tab.mouse.up()
    moved = tab.evaluate("look.turn") != before
    tab.locator(".enlarge").nth(1).click()
    tab.select_option("#how", "beside")
    tab.wait_for_function("at('two').width > 1 && document.querySelector('.pictures').classList.contains('beside')")
    tab.keyboard.press("Escape")
    return moved


def main() -> None:
    said, asked = [], []
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        file = write(Path(place))
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1100}, reduced_motion="reduce")
        tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        began = time.perf_counter()
        tab.goto(file.as_uri(), wait_until="domcontentloaded")
        tab.wait_for_function("shown === 0")
        loaded = time.perf_counter() - began
        tab.evaluate("document.querySelector('.grid').scrollIntoView()")
        apart = 0.0
        for frame in range(FRAMES):
            tab.wait_for_function(f"shown === {frame}")
            apart = max(apart, float(np.abs(frames_shown(tab) - frame).max()))
            tab.keyboard.press("ArrowRight")
        tab.keyboard.press(" ")
        spread, seen = 0.0, set()
        for _ in range(25):  # as it plays
            now = frames_shown(tab)
            spread = max(spread, float(now.max() - now.min()))
            seen.add(round(float(now.mean())))
        turned = turn_and_compare(tab)
        tab.set_viewport_size({"width": 390, "height": 844})
        wide = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    others = [url for url in asked if not url.startswith(("file:", "blob:", "data:"))]
    print(f"{machine()}; loaded in {loaded:.2f} s")
    print(f"over a whole loop of {FRAMES} frames a video is at most {apart:.2f} frames from the one to be shown,")
    print(f"playing, two of the 13 at most {spread:.2f} frames apart ({len(seen)} moments)")
    print(f"{len(said)} errors, {len(others)} requests to others, {wide} pixels wide on a screen of 390")
    assert turned and loaded < 3 and apart < 1 and spread < 1 and not said and not others and wide <= 390


if __name__ == "__main__":
    main()
