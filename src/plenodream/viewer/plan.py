"""A plan as a picture: what every view will see, where its camera goes, and how far a model can follow."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from torch import Tensor

from plenodream.geometry.cameras import project, relative_poses, unproject
from plenodream.rendering.plan import Judgement
from plenodream.rendering.preview import Preview
from plenodream.types import Cameras, View
from plenodream.viewer.paths import drawing, path_colour

COLOURS = {"good": "#2f9e5c", "doubtful": "#c29a0d", "bad": "#d1495b"}
# Moments of which the picture's outline is drawn over the source.
_OUTLINES = 5
# Inches: a picture's width, between pictures, a line of text, a row's two headings, the drawings below, the margin.
_PICTURE, _GAP, _LINE, _HEAD, _CHART, _EDGE = 1.4, 0.08, 0.16, 0.52, 3.4, 0.15
_NARROWEST = 10.0
_LETTERS = 17.0  # of text in an inch
_LEGEND = 20  # names in a column
_FEW = 4  # views whose frusta are drawn at three moments


def draw_plan(
    source: View,
    targets: Mapping[str, Cameras],
    previews: Sequence[Preview],
    judgements: Sequence[Judgement],
    words: Sequence[Sequence[str]],
    subject_distance: float,
    reach: float | None,
    lines: Sequence[str] = (),
) -> bytes:
    """A contact sheet as PNG.

    Args:
        source: The video.
        targets: Cameras of the views by name, in the previews' order.
        previews: What each will see.
        judgements: What is to be expected of each, which gives its words their colour.
        words: Of each, above its pictures: two lines at most.
        subject_distance: Metres.
        reach: How far (metres) from the source's first camera a model was trained to go; None where it is not known.
        lines: Text below it all.
    """
    height, width = source.frames.shape[1:3]
    tall = _PICTURE * height / width
    across = max(_NARROWEST, 2 * _EDGE + (1 + len(previews[0].moments)) * (_PICTURE + _GAP))
    letters = round(_LETTERS * (across - 2 * _EDGE))
    wrapped = [part for line in lines for part in textwrap.wrap(line, letters)]
    row, text = _HEAD + tall + _GAP, _LINE * len(wrapped)
    down = 3 * _EDGE + len(previews) * row + _CHART + text
    with drawing({"font.size": 8, "text.parse_math": False}):
        figure = Figure(figsize=(across, down))

        def place(left: float, top: float, wide: float, high: float) -> Any:
            return figure.add_axes((left / across, 1 - (top + high) / down, wide / across, high / down))

        for number, (shown, judged, said) in enumerate(zip(previews, judgements, words, strict=True)):
            top = _EDGE + number * row
            two = [line for line in (said[0], "; ".join(said[1:])) if line]
            short = "\n".join(textwrap.shorten(line, letters, placeholder=" ...") for line in two)
            style = {"color": COLOURS[judged.level], "linespacing": 1.3, "va": "bottom"}
            figure.text(_EDGE / across, 1 - (top + 2 * _LINE) / down, short, **style)
            cells = [
                place(_EDGE + n * (_PICTURE + _GAP), top + _HEAD, _PICTURE, tall) for n in range(1 + len(shown.moments))
            ]
            _draw_row(cells, source, targets[shown.name], shown, subject_distance)
        top = 2 * _EDGE + len(previews) * row
        side = _CHART - 0.7
        above = place(_EDGE + 0.5, top + 0.25, side, side)
        _draw_above(above, source, targets, judgements, subject_distance, reach)
        columns = -(-(len(previews) + 1) // _LEGEND)
        names = 1.9 * columns
        share = place(_EDGE + side + 1.2, top + 0.25, max(2.0, across - side - 1.5 - names), side)
        _draw_unseen(share, previews, columns)
        figure.text(_EDGE / across, _EDGE / down, "\n".join(wrapped), va="bottom", linespacing=1.3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _draw_row(cells: Sequence[Any], source: View, target: Cameras, shown: Preview, subject_distance: float) -> None:
    """Outlines over the source, then the warps of one view."""
    _draw_outlines(cells[0], source, target, subject_distance)
    for axes, picture, moment in zip(cells[1:], shown.warps, shown.moments, strict=True):
        axes.imshow(picture.numpy(), aspect="auto")
        axes.set_title(f"{moment}: {shown.unseen[moment]:.0%} unseen", fontsize=7, pad=3)
    for axes in cells:
        axes.set_axis_off()


def _draw_unseen(axes, previews: Sequence[Preview], columns: int) -> None:
    """Share that is unseen over time; the names, the source's with them, are those of the map, too."""
    for number, shown in enumerate(previews):
        axes.plot([100 * value for value in shown.unseen], color=path_colour(number + 1), label=shown.name)
    axes.set(xlabel="frame", ylabel="unseen (%)", ylim=(0, 100))
    axes.xaxis.get_major_locator().set_params(integer=True)
    entries = [Line2D([], [], color=path_colour(0), linewidth=2, label="source"), *axes.get_lines()]
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.02), "borderaxespad": 0}
    axes.legend(handles=entries, frameon=False, fontsize=7, ncols=columns, **place)


def _draw_outlines(axes, source: View, target: Cameras, subject_distance: float) -> None:
    """Over the source's first frame, what the target's picture frames at the subject's distance, from light to dark."""
    axes.imshow(source.frames[0].numpy(), aspect="auto")
    corners = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * torch.tensor([target.width, target.height])
    moments = torch.linspace(0, len(target) - 1, _OUTLINES).round().long().tolist()
    for number, moment in enumerate(moments):
        camera = target[moment].to(torch.float64)
        points = unproject(corners.double(), torch.full((5,), float(subject_distance), dtype=torch.float64), camera)
        pixels, depth = project(points, source.cameras[0].to(torch.float64))
        if bool((depth > 0).all()):
            shade = number / max(1, len(moments) - 1)
            axes.plot(pixels[:, 0], pixels[:, 1], color=(1, 1 - 0.8 * shade, 0.2), linewidth=1)
    height, width = source.frames.shape[1:3]
    axes.set(xlim=(-0.4 * width, 1.4 * width), ylim=(1.4 * height, -0.4 * height))


def _draw_above(axes, source, targets, judgements, subject_distance: float, reach: float | None) -> None:
    """Paths and frusta from above, in the axes of the source's first camera; dashed where not all is good."""
    reference = source.cameras.camera_to_world[0].double()
    if reach is not None:
        axes.add_patch(Circle((0, 0), reach, color=COLOURS["good"], alpha=0.12, linewidth=0))
    axes.plot(0, subject_distance, "+", color="#858b95")
    for number, (name, cameras) in enumerate({"source": source.cameras, **targets}.items()):
        poses = relative_poses(cameras.camera_to_world.double(), reference)
        path = replace(cameras, camera_to_world=poses, intrinsics=cameras.intrinsics.double())
        good = number == 0 or judgements[number - 1].level == "good"
        style = {"color": path_colour(number), "linestyle": "solid" if good else "dashed", "label": name}
        axes.plot(poses[:, 0, 3], poses[:, 2, 3], linewidth=2, **style)
        moments = {0, len(path) // 2, len(path) - 1} if len(targets) <= _FEW else {len(path) - 1}
        for moment in sorted(moments):
            axes.plot(*_wedge(path[moment], 0.25 * subject_distance), color=path_colour(number), linewidth=0.8)
    axes.set(xlabel="right (m)", ylabel="forward (m)")
    trained = "" if reach is None else ", disc: trained range"
    axes.set_title(f"from above; +: subject{trained}, dashed: not all good", fontsize=7)
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.25)


def _wedge(camera: Cameras, length: float) -> tuple[Tensor, Tensor]:
    """x and z of a camera's centre and of its picture's left and right edge, as one stroke."""
    middle = camera.height / 2
    edges = torch.tensor([[0.0, middle], [camera.width, middle]], dtype=torch.float64)
    points = unproject(edges, torch.full((2,), length, dtype=torch.float64), camera)
    stroke = torch.stack([camera.camera_to_world[:3, 3], points[0], points[1], camera.camera_to_world[:3, 3]])
    return stroke[:, 0], stroke[:, 2]
