"""Camera files: our JSON, read and written; nerfstudio's transforms.json and text of 12 numbers a line, read."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.files.atomic import write_file
from plenodream.geometry.cameras import check_cameras, resize_cameras
from plenodream.types import Cameras

FORMAT = "plenodream-cameras"
VERSION = 1
_CONVENTION = (
    "camera_to_world: OpenCV axes (x right, y down, z forward), metres; "
    "intrinsics: fx, fy, cx, cy in pixels, pixel centres at +0.5"
)


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
    head = {"format": FORMAT, "version": VERSION, "convention": _CONVENTION}
    head |= {"height": cameras.height, "width": cameras.width} | ({} if fps is None else {"fps": fps})
    poses, intrinsics = cameras.camera_to_world.tolist(), cameras.intrinsics.tolist()
    frames = [
        json.dumps({"camera_to_world": pose, "intrinsics": values})
        for pose, values in zip(poses, intrinsics, strict=True)
    ]
    lines = ",\n  ".join(frames)
    write_file(path, f'{json.dumps(head)[:-1]},\n "frames": [\n  {lines}\n ]\n}}\n'.encode())


def load_cameras(
    path: str | Path,
    height: int,
    width: int,
    frames: int | None = None,
    intrinsics: Float[Tensor, "4"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Cameras:
    """Read a camera file of any of the three formats, told apart by content, as cameras of `height` x `width` images.

    Args:
        path: Our JSON, nerfstudio's transforms.json, or text with 12 numbers a line (3x4 camera-to-world, row by row).
        height: Height of the images the cameras are wanted for.
        width: Their width. Intrinsics of a file that states another size are resized.
        frames: Number of frames the file must have.
        intrinsics: fx, fy, cx, cy in pixels of `height` x `width`, for files that have no focal length.
        dtype: Floating type of the result.

    Returns:
        Checked cameras of shape (frames,), in the file's own world: OpenCV axes, metres taken as they stand.

    Raises:
        ValueError: In one line that names the file: it cannot be read or is none of the formats; wrong number of
            cameras; NaN, no rotation, determinant -1, focal length <= 0; no focal length at all.
    """
    text = _read_text(path)
    if text.lstrip().startswith(("{", "[")):
        cameras = _from_json(text, path, height, width, intrinsics)
    else:
        cameras = _from_text(text, path, height, width, intrinsics)
    check_cameras(cameras, str(path))
    if frames is not None and len(cameras) != frames:
        raise ValueError(
            f"{path}: {len(cameras)} cameras for {frames} frames; expected one camera per frame: "
            "resample the file or cut the clip to match"
        )
    fitted = resize_cameras(cameras, height, width).to(dtype)
    check_cameras(fitted, str(path))  # numbers too large for the dtype
    return fitted


def stated_size(path: str | Path) -> tuple[int, int] | None:
    """Height and width that a camera file states for its intrinsics; None where it states none, or is damaged."""
    try:
        content = json.loads(_read_text(path))
        first = content | content["frames"][0]
        names = ("height", "width") if "camera_to_world" in first else ("h", "w")
        height, width = (int(first[name]) for name in names)
    except Exception:  # text of 12 numbers a line, no size, or damaged, which `load_cameras` says
        return None
    return (height, width) if min(height, width) > 0 else None


def _read_text(path: str | Path) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file; expected a camera file (JSON or 12 numbers a line)") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ValueError(f"{path}: cannot read the camera file: {reason}; check the path") from None
    if not text.strip():
        raise ValueError(f"{path}: empty file; expected one camera per frame")
    return text


def _from_text(text: str, path: str | Path, height: int, width: int, intrinsics: Tensor | None) -> Cameras:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError:
            raise ValueError(
                f"{path}: line {number} starts with {line.strip()[:30]!r}; expected our JSON, transforms.json, "
                "or 12 numbers a line"
            ) from None
        if len(words) != 12:
            raise ValueError(
                f"{path}: {len(words)} numbers on line {number}; expected 12 (3x4 camera-to-world, row by row)"
            )
    if not rows:
        raise ValueError(f"{path}: no cameras, only comments; expected 12 numbers a line")
    poses = _square(torch.tensor(rows, dtype=torch.float64).unflatten(-1, (3, 4)))
    return Cameras(poses, _default_intrinsics(path, intrinsics).expand(len(rows), 4), height, width)


def _from_json(text: str, path: str | Path, height: int, width: int, intrinsics: Tensor | None) -> Cameras:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error}); expected our camera JSON or transforms.json") from None
    entries = content.get("frames") if isinstance(content, dict) else None
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        raise ValueError(f"{path}: no list of frames; expected our camera JSON or transforms.json with 'frames'")
    if "camera_to_world" in entries[0]:
        return _from_ours(content, entries, path, height, width)
    if "transform_matrix" in entries[0]:
        return _from_transforms(content, entries, path, height, width, intrinsics)
    raise ValueError(f"{path}: frames without 'camera_to_world' (our JSON) or 'transform_matrix' (transforms.json)")


def _from_ours(content: dict, entries: list[dict], path: str | Path, height: int, width: int) -> Cameras:
    version = content.get("version", VERSION)
    if version != VERSION:
        raise ValueError(f"{path}: camera file of version {version}; expected {VERSION}: upgrade plenodream")
    poses = _poses(entries, "camera_to_world", path)
    intrinsics = _stack(entries, "intrinsics", path, lambda shape: shape == (4,), "4 numbers fx, fy, cx, cy")
    return Cameras(poses, intrinsics, _size(content, "height", height, path), _size(content, "width", width, path))


def _from_transforms(
    content: dict, entries: list[dict], path: str | Path, height: int, width: int, intrinsics: Tensor | None
) -> Cameras:
    """nerfstudio: OpenGL axes (y up, z backward) to OpenCV; a frame's own keys win over the file's."""
    names = [entry.get("file_path") for entry in entries]
    if all(isinstance(name, str) for name in names):
        # Capture tools list frames in any order; the video's order is that of the file names, frame_2 before frame_10.
        entries = sorted(entries, key=lambda entry: _natural(entry["file_path"]))
    merged = [{key: value for key, value in content.items() if key != "frames"} | entry for entry in entries]
    sizes = {(_size(entry, "h", height, path), _size(entry, "w", width, path)) for entry in merged}
    if len(sizes) > 1:
        raise ValueError(f"{path}: frames of different sizes {sorted(sizes)}; expected one size in all frames")
    models = {str(entry["camera_model"]) for entry in merged if "camera_model" in entry}
    if bad := sorted(models - {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE"}):
        raise ValueError(f"{path}: camera model {bad[0]}; expected a pinhole camera: undistort the images first")
    if any(entry.get(key) for entry in merged for key in ("k1", "k2", "k3", "k4", "p1", "p2")):
        warnings.warn(f"{path}: lens distortion is ignored; undistort the images for exact cameras", stacklevel=4)
    file_height, file_width = sizes.pop()
    values = [_pinhole(entry, path, file_height, file_width) for entry in merged]
    if None in values:
        fallback = _default_intrinsics(path, intrinsics)
        scale = torch.tensor([file_width / width, file_height / height] * 2, dtype=torch.float64)
        stacked = (fallback * scale).expand(len(values), 4)
    else:
        stacked = torch.tensor(values, dtype=torch.float64)
    flip = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    return Cameras(_poses(merged, "transform_matrix", path) * flip, stacked, file_height, file_width)


def _pinhole(entry: dict, path: str | Path, height: int, width: int) -> list[float] | None:
    """fx, fy, cx, cy of one nerfstudio frame; None without a focal length."""
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


def _poses(entries: list[dict], key: str, path: str | Path) -> Float[Tensor, "frames 4 4"]:
    poses = _stack(entries, key, path, lambda shape: shape in ((3, 4), (4, 4)), "a 3x4 or 4x4 matrix")
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=poses.dtype)
    if poses.shape[-2] == 4 and not torch.allclose(poses[:, 3], last.expand(len(poses), 4)):
        raise ValueError(f"{path}: last row of {key} is not 0 0 0 1; expected rows first: transpose the matrices")
    return _square(poses)


def _square(poses: Float[Tensor, "frames rows 4"]) -> Float[Tensor, "frames 4 4"]:
    square = torch.eye(4, dtype=poses.dtype).repeat(len(poses), 1, 1)
    square[:, :3] = poses[:, :3]
    return square


def _stack(
    entries: list[dict], key: str, path: str | Path, fits: Callable[[tuple[int, ...]], bool], expected: str
) -> Float[Tensor, "frames ..."]:
    """The numbers under a key of every frame, all of one fitting shape."""
    try:
        values = torch.tensor([entry[key] for entry in entries], dtype=torch.float64)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError):
        values = None
    if values is None or not fits(tuple(values.shape[1:])):
        raise ValueError(f"{path}: '{key}' missing or malformed; expected {expected} in every frame")
    return values


def _size(entry: dict, key: str, default: int, path: str | Path) -> int:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf or value != int(value):
        raise ValueError(f"{path}: {key} is {value!r}; expected the image's size in pixels")
    return int(value)


def _default_intrinsics(path: str | Path, intrinsics: Tensor | None) -> Float[Tensor, "4"]:
    if intrinsics is None:
        raise ValueError(f"{path}: poses without focal lengths; expected intrinsics from the caller or in the file")
    return intrinsics.to("cpu", torch.float64)


def _natural(name: str) -> list[str | int]:
    """Sort key: runs of digits count as numbers."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))]
