"""Arrays of poses and intrinsics, as .npz and .npy files hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import Size, pinhole, square
from plenodream.geometry.formats.json_frames import check_last_row

Shape = tuple[int | None, ...]


def arrays_refusal(content: Content, expected: Mapping[str, tuple[Shape, ...]]) -> str | None:
    """Why a .npz file does not hold these arrays, each of one of its shapes (None: any length); None if it does."""
    for name, shapes in expected.items():
        if name not in content.shapes:
            return f"no {name!r}"
        found = content.shapes[name]
        if not any(_fits(found, shape) for shape in shapes):
            wanted = " or ".join("x".join("N" if side is None else str(side) for side in shape) for shape in shapes)
            return f"{name!r} is {'x'.join(map(str, found))}, not {wanted}"
    return None


def array_poses(values: np.ndarray, name: str, path: Path) -> Float[Tensor, "cameras 4 4"]:
    """3x4 or 4x4 matrices of an array, as 4x4.

    Raises:
        ValueError: None in it, or columns first (the last row is not 0 0 0 1).
    """
    poses = torch.from_numpy(values)
    if not len(poses):
        raise ValueError(f"{path}: no cameras in {name}; expected at least one")
    check_last_row(poses, name, path)
    return square(poses)


def array_intrinsics(values: np.ndarray, cameras: int, path: Path) -> Float[Tensor, "cameras 4"]:
    """fx, fy, cx, cy of every camera from (3, 3) or (4,) numbers for all of them or each; skew is dropped.

    Raises:
        ValueError: Of another shape, or for another number of cameras.
    """
    rows = torch.from_numpy(values)
    if rows.shape[-2:] == (3, 3):
        rows = pinhole(rows)
    if rows.shape not in ((4,), (1, 4), (cameras, 4)):
        raise ValueError(
            f"{path}: intrinsics of shape {values.shape} for {cameras} poses; expected fx fy cx cy or a 3x3 matrix, "
            "for each or for all"
        )
    return rows.expand(cameras, 4)


def array_size(content: Content, height: str, width: str) -> Size:
    """The images' size from two arrays of one number each.

    Raises:
        ValueError: They are not whole numbers of pixels.
    """
    sides = [content.array(name).reshape(-1) for name in (height, width)]
    if any(len(side) != 1 or not 1 <= side[0] < 2**31 or side[0] != int(side[0]) for side in sides):
        said = "x".join(" ".join(f"{number:g}" for number in side) for side in reversed(sides))
        raise ValueError(f"{content.path}: size {said}; expected the images' size in pixels")
    return int(sides[0][0]), int(sides[1][0])


def _fits(found: tuple[int, ...], shape: Shape) -> bool:
    return len(found) == len(shape) and all(s in (None, f) for f, s in zip(found, shape, strict=True))
