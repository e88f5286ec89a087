"""Two cameras of a pair in each other's frames: the planes of each frustum along the rays of the other. Ours.

In numpy: retrieval makes hundreds of calls on small arrays, which cost it a fifth of what torch's do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plenodream.geometry.frustum import TOLERANCE
from plenodream.types import Cameras

ROUNDING = 1e-5  # of the image size, distance or depth: so far are bounds in single precision moved outwards


@dataclass(frozen=True)
class Moved:
    """How far cameras may have moved.

    Attributes:
        our_turn: Of the target: largest change of its rotation (operator norm), (frames,).
        their_turn: Of the views, (views, frames).
        shift: Largest change of the centres, that of the target and of a view added up, metres, (views, frames).
    """

    our_turn: np.ndarray
    their_turn: np.ndarray
    shift: np.ndarray

    def of(self, views: slice | np.ndarray) -> Moved:
        """That of some of the views."""
        return Moved(self.our_turn, self.their_turn[views], self.shift[views])


@dataclass(frozen=True)
class Posed:
    """Cameras as arrays, frames last.

    Attributes:
        rotation: Camera to world, (3, 3, *batch).
        centre: Metres, float64, (3, *batch).
        lens: fx, fy, cx, cy in images of 1 x 1, (4, *batch).
    """

    rotation: np.ndarray
    centre: np.ndarray
    lens: np.ndarray


def posed(cameras: Cameras, dtype: type) -> Posed:
    """Cameras on the CPU as arrays."""
    pose, lens = cameras.camera_to_world.numpy(), cameras.intrinsics.numpy()
    batch = range(pose.ndim - 2)
    pose = pose.transpose(-2 % pose.ndim, -1 % pose.ndim, *batch)[:3]
    size = np.array([cameras.width, cameras.height] * 2, dtype=dtype).reshape(4, *(1 for _ in batch))
    return Posed(
        pose[:, :3].astype(dtype, order="C"),
        pose[:, 3].astype(np.float64, order="C"),
        lens.transpose(-1 % lens.ndim, *batch).astype(dtype, order="C") / size,
    )


def planes(ours: Posed, theirs: Posed, near: float | None, far: float, moved: Moved | None = None) -> np.ndarray:
    """Each frustum's planes in the other camera's (u d, v d, d, 1), positive inside: (planes, 4, 2, views, frames).

    First the views' planes along the target's rays, then the target's along theirs. u and v go from 0 to 1 across the
    image; the far plane is the fifth, the near plane the last.

    Args:
        ours: The target, (1, frames).
        theirs: The views, (views, frames). In single precision planes are moved outwards by what rounding may do.
        near: Start of the frustums; None leaves this plane out.
        far: End of the frustums.
        moved: Planes are moved outwards so that they bound also what cameras see that moved so far.
    """
    apart = ours.centre - theirs.centre
    away = apart.astype(theirs.rotation.dtype)
    seen = _seen(ours, theirs, away)
    x, y, z = seen
    sides = np.empty((5 if near is None else 6, *z.shape), z.dtype)
    slack, beyond = z * z.dtype.type(TOLERANCE), z * z.dtype.type(1 + TOLERANCE)
    for side, value in ((0, x), (2, y)):
        np.add(value, slack, out=sides[side])
        np.subtract(beyond, value, out=sides[side + 1])
    np.negative(z, out=sides[4])
    sides[4, 3] += far * (1 + TOLERANCE)
    if near is not None:
        sides[5] = z
        sides[5, 3] -= near * (1 - TOLERANCE)
    if z.dtype == np.float32:
        sides[:, 3] += ROUNDING * (np.abs(seen[:, 3]).sum(axis=0) + np.abs(away).sum(axis=0))
    if moved is not None:
        _loosen(sides, ours, theirs, away, moved)
    return sides


def _seen(ours: Posed, theirs: Posed, away: np.ndarray) -> np.ndarray:
    """One camera's (u d, v d, d, 1) to the other's (u d, v d, d): (3, 4, 2, views, frames)."""
    seen = np.empty((3, 4, 2, *away.shape[1:]), away.dtype)
    turn, (a, b) = seen[:, :3, 0], (theirs.rotation, ours.rotation)
    np.multiply(a[0][:, None], b[0][None], out=turn)
    for axis in (1, 2):
        turn += a[axis][:, None] * b[axis][None]
    seen[:, :3, 1] = turn.swapaxes(0, 1)
    seen[:, 3, 0] = a[0] * away[0] + a[1] * away[1] + a[2] * away[2]
    seen[:, 3, 1] = -(b[0] * away[0] + b[1] * away[1] + b[2] * away[2])
    lens = np.empty((4, 2, *away.shape[1:]), away.dtype)
    lens[:, 0], lens[:, 1] = theirs.lens, ours.lens
    fx, fy, cx, cy = lens[:, ::-1]  # of the rays
    seen[:, 0] /= fx
    seen[:, 1] /= fy
    seen[:, 2] -= cx * seen[:, 0]
    seen[:, 2] -= cy * seen[:, 1]
    fx, fy, cx, cy = lens
    for row, f, c in ((0, fx, cx), (1, fy, cy)):
        seen[row] *= f
        seen[row] += c * seen[2]
    return seen


def _loosen(sides: np.ndarray, ours: Posed, theirs: Posed, away: np.ndarray, moved: Moved) -> None:
    """Move planes outwards, in place, by as far as a sample at depth d may be seen elsewhere: D = a d + b metres.

    A sample q of one camera lies within |q| <= k d of it. Cameras whose axes turn by s (the operator norm of the change
    of their rotation) and whose centres shift see it move by no more than (s + s') |q| + shifts + s' |distance of the
    two centres|, s' being that of the camera that sees it; a plane of unit normal counts no more than that.
    """
    (our_reach, our_normals), (their_reach, their_normals) = _lens(ours.lens), _lens(theirs.lens)
    distance = np.sqrt(np.square(away).sum(axis=0))
    turn = moved.our_turn + moved.their_turn
    ways = ((their_normals, our_reach, moved.their_turn), (our_normals, their_reach, moved.our_turn))
    for way, (normals, reach, seeing) in enumerate(ways):
        sides[:, 2, way] += normals * (turn * reach)
        sides[:, 3, way] += normals * (distance * seeing + moved.shift)


def _lens(lens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longest ray of depth 1, and length of the normals of its five planes in metres: (*batch,) and (5, *batch)."""
    fx, fy, cx, cy = lens
    normals = np.ones((5, *fx.shape), lens.dtype)
    for number, (f, side) in enumerate(((fx, cx), (fx, 1 - cx), (fy, cy), (fy, 1 - cy))):
        normals[number] = np.sqrt(f * f + np.square(np.abs(side) + TOLERANCE))
    slopes = (np.maximum(c, 1 - c) / f for f, c in ((fx, cx), (fy, cy)))
    return np.sqrt(sum((slope * slope for slope in slopes), np.ones_like(fx))), normals


def apart(ours: Posed, theirs: Posed, far: float, moved: Moved | None = None) -> np.ndarray:
    """Where target and views share nothing, because spheres around their frustums do not meet: (views, frames)."""
    (our_middle, our_radius), (their_middle, their_radius) = _sphere(ours, far), _sphere(theirs, far)
    gap = np.square(their_middle - our_middle).sum(axis=0)
    reach = their_radius + our_radius + 1e-5 * max(np.abs(our_middle).max(), np.abs(their_middle).max())
    if moved is not None:
        reach += moved.shift + far * (moved.our_turn + moved.their_turn)
    return gap > reach * reach


def _sphere(cameras: Posed, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre (3, *batch) and radius of a sphere around every frustum, with its tolerance."""
    fx, fy, cx, cy = cameras.lens
    across, down = np.maximum(cx, 1 - cx) / fx, np.maximum(cy, 1 - cy) / fy
    slope = (across * across + down * down) * (1 + 10 * TOLERANCE) ** 2  # squared, of the steepest corner
    middle = np.minimum((slope + 1) * (far / 2), far)  # on the axis, as far from the lens as from the far corners
    radius = np.sqrt((far - middle) ** 2 + slope * far**2) * (1 + 10 * TOLERANCE)
    return cameras.centre + cameras.rotation[:, 2] * middle, np.maximum(radius, middle)
