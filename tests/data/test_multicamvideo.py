import json
import math
from pathlib import Path

import pytest
import torch
from episodes import make_cameras, write_video

from plenodream.data.multicamvideo import is_multicamvideo, open_multicamvideo
from plenodream.geometry.cameras import relative_poses, rotation_vector
from plenodream.geometry.formats.recammaster import (
    load_unreal_poses,
    opencv_to_unreal,
    save_unreal_poses,
    unreal_to_opencv,
)

PRESETS = Path(__file__).parents[2] / "../shared/reference/multicamvideo/camera_extrinsics.json"


def write_scene(root, lens="f24_aperture5", frames=6, names=("cam01", "cam02"), size=32):
    folder = root / "train" / lens / "scene1"
    poses = {name: make_cameras(frames, size, size, seed).camera_to_world for seed, name in enumerate(names)}
    for name in names:
        write_video(folder / "videos" / f"{name}.mp4", frames, size, size)
    (folder / "cameras").mkdir()
    save_unreal_poses(folder / "cameras" / "camera_extrinsics.json", poses)
    return folder, poses


def test_scene_reads_back_the_cameras_it_was_made_from(tmp_path):
    folder, poses = write_scene(tmp_path)
    assert is_multicamvideo(folder)
    episode = open_multicamvideo(folder)
    assert (episode.name, episode.names, episode.frames) == ("f24_aperture5/scene1", ("cam01", "cam02"), 6)
    cameras = episode.cameras()
    for name, pose in poses.items():
        expected = relative_poses(pose, poses["cam01"][0])
        torch.testing.assert_close(cameras[name].camera_to_world, expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(torch.linalg.det(cameras["cam02"].camera_to_world), torch.ones(6).double())


@pytest.mark.parametrize(("lens", "millimetres"), [("f18_aperture10", 18), ("f50_aperture2.4", 50), ("f35", 35)])
def test_focal_length_comes_from_the_folder(tmp_path, lens, millimetres):
    folder, _ = write_scene(tmp_path, lens)
    intrinsics = open_multicamvideo(folder).cameras()["cam01"].intrinsics
    focal = millimetres / 23.76 * 32
    assert intrinsics[3].tolist() == pytest.approx([focal, focal, 16, 16])


def test_conversion_matches_the_axes_written_out():
    # A camera 3 m forward, 2 m right, 1 m above the world's origin, looking straight to the right, in Unreal's terms:
    # rows are the camera's forward, right and up axes in (forward, right, up) of the world, then the centre in cm.
    matrix = torch.tensor([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [300, 200, 100, 1]], dtype=torch.float64)
    origin = torch.eye(4, dtype=torch.float64)
    both = unreal_to_opencv(torch.stack([origin, matrix]))
    assert torch.linalg.det(both).tolist() == pytest.approx([-1, -1])
    pose = relative_poses(both, both[0])[1]
    assert pose[:3, 3].tolist() == pytest.approx([2, -1, 3])  # right, down, forward in metres
    assert pose[:3, 2].tolist() == pytest.approx([1, 0, 0])  # looks to the right
    assert pose[:3, 0].tolist() == pytest.approx([0, 0, -1])  # its right is the world's backward
    assert pose[:3, 1].tolist() == pytest.approx([0, 1, 0])
    torch.testing.assert_close(opencv_to_unreal(pose), matrix)


def test_text_has_the_published_form(tmp_path):
    save_unreal_poses(tmp_path / "c.json", {"cam01": torch.eye(4)[None], "cam02": torch.eye(4)[None]})
    data = json.loads((tmp_path / "c.json").read_text())
    assert list(data) == ["frame0"] and list(data["frame0"]) == ["cam01", "cam02"]
    assert data["frame0"]["cam01"].replace("-0", "0") == "[1 0 0 0] [0 1 0 0] [0 0 1 0] [0 0 0 1] "


@pytest.mark.parametrize("levels", ["one frame", "no frame level"])
def test_static_cameras_hold_for_every_frame(tmp_path, levels):
    folder, poses = write_scene(tmp_path)
    path = folder / "cameras" / "camera_extrinsics.json"
    first = json.loads(path.read_text())["frame0"]
    path.write_text(json.dumps({"frame0": first} if levels == "one frame" else first))
    cameras = open_multicamvideo(folder).cameras()["cam02"]
    expected = relative_poses(poses["cam02"][:1], poses["cam01"][0]).expand(6, 4, 4)
    torch.testing.assert_close(cameras.camera_to_world, expected, rtol=0, atol=1e-7)


def spoil(data, how):
    if how == "camera":
        for frame in data.values():
            del frame["cam02"]
    elif how == "ragged":
        del data["frame3"]["cam02"]
    elif how == "frame":
        del data["frame3"]
    elif how == "last":
        del data["frame5"]
    elif how == "numbers":
        data["frame2"]["cam01"] = "[1 0 0] [0 1 0 0]"
    elif how == "scaled":
        data["frame2"]["cam01"] = "[2 0 0 0] [0 2 0 0] [0 0 2 0] [0 0 0 1] "
    elif how == "keys":
        data["notes"] = data.pop("frame2")
    return data


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("camera", "no camera for the video cam02; found cam01"),
        ("ragged", r"frame3 has cameras \['cam01'\]"),
        ("frame", "frame3 is missing"),
        ("last", "5 cameras but 6 frames"),
        ("numbers", "not 16 numbers"),
        ("scaled", "not a rotation"),
        ("keys", "top level keys"),
    ],
)
def test_wrong_camera_files_say_what_is_wrong(tmp_path, how, message):
    folder, _ = write_scene(tmp_path)
    path = folder / "cameras" / "camera_extrinsics.json"
    path.write_text(json.dumps(spoil(json.loads(path.read_text()), how)))
    with pytest.raises(ValueError, match=message) as caught:
        open_multicamvideo(folder)
    assert "\n" not in str(caught.value)


def test_scene_without_focal_length_is_refused(tmp_path):
    folder, _ = write_scene(tmp_path, "lens")
    with pytest.raises(ValueError, match="no focal length on its path"):
        open_multicamvideo(folder)


@pytest.mark.skipif(not PRESETS.exists(), reason="needs the published preset cameras")
def test_published_presets_are_the_documented_shots():
    poses = load_unreal_poses(PRESETS)
    assert len(poses) == 10 and all(pose.shape == (81, 4, 4) for pose in poses.values())
    end = {name: pose[80] for name, pose in poses.items()}
    full = 80.5 / 80  # the file's frame f is f / 80.5 of the whole move
    turn = {name: (torch.rad2deg(rotation_vector(pose[:3, :3])) * full).tolist() for name, pose in end.items()}
    move = {name: (pose[:3, 3] * full).tolist() for name, pose in end.items()}
    for name, axis, degrees in [("cam01", 1, 20), ("cam02", 1, -20), ("cam03", 0, 10), ("cam04", 0, -10)]:
        assert turn[name] == pytest.approx([degrees if i == axis else 0 for i in range(3)], abs=0.01), name
        assert move[name] == pytest.approx([0, 0, 0], abs=1e-4)
    for name, metres in [("cam05", 2), ("cam06", -2)]:
        assert move[name] == pytest.approx([0, 0, metres], abs=2e-3) and turn[name] == pytest.approx([0] * 3, abs=1e-4)
    for name, metres in [("cam07", -1), ("cam08", 1)]:  # up is -y; both look at a point 4 m ahead of the start
        assert move[name] == pytest.approx([0, metres, 0], abs=2e-3)
        pose = end[name]
        reach = 4 / pose[2, 2].item()
        assert (pose[:3, 3] + reach * pose[:3, 2]).tolist() == pytest.approx([0, 0, 4], abs=2e-3)
    for name, side in [("cam09", -1), ("cam10", 1)]:  # arcs to the left and right, turned back towards the subject
        assert move[name][0] == pytest.approx(2 * side, abs=2e-3) and move[name][2] == pytest.approx(0.536, abs=2e-3)
        assert turn[name][1] == pytest.approx(-30 * side, abs=0.02)
        assert math.hypot(*end[name][:3, 3].tolist()) > 2
