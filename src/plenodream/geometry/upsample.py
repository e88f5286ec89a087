"""Depth of a small picture at a large one's size, with its steps where the large picture has its edges. Ours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

# Share by which inverse depths of one surface differ at most within three small pixels.
STEP = 0.1
# Difference of colour (0..255) and distance (small pixels) at which a small pixel counts e^-1/2 as much.
_COLOUR, _DISTANCE = 12.0, 0.7
# How many times as unlike its own side of a step as the other one a pixel must be to change over.
_MOVED = 1.5


def upsample_depth(
    depth: Float[Tensor, "rows columns"], colour: Float[Tensor, "3 height width"]
) -> Float[Tensor, "height width"]:
    """Joint bilateral upsampling that mixes no two surfaces.

    Every pixel looks at the 3x3 small pixels around it, weighs them by distance and by their mean colour's likeness to
    its own, and takes the mean inverse depth of those on the surface of the best one.

    Args:
        depth: Metres; 0 where it is not known.
        colour: 0..255, of the same picture.

    Returns:
        Metres; 0 where nothing around is known.
    """
    rows, columns = depth.shape
    height, width = colour.shape[1:]
    if (rows, columns) == (height, width):
        return depth
    inverse = torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0)
    small = torch.cat([interpolate(colour[None], size=(rows, columns), mode="area")[0], inverse[None]])
    padded = pad(small[None], (1, 1, 1, 1), mode="replicate")[0]
    y, x = ((torch.arange(n, device=depth.device) + 0.5) * m / n for n, m in ((height, rows), (width, columns)))
    row, column = y.floor().long(), x.floor().long()

    def each():
        """Inverse depth and score of the nine small pixels around every pixel."""
        for down in range(3):
            for across in range(3):
                near = padded[:, (row + down)[:, None], column + across]
                distance = (row + (down - 0.5) - y).square()[:, None] + (column + (across - 0.5) - x).square()
                unlike = (near[:3] - colour).square().mean(0) / _COLOUR**2
                yield near[3], torch.where(near[3] > 0, -0.5 * (unlike + distance / _DISTANCE**2), -torch.inf)

    best, top = torch.zeros_like(colour[0]), torch.full_like(colour[0], -torch.inf)
    for found, score in each():
        best, top = torch.where(score > top, found, best), torch.maximum(score, top)
    total, weight = torch.zeros_like(best), torch.zeros_like(best)
    for found, score in each():
        share = (score - top).nan_to_num(-torch.inf).exp() * ((found - best).abs() <= STEP * best)
        total, weight = total + share * found, weight + share
    inverse = total / weight.clamp(min=1e-12)
    return torch.where(inverse > 0, 1 / inverse.clamp(min=1e-6), 0)


def clear_steps(
    depth: Float[Tensor, "height width"], colour: Float[Tensor, "3 height width"], reach: int
) -> Float[Tensor, "height width"]:
    """Depth whose steps lie where the colours change: every pixel near a step is of the near or of the far side. Ours.

    Depth made at a small size has steps that are soft and some small pixels off. Of the two sides of a step within
    reach a pixel takes that whose mean colour is nearer to its own; then once more within half of the reach.

    Args:
        depth: Metres; 0 where it is not known.
        colour: 0..255, of the same picture.
        reach: How far off a step may be, in pixels.
    """
    inverse = torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0)
    for side in (2 * reach + 1, 2 * (reach // 2) + 1):
        inverse = _two_sides(inverse, colour, side)
    return torch.where(inverse > 0, 1 / inverse.clamp(min=1e-6), 0)


def _two_sides(inverse: Tensor, colour: Tensor, side: int) -> Tensor:
    """Inverse depth whose pixels near a step are of the side that their colour is of; steps within a square."""
    parts = torch.cat([colour, inverse[None]])
    high, low = _greatest(inverse[None], side)[0], -_greatest(-inverse[None], side)[0]
    near = inverse * inverse > high * low
    front, back = _mean(parts, near, side), _mean(parts, ~near, side)
    to_front, to_back = ((colour - group[:3]).square().mean(0) for group in (front, back))
    in_front = to_front * torch.where(near, 1, _MOVED) < to_back * torch.where(near, _MOVED, 1)
    found = torch.where(in_front, front[3], back[3])
    same = (in_front == near) & ((inverse - found).abs() < STEP * found)
    step = (high > (1 + 2 * STEP) * low) & (low > 0)
    return torch.where(step & ~same, found, inverse)


def _mean(values: Tensor, chosen: Tensor, side: int) -> Tensor:
    """Mean of the chosen pixels in the square around each; 0 where there is none."""
    total = torch.cat([values * chosen, chosen[None].to(values)])[None]
    total = avg_pool2d(avg_pool2d(total, (1, side), 1, (0, side // 2)), (side, 1), 1, (side // 2, 0))[0]
    return total[:-1] / total[-1].clamp(min=1e-9)


def _greatest(values: Tensor, side: int) -> Tensor:
    return max_pool2d(max_pool2d(values[None], (1, side), 1, (0, side // 2)), (side, 1), 1, (side // 2, 0))[0]
