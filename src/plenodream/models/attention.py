"""The products of attention, by the backend that a model was given."""

from __future__ import annotations

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from jaxtyping import Float
from torch import Tensor

from plenodream.models.call import AttentionCall
from plenodream.models.cpu_attention import CpuAttention


def attend(
    query: Float[Tensor, "batch heads tokens width"],
    key: Float[Tensor, "batch heads others width"],
    value: Float[Tensor, "batch heads others width"],
    backend: AttentionBackendName | None = None,
) -> Float[Tensor, "batch tokens heads width"]:
    """Softmax attention.

    Args:
        query: Normalised and turned to their positions.
        key: Likewise.
        value: What is summed.
        backend: What `set_attention_backend` gave the model; None: torch's, and for training in bf16 on a CPU ours.
    """
    trained_on_cpu = query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if backend is None and trained_on_cpu:
        return CpuAttention.apply(query, key, value).transpose(1, 2)  # type: ignore[union-attr]
    return dispatch_attention_fn(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), backend=backend)


def attend_in_call(
    call: AttentionCall,
    block: int,
    query: Float[Tensor, "batch heads tokens width"],
    key: Float[Tensor, "batch heads tokens width"],
    value: Float[Tensor, "batch heads tokens width"],
    backend: AttentionBackendName | None = None,
) -> Float[Tensor, "batch tokens heads width"]:
    """A block's self-attention over the sequence and over the call's context; records where the call asks for it."""
    if call.exchange is not None:
        query, key, value = call.exchange.to_heads(query, key, value)
    if call.record and block not in call.recorded:  # once, though checkpointing runs the block again
        call.recorded[block] = (key, value)
    if (others := call.keys_and_values(block, key)) is not None:
        key, value = (torch.cat(pair, dim=2) for pair in zip((key, value), others, strict=True))
    attended = attend(query, key, value, backend)
    return attended if call.exchange is None else call.exchange.to_tokens(attended)
