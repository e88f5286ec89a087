"""Cameras of a clip that comes without: it moves, turns on the spot, or stands still. Ours, on pycolmap."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from plenodream.estimate.mapping import map_frames
from plenodream.estimate.tracks import Pair, match_frames
from plenodream.estimate.turning import chain_rotations, fit_focal, fit_turn, gather
from plenodream.geometry.cameras import (
    fill_cameras,
    horizontal_fov,
    intrinsics_from_fov,
    make_pose,
    project,
    relative_poses,
    scale_poses,
)
from plenodream.geometry.points import ScenePoints
from plenodream.media.cuts import cut_note, find_cuts
from plenodream.types import Cameras

_PRIOR = 60.0  # degrees: a lens that nothing is known of
_STILL = 0.001  # of the image's longer side: half of all points move less
_PARALLAX = 0.004  # of it: three quarters of all points are nearer to where a turn takes them
_LEAST = 0.7  # of the frames must have a camera
# Where a reconstruction is said to be doubtful. On rendered clips 345 points and more gave cameras within 0.6 % of the
# path, 54 and fewer lost 3 to 24 %; median errors were 0.04 to 0.1 pixels, and all frames were registered.
_FEW_POINTS, _MANY_FRAMES, _LARGE_ERROR = 100, 0.9, 1.0  # points, of the frames, pixels
_MOST = 200  # frames that are matched; of longer clips some, evenly


@dataclass(frozen=True)
class EstimatedCameras:
    """Cameras of a clip.

    Attributes:
        cameras: Batch shape (frames,), float64; the world is the first camera's frame.
        motion: What the camera does.
        points: Of the scene in that world; None where the camera only turns or stands still.
        notes: What was found and assumed, one line each.
    """

    cameras: Cameras
    motion: Literal["moving", "turning", "still"]
    points: ScenePoints | None
    notes: tuple[str, ...]


def estimate_cameras(
    frames: UInt8[Tensor, "frames height width 3"], fov: float | None = None, subject_distance: float = 4.0
) -> EstimatedCameras:
    """Estimate a clip's cameras: one pinhole lens for all frames, principal point in the middle, no distortion.

    Args:
        frames: At least two, of one shot.
        fov: Horizontal field of view in degrees where it is known: it is held then. Else the clip must tell it; where
            the motion does not show it, 60 degrees are taken.
        subject_distance: Metres that the middle (median) of what the first frame sees of the points is away: the clip
            does not tell its scale.

    Raises:
        ValueError: pycolmap is missing; cuts; too little in common between frames, or too few frames with a camera.
    """
    if cuts := find_cuts(frames):
        raise ValueError(f"{cut_note(cuts)} (--split-cuts, or --start and --frames)")
    count, height, width = frames.shape[:3]
    prior = intrinsics_from_fov(fov or _PRIOR, height, width)[0].item()
    stride = max(1, -(-count // _MOST))
    numbers = torch.unique(torch.cat([torch.arange(0, count, stride), torch.tensor([count - 1])]))
    with tempfile.TemporaryDirectory() as name:
        pairs = match_frames(frames[numbers], prior, Path(name))
        _check_matches(pairs, len(numbers))
        found = _without_parallax(pairs, len(numbers), prior, (height, width), fov)
        if found is None:
            found = _with_parallax(Path(name), len(numbers), prior, (height, width), fov, subject_distance)
    cameras, motion, points, notes, known = found
    if points is not None and points.seen is not None:
        points = replace(points, seen=torch.stack([numbers[points.seen[:, 0]], points.seen[:, 1]], dim=1))
    whole = fill_cameras(cameras, numbers[known].tolist(), count)
    missing = count - len(known)
    made_up = (f"{missing} of {count} frames interpolated between those with a camera",) if missing else ()
    return EstimatedCameras(whole, motion, points, (*notes, *made_up))


def estimate_shots(
    frames: UInt8[Tensor, "frames height width 3"], fov: float | None = None, subject_distance: float = 4.0
) -> EstimatedCameras:
    """Cameras of a clip with cuts: every shot by itself, in a world of its own, that of its first camera.

    A shot of a single frame stands still. Arguments, and errors but for the cuts, of `estimate_cameras`.
    """
    bounds = [0, *find_cuts(frames), len(frames)]
    found, notes, places, seen = [], [], [], []
    for number, (begin, end) in enumerate(pairwise(bounds), start=1):
        shot = frames[begin:end] if end - begin > 1 else frames[begin:end].expand(2, -1, -1, -1)
        try:
            one = estimate_cameras(shot, fov, subject_distance)
        except ValueError as error:
            raise ValueError(f"shot {number}, frames {begin} to {end - 1}: {error}") from None
        found.append(one.cameras[: end - begin])
        notes += [f"shot {number}, frames {begin} to {end - 1}: {note}" for note in one.notes]
        if one.points is not None and one.points.seen is not None:
            seen.append(one.points.seen + torch.tensor([begin, sum(map(len, places))]))
            places.append(one.points.places)
    poses, lenses = (torch.cat([getattr(c, name) for c in found]) for name in ("camera_to_world", "intrinsics"))
    points = ScenePoints(torch.cat(places), torch.cat(seen)) if places else None
    motion = "moving" if points is not None else one.motion
    return EstimatedCameras(Cameras(poses, lenses, *frames.shape[1:3]), motion, points, tuple(notes))


_Found = tuple[Cameras, Literal["moving", "turning", "still"], ScenePoints | None, tuple[str, ...], Tensor]


def _without_parallax(
    pairs: list[Pair], count: int, prior: float, size: tuple[int, int], fov: float | None
) -> _Found | None:
    """A camera that stands still or turns, if one of these explains the matches."""
    height, width = size
    matches = gather(pairs, height, width)
    gaps = matches.frames.diff(dim=-1)[:, 0]
    far = matches[gaps >= gaps.double().quantile(0.75)]
    moved = (far.points[:, 0] - far.points[:, 1]).norm(dim=-1)[far.known]
    if moved.median() < _STILL * max(size):
        still = _cameras(torch.eye(3, dtype=torch.float64).repeat(count, 1, 1), prior, size)
        said = f"the camera stands still: half of all points move less than {moved.median():.2g} pixels"
        return still, "still", None, (said, _lens_note(still, fov is not None, False)), torch.arange(count)
    turn, told = (fit_turn(far, prior), False) if fov is not None else fit_focal(far, prior, width)
    if turn.quantile(0.75) > _PARALLAX * max(size):
        return None
    rotations, reached = chain_rotations(matches, fit_turn(matches, turn.focal), count)
    known = reached.nonzero()[:, 0]
    _check_share(len(known), count)
    cameras = _cameras(rotations[reached], turn.focal, size)
    said = (
        "the camera turns on the spot: no parallax "
        f"(three quarters of all points within {turn.quantile(0.75):.2g} pixels of a turn)"
    )
    return cameras, "turning", None, (said, _lens_note(cameras, fov is not None, told)), known


def _with_parallax(
    folder: Path, count: int, prior: float, size: tuple[int, int], fov: float | None, subject_distance: float
) -> _Found:
    """A camera that moves, by structure from motion."""
    found = map_frames(folder, prior, fov is not None, size[1])
    _check_share(0 if found is None else len(found.frames), count)
    assert found is not None
    poses = relative_poses(found.poses, found.poses[0])
    cameras = _cameras(poses[:, :3, :3], found.focal, size, poses[:, :3, 3])
    points = (found.points - found.poses[0, :3, 3]) @ found.poses[0, :3, :3]
    scale = subject_distance / _middle_depth(points, cameras)
    cameras = Cameras(scale_poses(cameras.camera_to_world, scale), cameras.intrinsics, *size)
    notes = (
        f"the camera moves: {len(found.frames)} of {count} frames registered, {len(points)} points, "
        f"{found.error:.2g} pixels off (median)",
        _lens_note(cameras, fov is not None, found.told),
        f"scale: what the first frame sees is {subject_distance:g} m away (median; --subject-distance changes it)",
        *_doubts(len(points), len(found.frames) / count, found.error),
    )
    return cameras, "moving", ScenePoints(points * scale, found.seen), notes, found.frames


def _doubts(points: int, registered: float, error: float) -> tuple[str, ...]:
    """One line where a reconstruction stands on too little; nothing for a good one."""
    found = []
    if points < _FEW_POINTS:
        found.append(f"only {points} points ({_FEW_POINTS} and more can be trusted)")
    if registered < _MANY_FRAMES:
        found.append(f"only {registered:.0%} of the frames registered")
    if error > _LARGE_ERROR:
        found.append(f"points {error:.2g} pixels off ({_LARGE_ERROR:g} at most can be trusted)")
    advice = "do not rely on these cameras: larger or sharper frames, more motion, or another tool's cameras"
    return (f"warning: {'; '.join(found)}: {advice}",) if found else ()


def _cameras(rotations: Tensor, focal: float, size: tuple[int, int], centres: Tensor | None = None) -> Cameras:
    height, width = size
    lens = torch.tensor([focal, focal, width / 2, height / 2], dtype=torch.float64)
    centres = torch.zeros(len(rotations), 3, dtype=torch.float64) if centres is None else centres
    return Cameras(make_pose(rotations, centres), lens.repeat(len(rotations), 1), height, width)


def _middle_depth(points: Tensor, cameras: Cameras) -> float:
    """Median depth of the points that the first camera sees."""
    pixels, depth = project(points, cameras[0])
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([cameras.width, cameras.height])).all(-1)
    seen = depth[inside] if bool(inside.any()) else depth.abs()
    return seen.median().item() if len(seen) else 1.0


def _lens_note(cameras: Cameras, given: bool, told: bool) -> str:
    degrees = f"horizontal field of view {horizontal_fov(cameras)[0].item():.1f} degrees"
    if given or told:
        return f"{degrees}: {'given' if given else 'estimated'}"
    return (
        f"warning: the focal length was not determined, since this motion does not show it; assumed: {degrees} (--fov)"
    )


def _check_matches(pairs: list[Pair], count: int) -> None:
    """Refuse clips whose neighbouring frames have too little in common."""
    joined = len({pair.first for pair in pairs if pair.second == pair.first + 1})
    if joined < _LEAST * (count - 1):
        raise ValueError(
            f"only {joined} of {count - 1} neighbouring frames have 15 points in common "
            f"({joined / (count - 1):.0%}); expected {_LEAST:.0%}: the clip is too dark, blurred or plain to estimate "
            "cameras from; give cameras that another tool made, or none (a still camera)"
        )


def _check_share(registered: int, count: int) -> None:
    if registered < _LEAST * count:
        raise ValueError(
            f"cameras for only {registered} of {count} frames ({registered / count:.0%}); expected {_LEAST:.0%}: "
            "use a part of the clip (--start, --frames), or give cameras that another tool made"
        )
