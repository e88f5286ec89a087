"""The camera of every frame of a key-framed trajectory, and the key frame of a camera. Ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.cameras import axis_rotation, make_pose
from plenodream.geometry.keyframes import GLIDE, KEY_EASES, Keyframe, Keyframes
from plenodream.geometry.presets import COMMON, SENSOR_WIDTH_MM
from plenodream.geometry.rig import Rig, rig_poses
from plenodream.types import Cameras

SUBJECT_DISTANCE = float(COMMON["subject_distance"].default)


def keyframe_cameras(keyframes: Keyframes, source: Cameras, subject_distance: float = SUBJECT_DISTANCE) -> Cameras:
    """The camera of every frame, as `paths.trajectory_cameras` gives it for a preset.

    Args:
        keyframes: The trajectory.
        source: Cameras of the source video, batch shape (frames,).
        subject_distance: Metres, for a path that does not say.

    Returns:
        Cameras of the source's size, world, dtype and number of frames. A single frame shows the path's start.

    Raises:
        ValueError: If `source` is not one path of at least one frame.
    """
    if len(source.shape) != 1 or len(source) == 0:
        raise ValueError(f"source cameras of shape {tuple(source.shape)}: expected one path of at least 1 frame")
    anchor = source.to("cpu", torch.float64)
    anchor = anchor[:1] if keyframes.of == "start" else anchor
    own = (anchor.intrinsics[:, 0] / anchor.width * SENSOR_WIDTH_MM).log()
    time = torch.linspace(0, 1, len(source), dtype=torch.float64)
    away = keyframes.subject_distance or subject_distance
    dials = interpolate(keyframes.keyframes, _dials(keyframes, own.mean().item(), away), time)
    poses = anchor.camera_to_world @ _poses(dials, away)
    # A source that zooms: key frames without a focal length follow it, the others do not.
    factor = (dials[:, 4] + dials[:, 5] * (own - own.mean()) - own).exp()
    focal = factor[:, None] * anchor.intrinsics[:, :2]
    intrinsics = torch.cat([focal, anchor.intrinsics[:, 2:].expand_as(focal)], dim=-1)
    return replace(
        source, camera_to_world=poses.to(source.camera_to_world), intrinsics=intrinsics.to(source.intrinsics)
    )


def keyframe_of(
    pose: Float[Tensor, "4 4"],
    time: float,
    distance: float,
    subject_distance: float,
    focal: float | None = None,
    ease: str = GLIDE,
) -> Keyframe:
    """The key frame whose camera has a pose.

    Args:
        pose: Camera in the anchor's frame (OpenCV, metres), not straight above or below its target.
        time: Of the key frame.
        distance: Metres along the camera's axis to the point that it is aimed at.
        subject_distance: Of the path.
        focal: Millimetres; None: the source's own.
        ease: Of the key frame.

    Raises:
        ValueError: As `Keyframe`.
    """
    pose = pose.double()
    rotation, forward = pose[:3, :3], pose[:3, 2]
    azimuth = math.degrees(math.atan2(-forward[0].item(), forward[2].item()))
    elevation = math.degrees(math.asin(max(-1.0, min(1.0, forward[1].item()))))
    rest = (_aim(*torch.tensor([azimuth, elevation], dtype=torch.float64)).T @ rotation).tolist()
    aimed = (pose[:3, 3] + distance * forward).tolist()
    target = (aimed[0], -aimed[1], aimed[2] - subject_distance)
    roll = math.degrees(math.atan2(rest[1][0], rest[0][0]))
    return Keyframe(time, azimuth, elevation, distance, roll, focal, target, ease)


def interpolate(
    keys: Sequence[Keyframe], values: Float[Tensor, "keys dials"], time: Float[Tensor, "frames"]
) -> Float[Tensor, "frames dials"]:
    """Values between key frames.

    `glide` is the monotone cubic of Fritsch and Carlson ("Monotone piecewise cubic interpolation", 1980) with Brodlie's
    slopes: it passes every key frame at an even pace and never leaves the range of the two beside it. Next to a key
    frame that is reached in another way it starts or ends at rest.
    """
    times = torch.tensor([key.time for key in keys], dtype=time.dtype)
    if len(keys) == 1:
        return values.expand(len(time), -1)
    index = torch.searchsorted(times, time.contiguous(), right=True).clamp(1, len(keys) - 1) - 1
    step = times.diff()
    u = ((time - times[index]) / step[index]).clamp(0, 1)
    start, end = values[index], values[index + 1]
    slopes = _slopes(values, step, torch.tensor([key.ease == GLIDE for key in keys]))
    result = _hermite(u, start, end, slopes[index] * step[index, None], slopes[index + 1] * step[index, None])
    for name, ease in KEY_EASES.items():
        chosen = torch.tensor([key.ease == name for key in keys])[index + 1]
        result = torch.where(chosen[:, None], start + (end - start) * ease(u)[:, None], result)
    return torch.where((time >= times[-1])[:, None], values[-1], result)


def _slopes(values: Tensor, step: Tensor, glides: Tensor) -> Tensor:
    """Of the values at every key frame; 0 where a value turns round and where the camera does not glide on."""
    secant = values.diff(dim=0) / step[:, None]
    before, after = secant[:-1], secant[1:]
    share = ((step[:-1] + 2 * step[1:]) / (3 * (step[:-1] + step[1:])))[:, None]
    both = before * after
    mean = both / torch.where(both > 0, share * after + (1 - share) * before, 1)
    inner = torch.where((both > 0) & (glides[1:-1] & glides[2:])[:, None], mean, 0)
    ends = torch.zeros_like(values[:1])
    if len(values) == 2:
        return torch.cat([ends, ends])
    return torch.cat([ends, inner, ends])


def _hermite(u: Tensor, start: Tensor, end: Tensor, leaving: Tensor, arriving: Tensor) -> Tensor:
    u = u[:, None]
    return (
        (1 + 2 * u) * (1 - u) ** 2 * start
        + u * (1 - u) ** 2 * leaving
        + u * u * (3 - 2 * u) * end
        + u * u * (u - 1) * arriving
    )


def _dials(keyframes: Keyframes, own: float, away: float) -> Float[Tensor, "keys 9"]:
    """Azimuth, elevation, log of the distance, roll, log of the focal length, 1 where that is the source's, target."""
    rows = [
        (
            key.azimuth,
            key.elevation,
            math.log(key.distance or away),
            key.roll,
            own if key.focal is None else math.log(key.focal),
            float(key.focal is None),
            *key.target,
        )
        for key in keyframes.keyframes
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _poses(dials: Float[Tensor, "frames 9"], subject_distance: float) -> Float[Tensor, "frames 4 4"]:
    """Camera-to-anchor poses of dials."""
    azimuth, elevation, distance, roll, _, _, right, up, forward = dials.unbind(-1)
    rest = torch.zeros_like(azimuth)
    rig = Rig(azimuth, elevation, distance.exp(), rest, rest, rest, rest, rest, rest + 1)
    poses = rig_poses(rig, subject_distance)
    centre = poses[:, :3, 3] + torch.stack([right, -up, forward], dim=-1)
    return make_pose(poses[:, :3, :3] @ axis_rotation("z", roll), centre)


def _aim(azimuth: Tensor, elevation: Tensor) -> Float[Tensor, "3 3"]:
    """As `rig.rig_poses` aims."""
    return axis_rotation("y", -azimuth) @ axis_rotation("x", -elevation)
