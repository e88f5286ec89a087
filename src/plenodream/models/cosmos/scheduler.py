"""Schedulers of published samplers where diffusers' own goes through other times."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler


class CosmosUniPCScheduler(UniPCMultistepScheduler):
    """UniPC at the sigmas of Cosmos-Predict2.5, which begin below 1; the network is told whole timesteps.

    Source: the publisher's sampler (method.md [N]): sigmas from 1 - 1/1000 down to 0 in equal steps, then shifted.
    diffusers with the same shift begins at 1 and ends elsewhere (0.1321, not 0.1281, after 34 of 35 steps).

    Attributes:
        network_times: What the network is told at each step, in [0, 1].
    """

    __module__ = "plenodream"  # see CosmosCameraTransformer

    config: Any
    network_times: torch.Tensor

    def set_timesteps(self, num_inference_steps: int = 35, device=None, sigmas=None, mu=None) -> None:  # type: ignore[override]
        """As diffusers' own; `sigmas` are those of the unshifted path from 1."""
        steps = self.config.num_train_timesteps
        if sigmas is None:
            sigmas = np.linspace(1, 1 / num_inference_steps, num_inference_steps)
        super().set_timesteps(device=device, sigmas=np.asarray(sigmas) * (1 - 1 / steps), mu=mu)
        self.network_times = self.timesteps / steps


def cosmos_scheduler(shift: float = 5.0) -> CosmosUniPCScheduler:
    """As published."""
    return CosmosUniPCScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, solver_order=2
    )
