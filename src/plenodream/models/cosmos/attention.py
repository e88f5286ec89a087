"""Cosmos blocks: self-attention of views with their cameras, and what stands where there is little or no text."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_dispatch import AttentionBackendName
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_cosmos import CosmosRotaryPosEmbed
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.attention import attend, attend_in_call
from plenodream.models.call import AttentionCall, current_call, of_words

# What it takes and returns here is not what it is annotated with.
_rotate: Any = apply_rotary_emb


class CallRope(CosmosRotaryPosEmbed):
    """Stock rotary positions, returned inside the call that is under way."""

    def forward(self, hidden_states: Tensor, fps: None = None) -> AttentionCall:  # type: ignore[override]
        """Positions of a (batch, channels, frames, height, width) input."""
        call = current_call()
        if call.rotary is None:
            call.rotary = super().forward(hidden_states, fps=None)
        return call


def rotated(
    x: Float[Tensor, "batch heads tokens width"],
    norm: nn.Module,
    cos: Float[Tensor, "tokens width"],
    sin: Float[Tensor, "tokens width"],
) -> Float[Tensor, "batch heads tokens width"]:
    """Queries or keys, normalised and turned to their positions."""
    return _rotate(norm(x), (cos, sin), use_real=True, use_real_unbind_dim=-2).to(x)


class CameraAttnProcessor:
    """Stock Cosmos self-attention, plus the block's camera projection and the context's keys and values.

    Args:
        block: Number of the block it works in.
    """

    _attention_backend: AttentionBackendName | None = None  # `set_attention_backend` of diffusers writes it

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
        entries = hidden_states.shape
        hidden_states = call.sequences(hidden_states) + call.projected_cameras(attn.cam_encoder)
        query, key, value = (
            project(hidden_states).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        # Norms and rotations compute in float32 under autocast; attention, and what is stored for it, does not.
        query, key = (self.rotated(x, norm, *call.rotary) for norm, x in ((attn.norm_q, query), (attn.norm_k, key)))
        attended = attend_in_call(call, self, query, key, value)
        return attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(query))).view(entries)


class TextAttnProcessor:
    """Stock cross-attention, whose words are made keys and values once a video.

    Over a single word the softmax is 1, so the query is not needed. Exact.
    """

    _attention_backend: AttentionBackendName | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "entries some width"],
        encoder_hidden_states: Float[Tensor, "batch words features"],
        attention_mask: None = None,
        image_rotary_emb: None = None,
    ) -> Float[Tensor, "entries some width"]:
        """As the stock processor; entries may be frames of what the words are of."""
        assert attention_mask is None
        words = encoder_hidden_states
        if words.shape[1] == 1:
            (attended,) = of_words(attn, lambda: (attn.to_out[1](attn.to_out[0](attn.to_v(words))),))
            return attended.repeat_interleave(len(hidden_states) // len(words), dim=0).expand(hidden_states.shape)

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(2, (attn.heads, -1)).transpose(1, 2)

        key, value = of_words(attn, lambda: (attn.norm_k(heads(attn.to_k(words))), heads(attn.to_v(words))))
        query = attn.norm_q(heads(attn.to_q(hidden_states.reshape(len(words), -1, hidden_states.shape[-1]))))
        attended = attend(query, key, value, self._attention_backend).flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](attended)).view(hidden_states.shape)


class TextProjection(nn.Sequential):
    """The stock projection of words, which passes on those that went through it before."""

    def forward(self, words: Tensor) -> Tensor:  # type: ignore[override]
        """Words of the encoder's width, or of the blocks'."""
        first: Any = self[0]
        return words if words.shape[-1] == first.out_features else super().forward(words)


class NoTextAttention(nn.Module):
    """In the place of a block's cross-attention, in a network without text."""

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask: None = None) -> Tensor:
        """Nothing to add."""
        return hidden_states.new_zeros(())
