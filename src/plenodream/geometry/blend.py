"""Several carried pictures as one: blended where they show the same, laid over each other, holes filled. Ours."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.surface import Carried, slope

# Depths that differ by this share of themselves count e times less: a soft z-buffer.
SOFTNESS = 0.02
# How much the better known picture wins: a blend of many copies is blurred.
SHARPNESS = 8
# Power of the depth with which what lies far wins in holes.
FARNESS = 4


def blend(pictures: Iterable[Carried]) -> Carried | None:
    """The mean of pictures of one camera, the nearest and best known counting most; None if there are none.

    Takes one picture after another: the memory does not grow with their number.
    """
    pictures = iter(pictures)
    first = next(pictures, None)
    if first is None:
        return None
    top, total, weight = _score(first), (first.weight > 0).to(first.colour), first.weight
    values = _values(first) * total
    for picture in pictures:
        score = _score(picture)
        higher = torch.maximum(top, score)
        # Both without a score: nothing is known, and nothing is added.
        old, new = ((s - higher).nan_to_num(0).exp() * (s > -torch.inf) for s in (top, score))
        values = values * old + _values(picture) * new
        total = total * old + new
        top, weight = higher, torch.maximum(weight, picture.weight)
    values = values / total.clamp(min=1e-12)
    return Carried(values[:-1], _invert(values[-1]), weight)


def over(front: Carried | None, back: Carried | None) -> Carried | None:
    """A picture, and another where it knows nothing."""
    if front is None or back is None:
        return back if front is None else front
    known = front.weight > 0
    return Carried(
        torch.where(known, front.colour, back.colour),
        torch.where(known, front.depth, back.depth),
        torch.where(known, front.weight, back.weight),
    )


def _score(picture: Carried) -> Tensor:
    """Logarithm of what a picture counts, pixel by pixel; minus infinity where it knows nothing."""
    nearness = -picture.depth.clamp(min=1e-6).log() / SOFTNESS
    return torch.where(picture.weight > 0, SHARPNESS * picture.weight.clamp(min=1e-6).log() + nearness, -torch.inf)


def _values(picture: Carried) -> Tensor:
    return torch.cat([picture.colour, _invert(picture.depth)[None]])


def _invert(values: Tensor) -> Tensor:
    return torch.where(values > 0, 1 / values.clamp(min=1e-6), 0)


def fill_holes(
    colour: Float[Tensor, "channels height width"],
    depth: Float[Tensor, "height width"],
    known: Bool[Tensor, "height width"],
) -> tuple[Float[Tensor, "channels height width"], Float[Tensor, "height width"]]:
    """Colour and depth where nothing is known, coarse to fine, from what is known around; what lies far counts most.

    What a hole shows is what the thing before it hid: the farther side's. Surfaces go on as planes, up to twice
    the greatest depth of the picture. Depth stays 0 where none is known at all.
    """
    inverse = _invert(depth)
    # Without any depth all weigh the same; a known colour without depth weighs as the farthest.
    far = torch.where(inverse > 0, inverse, 1).clamp(min=1e-3).pow(-FARNESS)
    weight = torch.where(known, (far / far.max()).clamp(min=1e-6), 0)
    planes = _planes(inverse)
    filled = _pull(torch.cat([torch.cat([colour, planes]) * weight, weight[None]])[None])[0]
    filled = filled[:-1] / filled[-1].clamp(min=1e-12)
    colour = torch.where(known, colour, filled[:-3])
    if bool((inverse > 0).any()):
        low, high = inverse[inverse > 0].aminmax()
        inverse = torch.where(known, inverse, _evaluate(filled[-3:]).clamp(low / 2, high))
    return colour, _invert(inverse)


def _planes(inverse: Float[Tensor, "height width"]) -> Float[Tensor, "3 height width"]:
    """Every pixel's plane: a, b, c of inverse depth = a x + b y + c."""
    across, down = slope(inverse)[0], slope(inverse.t())[0].t()
    x, y = _positions(inverse)
    return torch.stack([across, down, inverse - across * x - down * y])


def _evaluate(planes: Float[Tensor, "3 height width"]) -> Float[Tensor, "height width"]:
    x, y = _positions(planes[0])
    return planes[0] * x + planes[1] * y + planes[2]


def _positions(like: Tensor) -> tuple[Tensor, Tensor]:
    height, width = like.shape
    return torch.arange(width, device=like.device)[None], torch.arange(height, device=like.device)[:, None]


def _pull(weighted: Tensor) -> Tensor:
    """Weighted sums (their weight the last channel) made complete by those of half the size."""
    weight = weighted[:, -1:]
    if min(weighted.shape[-2:]) == 1 or bool((weight > 0).all()):
        return weighted
    coarse = _pull(torch.nn.functional.avg_pool2d(weighted, 2, ceil_mode=True, count_include_pad=False))
    finer = torch.nn.functional.interpolate(coarse, size=weighted.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(weight > 0, weighted, finer)
