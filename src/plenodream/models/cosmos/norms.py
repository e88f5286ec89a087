"""What stands before and behind Cosmos blocks where frames have timesteps of their own, and where there is no text.

The stock forward spreads the timesteps of frames over their tokens, and every norm then computes scale, shift and gate
for each token: a tenth of all products at the published size. Here frames are entries of the batch from the patches to
the last norm, each with the one timestep that stock norms know; attention lays them end to end: ours.
"""

from __future__ import annotations

from typing import Any

from diffusers.models.transformers.transformer_cosmos import CosmosAdaLayerNorm, CosmosPatchEmbed
from torch import Tensor, nn

from plenodream.models.call import current_call


class FramePatches(CosmosPatchEmbed):
    """Stock patches; those of a frame are a batch entry where frames have timesteps of their own."""

    def __init__(self, stock: Any) -> None:
        _take_over(self, stock)
        self.patch_size = stock.patch_size

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(batch, frames, rows, columns, width), or (batch * frames, rows, columns, 1, width): three are flattened."""
        patches = super().forward(hidden_states)
        return patches.flatten(0, 1).unsqueeze(3) if current_call().by_frame else patches


class FrameNorm(CosmosAdaLayerNorm):
    """Stock norm in front of the output, which takes sequences again."""

    def __init__(self, stock: Any) -> None:
        _take_over(self, stock)
        self.embedding_dim = stock.embedding_dim

    def forward(self, hidden_states: Tensor, embedded_timestep: Tensor, temb: Tensor | None = None) -> Tensor:
        """(batch, tokens, width), whatever the entries were."""
        return current_call().sequences(super().forward(hidden_states, embedded_timestep, temb))


def _take_over(module: nn.Module, stock: nn.Module) -> None:
    """The parts of a stock module, so that weights keep their names and random numbers are drawn once."""
    nn.Module.__init__(module)
    for name, part in stock.named_children():
        module.add_module(name, part)


class NoTextNorm(nn.Module):
    """In the place of a block's norm before cross-attention, in a network without text."""

    def forward(self, hidden_states: Tensor, *timestep: Tensor) -> tuple[Tensor, Tensor]:
        """The states as they are, and a gate that is shut."""
        return hidden_states, hidden_states.new_zeros(())
