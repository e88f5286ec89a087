"""Cosmos norms whose timestep may be one a frame, and what stands in the place of one before absent text.

The stock forward spreads the timesteps of frames over their tokens, and every norm then computes scale, shift and gate
for each token: a tenth of all products at the published size. Here frames are entries of the batch: ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diffusers.models.transformers.transformer_cosmos import (
    CosmosAdaLayerNorm,
    CosmosAdaLayerNormZero,
    CosmosEmbedding,
)
from torch import Tensor, nn


class _InPlaceOf(nn.Module):
    """Takes over the parts of a stock module, so that weights keep their names and random numbers are drawn once."""

    def __init__(self, stock: Any) -> None:
        nn.Module.__init__(self)
        for name, module in stock.named_children():
            self.add_module(name, module)


class FrameTime(_InPlaceOf, CosmosEmbedding):
    """Stock embedding of timesteps, of which there may be one for every frame of every batch entry."""

    def forward(self, hidden_states: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """As stock, (batch, width) each; (batch, frames, width) where there are more timesteps than entries."""
        pair: Any = super().forward(hidden_states, timestep)  # type: ignore[arg-type]
        batch = hidden_states.shape[0]
        return pair if len(timestep) == batch else tuple(x.unflatten(0, (batch, -1)) for x in pair)


class FrameNormZero(_InPlaceOf, CosmosAdaLayerNormZero):
    """Of a block: states and their gate."""

    def forward(self, hidden_states: Tensor, embedded_timestep: Tensor, temb: Tensor | None = None) -> Any:
        """As stock; timesteps may be (batch, frames, width)."""
        if embedded_timestep.ndim == 2:
            return super().forward(hidden_states, embedded_timestep, temb)
        return _by_frame(super().forward, hidden_states, embedded_timestep, temb)


class FrameNorm(_InPlaceOf, CosmosAdaLayerNorm):
    """In front of the output."""

    def __init__(self, stock: Any) -> None:
        super().__init__(stock)
        self.embedding_dim = stock.embedding_dim

    def forward(self, hidden_states: Tensor, embedded_timestep: Tensor, temb: Tensor | None = None) -> Tensor:
        """As stock; timesteps may be (batch, frames, width)."""
        if embedded_timestep.ndim == 2:
            return super().forward(hidden_states, embedded_timestep, temb)
        return _by_frame(super().forward, hidden_states, embedded_timestep, temb)[0]


def _by_frame(norm: Callable[..., Any], hidden_states: Tensor, time: Tensor, temb: Tensor | None) -> tuple[Tensor, ...]:
    frames = hidden_states.unflatten(1, (time.shape[1], -1)).flatten(0, 1)
    made = norm(frames, time.flatten(0, 1), None if temb is None else temb.flatten(0, 1))
    parts = made if isinstance(made, tuple) else (made,)
    return tuple(part.expand_as(frames).reshape_as(hidden_states) for part in parts)


class NoTextNorm(nn.Module):
    """In the place of a block's norm before cross-attention, in a network without text."""

    def forward(self, hidden_states: Tensor, *timestep: Tensor) -> tuple[Tensor, Tensor]:
        """The states as they are, and a gate that is shut."""
        return hidden_states, hidden_states.new_zeros(())
