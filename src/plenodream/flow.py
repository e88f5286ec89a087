"""The straight path of flow matching, x_t = (1 - t) x_0 + t eps, v = eps - x_0; and which t to train at."""

from __future__ import annotations

import torch
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


def shift_timesteps(t: Float[Tensor, "*batch"], shift: float) -> Float[Tensor, "*batch"]:
    """Move times toward noise: shift t / (1 + (shift - 1) t). The same map as the schedulers' sigma shift."""
    return shift * t / (1 + (shift - 1) * t)


def sample_timesteps(
    count: int, shift: float, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Float[Tensor, "count"]:
    """Training times: logit-normal, biased to high noise by `shift` (the paper: shift 5).

    Args:
        count: How many.
        shift: 1 leaves the logit-normal as it is; more moves it toward noise.
        generator: Source of randomness, on `device`.
    """
    normal = torch.randn(count, generator=generator, device=device)
    return shift_timesteps(torch.sigmoid(normal), shift)
