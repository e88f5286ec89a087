"""Camera paths seen from above and from the side, as a picture of small panels. Ours."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import matplotlib
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from plenodream.files.atomic import write_file
from plenodream.geometry.cameras import pixel_rays, relative_poses
from plenodream.types import Cameras

# Lightness between that of a white page and a dark one, as far apart as 24 can be in OKLab. The first is the source's.
COLOURS = (
    "#858b95",
    *("#3d7ede", "#ee1401", "#5cc02f", "#f25dea", "#e78d02", "#800fc5", "#24bcb0", "#9d2964"),
    *("#4d6905", "#e183a1", "#4ab0e4", "#904701", "#b58bf9", "#fc328c", "#4638e0", "#a4ab70"),
    *("#694b96", "#b40eae", "#0a6c69", "#359561", "#a864a2", "#a2790d", "#ab6e64", "#7f63ee"),
)
# Length of the pyramids (metres) where nothing moves, and no scale is told.
_STILL = 0.01
GREY = "#858b95"
_DRAWING = Lock()
# Apex, then the image's four corners: one stroke that passes over every edge of the pyramid.
STROKE = [0, 1, 2, 0, 3, 4, 0, 2, 3, 4, 1]


# A panel: its name, and what runs right and up the page as (word, axis, sign).
Panel = tuple[str, tuple[str, int, int], tuple[str, int, int]]
_PANELS: tuple[Panel, ...] = (
    ("from above", ("right", 0, 1), ("forward", 2, 1)),
    ("from the side", ("forward", 2, 1), ("up", 1, -1)),
)
_COLUMNS, _PANEL, _GAP, _HEAD = 4, 1.35, 0.2, 0.3  # inches


def path_colour(index: int) -> str:
    """Hex colour of the path at a position of the mapping given to `draw_paths`; 24 beside the first."""
    return COLOURS[0] if index == 0 else COLOURS[1 + (index - 1) % (len(COLOURS) - 1)]


def draw_paths(paths: Mapping[str, Cameras], file: Path | None = None) -> str | None:
    """Draw camera paths, each with the first, from above (x right, z up the page) and the right (z right, up is up).

    Axes are those of the first path's first camera (x right, y down, z forward; metres), which is therefore at the
    origin whatever the world's own axes are. Every path has a pair of small panels of one scale, its colour
    (`path_colour`), a dot where it starts, and the view pyramids of its first, middle and last frame; the pyramids'
    opening is the camera's field of view, their length has no meaning. In the SVG the parts of path i have ids that
    begin with `path-i-`.

    Args:
        paths: One path a name, batch shape (frames,). The first is the reference, usually the source; it is grey in
            the panels of the others.
        file: Where to write, whole or not at all; the suffix says what (`.png`, `.svg`, `.pdf`). None returns SVG.

    Returns:
        The text of an `<svg>` element with a transparent ground, the same for the same input; None with a file.

    Raises:
        ValueError: No path, an empty path, or a suffix that cannot be written.
        OSError: Disk full or folder not writable.
    """
    if not paths or any(len(cameras) == 0 for cameras in paths.values()):
        raise ValueError("no camera path to draw: expected at least one path with at least one camera each")
    suffix = "svg" if file is None else Path(file).suffix[1:].lower()
    if suffix not in ("svg", "png", "pdf"):
        raise ValueError(f"{file}: cannot draw into '{Path(str(file)).suffix}'; expected .png, .svg or .pdf")
    reference = next(iter(paths.values())).camera_to_world[0].detach().cpu().double()
    anchored = [_anchored(cameras, reference) for cameras in paths.values()]
    style: Any = {"svg.hashsalt": "plenodream", "svg.fonttype": "none", "font.size": 8, "text.parse_math": False}
    with drawing(style):
        figure, buffer = _figure(list(paths), anchored), io.BytesIO()
        undated = {"pdf": {"CreationDate": None}, "svg": dict.fromkeys(("Date", "Creator", "Format", "Type"))}
        figure.savefig(buffer, format=suffix, transparent=file is None, dpi=150, metadata=undated.get(suffix))
    if file is not None:
        write_file(file, buffer.getvalue())
        return None
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]


@contextmanager
def drawing(style: Any) -> Iterator[None]:
    """matplotlib's settings for one drawing; they are those of the whole process, so that others wait."""
    with _DRAWING, matplotlib.rc_context(style):
        yield


def _anchored(cameras: Cameras, reference: Float[Tensor, "4 4"]) -> Cameras:
    """Cameras on the CPU in float64, in the reference camera's frame."""
    cameras = cameras.to("cpu", torch.float64)
    return replace(cameras, camera_to_world=relative_poses(cameras.camera_to_world.detach(), reference))


def _strokes(cameras: Cameras, length: float) -> Float[Tensor, "points 3"]:
    """Outlines of the view pyramids of the first, middle and last frame, `length` metres long, NaN between them."""
    cameras = cameras[sorted({0, len(cameras) // 2, len(cameras) - 1})]
    width, height = cameras.width, cameras.height
    corners = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64)
    origins, directions = pixel_rays(cameras, corners)
    pyramids = torch.cat([origins[:, :1], origins + length * directions], dim=1)
    gap = torch.full((len(pyramids), 1, 3), torch.nan, dtype=torch.float64)
    return torch.cat([pyramids[:, STROKE], gap], dim=1).flatten(0, 1)


def _figure(names: list[str], paths: list[Cameras]) -> Figure:
    """A grid of cells, one a path; the reference has one of its own only where it is alone."""
    shown = list(range(len(names)))[len(names) > 1 :]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width, height = 2 * _PANEL + _GAP, _PANEL + _HEAD
    figure = Figure(figsize=(columns * width, rows * height))
    for place, index in enumerate(shown):
        row, column = divmod(place, columns)
        others = [0] if index else []
        low, half, length = _extent([paths[i] for i in (*others, index)])
        for number, panel in enumerate(_PANELS):
            left, bottom = column * width + number * _PANEL + _GAP / 2, (rows - 1 - row) * height
            box = (left / (columns * width), bottom / (rows * height))
            axes = figure.add_axes((*box, _PANEL / (columns * width), _PANEL / (rows * height)))
            _frame(axes, panel, low, half, place == 0)
            for i in (*others, index):
                _draw(axes, panel, paths[i], i, length, own=i == index)
            if number == 0:
                text = axes.set_title(names[index], loc="left", color=path_colour(index), fontsize=9)
                text.set_gid(f"path-{index}-name")
            elif length > _STILL:
                _scale_bar(axes, half)
    return figure


def _extent(paths: list[Cameras]) -> tuple[Float[Tensor, "3"], float, float]:
    """Middle and half side (metres) of the cube that holds paths and pyramids, and the pyramids' length."""
    centres = torch.cat([cameras.camera_to_world[:, :3, 3] for cameras in paths])
    length = max(0.2 * (centres.amax(0) - centres.amin(0)).max().item(), _STILL)
    drawn = torch.cat([centres, *(_strokes(cameras, length) for cameras in paths)])
    drawn = drawn[drawn.isfinite().all(-1)]
    low, high = drawn.amin(0), drawn.amax(0)
    return (low + high) / 2, 0.58 * (high - low).max().item(), length


def _frame(axes: Axes, panel: Panel, middle: Tensor, half: float, named: bool) -> None:
    """An empty panel; the first of a picture says what it shows."""
    title, across, upward = panel
    for limit, (_, axis, sign) in ((axes.set_xlim, across), (axes.set_ylim, upward)):
        limit(sign * middle[axis].item() - half, sign * middle[axis].item() + half)
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set(color=GREY, alpha=0.35)
    if named:
        arrows = f"{title}\n{across[0]} →, {upward[0]} ↑"
        axes.text(0.03, 0.03, arrows, transform=axes.transAxes, color=GREY, fontsize=6.5)


def _draw(axes: Axes, panel: Panel, cameras: Cameras, index: int, length: float, own: bool) -> None:
    """One path in one panel: pyramids, line, start. Only its own ones are named in the SVG."""
    title, (_, x, right), (_, y, up) = panel
    centres = cameras.camera_to_world[:, :3, 3]
    parts = (
        ("frusta", _strokes(cameras, length), {"linewidth": 0.8, "alpha": 0.75, "solid_joinstyle": "round"}),
        ("line", centres, {"linewidth": 1.8, "solid_capstyle": "round"}),
        ("start", centres[:1], {"marker": "o", "markersize": 4}),
    )
    for part, points, look in parts:
        gid = f"path-{index}-{title.split()[-1]}-{part}" if own else None
        axes.plot(right * points[:, x].numpy(), up * points[:, y].numpy(), color=path_colour(index), gid=gid, **look)


def _scale_bar(axes: Axes, half: float) -> None:
    """A line of 1, 2 or 5 times a power of ten metres, about a third of the panel long."""
    wanted = 2 * half / 3
    power = 10.0 ** math.floor(math.log10(wanted))
    metres = max(step * power for step in (1, 2, 5) if step * power <= wanted)
    share = metres / (2 * half)
    axes.plot([0.95 - share, 0.95], [0.06, 0.06], transform=axes.transAxes, color=GREY, linewidth=1.2)
    axes.text(0.95, 0.08, f"{metres:g} m", transform=axes.transAxes, color=GREY, fontsize=6.5, ha="right")
