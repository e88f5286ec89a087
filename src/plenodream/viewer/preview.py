"""What a camera would see, at once and small: the stored views carried to it, holes in magenta. Ours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import UInt8
from torch import Tensor

from plenodream.generators.reprojection import StoredView, see
from plenodream.geometry.cameras import resize_cameras
from plenodream.media.fit import stretch_view
from plenodream.memory.scene import Scene
from plenodream.rendering.preview import MAGENTA, as_plane, paint
from plenodream.types import Cameras, View, join_views


def small_view(scene: Scene, name: str, side: int) -> View:
    """A whole stored view with its longer side at most `side` pixels, with depth where all of its windows have it."""
    manifest = scene.manifest
    scale = min(1.0, side / max(manifest.height, manifest.width))
    size = max(1, round(manifest.height * scale)), max(1, round(manifest.width * scale))
    parts = [
        stretch_view(scene.read(name, number)[window.clean : manifest.frames - window.start], *size)
        for number, window in enumerate(manifest.windows)
    ]
    return join_views(parts, resize_cameras(scene.cameras(name), *size))


def preview(
    views: Mapping[str, View], frame: int, camera: Cameras, subject_distance: float
) -> UInt8[Tensor, "height width 3"]:
    """One frame as a camera would see it.

    Args:
        views: Of one size; a view without depth is taken for a plane at the subject's distance, and comes last.
        frame: Number of the frame.
        camera: Of batch shape (); the picture has the views' size.
        subject_distance: Metres.
    """
    first = next(iter(views.values()))
    target = resize_cameras(camera, first.cameras.height, first.cameras.width)
    moment = [view[frame : frame + 1] for view in views.values()]
    deep = [view for view in moment if view.depth is not None]
    flat = [as_plane(view, subject_distance) for view in moment if view.depth is None]
    seen = see(_stored(deep + flat), 0, target)
    if seen is None:
        return torch.tensor(MAGENTA, dtype=torch.uint8).repeat(target.height, target.width, 1)
    return paint(seen)


def _stored(views: list[View]) -> list[StoredView]:
    """Views of one frame: nothing of another moment is looked at."""
    return [StoredView(view, torch.zeros(view.frames.shape[:3], dtype=torch.bool)) for view in views]
