"""Order and number of video frames from the names of their images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath


def by_name(names: Sequence[str]) -> list[int]:
    """Indices that put names in the order of the frames: runs of digits count as numbers, frame_2 before frame_10."""
    return sorted(range(len(names)), key=lambda index: _natural(names[index]))


def frame_numbers(names: Sequence[str]) -> tuple[int, ...] | None:
    """The last number in each file name, if they ascend: `images/frame_00012.png` is frame 12. None otherwise."""
    found = [re.findall(r"\d+", PurePosixPath(name.replace("\\", "/")).stem) for name in names]
    if not all(found):
        return None
    numbers = tuple(int(digits[-1]) for digits in found)
    return numbers if all(a < b for a, b in pairwise(numbers)) else None


def _natural(name: str) -> list[str | int]:
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))]
