"""A folder with `poses.npy` and `intrinsics.npy`, or the first of them alone, by whatever name.

(N, 4, 4) poses are camera-to-world with OpenCV axes (Robbyant/lingbot-world: README.md); (N, 7) are world-to-camera
tx ty tz qx qy qz qw, as DROID-SLAM keeps them (mega-sam: camera_tracking_scripts/test_demo.py, `reconstructions/`, with
`images.npy` (N, 3, H, W) beside them).
"""

from __future__ import annotations

from pathlib import Path

import torch

from plenodream.geometry.cameras import invert_pose, make_pose
from plenodream.geometry.formats.arrays import array_intrinsics, array_poses
from plenodream.geometry.formats.content import Content, array_shapes, read_array
from plenodream.geometry.formats.found import CameraFile, Format, Size, size_by_centre
from plenodream.geometry.formats.rotations import quaternion_rotation, unit_quaternions


def _refusal(content: Content) -> str | None:
    missing = [name for name in ("poses.npy", "intrinsics.npy") if not (content.path / name).is_file()]
    return f"no {missing[0]}" if missing else None


def _read(content: Content, asked: Size) -> CameraFile:
    return _read_file(content.path / "poses.npy", asked)


def _file_refusal(content: Content) -> str | None:
    shape = content.shapes.get("")
    if shape is None:
        return "several arrays"
    fits = (len(shape) == 3 and shape[1:] in ((4, 4), (3, 4))) or _is_first_of_folder(content.path, shape)
    return None if fits else f"an array {'x'.join(map(str, shape))}, not Nx4x4 or Nx3x4"


def _is_first_of_folder(path: Path, shape: tuple[int, ...]) -> bool:
    return path.name == "poses.npy" and len(shape) == 2 and shape[1] == 7


def _read_file(path: Path, asked: Size) -> CameraFile:
    values, beside = read_array(path), path.with_name("intrinsics.npy")
    if values.ndim == 2 and values.shape[-1] == 7:
        rows = torch.from_numpy(values)
        rotation = quaternion_rotation(unit_quaternions(rows[:, [6, 3, 4, 5]], path))
        poses, convention = invert_pose(make_pose(rotation, rows[:, :3])), "world-to-camera quaternions: inverted"
    elif values.ndim == 3 and values.shape[1:] in ((4, 4), (3, 4)):
        poses = array_poses(values, "poses.npy", path)
        convention = "camera-to-world, OpenCV axes: taken as they are"
    else:
        raise ValueError(f"{path}: shape {values.shape}; expected Nx4x4 camera-to-world or Nx7 of DROID-SLAM")
    if not beside.is_file():
        missing = f"no {beside.name} beside it"
        return CameraFile(poses, convention, "that of the tool that wrote it", remarks=(missing,))
    intrinsics = array_intrinsics(read_array(beside), len(poses), beside)
    images = path.with_name("images.npy")
    shape = array_shapes(images)[""] if images.is_file() else ()
    said = len(shape) == 4
    return CameraFile(
        poses,
        convention,
        "that of the tool that wrote it",
        intrinsics,
        size=(shape[2], shape[3]) if said else size_by_centre(intrinsics, asked),
        size_said=said,
    )


FORMAT = Format("poses.npy and intrinsics.npy", "folder", _refusal, _read)
FILE = Format("poses.npy", "arrays", _file_refusal, lambda content, asked: _read_file(content.path, asked))
