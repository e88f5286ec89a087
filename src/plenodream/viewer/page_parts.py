"""What the page's templates show of the views: cards, the matrix of context, the table, the cameras in space."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import torch

from plenodream.geometry.cameras import relative_poses
from plenodream.media.preview import video_timing
from plenodream.viewer.paths import path_colour

if TYPE_CHECKING:
    from plenodream.viewer.page import PageView

Scores = tuple[tuple[str, float], ...]
# Up to this many pixels across, pixels are shown as squares; larger videos are smoothed.
SMALL = 128


@dataclass(frozen=True)
class Video:
    """One video of a card.

    Attributes:
        role: `result`, `truth` or `depth`.
        source: Relative path or data URL.
        frames: Number of frames.
        fps: Frames per second.
    """

    role: str
    source: str
    frames: int
    fps: float


@dataclass(frozen=True)
class Score:
    """One view's score for another.

    Attributes:
        name: Of the view that was scored.
        text: The score.
        colour: Of the view's path.
        share: The score within those of its window, 0 to 1.
        chosen: Whether it became context.
    """

    name: str
    text: str
    colour: str
    share: float
    chosen: bool


@dataclass(frozen=True)
class Card:
    """One view as the page shows it.

    Attributes:
        view: What is shown.
        number: Its place, by which scripts know it.
        colour: Of its path.
        videos: The result and, where they are known, the truth and depth.
        context: By window (or windows that had the same), what it was made from.
        candidates: By window, all that it could have been made from, best first.
        neighbours: `number:score` of the views of this page it was made from, for scripts.
        small: Whether pixels are shown as squares.
        camera_file: Relative path of its cameras' file, if it has one beside the page.
    """

    view: PageView
    number: int
    colour: str
    videos: tuple[Video, ...]
    context: tuple[tuple[str, tuple[Score, ...]], ...]
    candidates: tuple[tuple[str, tuple[Score, ...]], ...]
    neighbours: str
    small: bool
    camera_file: str | None


def cards(views: Sequence[PageView], folder: Path | None) -> list[Card]:
    """Cards of views; the videos in a folder by their paths in it, all others (all if None) put into the page.

    Raises:
        ValueError: A preview whose length is not its cameras'.
    """
    numbers = {view.name: number for number, view in enumerate(views)}
    return [_card(view, numbers, folder) for view in views]


def matrix(views: Sequence[PageView]) -> dict[str, Any]:
    """Who was shown to whom: a row a view that was made, a column a view that was a candidate, in it its windows."""
    numbers = {view.name: number for number, view in enumerate(views)}
    rows = {view.name: [_scores(window, numbers) for window in view.windows] for view in views if view.windows}
    seen = {score.name for windows in rows.values() for window in windows for score in window}
    columns = sorted(seen, key=lambda name: (numbers.get(name, len(numbers)), name))
    cells = {
        name: [[{s.name: s for s in window}.get(column) for window in windows] for column in columns]
        for name, windows in rows.items()
    }
    return {"columns": [(name, _colour(name, numbers)) for name in columns], "rows": cells}


def table(views: Sequence[PageView]) -> dict[str, list[str]]:
    """Numbers of all views by column; those that no view has get no column."""
    columns = {
        "seconds": [_text(view.seconds, ".1f") for view in views],
        "PSNR (dB)": [_text(view.psnr, ".2f") for view in views],
        "copying (dB)": [_text(view.psnr_copy, ".2f") for view in views],
        "gain (dB)": [_text(gain(view), "+.1f") for view in views],
    }
    return {title: cells for title, cells in columns.items() if any(cells)}


def gain(view: PageView) -> float | None:
    """dB over copying the source, where both are known."""
    return None if view.psnr is None or view.psnr_copy is None else view.psnr - view.psnr_copy


def space(views: Sequence[PageView]) -> list[dict[str, Any]]:
    """Cameras for the view in space: per frame the 3x4 pose (in the source's first camera, metres) and half extents
    of the picture at 1 m: left, right, top, bottom."""
    reference = views[0].cameras.camera_to_world[0].detach().cpu().double()
    shown = []
    for number, view in enumerate(views):
        cameras = view.cameras.to("cpu", torch.float64)
        poses = relative_poses(cameras.camera_to_world.detach(), reference)[:, :3].flatten(1)
        fx, fy, cx, cy = cameras.intrinsics.detach().unbind(-1)
        edges = torch.stack([-cx / fx, (cameras.width - cx) / fx, -cy / fy, (cameras.height - cy) / fy], -1)
        rows = [[round(x, 4) for x in row] for row in torch.cat([poses, edges], -1).tolist()]
        shown.append({"name": view.name, "kind": view.kind, "colour": path_colour(number), "cameras": rows})
    return shown


def _card(view: PageView, numbers: dict[str, int], folder: Path | None) -> Card:
    roles = {"result": view.preview, "truth": view.truth, "depth": view.depth}
    videos = [_video(path, role, folder) for role, path in roles.items() if path]
    if videos[0].frames != len(view.cameras):
        raise ValueError(
            f"{view.preview}: {videos[0].frames} frames, but {len(view.cameras)} cameras; "
            "write the preview of this view again"
        )
    best = {name: score for window in view.windows for name, score in reversed(window.context) if name in numbers}
    file = view.camera_file
    return Card(
        view,
        numbers[view.name],
        path_colour(numbers[view.name]),
        tuple(videos),
        _by_window([[score for score in _scores(window, numbers) if score.chosen] for window in view.windows]),
        _by_window([sorted(_scores(window, numbers), key=lambda s: -s.share) for window in view.windows]),
        " ".join(f"{numbers[name]}:{_number(score)}" for name, score in best.items()),
        max(view.cameras.width, view.cameras.height) <= SMALL,
        _relative(file, folder) if file is not None and file.is_file() else None,
    )


def _video(path: Path, role: str, folder: Path | None) -> Video:
    frames, fps = video_timing(path)
    source = _relative(path, folder)
    if source is None:
        source = "data:video/mp4;base64," + base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return Video(role, source, frames, fps)


def _relative(path: Path, folder: Path | None) -> str | None:
    """A file in a folder as the page there names it; None for files elsewhere."""
    if folder is None or not (whole := path.resolve()).is_relative_to(folder.resolve()):
        return None
    return quote(whole.relative_to(folder.resolve()).as_posix())


def _scores(window: Any, numbers: dict[str, int]) -> list[Score]:
    """Context of a window, best first, then its other candidates."""
    chosen = dict(window.context)
    scores = chosen | {name: score for name, score in window.candidates if name not in chosen}
    finite = [score for score in scores.values() if math.isfinite(score)] or [0.0]
    low, high = min(0.0, *finite), max(finite)
    return [
        Score(
            name,
            _number(score),
            _colour(name, numbers),
            (score - low) / (high - low) if math.isfinite(score) and high > low else 0.0,
            name in chosen,
        )
        for name, score in scores.items()
    ]


def _by_window(windows: Iterable[Sequence[Score]]) -> tuple[tuple[str, tuple[Score, ...]], ...]:
    """Scores under the names of their windows; neighbours that say the same are one."""
    runs: list[tuple[int, int, tuple[Score, ...]]] = []
    for number, scores in enumerate(map(tuple, windows), start=1):
        if runs and runs[-1][2] == scores:
            runs[-1] = (runs[-1][0], number, scores)
        else:
            runs.append((number, number, scores))
    if len(runs) == 1:
        return (("", runs[0][2]),) if runs[0][2] else ()
    return tuple((f"window {a}" if a == b else f"windows {a} to {b}", scores) for a, b, scores in runs)


def _colour(name: str, numbers: dict[str, int]) -> str:
    return path_colour(numbers[name]) if name in numbers else "transparent"


def _number(score: float) -> str:
    return f"{score:.3g}" if math.isfinite(score) else "–"


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
