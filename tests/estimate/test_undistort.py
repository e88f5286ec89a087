"""Frames of lenses that distort, drawn by pycolmap's camera models, made straight again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plenodream.estimate.undistort import undistort
from plenodream.geometry.cameras import intrinsics_from_fov, pixel_centres
from plenodream.geometry.formats.colmap import colmap_files
from plenodream.geometry.formats.found import Distortion
from plenodream.media.video import write_lossless
from plenodream.rendering.source import open_source
from plenodream.types import Cameras, View

pycolmap = pytest.importorskip("pycolmap")
HEIGHT, WIDTH = 60, 80
LENSES = [Distortion("SIMPLE_RADIAL", (-0.15,)), Distortion("OPENCV", (0.1, 0.02, 0.01, -0.01))]


def cameras(frames=2):
    return Cameras(
        torch.eye(4).repeat(frames, 1, 1), intrinsics_from_fov(60, HEIGHT, WIDTH).repeat(frames, 1), HEIGHT, WIDTH
    )


def scene(rays):
    """Colours 0..255 and depth of what lies along rays x, y, 1."""
    x, y = rays.unbind(-1)
    return torch.stack([128 + 100 * torch.sin(9 * x), 128 + 100 * torch.sin(9 * y), 128 + 50 * x], -1), 3 + x


def straight_rays(camera):
    return (pixel_centres(HEIGHT, WIDTH, camera.intrinsics) - camera.intrinsics[2:]) / camera.intrinsics[:2]


def filmed(lens):
    focal = cameras()[0].intrinsics.double().numpy()
    params = [focal[0], *([] if lens.model == "SIMPLE_RADIAL" else [focal[1]]), focal[2], focal[3], *lens.coefficients]
    camera = pycolmap.Camera(model=lens.model, width=WIDTH, height=HEIGHT, params=params)
    centres = pixel_centres(HEIGHT, WIDTH, torch.zeros(1, dtype=torch.float64)).reshape(-1, 2).numpy()
    rays = torch.from_numpy(np.array(camera.cam_from_img(centres))).view(HEIGHT, WIDTH, -1)[..., :2]
    colour, depth = scene(rays.float())
    frames = colour.round().byte().repeat(2, 1, 1, 1)
    return View(frames, cameras(), 10.0, depth=depth.repeat(2, 1, 1))


@pytest.mark.parametrize("lens", LENSES, ids=lambda lens: lens.model)
def test_lines_are_straight_again_and_no_pixel_is_made_up(lens):
    view = filmed(lens)
    made = undistort(view, lens)
    assert made.frames.shape == view.frames.shape and made.cameras.intrinsics[0, 2:].tolist() == [40, 30]
    colour, depth = scene(straight_rays(made.cameras[0]))
    crooked = (view.frames[0].float() - scene(straight_rays(view.cameras[0]))[0]).abs()
    error = (made.frames[1].float() - colour).abs()
    assert error.mean() < 1 and error.max() < 8 and crooked.max() > 20
    assert (made.depth[0] - depth).abs().max() < 0.02
    # Shorter where the lens saw more than its pinhole, longer where less.
    assert (made.cameras.intrinsics[0, 0] < view.cameras.intrinsics[0, 0]) == (lens.coefficients[0] < 0)


def test_a_clip_with_cameras_of_such_a_lens_is_opened_straight(tmp_path, monkeypatch):
    view = filmed(LENSES[0])
    write_lossless(tmp_path / "clip.mkv", view.frames, 10.0)
    (tmp_path / "model").mkdir()
    for name, data in colmap_files(view.cameras, ["0.png", "1.png"], binary=False).items():
        (tmp_path / "model" / name).write_bytes(data)
    focal = view.cameras.intrinsics[0, 0].item()
    (tmp_path / "model/cameras.txt").write_text(f"1 SIMPLE_RADIAL {WIDTH} {HEIGHT} {focal} 40 30 -0.15\n")
    opened = open_source(tmp_path / "clip.mkv", HEIGHT, WIDTH, tmp_path / "model")
    made = undistort(view, LENSES[0])
    assert (opened.frames.float() - made.frames.float()).abs().max() <= 1
    torch.testing.assert_close(opened.cameras.intrinsics, made.cameras.intrinsics, rtol=1e-4, atol=1e-3)
    assert "(SIMPLE_RADIAL): undistorted" in opened.notes[-1] and not any("ignored" in note for note in opened.notes)
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    opened = open_source(tmp_path / "clip.mkv", HEIGHT, WIDTH, tmp_path / "model")
    assert torch.equal(opened.frames, view.frames) and "(SIMPLE_RADIAL) is ignored" in opened.notes[-2]
    assert "undistorting frames needs pycolmap" in opened.notes[-1]


def test_a_lens_that_nobody_knows_is_said():
    with pytest.raises(ValueError, match="lens distortion CURVED: not a camera model"):
        undistort(filmed(LENSES[0]), Distortion("CURVED", (0.1,)))
