"""The optimiser, its rate over a budget, averaged weights, and the guard against bad steps."""

from __future__ import annotations

import math
from typing import TypedDict

import torch
from torch import Tensor, nn

from plenodream.training.config import OptimizerConfig
from plenodream.training.optim.muon import Muon

# Projections of a block's self-attention and its two-layer network: what Muon is for.
_HIDDEN = (".attn1.to_", ".ff.net")
# After so many refused steps in a row, the loss has not spiked: its level has changed, or the run is lost.
PATIENCE = 50


def make_optimizer(model: nn.Module, config: OptimizerConfig, dtype: torch.dtype = torch.float32) -> torch.optim.AdamW:
    """Fused AdamW over the trainable weights, Muon for the matrices within blocks if asked; vectors do not decay.

    Args:
        model: Its trainable weights are updated.
        config: Rates and sizes.
        dtype: Of Muon's matrix products.
    """
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    hidden = [n for n, p in trainable.items() if config.muon and p.ndim == 2 and any(part in n for part in _HIDDEN)]
    rest = [parameter for name, parameter in trainable.items() if name not in hidden]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        {"params": [trainable[n] for n in hidden], "weight_decay": config.weight_decay, "orthogonal": config.muon},
    ]
    kind = Muon if config.muon else torch.optim.AdamW
    groups = [group for group in groups if group["params"]]
    optimizer = kind(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
    if isinstance(optimizer, Muon):
        optimizer.products = dtype
    return optimizer


def learning_rate(config: OptimizerConfig, step: int, progress: float) -> float:
    """Rate of a step: linear warm-up, then constant, then linear to zero at progress 1.

    Args:
        config: Peak rate and the lengths of the parts.
        step: Steps since the run began; a resumed run counts on.
        progress: Part of the budget that is used up.
    """
    warmup = (step + 1) / max(config.warmup_steps, 1)
    if config.warmup_share:
        warmup = max(warmup, progress / config.warmup_share)
    decay = min(1.0, (1 - progress) / config.decay_share) if config.decay_share else 1.0
    return config.learning_rate * min(1.0, warmup) * max(decay, 0.0)


class Average:
    """Exponential moving average of the trainable weights, warmed up so that early weights are soon forgotten.

    After update n the average is d a + (1 - d) w with d = min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, Tensor] = {
            name: parameter.detach().float().clone()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average toward the model's weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        parameters = dict(model.named_parameters())
        current = [parameters[name].detach().float() for name in self.weights]
        torch._foreach_lerp_(list(self.weights.values()), current, 1 - decay)


class GuardState(TypedDict):
    """What a `SpikeGuard` remembers; a mean of None is that of nothing yet."""

    mean: float | None
    left_out: int
    in_a_row: int


class SpikeGuard:
    """Says which steps to leave out: a loss or gradient that is not finite, or a loss many times the running mean."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.mean = math.nan
        self.left_out = 0
        self.in_a_row = 0

    def accepts(self, loss: float, gradient_norm: float) -> bool:
        """Whether to take a step; accepted losses move the mean.

        Raises:
            ValueError: Nothing has been finite for `PATIENCE` steps in a row.
        """
        finite = math.isfinite(loss) and math.isfinite(gradient_norm)
        if finite and self.in_a_row >= PATIENCE:
            self.mean = math.nan
        if not finite or loss > self.factor * self.mean:
            self.left_out += 1
            self.in_a_row += 1
            if not finite and self.in_a_row >= PATIENCE:
                raise ValueError(
                    f"loss or gradient not finite for {PATIENCE} steps in a row: the run has diverged; "
                    "go on from its checkpoint with --init-from and a lower optimizer.learning_rate"
                )
            return False
        self.in_a_row = 0
        self.mean = loss if math.isnan(self.mean) else 0.98 * self.mean + 0.02 * loss
        return True

    def state(self) -> GuardState:
        """What an exact resume needs."""
        mean = None if math.isnan(self.mean) else self.mean
        return {"mean": mean, "left_out": self.left_out, "in_a_row": self.in_a_row}

    def restore(self, state: GuardState) -> None:
        """Go on from `state`."""
        self.mean = math.nan if state["mean"] is None else state["mean"]
        self.left_out, self.in_a_row = state["left_out"], state["in_a_row"]
