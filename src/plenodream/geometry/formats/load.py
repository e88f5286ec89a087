"""The one way in: whatever the format, checked cameras of the images they are wanted for, and what was found."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import check_cameras, fill_cameras, resize_cameras
from plenodream.geometry.formats import (
    actions,
    camera_path,
    colmap,
    lyra,
    matrix_lines,
    megasam,
    npz,
    ours,
    pose_arrays,
    realestate10k,
    recammaster,
    transforms,
    tum,
    vggt,
    vipe,
    vista4d,
    worldplay,
)
from plenodream.geometry.formats.content import Content, open_content
from plenodream.geometry.formats.found import CameraFile, Distortion, Format
from plenodream.geometry.formats.plausible import hints
from plenodream.geometry.points import ScenePoints
from plenodream.types import Cameras

_MODULES = (ours, transforms, camera_path, recammaster, worldplay)  # JSON
_MODULES += (realestate10k, tum, matrix_lines, actions)  # text
_MODULES += (npz, vipe, vggt, megasam, vista4d, lyra)  # arrays
_MODULES += (colmap, pose_arrays)  # folders
FORMATS: tuple[Format, ...] = (*(module.FORMAT for module in _MODULES), vipe.FOLDER, pose_arrays.FILE)


@dataclass(frozen=True)
class FoundCameras:
    """Cameras of a file, and what the file was found to be.

    Attributes:
        cameras: Checked, batch shape (frames,), in the file's own world: OpenCV axes, lengths taken as they stand.
        format: Name of the format.
        convention: How the file has its poses, and what was done to them.
        intrinsics: Where the focal lengths are from.
        scale: The file's unit of length.
        count: Number of cameras in the file.
        remarks: Whatever else was concluded, left out or made up.
        points: Of the scene, where the file has them; `seen` counts frames.
        distortion: Of the lens, which `cameras` are without: for whoever undistorts the images.
        warnings: What makes `cameras` less than exact for images as they are.
        hints: What speaks against the file being what it is taken for.
    """

    cameras: Cameras
    format: str
    convention: str
    intrinsics: str
    scale: str
    count: int
    remarks: tuple[str, ...] = ()
    points: ScenePoints | None = None
    distortion: Distortion | None = None
    warnings: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """What was found, for people, one line each."""
        return (
            f"{self.format}: {self.count} camera{'s' * (self.count != 1)}",
            f"poses: {self.convention}",
            f"intrinsics: {self.intrinsics}",
            f"unit of length: {self.scale}",
            *self.remarks,
            *self.hints,
            *self.warnings,
        )


def load_cameras(
    path: str | Path,
    height: int,
    width: int,
    frames: int | None = None,
    intrinsics: Float[Tensor, "4"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Cameras:
    """The cameras of `read_cameras`, which has the arguments and errors; warns of what makes them less than exact."""
    found = _read(path, height, width, frames, intrinsics, dtype)
    for warning in found.warnings:
        warnings.warn(f"{path}: {warning}", stacklevel=2)
    return found.cameras


def read_cameras(
    path: str | Path,
    height: int,
    width: int,
    frames: int | None = None,
    intrinsics: Float[Tensor, "4"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> FoundCameras:
    """Read a camera file of any format, told apart by content, as cameras of `height` x `width` images.

    Args:
        path: File or folder of one of `FORMATS`; `file#name` takes one of several cameras in it.
        height: Height of the images the cameras are wanted for.
        width: Their width. Intrinsics of a file that states another size are resized.
        frames: Number of frames the clip has. A file that says which of them its cameras belong to is interpolated;
            any other must have one camera for each.
        intrinsics: fx, fy, cx, cy in pixels of `height` x `width`, for files that have no focal length.
        dtype: Floating type of the result.

    Raises:
        ValueError: In one line that names the file: it cannot be read or is none of the formats (with the reason of
            each); wrong number of cameras; NaN, no rotation, determinant -1, focal length <= 0; no focal length at all.
    """
    found = _read(path, height, width, frames, intrinsics, dtype)
    return replace(found, hints=hints(found.cameras.camera_to_world))


def stated_size(path: str | Path) -> tuple[int, int] | None:
    """Height and width that a camera file states for its intrinsics; None where it states none, or is damaged."""
    try:
        content = open_content(path)
        found = _format_of(content).read(content, (1, 1))
    except ValueError:  # damaged, which `load_cameras` says
        return None
    return found.size if found.size_said else None


def is_camera_file(path: str | Path) -> bool:
    """Whether something is of one of `FORMATS`; its numbers are not read."""
    try:
        _format_of(open_content(path))
    except ValueError:
        return False
    return True


def _read(path: str | Path, height: int, width: int, frames: int | None, intrinsics, dtype) -> FoundCameras:
    content = open_content(path)
    kind = _format_of(content)
    file = kind.read(content, (height, width))
    size = file.size or (height, width)
    cameras, said = _with_intrinsics(file, path, size, (height, width), intrinsics)
    check_cameras(cameras, str(path))
    cameras, placed, numbers = _for_frames(file, cameras, path, frames)
    fitted = resize_cameras(cameras, height, width).to(dtype)
    check_cameras(fitted, str(path))  # numbers too large for the dtype
    points = file.points
    if points is not None and points.seen is not None and numbers is not None:
        frame, point = points.seen.unbind(1)
        points = replace(points, seen=torch.stack([torch.tensor(numbers)[frame], point], dim=1))
    return FoundCameras(
        fitted, kind.name, file.convention, said, file.scale, len(file.poses), (*file.remarks, *placed), points,
        file.distortion, file.warnings,
    )  # fmt: skip


def _format_of(content: Content) -> Format:
    """The first format that a content is of."""
    reasons = []
    for kind in FORMATS:
        if kind.kind == content.kind:
            reason = kind.refusal(content)
            if reason is None:
                return kind
            reasons.append(f"{kind.name} ({reason})")
    raise ValueError(f"{content.path}: {content.kind} of no known camera format; tried {', '.join(reasons)}")


def _with_intrinsics(
    file: CameraFile, path: str | Path, size: tuple[int, int], asked: tuple[int, int], default: Tensor | None
) -> tuple[Cameras, str]:
    """The cameras at the size of the file, and where their focal lengths are from."""
    height, width = size
    if file.intrinsics is not None:
        of = "" if file.size_said else " (concluded from the principal point)"
        other = "" if size == asked else f", resized from {width}x{height} images{of}"
        stretch = (width / height) / (asked[1] / asked[0])
        other += ", which have another shape" if abs(math.log(stretch)) > 0.02 else ""
        return Cameras(file.poses, file.intrinsics, height, width), f"the file's{other}"
    if default is None:
        missing = "".join(f" ({remark})" for remark in file.remarks if remark.startswith("no "))
        raise ValueError(
            f"{path}: poses without focal lengths{missing}; expected them in the file, or a field of view (--fov)"
        )
    scale = torch.tensor([width / asked[1], height / asked[0]] * 2, dtype=torch.float64)
    rows = (default.to("cpu", torch.float64) * scale).expand(len(file.poses), 4)
    return Cameras(file.poses, rows, height, width), "none in the file: the caller's"


def _for_frames(
    file: CameraFile, cameras: Cameras, path: str | Path, frames: int | None
) -> tuple[Cameras, tuple[str, ...], tuple[int, ...] | None]:
    """One camera for each frame of a clip, interpolated where the file says which frames its cameras belong to.

    The last of the results is these frames, where they are not all.
    """
    count = len(cameras)
    if count == frames or (frames is None and file.numbers is None):
        return cameras, (), None
    numbers = _numbers(file, frames)
    if frames is None and (numbers is None or len(numbers) == numbers[-1] + 1):
        return cameras, (), None
    if numbers is None:
        raise ValueError(
            f"{path}: {count} cameras for {frames} frames; expected one camera per frame: "
            "resample the file or cut the clip to match"
        )
    wanted = numbers[-1] + 1 if frames is None else frames
    said = f"{wanted - count} of {wanted} frames without a camera: interpolated"
    return fill_cameras(cameras, numbers, wanted), (said,), numbers


def _numbers(file: CameraFile, frames: int | None) -> tuple[int, ...] | None:
    """The frames, counted from 0, that fewer cameras than frames belong to; None where the file does not show it.

    Cameras numbered one after the other show nothing: they may be every tenth frame, or another clip's. Nor may more
    frames be missing at either end than between two cameras.
    """
    numbers = file.numbers
    if numbers is None or len(numbers) < 2 or numbers[-1] - numbers[0] + 1 == len(numbers):
        return numbers if frames is None and file.counted_from is not None else None
    first = file.counted_from
    if first is None:
        first = 0 if numbers[0] == 0 or numbers[-1] + 1 == frames else 1
    numbers = tuple(number - first for number in numbers)
    gap = max(b - a for a, b in pairwise(numbers))
    if frames is None:
        return numbers if file.counted_from is not None else None
    return numbers if 0 <= numbers[0] < gap and 0 <= frames - 1 - numbers[-1] < gap else None
