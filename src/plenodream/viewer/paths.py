"""Camera paths seen from above and from the side, as one picture. Ours."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from plenodream.geometry.cameras import pixel_rays, relative_poses
from plenodream.types import Cameras

# Middling lightness: readable on a white page and on a dark one. The first, grey, is the source's.
COLOURS = ("#7d8794", "#2f7fd6", "#e0702b", "#2f9e5c", "#d14b8f", "#8b62d9", "#c29a0d")
COLOURS += ("#17a3b4", "#d4473c", "#7a9e1f", "#a8734a", "#5b74e0", "#c05fd0")
DASHES = ("solid", (0, (2.2, 1.1)), "dotted")
GREY = "#858b95"
# Apex, then the image's four corners: one stroke that passes over every edge of the pyramid.
STROKE = [0, 1, 2, 0, 3, 4, 0, 2, 3, 4, 1]


def path_colour(index: int) -> str:
    """Hex colour of the path at a position of the mapping given to `draw_paths`."""
    return COLOURS[0] if index == 0 else COLOURS[1 + (index - 1) % (len(COLOURS) - 1)]


def draw_paths(paths: Mapping[str, Cameras], file: Path | None = None) -> str | None:
    """Draw camera paths from above (x right, z up the page) and from the right (z right, up is up).

    Axes are those of the first path's first camera (x right, y down, z forward; metres), which is therefore at the
    origin whatever the world's own axes are. Both panels have the same scale. Every path has its colour
    (`path_colour`), a dot where it starts, and the view pyramids of its first, middle and last frame; the pyramids'
    opening is the camera's field of view, their length has no meaning. In the SVG the parts of path i have ids that
    begin with `path-i-`.

    Args:
        paths: One path a name, batch shape (frames,). The first is the reference, usually the source.
        file: Where to write; the suffix says what (`.png`, `.svg`, `.pdf`). None returns SVG.

    Returns:
        The text of an `<svg>` element with a transparent ground, the same for the same input; None with a file.

    Raises:
        ValueError: No path, an empty path, or a suffix that cannot be written.
    """
    if not paths or any(len(cameras) == 0 for cameras in paths.values()):
        raise ValueError("no camera path to draw: expected at least one path with at least one camera each")
    reference = next(iter(paths.values())).camera_to_world[0].detach().cpu().double()
    anchored = [_anchored(cameras, reference) for cameras in paths.values()]
    style = {"svg.hashsalt": "plenodream", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
    with matplotlib.rc_context(style):
        figure = _figure(list(paths), anchored)
        if file is None:
            buffer = io.StringIO()
            nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
            figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
            text = buffer.getvalue()
            return text[text.index("<svg") :]
        known = figure.canvas.get_supported_filetypes()
        if Path(file).suffix[1:].lower() not in known:
            raise ValueError(f"{file}: cannot draw into '{Path(file).suffix}'; expected .png, .svg or .pdf")
        figure.savefig(file, dpi=150)
    return None


def _anchored(cameras: Cameras, reference: Float[Tensor, "4 4"]) -> Cameras:
    """Cameras on the CPU in float64, in the reference camera's frame."""
    cameras = cameras.to("cpu", torch.float64)
    return replace(cameras, camera_to_world=relative_poses(cameras.camera_to_world.detach(), reference))


def _pyramids(cameras: Cameras, length: float) -> Float[Tensor, "frames 5 3"]:
    """Apex and image corners of view pyramids that reach `length` metres ahead."""
    width, height = cameras.width, cameras.height
    corners = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64)
    origins, directions = pixel_rays(cameras, corners)
    return torch.cat([origins[:, :1], origins + length * directions], dim=1)


def _figure(names: list[str], paths: list[Cameras]) -> Figure:
    centres = [cameras.camera_to_world[:, :3, 3] for cameras in paths]
    extent = torch.cat(centres).amax(0) - torch.cat(centres).amin(0)
    length = 0.13 * max(extent.max().item(), 0.5)
    pyramids = [_pyramids(cameras[sorted({0, len(cameras) // 2, len(cameras) - 1})], length) for cameras in paths]
    drawn = torch.cat([*centres, *(pyramid.reshape(-1, 3) for pyramid in pyramids)])
    low, high = drawn.amin(0), drawn.amax(0)
    middle, half = (low + high) / 2, 0.54 * (high - low).max().item()

    rows = -(-len(names) // 5)
    columns = -(-len(names) // rows)
    figure = Figure(figsize=(8.4, 4.5 + 0.19 * rows), layout="constrained")
    # Each panel: name, and what runs right and up the page as (label, axis, sign).
    panels = (
        ("from above", ("right", 0, 1), ("forward", 2, 1)),
        ("from the side", ("forward", 2, 1), ("up", 1, -1)),
    )
    for axes, (title, across, upward) in zip(figure.subplots(1, 2), panels, strict=True):
        for limit, (_, axis, sign) in ((axes.set_xlim, across), (axes.set_ylim, upward)):
            limit(sign * middle[axis].item() - half, sign * middle[axis].item() + half)
        axes.set(aspect="equal", title=title, xlabel=f"{across[0]} (m)", ylabel=f"{upward[0]} (m)")
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(color=GREY)
        axes.spines[:].set_color(GREY)
        place = torch.tensor([across[1], upward[1]]), torch.tensor([across[2], upward[2]])
        for index, (centre, pyramid) in enumerate(zip(centres, pyramids, strict=True)):
            stroke = torch.cat([pyramid[:, STROKE], torch.full((len(pyramid), 1, 3), torch.nan)], dim=1).reshape(-1, 3)
            look = {"color": path_colour(index), "zorder": 3.5 if index == 0 else 2.5}
            parts = (
                ("frusta", stroke, {"linewidth": 0.9, "alpha": 0.75, "solid_joinstyle": "round"}),
                ("line", centre, {"linewidth": 2, "linestyle": _dashes(index), "solid_capstyle": "round"}),
                ("start", centre[:1], {"marker": "o", "markersize": 5}),
            )
            for part, points, detail in parts:
                flat = (points[:, place[0]] * place[1]).numpy()
                gid = f"path-{index}-{title.split()[-1]}-{part}"
                axes.plot(flat[:, 0], flat[:, 1], gid=gid, **look, **detail)
    handles = [
        Line2D([], [], color=path_colour(index), linewidth=2, linestyle=_dashes(index), marker="o", markersize=5)
        for index in range(len(names))
    ]
    legend = figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
    for index, text in enumerate(legend.get_texts()):
        text.set(gid=f"path-{index}-name")
    return figure


def _dashes(index: int) -> str | tuple[float, tuple[float, ...]]:
    """Solid for the first round of colours, then dashed, then dotted."""
    return DASHES[max(index - 1, 0) // (len(COLOURS) - 1) % len(DASHES)]
