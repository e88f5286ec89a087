"""Numbers out of lists of JSON objects, one a frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import Size, square


def frames_refusal(content: Content, key: str) -> str | None:
    """Why JSON is no object with a list of `frames` that have a key; None if it is."""
    entries = content.data.get("frames") if isinstance(content.data, dict) else None
    if not (isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)):
        return "no list of frames"
    return None if key in entries[0] else f"frames without '{key}'"


def stack(
    entries: Sequence[dict], key: str, path: Path, fits: Callable[[tuple[int, ...]], bool], expected: str
) -> Float[Tensor, "frames ..."]:
    """The numbers under a key of every frame, all of one fitting shape.

    Raises:
        ValueError: Missing somewhere, no numbers, or of another shape.
    """
    try:
        values = torch.tensor([entry[key] for entry in entries], dtype=torch.float64)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError):
        values = None
    if values is None or not fits(tuple(values.shape[1:])):
        raise ValueError(f"{path}: '{key}' missing or malformed; expected {expected} in every frame")
    return values


def stack_poses(entries: Sequence[dict], key: str, path: Path) -> Float[Tensor, "frames 4 4"]:
    """The 3x4 or 4x4 matrices under a key of every frame, as 4x4.

    Raises:
        ValueError: As `stack`, or columns first (the last row is not 0 0 0 1).
    """
    poses = stack(entries, key, path, lambda shape: shape in ((3, 4), (4, 4)), "a 3x4 or 4x4 matrix")
    check_last_row(poses, key, path)
    return square(poses)


def check_last_row(poses: Float[Tensor, "frames rows 4"], key: str, path: Path) -> None:
    """Refuse matrices whose last row is not that of a pose.

    Raises:
        ValueError: It is not 0 0 0 1 somewhere.
    """
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=poses.dtype)
    if poses.shape[-2] == 4 and not torch.allclose(poses[:, 3], last.expand(len(poses), 4)):
        raise ValueError(f"{path}: last row of {key} is not 0 0 0 1; expected rows first: transpose the matrices")


def image_side(entry: dict[str, Any], key: str, path: Path) -> int | None:
    """An image's height or width; None where the file does not say.

    Raises:
        ValueError: It is no whole number of pixels.
    """
    value = entry.get(key)
    if key not in entry:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf or value != int(value):
        raise ValueError(f"{path}: {key} is {value!r}; expected the image's size in pixels")
    return int(value)


def image_size(entry: dict[str, Any], height: str, width: str, path: Path) -> Size | None:
    """An image's size, by the names of its sides; None where the file does not say.

    Raises:
        ValueError: One side alone, or no whole number of pixels.
    """
    sides = image_side(entry, height, path), image_side(entry, width, path)
    if sides[0] is None and sides[1] is None:
        return None
    if sides[0] is None or sides[1] is None:
        raise ValueError(f"{path}: one of {height} and {width} alone; expected both, or none")
    return sides[0], sides[1]
