"""AdamW, its rate over a budget, averaged weights, and the guard against bad steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from plenodream.training.config import OptimizerConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Fused AdamW over the trainable weights; matrices decay, vectors do not."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.learning_rate, betas=(0.9, 0.98), fused=True
    )


def learning_rate(config: OptimizerConfig, steps_since_start: int, progress: float) -> float:
    """Rate of a step: linear warm-up since the (re)start, then constant, then linear to zero at progress 1."""
    warmup = min(1.0, (steps_since_start + 1) / max(config.warmup_steps, 1))
    decay = min(1.0, (1 - progress) / config.decay_share) if config.decay_share else 1.0
    return config.learning_rate * warmup * max(decay, 0.0)


class Average:
    """Exponential moving average of a model's weights, warmed up so that early weights are soon forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, Tensor] = {
            name: parameter.detach().float().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average toward the model's weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        parameters = dict(model.named_parameters())
        names = list(self.weights)
        torch._foreach_lerp_(
            [self.weights[name] for name in names], [parameters[name].detach().float() for name in names], 1 - decay
        )


class SpikeGuard:
    """Says which steps to leave out: a loss that is not finite, or many times the running mean."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.mean = math.nan
        self.left_out = 0

    def accepts(self, loss: float) -> bool:
        """Whether to take a step with this loss; accepted losses move the mean."""
        if not math.isfinite(loss) or loss > self.factor * self.mean:
            self.left_out += 1
            return False
        self.mean = loss if math.isnan(self.mean) else 0.98 * self.mean + 0.02 * loss
        return True
