"""The page of 12 views of 81 frames in a real browser, from its file: in step, in space, compared, narrow, quiet."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import GROUPS
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.preview import write_preview
from plenodream.rendering.source import still_cameras
from plenodream.viewer.depth_views import Points
from plenodream.viewer.page import Page, PageView, PageWindow, write_page

FRAMES, HEIGHT, WIDTH, STEP = 81, 48, 64, 3  # STEP: grey levels between two frames, so that a picture tells which it is
NAMES = ("source", *GROUPS["basic12"])
NAMED = {NAMES[2]: "a view with a long name" * 3}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    levels = STEP * torch.arange(FRAMES, dtype=torch.uint8)[:, None, None, None]
    frames = levels.expand(FRAMES, HEIGHT, WIDTH, 3)
    truth = folder / "truth.mp4"
    write_preview(folder / "0.mp4", frames.contiguous(), 24)
    write_preview(truth, (frames + 10).contiguous(), 24)
    source = still_cameras(FRAMES, HEIGHT, WIDTH)
    paths = [source, *(trajectory_cameras(trajectory, source) for trajectory in parse_trajectories(NAMES[1:]))]
    red = Points((0,), np.array([[[0.0, 0.0, 2.0]] * 3]), np.full((1, 3, 3), (255, 0, 0), "u1"))
    views = []
    for number, (name, cameras) in enumerate(zip(NAMES, paths, strict=True)):
        video = folder / f"{number}.mp4"
        if number:
            shutil.copy(folder / "0.mp4", video)
        windows = (PageWindow((("source", 0.5),), (("source", 0.5),)),) if number else ()
        more = {"truth": truth, "depth": truth} if number == 1 else {}
        kind, points = "view" if number else "source", None if number else red
        views.append(PageView(NAMED.get(name, name), kind, video, cameras, windows, points=points, **more))
    return write_page(folder, Page("scene", tuple(views), command="plenodream render source.mp4 --out 'a b'"))


@pytest.fixture(scope="module")
def tab(page_file, chromium):
    """The page in a window; at last fails where it logged an error or asked for anything else."""
    with chromium(page_file.as_uri(), reduced_motion="reduce") as tab:
        tab.wait_for_function("shown === 0")
        yield tab


@pytest.fixture
def opened(tab):
    """The page, paused at its first frame, at its top."""
    tab.evaluate("run(false); wanted = 0; reset('free'); point(null); scrollTo(0, 0)")
    tab.set_viewport_size({"width": 1200, "height": 900})
    tab.mouse.move(0, 0)
    tab.wait_for_function("shown === 0")
    return tab


def drawn(tab) -> None:
    """Wait until what was just changed is to be seen."""
    tab.evaluate("shown = -1")
    tab.wait_for_function("shown === wanted")


def pixels(tab, place: str, number: int = 0) -> np.ndarray:
    """What is to be seen of an element."""
    return np.asarray(Image.open(io.BytesIO(tab.locator(place).nth(number).screenshot())).convert("RGB")).astype(int)


def frames_shown(tab) -> np.ndarray:
    """Which frame every view in the window shows, in one picture of it."""
    picture = np.asarray(Image.open(io.BytesIO(tab.screenshot(type="jpeg", quality=90))).convert("L")).astype(float)
    boxes = "all('.card canvas').map(c => c.getBoundingClientRect()).map(b => [b.x, b.y, b.width, b.height])"
    middles = [
        picture[int(y + h / 3) : int(y + 2 * h / 3), int(x + w / 3) : int(x + 2 * w / 3)].mean()
        for x, y, w, h in tab.evaluate(boxes)
    ]
    return np.array(middles) / STEP


def test_all_views_show_the_same_frame_over_a_whole_loop(opened):
    opened.set_viewport_size({"width": 1700, "height": 1400})
    for frame in range(0, FRAMES, 8):
        opened.evaluate(f"wanted = {frame}")
        opened.wait_for_function(f"shown === {frame}")
        there = frames_shown(opened)
        assert len(there) == 13 and np.abs(there - frame).max() < 1, (frame, there)
    opened.keyboard.press("ArrowRight")  # from the last to the first
    opened.wait_for_function("shown === 0")
    opened.keyboard.press(" ")
    seen = [frames_shown(opened) for _ in range(5)]  # as it plays
    assert max(float(now.max() - now.min()) for now in seen) < 1
    assert len({round(float(now.mean())) for now in seen}) > 2


def test_it_plays_and_stops(opened):
    opened.keyboard.press(" ")
    opened.wait_for_function("shown > 1")
    opened.keyboard.press(" ")
    assert not opened.evaluate("playing")


def test_views_are_compared_at_full_size(opened):
    opened.locator(".enlarge").nth(1).click()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    opened.wait_for_function("shown === 2")
    assert abs(pixels(opened, "#one").mean() - 2 * STEP) < 2
    opened.select_option("#how", "difference")
    drawn(opened)
    assert pixels(opened, "#one").mean() < 4  # the videos are the same
    opened.select_option("#how", "wipe")
    opened.select_option("#how", "beside")
    drawn(opened)
    assert abs(pixels(opened, "#two").mean() - 2 * STEP) < 2
    opened.select_option("#how", "")
    opened.keyboard.press("Escape")
    assert not opened.evaluate("stage.open")


def test_truth_error_and_depth_are_shown_where_there_are(opened):
    expected = {"truth": 10, "error": 4 * 10, "depth": 10, "result": 0}
    for what, level in expected.items():
        opened.select_option("#what", what)
        drawn(opened)
        assert abs(pixels(opened, ".card canvas", 1)[20:-20, 60:-60].mean() - level) < 5, what
        assert opened.locator(".badge").nth(1).inner_text() == ("" if what == "result" else what)
        assert opened.locator(".badge").nth(2).inner_text() == ""  # has none of them


def test_points_stand_in_space(opened):
    def red():
        seen = pixels(opened, "#space")
        return ((seen[..., 0] > 200) & (seen[..., 1:] < 90).all(-1)).sum()

    opened.locator("#space").scroll_into_view_if_needed()
    drawn(opened)
    with_points = red()
    opened.uncheck("#points")
    drawn(opened)
    assert with_points > red()


def test_the_command_is_copied(opened):
    opened.get_by_text("the command that renders").click()
    opened.locator("#copy").click()
    opened.get_by_text("copied").wait_for()
    assert opened.evaluate("getSelection().toString()") == "plenodream render source.mp4 --out 'a b'"


def test_pointing_at_a_view_dims_nothing(opened):
    opened.keyboard.press("ArrowRight")
    opened.wait_for_function("shown === 1")
    before = pixels(opened, ".card canvas", 2)
    opened.locator(".card").nth(1).hover()
    drawn(opened)
    assert opened.locator(".is-context").count() == 1
    assert np.abs(pixels(opened, ".card canvas", 2) - before)[20:-20, 20:-20].max() < 4


def test_cameras_turn_in_space(opened):
    opened.locator("#space").scroll_into_view_if_needed()
    drawn(opened)
    free, box = pixels(opened, "#space"), opened.locator("#space").bounding_box()
    opened.mouse.move(box["x"] + 200, box["y"] + 100)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 300, box["y"] + 150)
    opened.mouse.up()
    drawn(opened)
    turned = pixels(opened, "#space")
    opened.select_option("#through", "1")
    drawn(opened)
    through = pixels(opened, "#space")
    assert (free != turned).any() and (turned != through).any()


@pytest.mark.parametrize("width", [390, 800])
def test_nothing_is_wider_than_the_screen(opened, width):
    opened.set_viewport_size({"width": width, "height": 844})
    opened.evaluate("document.querySelectorAll('details').forEach(node => node.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.locator(".enlarge").nth(2).click()
    opened.select_option("#how", "beside")
    drawn(opened)
    assert opened.evaluate("stage.scrollWidth") <= width
    opened.select_option("#how", "")
    opened.keyboard.press("Escape")
