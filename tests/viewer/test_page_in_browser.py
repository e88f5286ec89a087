"""The page in a real browser, from a file: views in step, cameras in space, comparison, narrow screens, no network."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.media.preview import write_preview
from plenodream.types import Cameras
from plenodream.viewer.depth_views import Points
from plenodream.viewer.page import Page, PageView, PageWindow, write_page

FRAMES, HEIGHT, WIDTH = 6, 48, 64
LEVELS = [40 * frame for frame in range(FRAMES)]  # grey of each frame


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    frames = torch.tensor(LEVELS, dtype=torch.uint8)[:, None, None, None].expand(FRAMES, HEIGHT, WIDTH, 3)
    pose = torch.eye(4).repeat(FRAMES, 1, 1)
    views, truth = [], folder / "truth.mp4"
    write_preview(truth, (frames + 10).contiguous(), 8)
    for number, name in enumerate(("source", "arc-left", "a view with a long name" * 3)):
        path = folder / f"{number}.mp4"
        write_preview(path, frames.contiguous(), 8)
        pose = pose.clone()
        pose[:, 0, 3] = torch.linspace(0, number, FRAMES)
        cameras = Cameras(pose, intrinsics_from_fov(60, HEIGHT, WIDTH).expand(FRAMES, 4), HEIGHT, WIDTH)
        windows = (PageWindow((("source", 0.5),), (("source", 0.5),)),) if number else ()
        more = {"truth": truth, "depth": truth} if number == 1 else {}
        points = (
            None if number else Points((0,), np.array([[[0.0, 0.0, 2.0]] * 3]), np.full((1, 3, 3), (255, 0, 0), "u1"))
        )
        views.append(PageView(name, "view" if number else "source", path, cameras, windows, points=points, **more))
    return write_page(folder, Page("scene", tuple(views), command="plenodream render source.mp4 --out 'a b'"))


@pytest.fixture
def opened(page_file, chromium):
    """The page in a window, paused at its first frame; fails where it logged an error or asked for anything else."""
    with chromium(page_file.as_uri(), reduced_motion="reduce") as tab:
        tab.wait_for_function("shown === 0")
        yield tab


def pixels(tab, place: str, number: int = 0) -> np.ndarray:
    """What is to be seen of an element."""
    return np.asarray(Image.open(io.BytesIO(tab.locator(place).nth(number).screenshot())).convert("RGB")).astype(int)


def test_all_views_show_the_same_frame_over_a_whole_loop(opened):
    for step in range(FRAMES + 1):
        frame = step % FRAMES
        opened.wait_for_function(f"shown === {frame}")
        for number in range(3):
            middle = pixels(opened, ".card canvas", number)[20:-20, 20:-20]
            assert abs(middle.mean() - LEVELS[frame]) < 4, (frame, number)
        opened.keyboard.press("ArrowRight")


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
    assert abs(pixels(opened, "#one").mean() - LEVELS[2]) < 4
    opened.select_option("#how", "difference")
    opened.wait_for_timeout(300)
    assert pixels(opened, "#one").mean() < 4  # the videos are the same
    opened.select_option("#how", "wipe")
    opened.select_option("#how", "beside")
    opened.wait_for_timeout(300)
    assert abs(pixels(opened, "#two").mean() - LEVELS[2]) < 4
    opened.keyboard.press("Escape")
    assert not opened.evaluate("stage.open")


def test_truth_error_and_depth_are_shown_where_there_are(opened):
    expected = {"truth": LEVELS[0] + 10, "error": 4 * 10, "depth": LEVELS[0] + 10, "result": LEVELS[0]}
    for what, level in expected.items():
        opened.select_option("#what", what)
        opened.wait_for_timeout(300)
        assert abs(pixels(opened, ".card canvas", 1)[20:-20, 60:-60].mean() - level) < 10, what
        assert opened.locator(".badge").nth(1).inner_text() == ("" if what == "result" else what)
        assert opened.locator(".badge").nth(2).inner_text() == ""  # has none of them


def test_points_stand_in_space(opened):
    def red():
        seen = pixels(opened, "#space")
        return ((seen[..., 0] > 200) & (seen[..., 1:] < 90).all(-1)).sum()

    opened.locator("#space").scroll_into_view_if_needed()
    opened.wait_for_timeout(200)
    with_points = red()
    opened.uncheck("#points")
    opened.wait_for_timeout(200)
    assert with_points > red()


def test_the_command_is_copied(opened):
    opened.get_by_text("the command that renders").click()
    opened.locator("#copy").click()
    opened.get_by_text("copied").wait_for()
    assert opened.evaluate("getSelection().toString()") == "plenodream render source.mp4 --out 'a b'"


def test_pointing_at_a_view_dims_nothing(opened):
    before = pixels(opened, ".card canvas", 2)
    opened.keyboard.press("ArrowRight")
    opened.wait_for_function("shown === 1")
    before = pixels(opened, ".card canvas", 2)
    opened.locator(".card").nth(1).hover()
    opened.wait_for_timeout(200)
    assert opened.locator(".is-context").count() == 1
    assert np.abs(pixels(opened, ".card canvas", 2) - before)[20:-20, 20:-20].max() < 4


def test_cameras_turn_in_space(opened):
    opened.locator("#space").scroll_into_view_if_needed()
    opened.wait_for_timeout(200)
    free, box = pixels(opened, "#space"), opened.locator("#space").bounding_box()
    opened.mouse.move(box["x"] + 200, box["y"] + 100)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 300, box["y"] + 150)
    opened.mouse.up()
    opened.wait_for_timeout(200)
    turned = pixels(opened, "#space")
    opened.select_option("#through", "1")
    opened.wait_for_timeout(200)
    through = pixels(opened, "#space")
    assert (free != turned).any() and (turned != through).any()


@pytest.mark.parametrize("width", [390, 800])
def test_nothing_is_wider_than_the_screen(opened, width):
    opened.set_viewport_size({"width": width, "height": 844})
    opened.evaluate("document.querySelectorAll('details').forEach(node => node.open = true)")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.locator(".enlarge").nth(2).click()
    opened.select_option("#how", "beside")
    opened.wait_for_timeout(200)
    assert opened.evaluate("stage.scrollWidth") <= width
