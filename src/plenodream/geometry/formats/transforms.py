"""nerfstudio's transforms.json, read and written (docs.nerf.studio/quickstart/data_conventions.html).

`frames[i].transform_matrix` is camera-to-world with OpenGL axes (x right, y up, z backward). `fl_x fl_y cx cy w h` and
the distortion are those of the frame, or else of the file; older files have `camera_angle_x` in radians instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Distortion, Format, Size
from plenodream.geometry.formats.frame_names import by_name, frame_numbers
from plenodream.geometry.formats.json_frames import frames_refusal, image_size, stack_poses
from plenodream.types import Cameras

_PINHOLES = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE"}
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
OPENGL = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)  # columns of a pose, to OpenCV's and back


def transforms_json(
    cameras: Cameras, names: Sequence[str], times: Sequence[float] = (), fps: float | None = None
) -> str:
    """One path as the text of a transforms.json.

    Args:
        cameras: Batch shape (frames,).
        names: Path of every frame's image, relative to the file.
        times: Moment of every frame, 0 at the start of the clip and 1 at its end, as dynamic scenes have it.
        fps: Frames per second.
    """
    poses = (cameras.camera_to_world.double().cpu() * OPENGL).tolist()
    frames = []
    for index, (name, pose, values) in enumerate(zip(names, poses, cameras.intrinsics.tolist(), strict=True)):
        frame = {"file_path": name, "transform_matrix": pose}
        frame |= dict(zip(("fl_x", "fl_y", "cx", "cy"), values, strict=True))
        frames.append(frame | ({"time": times[index]} if times else {}))
    head = {"camera_model": "PINHOLE", "w": cameras.width, "h": cameras.height}
    return json.dumps(head | ({} if fps is None else {"fps": fps}) | {"frames": frames}, indent=1) + "\n"


def _read(content: Content, asked: Size) -> CameraFile:
    data, path, entries = content.data, content.path, content.data["frames"]
    names = [entry.get("file_path") for entry in entries]
    numbers = None
    if all(isinstance(name, str) for name in names):
        # Capture tools list frames in any order; the video's order is that of the file names, frame_2 before frame_10.
        entries = [entries[index] for index in by_name(names)]
        numbers = frame_numbers([entry["file_path"] for entry in entries])
    merged = [{key: value for key, value in data.items() if key != "frames"} | entry for entry in entries]
    sizes = {image_size(entry, "h", "w", path) for entry in merged}
    if len(sizes) > 1:
        raise ValueError(f"{path}: frames of different sizes {sorted(sizes, key=str)}; expected one size in all frames")
    size = sizes.pop()
    models = {str(entry["camera_model"]) for entry in merged if "camera_model" in entry}
    if bad := sorted(models - _PINHOLES):
        raise ValueError(f"{path}: camera model {bad[0]}; expected a pinhole camera: undistort the images first")
    distorted = any(entry.get(key) for entry in merged for key in _DISTORTION)
    values = [_pinhole(entry, path, size or asked) for entry in merged]
    return CameraFile(
        stack_poses(merged, "transform_matrix", path) * OPENGL,
        "camera-to-world with OpenGL axes: columns 2 and 3 negated, the world kept",
        "the file's own (COLMAP's if it made the file: not metres)",
        None if None in values else torch.tensor(values, dtype=torch.float64),
        size=size,
        numbers=numbers,
        counted_from=None,
        warnings=("lens distortion is ignored; undistort the images for exact cameras",) if distorted else (),
        distortion=_distortion(merged) if distorted else None,
    )


def _distortion(entries: Sequence[dict]) -> Distortion | None:
    """That of OpenCV's model, if it is the same in all frames and no other coefficients are there."""
    rows = [tuple(entry.get(key, 0.0) for key in ("k1", "k2", "p1", "p2", "k3", "k4")) for entry in entries]
    row, same = rows[0], all(other == rows[0] for other in rows)
    plain = same and all(isinstance(value, int | float) for value in row) and not any(row[4:])
    return Distortion("OPENCV", row[:4]) if plain else None


def _pinhole(entry: dict, path: Path, size: Size) -> list[float] | None:
    """fx, fy, cx, cy of one frame; None without a focal length."""
    height, width = size
    try:
        if "fl_x" in entry:
            fx = float(entry["fl_x"])
        elif "camera_angle_x" in entry:
            fx = 0.5 * width / math.tan(float(entry["camera_angle_x"]) / 2)
        else:
            return None
        others = (("fl_y", fx), ("cx", width / 2), ("cy", height / 2))
        return [fx, *(float(entry.get(key, default)) for key, default in others)]
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(f"{path}: unreadable fl_x, fl_y, cx, cy or camera_angle_x; expected numbers") from None


FORMAT = Format("nerfstudio transforms.json", "JSON", lambda c: frames_refusal(c, "transform_matrix"), _read)
