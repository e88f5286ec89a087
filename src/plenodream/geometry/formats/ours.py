"""Our own JSON: what `save_cameras` writes and a person can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from plenodream.files.atomic import write_file
from plenodream.geometry.cameras import check_cameras
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size
from plenodream.geometry.formats.json_frames import frames_refusal, image_size, stack, stack_poses
from plenodream.geometry.points import ScenePoints
from plenodream.types import Cameras

_NAME = "plenodream-cameras"
_VERSION = 1
METRES = "metres"


def save_cameras(path: str | Path, cameras: Cameras, fps: float | None = None) -> None:
    """Write one path as our JSON; reading it back in the same dtype gives the same bits.

    Args:
        path: File to write.
        cameras: Batch shape (frames,).
        fps: Frames per second, for the reader's information.

    Raises:
        ValueError: If the cameras are not one path, or are no pinhole cameras.
    """
    if len(cameras.shape) != 1 or len(cameras) == 0:
        raise ValueError(f"{path}: cameras of shape {tuple(cameras.shape)}; expected one path of at least 1 frame")
    check_cameras(cameras, str(path))
    write_file(path, cameras_json(cameras, fps).encode())


def cameras_json(
    cameras: Cameras, fps: float | None = None, points: ScenePoints | None = None, unit: str = METRES
) -> str:
    """One path of checked cameras as the text of our JSON, with points of the scene where there are any.

    Args:
        cameras: Batch shape (frames,).
        fps: Frames per second, for the reader's information.
        points: In the cameras' world.
        unit: What is known of the unit of length; in the file where it is not metres.
    """
    lengths = METRES if unit == METRES else "lengths as `unit` says"
    convention = (
        f"camera_to_world: OpenCV axes (x right, y down, z forward), {lengths}; "
        "intrinsics: fx, fy, cx, cy in pixels, pixel centres at +0.5"
    )
    head: dict[str, Any] = {"format": _NAME, "version": _VERSION, "convention": convention}
    head |= {} if unit == METRES else {"unit": unit}
    head |= {"height": cameras.height, "width": cameras.width} | ({} if fps is None else {"fps": fps})
    poses, intrinsics = cameras.camera_to_world.tolist(), cameras.intrinsics.tolist()
    frames: list[dict[str, Any]] = [
        {"camera_to_world": pose, "intrinsics": values} for pose, values in zip(poses, intrinsics, strict=True)
    ]
    if points is not None:
        head["points"] = [[float(f"{number:.6g}") for number in place] for place in points.places.tolist()]
    if points is not None and points.seen is not None:
        for frame in frames:
            frame["points"] = []
        for number, point in points.seen.tolist():
            frames[number]["points"].append(point)
    lines = ",\n  ".join(map(json.dumps, frames))
    return f'{json.dumps(head)[:-1]},\n "frames": [\n  {lines}\n ]\n}}\n'


def _read(content: Content, asked: Size) -> CameraFile:
    data, path = content.data, content.path
    version = data.get("version", _VERSION)
    if version != _VERSION:
        raise ValueError(f"{path}: camera file of version {version}; expected {_VERSION}: upgrade plenodream")
    poses = stack_poses(data["frames"], "camera_to_world", path)
    intrinsics = stack(data["frames"], "intrinsics", path, lambda shape: shape == (4,), "4 numbers fx, fy, cx, cy")
    return CameraFile(
        poses,
        "camera-to-world, OpenCV axes: taken as they are",
        unit if isinstance(unit := data.get("unit"), str) and unit.strip() else METRES,
        intrinsics,
        size=image_size(data, "height", "width", path),
        points=_points(data, path),
    )


def _points(data: dict, path: Path) -> ScenePoints | None:
    """Points of the scene and who sees them, where they are there."""
    if not data.get("points"):
        return None
    entries = [entry.get("points") for entry in data["frames"]]
    wrong = f"{path}: malformed points; expected x, y, z of each, and their numbers in every frame"
    try:
        places = torch.tensor(data["points"], dtype=torch.float64)
        seen = [(frame, point) for frame, those in enumerate(entries) for point in those or ()]
        rows = torch.tensor(seen, dtype=torch.long).reshape(-1, 2)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(wrong) from None
    numbers = rows[:, 1]
    if places.shape[1:] != (3,) or not bool(places.isfinite().all() & (numbers >= 0).all()):
        raise ValueError(wrong)
    if bool((numbers >= len(places)).any()):
        raise ValueError(wrong)
    return ScenePoints(places, None if None in entries else rows)


FORMAT = Format("our JSON", "JSON", lambda content: frames_refusal(content, "camera_to_world"), _read)
