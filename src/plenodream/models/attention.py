"""Self-attention of a view with its camera, over itself and over the stored keys and values of its context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_cosmos import CosmosAttnProcessor2_0, CosmosRotaryPosEmbed
from jaxtyping import Float, Int
from torch import Tensor, nn

from plenodream.models.cpu_attention import CpuAttention

# What it takes and returns here is not what it is annotated with.
_rotate: Any = apply_rotary_emb


@dataclass(frozen=True)
class ContextCache:
    """Keys and values of clean views, one entry per block: the same for every step and every target. Ours.

    Attributes:
        keys: Per block, rotated keys of `views` views of `tokens` tokens each.
        values: Per block, values of the same tokens.
    """

    keys: tuple[Float[Tensor, "views heads tokens width"], ...]
    values: tuple[Float[Tensor, "views heads tokens width"], ...]

    def select(self, index: Int[Tensor, "batch context"]) -> ContextCache:
        """The context of every entry of a batch, laid end to end: `index` names the views of each."""
        pick = [
            tuple(blocks[index].transpose(1, 2).flatten(2, 3) for blocks in store) for store in (self.keys, self.values)
        ]
        return ContextCache(*pick)

    @staticmethod
    def stack(caches: list[ContextCache]) -> ContextCache:
        """One cache holding the views of several."""
        keys = tuple(torch.cat(blocks) for blocks in zip(*(cache.keys for cache in caches), strict=True))
        values = tuple(torch.cat(blocks) for blocks in zip(*(cache.values for cache in caches), strict=True))
        return ContextCache(keys, values)


class Exchange(Protocol):
    """How devices that hold parts of one sequence attend together: each sees all tokens in some of the heads."""

    def to_heads(self, *tensors: Float[Tensor, "batch heads part width"]) -> tuple[Tensor, ...]:
        """From all heads of this device's tokens to all tokens of this device's heads."""
        ...

    def to_tokens(self, attended: Float[Tensor, "batch tokens some width"]) -> Float[Tensor, "batch part heads width"]:
        """The way back."""
        ...


class AttentionCall:
    """What one forward pass hands to every block's self-attention.

    The stock forward passes its `fps` argument to the rope module and to nothing else, and the rope's result to every
    block: the call travels that way, so no module keeps state between calls. It is no dataclass, because sharded
    training (FSDP) looks into those and would hand every block a copy of its own.

    Attributes:
        camera_tokens: Folded Plücker rays of every token.
        context: Keys and values to attend to besides the sequence itself, or None.
        record: Whether to keep each block's keys and values in `recorded`.
        recorded: Keys and values by block.
        rotary: Positions (cos, sin) of the tokens; the rope module fills them in where they are not given.
        exchange: Set where the sequence is shared by several devices; context and record then hold a part of the heads.
    """

    def __init__(
        self,
        camera_tokens: Float[Tensor, "batch tokens numbers"],
        context: ContextCache | None = None,
        record: bool = False,
    ) -> None:
        self.camera_tokens, self.context, self.record = camera_tokens, context, record
        self.recorded: dict[int, tuple[Tensor, Tensor]] = {}
        self.rotary: tuple[Tensor, Tensor] | None = None
        self.exchange: Exchange | None = None

    def cache(self) -> ContextCache:
        """The recorded keys and values of all blocks."""
        blocks = [self.recorded[index] for index in sorted(self.recorded)]
        return ContextCache(tuple(key for key, _ in blocks), tuple(value for _, value in blocks))


class CallRope(CosmosRotaryPosEmbed):
    """Stock rotary positions, returned inside the call that came in as `fps`."""

    def forward(self, hidden_states: Tensor, fps: AttentionCall) -> AttentionCall:  # type: ignore[override]
        """Positions of a (batch, channels, frames, height, width) input."""
        if fps.rotary is None:
            fps.rotary = super().forward(hidden_states, fps=None)
        return fps


def rotated(
    x: Float[Tensor, "batch heads tokens width"],
    norm: nn.Module,
    cos: Float[Tensor, "tokens width"],
    sin: Float[Tensor, "tokens width"],
) -> Float[Tensor, "batch heads tokens width"]:
    """Queries or keys, normalised and turned to their positions."""
    return _rotate(norm(x), (cos, sin), use_real=True, use_real_unbind_dim=-2).to(x)


def _attend(
    query: Float[Tensor, "batch heads tokens width"],
    key: Float[Tensor, "batch heads others width"],
    value: Float[Tensor, "batch heads others width"],
) -> Float[Tensor, "batch tokens heads width"]:
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled():
        return CpuAttention.apply(query, key, value).transpose(1, 2)  # type: ignore[union-attr]
    return dispatch_attention_fn(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))


class CameraAttnProcessor:
    """Stock Cosmos self-attention, plus the block's camera projection and the context's keys and values.

    Args:
        block: Number of the block it works in.
    """

    def __init__(self, block: int) -> None:
        self.block = block
        self.rotated = rotated  # or the same, compiled

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "batch tokens width"],
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: AttentionCall | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Attend; `image_rotary_emb` is the call. Context, where given, is attended to besides the sequence itself."""
        call = image_rotary_emb
        assert call is not None and call.rotary is not None
        hidden_states = hidden_states + attn.cam_encoder(call.camera_tokens)
        query, key, value = (
            project(hidden_states).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        # Norms and rotations compute in float32 under autocast; attention, and what is stored for it, does not.
        query, key = (self.rotated(x, norm, *call.rotary) for norm, x in ((attn.norm_q, query), (attn.norm_k, key)))
        if call.exchange is not None:
            query, key, value = call.exchange.to_heads(query, key, value)
        if call.record and self.block not in call.recorded:  # once, though checkpointing runs the block again
            call.recorded[self.block] = (key, value)
        if call.context is not None:
            key = torch.cat([key, call.context.keys[self.block].to(key)], dim=2)
            value = torch.cat([value, call.context.values[self.block].to(value)], dim=2)
        attended = _attend(query, key, value)
        if call.exchange is not None:
            attended = call.exchange.to_tokens(attended)
        attended = attended.flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](attended))


class TextAttnProcessor(CosmosAttnProcessor2_0):
    """Stock cross-attention; over a single text token the softmax is 1, so the query is not needed. Exact."""

    def __call__(
        self, attn: Any, hidden_states, encoder_hidden_states=None, attention_mask=None, image_rotary_emb=None
    ):
        """As the stock processor."""
        if encoder_hidden_states is None or encoder_hidden_states.shape[1] > 1 or attention_mask is not None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)
        attended = attn.to_out[1](attn.to_out[0](attn.to_v(encoder_hidden_states)))
        return attended.expand(hidden_states.shape)


class NoTextNorm(nn.Module):
    """In the place of a block's norm before cross-attention, in a network without text."""

    def forward(self, hidden_states: Tensor, *timestep: Tensor) -> tuple[Tensor, Tensor]:
        """The states as they are, and a gate that is shut."""
        return hidden_states, hidden_states.new_zeros(())


class NoTextAttention(nn.Module):
    """In the place of a block's cross-attention, in a network without text."""

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask: None = None) -> Tensor:
        """Nothing to add."""
        return hidden_states.new_zeros(())
