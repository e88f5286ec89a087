"""Wan blocks: self-attention of views with their cameras, and cross-attention to words and an image."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from jaxtyping import Float
from torch import Tensor

from plenodream.models.attention import attend, attend_in_call
from plenodream.models.call import AttentionCall, current_call


class CallRope(WanRotaryPosEmbed):
    """Stock rotary positions, returned inside the call that is under way."""

    views_share_time = False

    def forward(self, hidden_states: Tensor) -> AttentionCall:  # type: ignore[override]
        """Positions of a (batch, channels, frames, height, width) input: cos and sin of every pair of numbers."""
        call = current_call()
        if call.rotary is None:
            repeats = call.views if self.views_share_time else 1
            cos, sin = super().forward(hidden_states[:, :, : hidden_states.shape[2] // repeats])
            call.rotary = cos[0, :, 0, ::2].repeat(repeats, 1), sin[0, :, 0, 1::2].repeat(repeats, 1)
        return call


class SharedTimeRope(CallRope):
    """Every view of the sequence has the temporal positions of the first."""

    views_share_time = True


def turned(
    x: Float[Tensor, "batch heads tokens width"], cos: Float[Tensor, "... tokens pairs"], sin: Tensor
) -> Float[Tensor, "batch heads tokens width"]:
    """Pairs of numbers (even, odd), each turned by its angle."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x)


def projected(attn: Any, hidden_states: Float[Tensor, "batch tokens width"]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (batch, heads, tokens, width), normalised as Wan does: over all heads together."""
    query, key = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(hidden_states))
    query, key, value = (
        x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (query, key, attn.to_v(hidden_states))
    )
    return query, key, value


class PoseAttnProcessor:
    """ReCamMaster's self-attention: the pose of the target is added before, a `projector` stands behind.

    Source: its released code (method.md [R]).

    Args:
        block: Number of the block it works in.
    """

    _attention_backend: AttentionBackendName | None = None  # `set_attention_backend` of diffusers writes it
    _parallel_config = None

    def __init__(self, block: int) -> None:
        self.block = block

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "batch tokens width"],
        encoder_hidden_states: None = None,
        attention_mask: None = None,
        rotary_emb: AttentionCall | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Attend; `rotary_emb` is the call."""
        call = rotary_emb
        assert call is not None and call.rotary is not None
        query, key, value = projected(attn, hidden_states + attn.cam_encoder(call.camera_tokens))
        query, key = turned(query, *call.rotary), turned(key, *call.rotary)
        attended = attend_in_call(call, self, query, key, value)
        return attn.projector(attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(query))))


class PhaseAttnProcessor:
    """ReDirector's self-attention: the camera of a token turns its query, key and value, and what it is given.

    To the rotary angles of rows and columns come phases that the camera embedding decides. Values are turned back by
    angles and phases of their own kind, and the output forward, so that what is summed is told relative to the viewer.
    Source: its released code (method.md [D]).

    Args:
        block: Number of the block it works in.
    """

    _attention_backend: AttentionBackendName | None = None
    _parallel_config = None

    def __init__(self, block: int) -> None:
        self.block = block

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "batch tokens width"],
        encoder_hidden_states: None = None,
        attention_mask: None = None,
        rotary_emb: AttentionCall | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Attend; `rotary_emb` is the call, whose camera tokens are the camera embeddings."""
        call = rotary_emb
        assert call is not None and call.rotary is not None
        query, key, value = projected(attn, hidden_states)
        phases = (_spatial(phase(call.camera_tokens), attn.heads) for phase in (attn.rope_phase_qk, attn.rope_phase_vo))
        of_queries, of_values = (_rotation(phase, query.shape[-1]) for phase in phases)
        query, key = (turned(turned(x, *call.rotary), *of_queries) for x in (query, key))
        value = turned(value, of_values[0], -of_values[1])
        attended = attend_in_call(call, self, query, key, value)
        output = attn.to_out[0](attended.flatten(2, 3).type_as(query))
        output = turned(output.unflatten(2, (attn.heads, -1)).transpose(1, 2), *of_values)
        return attn.to_out[1](output.transpose(1, 2).flatten(2, 3))


def _spatial(phase: Float[Tensor, "batch tokens numbers"], heads: int) -> Float[Tensor, "batch heads tokens pairs"]:
    return phase.float().unflatten(2, (heads, -1)).transpose(1, 2)


def _rotation(phase: Float[Tensor, "batch heads tokens spatial"], width: int) -> tuple[Tensor, Tensor]:
    """Cos and sin of every pair of numbers; the pairs that stand for time come first and are not turned."""
    angle = torch.nn.functional.pad(phase, (width // 2 - phase.shape[-1], 0))
    return angle.cos(), angle.sin()


class ImageAttnProcessor:
    """Stock cross-attention to an image and words, without the stock's assumption that there are 512 words.

    Args:
        image_words: How many of the words, the first ones, are of the image.
    """

    _attention_backend: AttentionBackendName | None = None
    _parallel_config = None

    def __init__(self, image_words: int) -> None:
        self.image_words = image_words

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "batch tokens width"],
        encoder_hidden_states: Float[Tensor, "batch words width"],
        attention_mask: None = None,
        rotary_emb: None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Attend to both, add."""
        image, text = encoder_hidden_states.tensor_split([self.image_words], dim=1)
        pairs = (
            (attn.norm_k(attn.to_k(text)), attn.to_v(text)),
            (attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image)),
        )
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        attended = hidden_states.new_zeros(())
        for key, value in pairs:
            key, value = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (key, value))
            attended = attended + attend(query, key, value, self._attention_backend).flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](attended))
