"""Points that cameras come with: which frames show them, in our JSON and in models of pycolmap."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from test_placed import arc, same

from plenodream.geometry.cameras import project
from plenodream.geometry.formats import read_cameras
from plenodream.geometry.formats.colmap import colmap_files
from plenodream.geometry.formats.ours import cameras_json
from plenodream.geometry.points import ScenePoints, depth_of_points

PLACES = torch.tensor([[0.1, 0.2, 4.0], [-0.3, 0.1, 5.0], [0.2, -0.2, 3.0]], dtype=torch.float64)
SEEN = torch.tensor([[0, 0], [0, 2], [1, 1], [3, 0], [3, 1]])


def test_our_json_keeps_points_and_who_sees_them(tmp_path):
    cameras = arc(4)
    for seen in (SEEN, None):
        (tmp_path / "c.json").write_text(cameras_json(cameras, 24.0, ScenePoints(PLACES, seen)))
        found = read_cameras(tmp_path / "c.json", 48, 64, 4, dtype=torch.float64)
        same(found.cameras, cameras)
        torch.testing.assert_close(found.points.places, PLACES, rtol=1e-5, atol=0)
        assert found.points.seen is None if seen is None else torch.equal(found.points.seen, seen)


@pytest.mark.parametrize("points", [[[1, 2]], "far", [[1, 2, 3], [4]]])
def test_malformed_points_are_said(tmp_path, points):
    data = json.loads(cameras_json(arc(2))) | {"points": points}
    (tmp_path / "c.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"c\.json: malformed points"):
        read_cameras(tmp_path / "c.json", 48, 64)


@pytest.mark.parametrize("binary", [True, False])
def test_tracks_of_a_model_of_pycolmap_count_the_clips_frames(tmp_path, binary):
    pycolmap = pytest.importorskip("pycolmap")
    cameras, folder = arc(4), tmp_path / "written"
    folder.mkdir()
    for name, data in colmap_files(cameras, [f"f{number}.png" for number in (0, 2, 4, 6)], PLACES).items():
        (folder / name).write_bytes(data)
    model = pycolmap.Reconstruction(folder)
    for image in sorted(model.images.values(), key=lambda image: image.name):
        mine = SEEN[SEEN[:, 0] == int(image.name[1]) // 2, 1]
        spots = [pycolmap.Point2D(np.array([1.0 + number, 2.0])) for number in range(len(mine) + 1)]
        image.points2D = pycolmap.Point2DList(spots)
        for place, point in enumerate(mine.tolist(), start=1):  # the first is of no point
            model.add_observation(point + 1, pycolmap.TrackElement(image.image_id, place))
    (tmp_path / "model").mkdir()
    (model.write_binary if binary else model.write_text)(str(tmp_path / "model"))
    found = read_cameras(tmp_path / "model", 48, 64, 7, dtype=torch.float64)
    assert sorted(found.points.seen.tolist()) == sorted([2 * frame, point] for frame, point in SEEN.tolist())
    torch.testing.assert_close(found.points.places, PLACES, rtol=0, atol=1e-9)


def test_points_tell_the_depth_of_the_frames_that_show_them():
    cameras = arc(4)
    rows = depth_of_points(ScenePoints(PLACES, SEEN), cameras)
    assert len(rows) <= len(SEEN) and set(rows[:, 0].tolist()) <= {0.0, 1.0, 3.0}
    for frame, x, y, z in rows.tolist():
        pixels, depth = project(PLACES, cameras[int(frame)])
        share = pixels / torch.tensor([cameras.width, cameras.height])
        nearest = (share - torch.tensor([x, y])).norm(dim=-1).argmin()
        torch.testing.assert_close(share[nearest], torch.tensor([x, y]).double())
        assert depth[nearest].item() == pytest.approx(z)
    everywhere = depth_of_points(ScenePoints(PLACES), cameras)
    assert len(everywhere) >= len(rows) and bool((everywhere[:, 3] > 0).all())
    behind = ScenePoints(-PLACES, SEEN)
    assert len(depth_of_points(behind, cameras)) == 0
