"""A plan as a picture: what every view will see, where its camera goes, and how far a model can follow."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from plenodream.geometry.cameras import project, relative_poses, unproject
from plenodream.rendering.preview import Preview
from plenodream.types import Cameras, View
from plenodream.viewer.paths import drawing, path_colour

GREEN, YELLOW = "#2f9e5c", "#c29a0d"
# Moments of which the picture's outline is drawn over the source.
_OUTLINES = 5


def draw_plan(
    source: View,
    targets: Mapping[str, Cameras],
    previews: Sequence[Preview],
    subject_distance: float,
    reach: float | None,
    lines: Sequence[str] = (),
) -> bytes:
    """A contact sheet as PNG.

    Args:
        source: The video.
        targets: Cameras of the views by name, in the previews' order.
        previews: What each will see.
        subject_distance: Metres.
        reach: How far (metres) from the source's first camera a model was trained to go; None where it is not known.
        lines: Text below it all.
    """
    columns, rows = 1 + len(previews[0].moments), len(previews)
    height, width = source.frames.shape[1:3]
    tall = 1.5 * height / width + 0.3
    with drawing({"font.size": 8, "text.parse_math": False}):
        figure = Figure(figsize=(1.5 * columns, tall * rows + 3.4), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(tall * rows, 3.4))
        top, bottom = parts
        grid = top.subplots(rows, columns, squeeze=False)
        for number, (shown, row) in enumerate(zip(previews, grid, strict=True)):
            _draw_outlines(row[0], source, targets[shown.name], subject_distance)
            row[0].set_title(shown.name, loc="left", color=_colour(shown, reach, number))
            for axes, picture, moment in zip(row[1:], shown.warps, shown.moments, strict=True):
                axes.imshow(picture.numpy())
                axes.set_title(f"{moment}: {shown.unseen[moment]:.0%} unseen", fontsize=7)
            for axes in row:
                axes.set_axis_off()
        above, share = bottom.subplots(1, 2, width_ratios=(1, 1.4))
        _draw_above(above, source, targets, previews, subject_distance, reach)
        for number, shown in enumerate(previews):
            share.plot([100 * value for value in shown.unseen], color=path_colour(number + 1), label=shown.name)
        share.set(xlabel="frame", ylabel="unseen (%)", ylim=(0, 100))
        share.legend(frameon=False, fontsize=7)
        wrapped = [part for line in lines for part in textwrap.wrap(line, 26 * columns)]
        bottom.supxlabel("\n".join(wrapped), fontsize=8, x=0.01, ha="left")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _colour(shown: Preview, reach: float | None, number: int) -> str:
    if reach is None:
        return path_colour(number + 1)
    return GREEN if shown.travel <= reach else YELLOW


def _draw_outlines(axes, source: View, target: Cameras, subject_distance: float) -> None:
    """Over the source's first frame, what the target's picture frames at the subject's distance, from light to dark."""
    axes.imshow(source.frames[0].numpy())
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


def _draw_above(axes, source, targets, previews, subject_distance: float, reach: float | None) -> None:
    """Paths and frusta from above, in the axes of the source's first camera."""
    reference = source.cameras.camera_to_world[0].double()
    if reach is not None:
        axes.add_patch(Circle((0, 0), reach, color=GREEN, alpha=0.12, linewidth=0))
    axes.plot(0, subject_distance, "+", color="#858b95")
    for number, (name, cameras) in enumerate({"source": source.cameras, **targets}.items()):
        poses = relative_poses(cameras.camera_to_world.double(), reference)
        path = replace(cameras, camera_to_world=poses, intrinsics=cameras.intrinsics.double())
        far = number > 0 and reach is not None and previews[number - 1].travel > reach
        style = {"color": path_colour(number), "linestyle": "dashed" if far else "solid", "label": name}
        axes.plot(poses[:, 0, 3], poses[:, 2, 3], linewidth=2, **style)
        for moment in sorted({0, len(path) // 2, len(path) - 1}):
            axes.plot(*_wedge(path[moment], 0.25 * subject_distance), color=path_colour(number), linewidth=0.8)
    axes.set(aspect="equal", xlabel="right (m)", ylabel="forward (m)", title="from above")
    axes.grid(alpha=0.25)


def _wedge(camera: Cameras, length: float) -> tuple[Tensor, Tensor]:
    """x and z of a camera's centre and of its picture's left and right edge, as one stroke."""
    middle = camera.height / 2
    edges = torch.tensor([[0.0, middle], [camera.width, middle]], dtype=torch.float64)
    points = unproject(edges, torch.full((2,), length, dtype=torch.float64), camera)
    stroke = torch.stack([camera.camera_to_world[:3, 3], points[0], points[1], camera.camera_to_world[:3, 3]])
    return stroke[:, 0], stroke[:, 2]
