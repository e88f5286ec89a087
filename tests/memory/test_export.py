"""Exports, read back by our own readers, by pycolmap and by PyAV."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.geometry.cameras import intrinsics_from_fov, project
from plenodream.geometry.formats import load_cameras, read_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.video import read_video
from plenodream.memory.export import EXPORTS, export_scene
from plenodream.memory.manifest import Manifest
from plenodream.memory.scene import Scene
from plenodream.memory.windows import plan_windows, window_index
from plenodream.types import Cameras

HEIGHT, WIDTH, FRAMES = 16, 24, 7


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    """A source and a view of two windows; only the view has depth, a plane 3 m ahead, unknown in its first column."""
    windows = tuple(plan_windows(FRAMES, 5, 1))
    manifest = Manifest("nano", "abc", HEIGHT, WIDTH, 25.0, FRAMES, windows, 0)
    scene = Scene.create(tmp_path_factory.mktemp("scene") / "scene", manifest)
    still = Cameras(
        torch.eye(4).repeat(FRAMES, 1, 1), intrinsics_from_fov(60, HEIGHT, WIDTH).repeat(FRAMES, 1), HEIGHT, WIDTH
    )
    arc = trajectory_cameras(parse_trajectories(["arc-left"])[0], still)
    frames = torch.randint(
        0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    depth = torch.full((FRAMES, HEIGHT, WIDTH), 3.0)
    depth[:, :, 0] = 0
    for name, kind, cameras, known in (("source", "source", still, None), ("arc-left", "view", arc, depth)):
        scene.declare(name, kind, cameras)
        for number, window in enumerate(windows):
            index = window_index(window, FRAMES)
            scene.write(name, number, frames[index], {}, {}, None if known is None else known[index])
    scene.declare("unfinished", "view", still)
    return scene


def test_nerfstudio_images_have_cameras_and_times(scene, tmp_path):
    assert export_scene(scene, tmp_path / "out", "nerfstudio") == ["source", "arc-left"]
    data = json.loads((tmp_path / "out/transforms.json").read_text())
    assert [frame["time"] for frame in data["frames"][:FRAMES]] == pytest.approx(np.linspace(0, 1, FRAMES))
    shown = np.array(Image.open(tmp_path / "out" / data["frames"][FRAMES + 2]["file_path"]))
    assert (shown == scene.frames("arc-left")[2].numpy()).all()
    export_scene(scene, tmp_path / "one", "nerfstudio", ["arc-left"])
    read = load_cameras(tmp_path / "one/transforms.json", HEIGHT, WIDTH, FRAMES)
    torch.testing.assert_close(read.camera_to_world, scene.cameras("arc-left").camera_to_world, rtol=0, atol=1e-5)


@pytest.mark.parametrize("to", ["colmap", "colmap-text"])
def test_colmap_has_points_where_depth_is_known(scene, tmp_path, to):
    pycolmap = pytest.importorskip("pycolmap")
    export_scene(scene, tmp_path / "out", to, ["arc-left"])
    model = pycolmap.Reconstruction(tmp_path / "out/sparse/0")
    assert len(model.images) == FRAMES and len(model.points3D) == FRAMES * HEIGHT * (WIDTH - 1)
    assert all((tmp_path / "out/images" / image.name).is_file() for image in model.images.values())
    cameras = scene.cameras("arc-left")
    read = load_cameras(tmp_path / "out", HEIGHT, WIDTH, FRAMES)
    torch.testing.assert_close(read.camera_to_world, cameras.camera_to_world, rtol=0, atol=1e-5)
    points = read_cameras(tmp_path / "out", HEIGHT, WIDTH).points.places.float()
    _, depth = project(points[: HEIGHT * (WIDTH - 1)], cameras[0])
    torch.testing.assert_close(depth, torch.full_like(depth, 3.0), rtol=0, atol=1e-3)


def test_views_that_are_named_twice_are_written_once(scene, tmp_path):
    assert export_scene(scene, tmp_path / "out", "nerfstudio", ["arc-left", "arc-left"]) == ["arc-left"]


def test_text_and_arrays(scene, tmp_path):
    export_scene(scene, tmp_path / "text", "realestate10k")
    export_scene(scene, tmp_path / "arrays", "npz")
    for path in (tmp_path / "text/arc-left.txt", tmp_path / "arrays/arc-left.npz"):
        read = load_cameras(path, HEIGHT, WIDTH, FRAMES)
        torch.testing.assert_close(read.camera_to_world, scene.cameras("arc-left").camera_to_world, rtol=0, atol=1e-5)
        torch.testing.assert_close(read.intrinsics, scene.cameras("arc-left").intrinsics)
    arrays = np.load(tmp_path / "arrays/arc-left.npz")
    assert (arrays["frames"] == scene.frames("arc-left").numpy()).all() and (arrays["depth"][:, :, 1:] == 3).all()
    assert "depth" not in np.load(tmp_path / "arrays/source.npz")
    assert len(read_video(tmp_path / "text/source.mp4").frames) == FRAMES


def test_videos(scene, tmp_path):
    export_scene(scene, tmp_path / "grid", "mp4-grid")
    export_scene(scene, tmp_path / "gif", "gif")
    assert sorted(path.name for path in (tmp_path / "grid").iterdir()) == ["arc-left.mp4", "grid.mp4", "source.mp4"]
    assert len(read_video(tmp_path / "grid/grid.mp4").frames) == FRAMES
    with Image.open(tmp_path / "gif/source.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"]) == (FRAMES, (WIDTH, HEIGHT), 40)


@pytest.mark.parametrize(("fps", "frames", "milliseconds"), [(30.0, FRAMES, 230), (60.0, 4, 130)])
def test_a_gif_lasts_as_long_as_the_view(scene, tmp_path, fps, frames, milliseconds):
    export_scene(Scene(scene.folder, replace(scene.manifest, fps=fps)), tmp_path / "gif", "gif", ["source"])
    with Image.open(tmp_path / "gif/source.gif") as gif:
        durations = [(gif.seek(number), gif.info["duration"])[1] for number in range(gif.n_frames)]
    assert (len(durations), sum(durations)) == (frames, milliseconds) and min(durations) >= 20


def test_what_cannot_be_exported_leaves_nothing(scene, tmp_path, monkeypatch):
    for name in ("full", "empty"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (tmp_path / "full/mine.txt").write_text("mine")
    for arguments, message in (
        ((tmp_path / "a", "obj"), f"--to obj: expected one of {', '.join(EXPORTS)}"),
        ((tmp_path / "full", "mp4"), "holds something already"),
        ((".", "mp4"), "the folder you are in; expected a new folder below it for the export"),
        ((tmp_path / "a", "mp4", ["unfinished"]), "unfinished is not rendered yet"),
        ((tmp_path / "a", "mp4", ["nobody"]), "no view 'nobody'"),
    ):
        with pytest.raises(ValueError, match=message):
            export_scene(scene, *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]
    assert (tmp_path / "full/mine.txt").read_text() == "mine"
