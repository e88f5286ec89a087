"""The straight path of flow matching: x_t = (1 - t) x_0 + t eps, v = eps - x_0."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def _per_sample(t: Float[Tensor, "batch"], like: Tensor) -> Tensor:
    return t.view(-1, *[1] * (like.ndim - 1))


def interpolate(
    x_0: Float[Tensor, "batch ..."], eps: Float[Tensor, "batch ..."], t: Float[Tensor, "batch"]
) -> Float[Tensor, "batch ..."]:
    """x_t between data (t = 0) and noise (t = 1)."""
    weight = _per_sample(t, x_0)
    return (1 - weight) * x_0 + weight * eps


def velocity(x_0: Float[Tensor, "batch ..."], eps: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """v = dx_t / dt, the same all along the path."""
    return eps - x_0
