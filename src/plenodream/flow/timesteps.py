"""Times of the flow: which t to train at. t = 1 is pure noise."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


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
