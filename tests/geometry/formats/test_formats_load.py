"""Camera files: round trips, conversions against written-out numbers, and what is refused."""

import json
import math

import pytest
import torch

from plenodream.geometry.cameras import make_pose, rotation_matrix
from plenodream.geometry.formats import load_cameras, save_cameras
from plenodream.types import Cameras

IDENTITY_LINE = "1 0 0 0  0 1 0 0  0 0 1 0"
DEFAULT = torch.tensor([60.0, 60, 32, 24])


def some_cameras(frames=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    vector, centre = (torch.randn(frames, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    intrinsics = torch.tensor([50.0, 55, 31, 25]).double() + torch.rand(frames, 4, generator=generator).double()
    return Cameras(make_pose(rotation_matrix(vector), centre), intrinsics, 48, 64).to(dtype)


def write(tmp_path, content, name="cameras.txt"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def transforms(count=3, **keys):
    entries = [
        {"file_path": f"images/frame_{i + 1}.png", "transform_matrix": torch.eye(4).tolist()} for i in range(count)
    ]
    for index, entry in enumerate(entries):
        entry["transform_matrix"][0][3] = float(index)
    return {"fl_x": 60.0, "fl_y": 62.0, "cx": 33.0, "cy": 23.0, "w": 64, "h": 48, "frames": entries} | keys


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_our_json_gives_back_the_same_bits(tmp_path, dtype):
    cameras = some_cameras(dtype=dtype)
    save_cameras(tmp_path / "c.json", cameras, fps=24)
    loaded = load_cameras(tmp_path / "c.json", 48, 64, frames=4, dtype=dtype)
    assert torch.equal(loaded.camera_to_world, cameras.camera_to_world)
    assert torch.equal(loaded.intrinsics, cameras.intrinsics)
    assert (loaded.height, loaded.width) == (48, 64) and loaded.camera_to_world.dtype == dtype


def test_our_json_says_what_it_holds(tmp_path):
    save_cameras(tmp_path / "c.json", some_cameras(), fps=24)
    content = json.loads((tmp_path / "c.json").read_text())
    assert list(content) == ["format", "version", "convention", "height", "width", "fps", "frames"]
    assert (content["version"], content["height"], content["width"], content["fps"]) == (1, 48, 64, 24)
    assert "OpenCV" in content["convention"] and len(content["frames"]) == 4
    save_cameras(tmp_path / "d.json", some_cameras())
    assert "fps" not in json.loads((tmp_path / "d.json").read_text())


def test_our_json_as_a_person_would_write_it(tmp_path):
    """Only what is needed: 3x4 poses, no size (taken as the asked one)."""
    frame = {"camera_to_world": [[1, 0, 0, 7], [0, 1, 0, 8], [0, 0, 1, 9]], "intrinsics": [50, 51, 32, 24]}
    cameras = load_cameras(write(tmp_path, {"frames": [frame]}), 48, 64)
    assert cameras.camera_to_world[0].tolist() == [[1, 0, 0, 7], [0, 1, 0, 8], [0, 0, 1, 9], [0, 0, 0, 1]]
    assert cameras.intrinsics[0].tolist() == [50, 51, 32, 24]


def test_intrinsics_follow_the_asked_size(tmp_path):
    cameras = some_cameras()
    save_cameras(tmp_path / "c.json", cameras)
    loaded = load_cameras(tmp_path / "c.json", 96, 32)
    torch.testing.assert_close(loaded.intrinsics, cameras.intrinsics * torch.tensor([0.5, 2, 0.5, 2]))
    assert (loaded.height, loaded.width) == (96, 32)


def test_saving_refuses_what_cannot_be_read(tmp_path):
    cameras = some_cameras()
    with pytest.raises(ValueError, match="one path"):
        save_cameras(tmp_path / "c.json", cameras[0])
    cameras.intrinsics[1, 0] = -1
    with pytest.raises(ValueError, match="focal length"):
        save_cameras(tmp_path / "c.json", cameras)
    assert not list(tmp_path.iterdir())


def test_transforms_json_is_turned_from_opengl_to_opencv(tmp_path):
    content = transforms(1)
    # OpenGL: looks along -z with y up. This one stands at (1, 2, 3) and looks along world -x with world +z up.
    right, up, back = (0, 1, 0), (0, 0, 1), (1, 0, 0)
    content["frames"][0]["transform_matrix"] = [
        [right[0], up[0], back[0], 1],
        [right[1], up[1], back[1], 2],
        [right[2], up[2], back[2], 3],
        [0, 0, 0, 1],
    ]
    cameras = load_cameras(write(tmp_path, content), 48, 64)
    pose = cameras.camera_to_world[0]
    assert pose[:3, 0].tolist() == [0, 1, 0]  # right
    assert pose[:3, 1].tolist() == [0, 0, -1]  # down
    assert pose[:3, 2].tolist() == [-1, 0, 0]  # forward
    assert pose[:3, 3].tolist() == [1, 2, 3]
    assert cameras.intrinsics[0].tolist() == [60, 62, 33, 23]


def test_transforms_json_is_in_the_order_of_its_file_names(tmp_path):
    content = transforms(12)
    content["frames"] = content["frames"][::-1]
    cameras = load_cameras(write(tmp_path, content), 48, 64)
    assert cameras.camera_to_world[:, 0, 3].tolist() == list(range(12))  # frame_2 before frame_10
    for entry in content["frames"]:
        del entry["file_path"]
    cameras = load_cameras(write(tmp_path, content), 48, 64)
    assert cameras.camera_to_world[:, 0, 3].tolist() == list(range(12))[::-1]  # without names: as listed


def test_transforms_json_intrinsics(tmp_path):
    per_frame = transforms(2)
    per_frame["frames"][1] |= {"fl_x": 90.0, "fl_y": 91.0}
    assert load_cameras(write(tmp_path, per_frame), 48, 64).intrinsics[:, 0].tolist() == [60, 90]
    assert load_cameras(write(tmp_path, transforms(w=128, h=96)), 48, 64).intrinsics[0].tolist() == [30, 31, 16.5, 11.5]
    angle = {"camera_angle_x": math.radians(90), "frames": transforms()["frames"]}
    assert load_cameras(write(tmp_path, angle), 48, 64).intrinsics[0].tolist() == pytest.approx([32, 32, 32, 24])
    none = {"frames": transforms()["frames"], "w": 128, "h": 96}
    assert load_cameras(write(tmp_path, none), 48, 64, intrinsics=DEFAULT).intrinsics[2].tolist() == DEFAULT.tolist()


def test_transforms_json_of_a_distorted_lens(tmp_path):
    with pytest.warns(UserWarning, match="distortion is ignored"):
        load_cameras(write(tmp_path, transforms(camera_model="OPENCV", k1=0.05)), 48, 64)
    with pytest.warns(UserWarning, match="distortion is ignored"):  # of a form that is not known
        load_cameras(write(tmp_path, transforms(k1=[0.05])), 48, 64)
    with pytest.raises(ValueError, match=r"camera model OPENCV_FISHEYE; expected a pinhole.*undistort"):
        load_cameras(write(tmp_path, transforms(camera_model="OPENCV_FISHEYE")), 48, 64)


def test_text_of_twelve_numbers(tmp_path):
    text = "# camera-to-world\n1 0 0 7  0 1 0 8  0 0 1 9\n\n0,0,1,1, 0,1,0,2, -1,0,0,3  # turned\n"
    cameras = load_cameras(write(tmp_path, text), 48, 64, frames=2, intrinsics=DEFAULT)
    assert cameras.camera_to_world[0].tolist() == [[1, 0, 0, 7], [0, 1, 0, 8], [0, 0, 1, 9], [0, 0, 0, 1]]
    assert cameras.camera_to_world[1].tolist() == [[0, 0, 1, 1], [0, 1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]]
    assert cameras.intrinsics.tolist() == [DEFAULT.tolist()] * 2


def test_the_format_is_told_by_content_not_by_name(tmp_path):
    save_cameras(tmp_path / "ours.txt", some_cameras())
    assert len(load_cameras(tmp_path / "ours.txt", 48, 64)) == 4
    assert len(load_cameras(write(tmp_path, IDENTITY_LINE, "text.json"), 48, 64, intrinsics=DEFAULT)) == 1
    assert len(load_cameras(write(tmp_path, "\ufeff\n " + json.dumps(transforms()), "bom"), 48, 64)) == 3


def ours(change):
    frames = [{"camera_to_world": torch.eye(4).tolist(), "intrinsics": [50, 50, 32, 24]} for _ in range(3)]
    content = {"version": 1, "height": 48, "width": 64, "frames": frames}
    change(content, frames)
    return content


BAD = {
    "empty": ("", "empty file"),
    "only comments": ("# nothing\n", "only comments"),
    "prose": ("hello there", "12 numbers a line (line 1 starts with 'hello there'), action string (not like w-"),
    "broken JSON": ('{"frames": [', "not valid JSON"),
    "a list": ("[1, 2]", "no list of frames"),
    "no frames": ({"fl_x": 3}, "no list of frames"),
    "empty frames": ({"frames": []}, "no list of frames"),
    "frames of numbers": ({"frames": [1, 2]}, "no list of frames"),
    "other frames": ({"frames": [{"pose": 1}]}, "tried our JSON (frames without 'camera_to_world'), nerfstudio"),
    "16 numbers": (f"{IDENTITY_LINE}\n{IDENTITY_LINE} 0 0 0 1", "16 numbers on line 2; expected 12"),
    "text NaN": (IDENTITY_LINE.replace("0", "nan", 1), "NaN or infinite"),
    "text scaled": ("2 0 0 0 0 2 0 0 0 0 2 0", "not a rotation"),
    "text mirrored": ("-1 0 0 0 0 1 0 0 0 0 1 0", "determinant -1"),
    "newer version": (ours(lambda c, f: c.update(version=2)), "version 2; expected 1: upgrade"),
    "missing intrinsics": (ours(lambda c, f: f[1].pop("intrinsics")), "'intrinsics' missing or malformed"),
    "missing pose": (ours(lambda c, f: f[1].pop("camera_to_world")), "'camera_to_world' missing or malformed"),
    "three intrinsics": (ours(lambda c, f: [e.update(intrinsics=[1, 2, 3]) for e in f]), "expected 4 numbers"),
    "ragged": (ours(lambda c, f: f[0]["camera_to_world"].pop()), "expected a 3x4 or 4x4 matrix"),
    "words": (ours(lambda c, f: f[0].update(intrinsics=["a", 1, 2, 3])), "'intrinsics' missing or malformed"),
    "null": (ours(lambda c, f: f[0].update(intrinsics=None)), "'intrinsics' missing or malformed"),
    "huge": (ours(lambda c, f: f[0].update(intrinsics=[10**400, 1, 2, 3])), "'intrinsics' missing or malformed"),
    "NaN": (ours(lambda c, f: f[0].update(intrinsics=[50, 50, math.nan, 24])), "NaN or infinite"),
    "focal 0": (ours(lambda c, f: f[2].update(intrinsics=[0, 50, 32, 24])), "focal length 0"),
    "transposed": (ours(lambda c, f: f[1]["camera_to_world"][3].__setitem__(0, 5.0)), "transpose the matrices"),
    "bad height": (ours(lambda c, f: c.update(height=-4)), "height is -4"),
    "bad width": (ours(lambda c, f: c.update(width="64")), "width is '64'"),
    "one side": ({name: value for name, value in transforms().items() if name != "h"}, "one of h and w alone"),
    "mixed sizes": (transforms(frames=[transforms()["frames"][0] | {"w": w} for w in (8, 9)]), "different sizes"),
    "transforms without focal": ({"frames": transforms()["frames"]}, "without focal lengths"),
    "transforms focal word": (transforms(fl_x="wide"), "unreadable fl_x"),
    "transforms angle 0": (transforms() | {"camera_angle_x": 0, "fl_x": None}, "unreadable fl_x"),
    "shares in pixels": (f"a\n0 332 332 192 144 0 0 {IDENTITY_LINE}", "up to 332; expected shares of"),
    "too far for float32": ("1 0 0 1e300 0 1 0 0 0 0 1 0", "NaN or infinite"),
    "transforms negative focal": (transforms(fl_x=-3), "focal length -3"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_clear_line(tmp_path, case):
    content, message = BAD[case]
    path = write(tmp_path, content)
    intrinsics = None if case == "transforms without focal" else DEFAULT
    with pytest.raises(ValueError) as error:
        load_cameras(path, 48, 64, intrinsics=intrinsics)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and message in line and "\n" not in line


def test_text_needs_intrinsics_from_the_caller(tmp_path):
    with pytest.raises(ValueError, match="poses without focal lengths"):
        load_cameras(write(tmp_path, IDENTITY_LINE), 48, 64)


def test_wrong_number_of_cameras(tmp_path):
    save_cameras(tmp_path / "c.json", some_cameras())
    for frames in (3, 5):
        with pytest.raises(ValueError, match=f"4 cameras for {frames} frames; expected one camera per frame"):
            load_cameras(tmp_path / "c.json", 48, 64, frames=frames)


def test_unreadable_files(tmp_path):
    (tmp_path / "video.mp4").write_bytes(b"\x00\x00\xff\xfe\x80ftyp")
    for path, message in [
        (tmp_path / "missing.json", "cannot read the camera file: no such file"),
        (tmp_path, "folder of no known camera format"),
        (tmp_path / "video.mp4", "neither text nor arrays"),
    ]:
        with pytest.raises(ValueError) as error:
            load_cameras(path, 48, 64)
        assert str(error.value).startswith(f"{path}: ") and message in str(error.value)
