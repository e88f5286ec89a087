"""What a view will see, before it is paid for: the source carried to its cameras, and the share that stays unseen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from plenodream.generators.motion import same_place
from plenodream.generators.reprojection import StoredView, see
from plenodream.geometry.cameras import horizontal_fov, resize_cameras, rotation_vector
from plenodream.geometry.surface import Carried
from plenodream.media.fit import stretch_view
from plenodream.types import Cameras, View

MAGENTA = (255, 0, 255)
MOMENTS = 8
# Pixels of the shorter side of pictures that are shown, and of those that pixels are counted in.
_SHOWN, _COUNTED = 160, 72


@dataclass(frozen=True)
class Preview:
    """One view as it can be foreseen.

    Attributes:
        name: Of the view.
        moments: Frames that are shown.
        warps: The source carried to them; magenta where it shows nothing.
        unseen: Share of every frame's pixels that the source does not show at the same moment.
        travel: Farthest from the source's first camera, metres.
        turn: Largest angle to the source's first camera, degrees.
        around: Largest angle between where the source's camera and the view's stand at a moment, as the subject sees
            them, degrees: what tells how much of depth there is to know.
        fov: Least and greatest horizontal field of view, degrees.
        depth: `given`; `not needed` (the camera only turns or zooms); or `assumed`: all at the subject's distance.
    """

    name: str
    moments: tuple[int, ...]
    warps: UInt8[Tensor, "moments height width 3"]
    unseen: tuple[float, ...]
    travel: float
    turn: float
    around: float
    fov: tuple[float, float]
    depth: str


def preview(name: str, target: Cameras, source: View, subject_distance: float) -> Preview:
    """Carry the source to a view's cameras, small.

    Args:
        name: Of the view.
        target: A camera for each of the source's frames.
        source: The video, with depth where it is known.
        subject_distance: Metres; where nothing is known of depth, everything stands there.
    """
    kind = "not needed" if _stays(target, source) else "assumed" if source.depth is None else "given"
    moments = torch.linspace(0, len(source) - 1, min(MOMENTS, len(source))).round().long().tolist()
    shown = _small(source, _SHOWN, subject_distance)
    counted = _small(source, _COUNTED, subject_distance)
    warps = torch.stack([_warp(shown, frame, target)[0] for frame in moments])
    unseen = tuple(_warp(counted, frame, target)[1] for frame in range(len(source)))
    anchor = source.cameras[0].camera_to_world
    turns = rotation_vector(anchor[:3, :3].T @ target.camera_to_world[:, :3, :3]).norm(dim=-1)
    fov = horizontal_fov(target)
    around = _around(target, source.cameras, subject_distance)
    return Preview(
        name, tuple(moments), warps, unseen,
        (target.camera_to_world[:, :3, 3] - anchor[:3, 3]).norm(dim=-1).max().item(),
        torch.rad2deg(turns).max().item(), around, (fov.min().item(), fov.max().item()), kind,
    )  # fmt: skip


def _around(target: Cameras, source: Cameras, subject_distance: float) -> float:
    """Largest angle (degrees) at the subject between the two cameras of a moment."""
    anchor = source.camera_to_world[0].double()
    subject = anchor[:3, 3] + subject_distance * anchor[:3, 2]
    here, there = (subject - cameras.camera_to_world[:, :3, 3].double() for cameras in (source, target))
    between = torch.atan2(torch.linalg.cross(here, there).norm(dim=-1), (here * there).sum(-1))
    return torch.rad2deg(between).max().item()


def _stays(target: Cameras, source: View) -> bool:
    return all(same_place(target[frame], source.cameras[frame]) for frame in range(len(source)))


def _small(source: View, side: int, subject_distance: float) -> View:
    """A small copy with depth, assumed where there is none."""
    height, width = source.frames.shape[1:3]
    scale = max(1.0, min(height, width) / side)
    small = stretch_view(source, max(1, round(height / scale)), max(1, round(width / scale)))
    return small if small.depth is not None else as_plane(small, subject_distance)


def as_plane(view: View, distance: float) -> View:
    """A view without depth as if all of it stood at one distance, metres."""
    return replace(view, depth=torch.full(view.frames.shape[:3], float(distance)))


def _warp(source: View, frame: int, target: Cameras) -> tuple[UInt8[Tensor, "height width 3"], float]:
    """The source as a camera sees it, magenta where it shows nothing, and the share of that."""
    camera = resize_cameras(target[frame], source.cameras.height, source.cameras.width)
    nothing = torch.zeros(source.frames.shape[:3], dtype=torch.bool)
    seen = see([StoredView(source, nothing)], frame, camera)
    assert seen is not None  # there is depth
    return paint(seen), (seen.weight == 0).float().mean().item()


def paint(seen: Carried) -> UInt8[Tensor, "height width 3"]:
    """What is seen as a picture, magenta where nothing is."""
    colour = seen.colour.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    return torch.where((seen.weight == 0)[..., None], torch.tensor(MAGENTA, dtype=torch.uint8), colour)
