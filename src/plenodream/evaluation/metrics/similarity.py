"""Structural similarity as a map, so that it can be averaged over a mask."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2


def ssim_map(
    a: Float[Tensor, "*#videos height width 3"], b: Float[Tensor, "*#videos height width 3"]
) -> Float[Tensor, "*videos height width"]:
    """SSIM around every pixel, averaged over the channels, float64.

    Source: Wang et al. 2004: Gaussian window (11 pixels, sigma 1.5), population covariance, data range 1; pictures are
    mirrored at their border.

    Args:
        a: Frames, 0..1.
        b: Frames, 0..1, of the same size.

    Raises:
        ValueError: Pictures smaller than half a window.
    """
    if min(a.shape[-3:-1]) <= _RADIUS:
        raise ValueError(f"pictures of {a.shape[-2]}x{a.shape[-3]}: expected more than {_RADIUS} pixels each way")
    x, y = a.double(), b.double()
    mean_x, mean_y, xx, yy, xy = (_blur(values) for values in (x, y, x * x, y * y, x * y))
    covariance, variances = xy - mean_x * mean_y, (xx - mean_x**2) + (yy - mean_y**2)
    similar = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return (similar / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))).mean(-1)


def _blur(values: Float[Tensor, "*videos height width 3"]) -> Float[Tensor, "*videos height width 3"]:
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=values.dtype)
    kernel = (-0.5 * (offsets / _SIGMA) ** 2).exp()
    weights = (kernel / kernel.sum()).tolist()
    for dim in (-3, -2):
        size = values.shape[dim]
        index = torch.arange(-_RADIUS, size + _RADIUS)
        index = torch.where(index < 0, -index - 1, torch.where(index >= size, 2 * size - index - 1, index))
        mirrored = values.index_select(dim, index)
        values = mirrored.narrow(dim, 0, size) * weights[0]
        for n, weight in enumerate(weights[1:], start=1):
            values.add_(mirrored.narrow(dim, n, size), alpha=weight)
    return values
