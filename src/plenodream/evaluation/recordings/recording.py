"""A recording: synchronized true videos of one event with their cameras, as a benchmark takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from plenodream.media.fit import fit_cameras, fit_depth, fit_frames
from plenodream.types import View


@dataclass(frozen=True)
class Recording:
    """Videos of one length, rate and size, all cameras in one world.

    Attributes:
        views: By name; with depth where it is known.
        seen: By view, pixels that the source shows, too, where the recording says so.
    """

    views: Mapping[str, View]
    seen: Mapping[str, Bool[Tensor, "frames height width"]] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordingFile:
    """A recording on disk; nothing is decoded before it is asked for.

    Attributes:
        layout: Which layout it has.
        name: Unique in its folder; a file's name.
        source: The view that counts as the source.
        views: Names of all views.
        read: Reads some views: their names, how many frames at most, the height to make them smaller to. The first
            named has the size that the others are fitted to.
    """

    layout: str
    name: str
    source: str
    views: tuple[str, ...]
    read: Callable[[Sequence[str], int | None, int | None], Recording]


def size_of(view: View) -> tuple[int, int]:
    """Height and width of a view."""
    return view.cameras.height, view.cameras.width


def smaller(rows: int, columns: int, height: int | None) -> tuple[int, int]:
    """A size of the same shape and at most this height."""
    if height is None or height >= rows:
        return rows, columns
    return height, max(1, round(columns * height / rows))


def fit_view(view: View, height: int, width: int) -> View:
    """A view at another size: scaled to cover it, then cropped in the middle."""
    if view.frames.shape[1:3] == (height, width):
        return view
    depth = None if view.depth is None else fit_depth(view.depth, height, width)
    frames, cameras = fit_frames(view.frames, height, width)[0], fit_cameras(view.cameras, height, width)
    return View(frames, cameras, view.fps, depth=depth)
