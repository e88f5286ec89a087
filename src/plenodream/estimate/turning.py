"""A camera that turns on the spot: its rotations and focal length from matched points. Ours.

Without parallax two frames are related by the homography K R K^-1 (Hartley and Zisserman, section 8.4), here in the
form that is linear in rays: b_second = R b_first for the unit rays b = K^-1 x of every point, whatever its depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plenodream.estimate.tracks import Pair
from plenodream.geometry.cameras import rotation_matrix, rotation_vector

_POINTS = 200  # of a pair, at most
_FOV = (15.0, 120.0)  # degrees: focal lengths that are tried
_ROUNDS = 6  # of reweighting, and of averaging


@dataclass(frozen=True)
class Matches:
    """Pairs of frames with their points, as many rows for each.

    Attributes:
        frames: First and second frame of every pair.
        points: Where the points are in them, in pixels from the principal point.
        known: Which of the rows are points.
    """

    frames: Int[Tensor, "pairs 2"]
    points: Float[Tensor, "pairs 2 points 2"]
    known: Bool[Tensor, "pairs points"]

    def __getitem__(self, index: Tensor) -> Matches:
        """Some of the pairs."""
        return Matches(self.frames[index], self.points[index], self.known[index])


@dataclass(frozen=True)
class Turn:
    """How far matched points are explained by a camera that only turns.

    Attributes:
        focal: Focal length in pixels.
        rotations: Ray in the first camera to ray in the second, for every pair.
        residuals: Distance in pixels between where a point is and where the turn takes it; NaN where there is no point.
    """

    focal: float
    rotations: Float[Tensor, "pairs 3 3"]
    residuals: Float[Tensor, "pairs points"]

    def quantile(self, share: float) -> float:
        """The residual that a share of all points stays below."""
        return self.residuals[~self.residuals.isnan()].quantile(share).item()


def gather(pairs: Sequence[Pair], height: int, width: int) -> Matches:
    """Pairs as one block of numbers; of those with many points, evenly chosen ones."""
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    points = torch.zeros(len(pairs), 2, _POINTS, 2, dtype=torch.float64)
    known = torch.zeros(len(pairs), _POINTS, dtype=torch.bool)
    for row, pair in enumerate(pairs):
        count = min(len(pair.points[0]), _POINTS)
        chosen = torch.linspace(0, len(pair.points[0]) - 1, count).long()
        points[row, :, :count] = torch.stack([side[chosen] - centre for side in pair.points])
        known[row, :count] = True
    return Matches(torch.tensor([[pair.first, pair.second] for pair in pairs]), points, known)


def fit_turn(matches: Matches, focal: float) -> Turn:
    """The rotation of every pair for a focal length: Kabsch's, reweighted so that outliers count little."""
    first, second = _rays(matches.points, focal).unbind(1)
    weight = matches.known.double()
    for _ in range(_ROUNDS):
        moment = (second * weight[..., None]).transpose(-1, -2) @ first
        left, _, right = torch.linalg.svd(moment)
        sign = torch.linalg.det(left @ right)
        mirror = torch.ones_like(left[..., 0])
        mirror[..., 2] = sign
        rotation = (left * mirror[..., None, :]) @ right
        turned = first @ rotation.transpose(-1, -2)
        # Pixels of the second frame: rays behind the camera go far away.
        shown = focal * turned[..., :2] / turned[..., 2:].clamp(min=1e-3)
        error = (shown - matches.points[:, 1]).norm(dim=-1).masked_fill(~matches.known, torch.nan)
        spread = error.nanmedian(dim=-1, keepdim=True).values.clamp(min=0.2)
        weight = torch.nan_to_num(1 / (1 + (error / spread).square()))
    return Turn(focal, rotation, error)


def fit_focal(matches: Matches, prior: float, width: int) -> tuple[Turn, bool]:
    """The focal length that makes the residuals least, and whether they tell it.

    They do not where the camera turns so little that any focal length explains what it saw: then it is `prior`.

    Args:
        matches: Pairs that are far apart tell most.
        prior: Focal length in pixels.
        width: Of the images.
    """
    low, high = (math.log(0.5 * width / math.tan(math.radians(fov) / 2)) for fov in reversed(_FOV))
    step = (math.sqrt(5) - 1) / 2
    for _ in range(16):  # golden section: to 0.1 %
        inner, outer = high - step * (high - low), low + step * (high - low)
        if _cost(matches, inner) < _cost(matches, outer):
            high = outer
        else:
            low = inner
    best, known = fit_turn(matches, math.exp((low + high) / 2)), fit_turn(matches, prior)
    other = fit_turn(matches, best.focal * 1.3)
    tells = other.quantile(0.5) > 1.2 * best.quantile(0.5) + 0.05
    return (best, True) if tells else (known, False)


def chain_rotations(
    matches: Matches, turn: Turn, frames: int
) -> tuple[Float[Tensor, "frames 3 3"], Bool[Tensor, "frames"]]:
    """Camera-to-world rotations of all frames from those of the pairs; the world is the first frame's camera.

    From frame to frame along the pairs with the most points, then averaged over all pairs (a linear system for small
    rotations, solved a few times).

    Returns:
        The rotations, and which frames the pairs connect to the first; the others have the identity.
    """
    rotations = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
    reached = torch.zeros(frames, dtype=torch.bool)
    reached[0] = True
    edges = matches.frames.tolist()
    strongest = (-matches.known.sum(-1)).argsort(stable=True).tolist()
    while True:
        edge = next((e for e in strongest if reached[edges[e][0]] != reached[edges[e][1]]), None)
        if edge is None:
            break
        (i, j), relative = edges[edge], turn.rotations[edge]
        if reached[i]:
            rotations[j] = rotations[i] @ relative.T
        else:
            rotations[i] = rotations[j] @ relative
        reached[[i, j]] = True
    inside = reached[matches.frames[:, 0]]
    return _average(matches[inside], turn.rotations[inside], rotations), reached


def _average(matches: Matches, relative: Tensor, rotations: Tensor) -> Tensor:
    first, second = matches.frames.unbind(-1)
    weight = matches.known.sum(-1).double()
    rows = torch.arange(len(first))
    incidence = torch.zeros(len(first), len(rotations), dtype=torch.float64)
    incidence[rows, first], incidence[rows, second] = 1, -1
    held = torch.zeros(1, len(rotations), dtype=torch.float64)
    held[0, 0] = 1
    system = torch.cat([incidence * weight.sqrt()[:, None], held * weight.sum()])
    for _ in range(_ROUNDS):
        # What is left of going there by the pair and back by the frames, in the world.
        error = rotation_vector(rotations[second] @ relative @ rotations[first].transpose(-1, -2))
        known = torch.cat([error * weight.sqrt()[:, None], torch.zeros(1, 3, dtype=torch.float64)])
        change = torch.linalg.lstsq(system, known, driver="gelsd").solution
        rotations = rotation_matrix(change) @ rotations
    return rotations


def _cost(matches: Matches, log_focal: float) -> float:
    """Mean of the residuals, those of more than a few pixels counting no more than these."""
    error = fit_turn(matches, math.exp(log_focal)).residuals
    square = error[~error.isnan()].square()
    return (square / (square + 4)).mean().item()


def _rays(points: Float[Tensor, "*batch 2"], focal: float) -> Float[Tensor, "*batch 3"]:
    depth = torch.full_like(points[..., :1], focal)
    return torch.nn.functional.normalize(torch.cat([points, depth], dim=-1), dim=-1)
