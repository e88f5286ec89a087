"""One view from noise: the flow ODE over a scheduler's sigmas, in one plain function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from jaxtyping import Float
from torch import Tensor

from plenodream.sampling.config import SamplingConfig


def schedule(scheduler: SchedulerMixin, steps: int, device: torch.device | str = "cpu") -> Any:
    """A fresh copy of a diffusers flow scheduler, set for one video: its `sigmas` are the t of the path, 1 to 0."""
    template: Any = scheduler  # the mixin declares none of the methods that all schedulers have
    fresh = type(template).from_config(template.config)
    fresh.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), device=device)
    fresh.set_begin_index(0)  # it would look its first step up by its timestep, which rounding may make ambiguous
    return fresh


def denoise(
    velocity: Callable[[Tensor, Tensor], Tensor],
    noise: Float[Tensor, "batch ..."],
    scheduler: SchedulerMixin,
    config: SamplingConfig,
    unconditional: Callable[[Tensor, Tensor], Tensor] | None = None,
    clean: Float[Tensor, "batch ..."] | None = None,
    clean_mask: Float[Tensor, "#batch ..."] | None = None,
    on_step: Callable[[int], None] | None = None,
    visited: list[Tensor] | None = None,
) -> Float[Tensor, "batch ..."]:
    """Integrate dx/dt = v from noise (t = 1) to data (t = 0).

    Args:
        velocity: v(x_t, t), t of shape (batch,) in [0, 1].
        noise: x_1.
        scheduler: A diffusers flow scheduler; a fresh copy is made, since a scheduler object serves one video.
        config: Steps and guidance.
        unconditional: v without the condition; needed where guidance is not 0.
        clean: Known latents, kept where `clean_mask` is 1 (the overlap with an earlier window).
        clean_mask: 1 where `clean` is kept; broadcasts against the noise.
        on_step: Called with the number of every finished step.
        visited: Every x_t on the way is appended here, from the noise to the result.
    """
    fresh = schedule(scheduler, config.steps, noise.device)

    def keep(x: Tensor) -> Tensor:
        return x if clean is None or clean_mask is None else torch.where(clean_mask > 0, clean, x)

    x = keep(noise)
    # Whole timesteps of diffusers' schedulers are rounded; its sigmas are the t of the path. Published networks were
    # sampled with times of their own.
    times = getattr(fresh, "network_times", fresh.sigmas)
    for index, timestep in enumerate(fresh.timesteps):
        if visited is not None:
            visited.append(x)
        t = times[index].to(x).expand(x.shape[0])
        v = velocity(x, t)
        if config.guidance:
            assert unconditional is not None
            v = v + config.guidance * (v - unconditional(x, t))
        x = keep(fresh.step(v, timestep, x, return_dict=False)[0])
        if on_step is not None:
            on_step(index + 1)
    if visited is not None:
        visited.append(x)
    return x
