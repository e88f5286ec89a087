"""Depth of a scene's views for its page: a grey video a view, and a few points in space. Made once a view. Ours."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from plenodream.files.atomic import write_file
from plenodream.geometry.cameras import invert_pose, pixel_centres, unproject
from plenodream.media.preview import is_whole, write_preview
from plenodream.memory.scene import Scene
from plenodream.memory.stored import DEPTH
from plenodream.types import View
from plenodream.viewer.preview import small_view

_SIDE = 128  # pixels of the longer side of what is kept
_MOMENTS, _POINTS = 6, 800  # of a view; points at most, of those that are known
_UNKNOWN = -(2**15)  # in the place of x, of points that are not known
_GREY = 4.0  # metres that are middle grey


@dataclass(frozen=True)
class Points:
    """What stands in front of a view's cameras at a few moments.

    Attributes:
        moments: Numbers of the frames.
        places: Metres, in the scene's world; NaN where depth is not known.
        colours: Of the view there.
    """

    moments: tuple[int, ...]
    places: Float[np.ndarray, "moments points 3"]
    colours: UInt8[np.ndarray, "moments points 3"]


def depth_view(scene: Scene, name: str) -> tuple[Path, Points] | None:
    """A finished view's depth as a grey video (near is light, unknown black) and as points; None: it has no depth.

    Both are kept in the view's folder and made again when the view was, and when they are damaged.
    """
    folder, stored = scene.view_folder(name), depth_files(scene, name)
    if not stored:
        return None
    video, points = folder / "depth.mp4", folder / "points.npz"
    newest = max(path.stat().st_mtime_ns for path in stored)
    fresh = all(path.is_file() and path.stat().st_mtime_ns >= newest for path in (video, points))
    kept = _unpacked(points) if fresh and is_whole(video, scene.manifest.frames) else None
    if kept is None:
        view = small_view(scene, name, _SIDE)
        assert view.depth is not None
        write_preview(video, _grey(view.depth), view.fps)
        kept = _points(view)
        write_file(points, _packed(kept))
    return video, kept


def depth_files(scene: Scene, name: str) -> list[Path]:
    """Where the depth of a view's windows is stored; none unless all of them have it."""
    folder, windows = scene.view_folder(name), range(len(scene.manifest.windows))
    files = [folder / f"chunk-{window:03d}" / DEPTH for window in windows]
    return files if all(path.is_file() for path in files) else []


def points_data(points: Mapping[int, Points], anchor: Float[Tensor, "4 4"]) -> dict[str, Any]:
    """Points of several views as JSON for the page: int16 places in units of `unit` metres, bytes of colour.

    Args:
        points: By the number of the view on the page, all of the same moments.
        anchor: Pose of the camera whose axes places are given in.
    """
    if not points:
        return {}
    world = invert_pose(anchor.double()).numpy()
    local = {n: one.places.astype(np.float64) @ world[:3, :3].T + world[:3, 3] for n, one in points.items()}
    reach = max(float(np.nanmax(np.abs(places), initial=0.01)) for places in local.values())
    unit, views = reach / (2**15 - 1), []
    for number, places in local.items():
        known = np.isfinite(places).all(-1, keepdims=True)
        whole = np.where(known, np.round(np.nan_to_num(places) / unit), _UNKNOWN).astype("<i2")
        colours = points[number].colours
        views.append({"view": number, "places": _text(whole), "colours": _text(colours), "each": colours.shape[1]})
    return {"moments": next(iter(points.values())).moments, "unit": unit, "views": views}


def _grey(depth: Float[Tensor, "frames height width"]) -> UInt8[Tensor, "frames height width 3"]:
    level = torch.where(depth > 0, 255 * _GREY / (_GREY + depth), 0.0).round().to(torch.uint8)
    return level[..., None].expand(*level.shape, 3).contiguous()


def _points(view: View) -> Points:
    assert view.depth is not None
    height, width = view.depth.shape[1:]
    moments = torch.linspace(0, len(view) - 1, min(_MOMENTS, len(view))).round().long()
    depth = view.depth[moments].flatten(1)
    # Anywhere among the pixels that are known: a view that was made may know few.
    rank = torch.rand(height * width, generator=torch.Generator().manual_seed(0))
    most = max(1, min(_POINTS, int((depth > 0).sum(1).max())))
    chosen = torch.where(depth > 0, rank, 2.0).argsort(1)[:, :most]
    depth = depth.gather(1, chosen)
    pixels = pixel_centres(height, width, like=view.cameras.intrinsics).flatten(0, 1)[chosen]
    places = unproject(pixels, depth, view.cameras[moments])
    places[depth <= 0] = torch.nan
    colours = view.frames[moments].flatten(1, 2).gather(1, chosen[..., None].expand(-1, -1, 3))
    return Points(tuple(moments.tolist()), places.numpy(), colours.numpy())


def _packed(points: Points) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, moments=np.array(points.moments), places=points.places, colours=points.colours)
    return buffer.getvalue()


def _unpacked(path: Path) -> Points | None:
    """What `_packed` wrote; None: damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return Points(tuple(kept["moments"].tolist()), kept["places"], kept["colours"])
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
