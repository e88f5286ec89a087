"""One parametric camera rig: every preset, and every random training path, is a curve in its parameters. Ours."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import axis_rotation, make_pose


@dataclass(frozen=True)
class Rig:
    """Where a camera stands relative to an anchor camera and its subject; all fields broadcast against each other.

    The anchor is the identity pose; the subject lies `subject_distance` metres straight ahead of it. The camera is put
    on a sphere around the subject, aimed at it, moved along its own axes, then turned: pan first, tilt second.

    Attributes:
        azimuth: Degrees around the subject; positive goes to the right of the anchor.
        elevation: Degrees around the subject; positive goes up. Less than 90 in size.
        radius: Metres from the subject; `subject_distance` where the camera keeps its distance.
        right: Metres along the camera's own x axis.
        up: Metres against the camera's own y axis (OpenCV y points down).
        forward: Metres along the camera's own z axis.
        pan: Degrees; positive looks to the right.
        tilt: Degrees; positive looks up.
        focal: Factor on the anchor's focal lengths.
    """

    azimuth: Float[Tensor, "*#batch"]
    elevation: Float[Tensor, "*#batch"]
    radius: Float[Tensor, "*#batch"]
    right: Float[Tensor, "*#batch"]
    up: Float[Tensor, "*#batch"]
    forward: Float[Tensor, "*#batch"]
    pan: Float[Tensor, "*#batch"]
    tilt: Float[Tensor, "*#batch"]
    focal: Float[Tensor, "*#batch"]


def rig_poses(rig: Rig, subject_distance: float | Tensor) -> Float[Tensor, "*batch 4 4"]:
    """Camera-to-anchor poses (OpenCV, metres) of a rig; `rig.focal` is for the caller's intrinsics."""
    values = torch.broadcast_tensors(*(getattr(rig, field.name) for field in fields(rig)))
    azimuth, elevation, radius, right, up, forward, pan, tilt, _ = values
    aim = axis_rotation("y", -azimuth) @ axis_rotation("x", -elevation)
    rotation = aim @ axis_rotation("y", pan) @ axis_rotation("x", tilt)
    distance = torch.as_tensor(subject_distance, dtype=azimuth.dtype, device=azimuth.device)
    subject = torch.stack(torch.broadcast_tensors(0 * azimuth, 0 * azimuth, distance), dim=-1)
    local = torch.stack([right, -up, forward - radius], dim=-1)
    return make_pose(rotation, subject + (aim @ local[..., None])[..., 0])
