"""What speaks against cameras that no rule forbids: the wrong direction of poses, lengths that cannot be. Ours.

Poses of a world that begins at their first camera look as fair when they are inverted, so that nothing can be said of
those; reconstructions put the origin into what is filmed.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import invert_pose

_SPREAD = 10.0  # degrees between optical axes, at least, for them to meet anywhere
_MEET = 0.05  # of the distance to the point that all look at: so near to it they pass
_JUMP = 1000.0  # times the usual step
_FAR = 10_000.0  # metres, or whatever else the unit is


def hints(poses: Float[Tensor, "cameras 4 4"]) -> tuple[str, ...]:
    """What is to be asked of camera-to-world poses, one line each; usually nothing."""
    poses = poses.double()
    lines, centres = [], poses[:, :3, 3]
    if look_at_one_point(invert_pose(poses)) and not look_at_one_point(poses):
        lines.append(
            "hint: inverted, these cameras would go around one point that all look at; as they are they do not: are "
            "they world-to-camera where camera-to-world is expected, or the other way round?"
        )
    steps = centres.diff(dim=0).norm(dim=-1)
    usual = steps[steps > 0].median().item() if bool((steps > 0).any()) else 0.0
    if len(steps) > 2 and steps.max() > _JUMP * usual:
        number = int(steps.argmax())
        lines.append(
            f"hint: camera {number + 1} is {steps[number]:.3g} from camera {number}, others step {usual:.2g}: "
            "is it of another scene?"
        )
    far = (centres - centres[0]).norm(dim=-1).max().item()
    if far > _FAR:
        lines.append(f"hint: the cameras go {far:.3g} units of length, which are taken for metres: give --scale")
    return tuple(lines)


def look_at_one_point(poses: Float[Tensor, "cameras 4 4"]) -> bool:
    """Whether cameras go around a point that all of them look at: their axes differ, and meet in front of all."""
    centres, axes = poses[:, :3, 3], poses[:, :3, 2]
    if len(poses) < 3 or torch.rad2deg(torch.acos((axes @ axes[0]).clamp(-1, 1))).max() < _SPREAD:
        return False
    across = torch.eye(3, dtype=poses.dtype) - axes[:, :, None] * axes[:, None, :]  # onto what is across each axis
    point = torch.linalg.lstsq(across.sum(0), (across @ centres[:, :, None]).sum(0), driver="gelsd").solution[:, 0]
    ahead = ((point - centres) * axes).sum(-1)
    off = (across @ (point - centres)[:, :, None])[..., 0].norm(dim=-1)
    return bool((ahead > 0).all() and (off <= _MEET * ahead).all() and ahead.min() > _MEET * centres.norm(dim=-1).max())
