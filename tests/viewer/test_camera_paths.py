"""The picture of camera paths: what is where, in which colour, and the same bytes every time."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.types import Cameras
from plenodream.viewer.paths import draw_paths, path_colour

SVG = "{http://www.w3.org/2000/svg}"


def moving(*offset: float, frames: int = 5) -> Cameras:
    """Cameras looking forward that move along a straight line from the origin."""
    pose = torch.eye(4).repeat(frames, 1, 1)
    pose[:, :3, 3] = torch.linspace(0, 1, frames)[:, None] * torch.tensor(offset)
    return Cameras(pose, intrinsics_from_fov(60, 48, 64).expand(frames, 4), 48, 64)


def points(text: str, gid: str) -> torch.Tensor:
    """Page coordinates (x right, y down) of the vertices of one drawn line."""
    group = next(group for group in ElementTree.fromstring(text).iter(f"{SVG}g") if group.get("id") == gid)
    numbers = re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", group.find(f"{SVG}path").get("d"))
    return torch.tensor([[float(x), float(y)] for x, y in numbers])


def test_directions_and_scale():
    paths = {"source": moving(0, 0, 0), "right": moving(1, 0, 0), "up": moving(0, -1, 0), "on": moving(0, 0, 1)}
    text = draw_paths(paths)
    ran = {
        (name, panel): points(text, f"path-{index}-{panel}-line")[-1] - points(text, f"path-{index}-{panel}-line")[0]
        for index, name in list(enumerate(paths))[1:]
        for panel in ("above", "side")
    }
    # On the page y points down, so "up the page" is negative.
    expected = {("right", "above"): (1, 0), ("up", "above"): (0, 0), ("on", "above"): (0, -1)}
    expected |= {("right", "side"): (0, 0), ("up", "side"): (0, -1), ("on", "side"): (1, 0)}
    for key, direction in expected.items():
        metre = max(ran[key[0], panel].abs().max().item() for panel in ("above", "side"))  # of this path's panels
        assert metre > 10
        torch.testing.assert_close(ran[key] / metre, torch.tensor(direction).float(), atol=1e-3, rtol=0)


def test_both_panels_of_a_path_have_one_scale_and_the_first_path_is_in_all():
    text = draw_paths({"source": moving(0, 0, 2), "diagonal": moving(1, -1, 1)})
    above, side = (points(text, f"path-1-{panel}-line") for panel in ("above", "side"))
    torch.testing.assert_close(above[-1] - above[0], side[-1] - side[0], atol=1e-2, rtol=0)
    assert path_colour(0) in text and "path-0-" not in text and ">0.5 m<" in text


def test_drawn_from_the_first_camera():
    """Another world, the same picture."""
    paths = {"source": moving(0, 0, 0.3), "right": moving(1, 0, 0)}
    angle = torch.tensor(0.7)
    world = torch.eye(4)
    world[:2, :2] = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    world[:3, 3] = torch.tensor([5.0, -2.0, 1.0])
    moved = {
        name: Cameras(world @ cameras.camera_to_world, cameras.intrinsics, cameras.height, cameras.width)
        for name, cameras in paths.items()
    }
    found, expected = draw_paths(moved), draw_paths(paths)
    for gid in ("path-1-above-line", "path-1-side-frusta"):
        torch.testing.assert_close(points(found, gid), points(expected, gid), atol=1e-2, rtol=0)


def test_a_frustum_opens_as_wide_as_the_camera_sees():
    apex, left, right = points(draw_paths({"one": moving(0, 0, 0, frames=1)}), "path-0-above-frusta")[:3]
    opening = 2 * torch.rad2deg(torch.atan2((right - left)[0] / 2, (apex - left)[1]))
    assert opening.item() == pytest.approx(60, abs=0.1)


def test_names_colours_and_bytes():
    paths = {"source": moving(0, 0, 0), "<b>&": moving(1, 0, 0), "_a $b_1$": moving(0, 0, -1)}
    text = draw_paths(paths)
    assert text == draw_paths(paths)
    shown = {element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")}
    assert {*list(paths)[1:], "from above", "right →, forward ↑", "from the side", "forward →, up ↑"} <= shown
    assert len({path_colour(index) for index in range(25)}) == 25
    assert all(path_colour(index) in text for index in range(3))
    assert set(re.findall(r"https?://[^/\"]*", text)) <= {"http://www.w3.org"}


def test_nothing_is_cut_off_or_drawn_over_each_other():
    """25 paths: every cell lies in the picture, and no two overlap."""
    paths = {"source": moving(0, 0, 0)} | {f"path {index}": moving(index - 12, 0.1 * index, 1) for index in range(25)}
    text = draw_paths(paths)
    root = ElementTree.fromstring(text)
    _, _, width, height = map(float, root.get("viewBox").split())
    cells = []
    for index in range(1, 26):
        drawn = torch.cat([points(text, f"path-{index}-{panel}-frusta") for panel in ("above", "side")])
        low, high = drawn.amin(0), drawn.amax(0)
        assert (low >= 0).all() and high[0] <= width and high[1] <= height
        assert not any((low < other_high).all() and (high > other_low).all() for other_low, other_high in cells)
        cells.append((low, high))


def test_files_by_suffix(tmp_path):
    paths = {f"path {index}": moving(index, 0, 0) for index in range(16)}
    assert draw_paths(paths, tmp_path / "paths.png") is None
    assert (tmp_path / "paths.png").read_bytes().startswith(b"\x89PNG")
    draw_paths({"one": moving(1, 0, 0)}, tmp_path / "paths.svg")
    assert "<svg" in (tmp_path / "paths.svg").read_text()
    with pytest.raises(ValueError, match=r"cannot draw into '.gif2'; expected .png"):
        draw_paths(paths, tmp_path / "paths.gif2")


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="at least one path"):
        draw_paths({})
    with pytest.raises(ValueError, match="at least one camera"):
        draw_paths({"none": moving(1, 0, 0)[:0]})
