"""Make docs/screens/: what the page, the live viewer and the app look like, and what ComfyUI's preview nodes give.

    python docs/screenshots.py SCENE    # SCENE: what `make demo` wrote; needs Chromium and the extras view and app

Taken in a real browser, of the demo's scene and clip, as they are.
"""

import importlib.util
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from plenodream.cli.app import App, open_app
from plenodream.cli.view import View, open_viewer
from plenodream.demo.clip import clip_folder
from plenodream.memory.scene import Scene
from plenodream.rendering.inputs import open_video
from plenodream.viewer.scene_page import write_scene_page

SCREENS, MOST = Path(__file__).parent / "screens", 300_000


def keep(name: str, image: Image.Image) -> None:
    """A picture as a small WebP."""
    SCREENS.mkdir(exist_ok=True)
    file = SCREENS / f"{name}.webp"
    image.convert("RGB").save(file, quality=80, method=6)
    assert file.stat().st_size < MOST, file
    print(file, image.size, file.stat().st_size)


def shot(tab, name: str) -> None:
    """What a tab shows."""
    with tempfile.TemporaryDirectory() as folder:
        tab.screenshot(path=f"{folder}/shot.png")
        keep(name, Image.open(f"{folder}/shot.png"))


def page(browser, scene: Path) -> None:
    """The page, from its file: the grid, then cameras in space."""
    tab = browser.new_page(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    tab.goto(write_scene_page(Scene.open(scene)).as_uri())
    tab.wait_for_function("shown === 0")
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_function("shown === 5")
    shot(tab, "page")
    tab.locator("#space").scroll_into_view_if_needed()
    tab.wait_for_timeout(500)
    shot(tab, "space")
    tab.close()


def view(browser, scene: Path) -> None:
    """The live viewer with a path of two key frames."""
    live, front, address = open_viewer(View(scene, port=0))
    tab = browser.new_page(viewport={"width": 1280, "height": 860})
    tab.goto(address)
    tab.get_by_role("button", name="put a key frame at this frame").wait_for()
    live._put()
    live.frame.value, live.azimuth.value, live.elevation.value = 8, 18.0, 6.0
    live._put()
    live.frame.value = 5
    live.show()
    tab.locator(".mantine-Notification-closeButton").first.click()  # that WebGL runs in software here
    tab.wait_for_timeout(6000)
    shot(tab, "view")
    tab.close()
    front.stop()
    live.stop()


def app(browser) -> None:
    """The app after a plan."""
    with tempfile.TemporaryDirectory() as folder:
        server, listening, address = open_app(App("reprojection", "cpu", port=0), Path(folder))
        threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
        tab = browser.new_page(viewport={"width": 1280, "height": 1260})
        tab.goto(address)
        tab.locator("#video input[type=file]").set_input_files(clip_folder() / "source.mp4")
        tab.locator("#video video").wait_for()
        tab.locator("#plan").click()
        tab.locator("#sheet img").wait_for(timeout=120_000)
        tab.wait_for_timeout(1000)
        shot(tab, "app")
        tab.close()
        server.should_exit = True


def comfyui() -> None:
    """What the two preview nodes give: the paths, and what the source shows of the views."""
    home = Path(__file__).parents[1] / "comfyui"
    spec = importlib.util.spec_from_file_location("plenodream_comfyui", home / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["plenodream_comfyui"] = module
    spec.loader.exec_module(module)
    nodes = module.NODE_CLASS_MAPPINGS
    source = open_video(clip_folder() / "source.mp4", 288, 288, clip_folder() / "cameras.json")
    (paths,) = nodes["PlenodreamPresets"]().run("arc-left\nzoom-out")
    drawn, _ = nodes["PlenodreamPreview"]().run(source, paths)
    warps, _ = nodes["PlenodreamWarps"]().run(source, paths, 4.0)
    rows = [torch.cat(list(batch[:6]), dim=1) for batch in warps]
    top, below = (Image.fromarray((part * 255).byte().numpy()) for part in (drawn[0], torch.cat(rows)))
    whole = Image.new("RGB", (max(top.width, below.width), top.height + below.height + 8), "#ffffff")
    whole.paste(top, (0, 0))
    whole.paste(below, (0, top.height + 8))
    keep("comfyui", whole)


scene = Path(sys.argv[1])
with sync_playwright() as driver:
    flags = ["--no-sandbox", "--enable-unsafe-swiftshader"]
    browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
    chosen = sys.argv[2:] or ["page", "view", "app", "comfyui"]
    for name, take in (("page", page), ("view", view)):
        if name in chosen:
            take(browser, scene)
    if "app" in chosen:
        app(browser)
    browser.close()
if "comfyui" in chosen:
    comfyui()
