"""The products of attention, by the backend that a model was given."""

from __future__ import annotations

from typing import Protocol

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from jaxtyping import Float
from torch import Tensor

from plenodream.models.call import AttentionCall, uncompiled
from plenodream.models.context import Context
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


class Processor(Protocol):
    """A block's attention processor.

    Attributes:
        block: Number of its block.
    """

    block: int
    _attention_backend: AttentionBackendName | None


@uncompiled
def attend_in_call(
    call: AttentionCall,
    processor: Processor,
    query: Float[Tensor, "batch heads tokens width"],
    key: Float[Tensor, "batch heads tokens width"],
    value: Float[Tensor, "batch heads tokens width"],
) -> Float[Tensor, "batch tokens heads width"]:
    """A block's self-attention over the sequence and over the call's context; records where the call asks for it."""
    block, backend = processor.block, processor._attention_backend
    if call.exchange is not None:
        query, key, value = call.exchange.to_heads(query, key, value)
    if call.record and block not in call.recorded:  # once, though checkpointing runs the block again
        call.recorded[block] = (key, value)
    if call.context is not None and call.context.unread:
        attended = _attend_beside(call.context, query, key, value, backend)
    else:
        if (others := call.keys_and_values(block, key)) is not None:
            key, value = (torch.cat(pair, dim=2) for pair in zip((key, value), others, strict=True))
        attended = attend(query, key, value, backend)
    return attended if call.exchange is None else call.exchange.to_tokens(attended)


def _attend_beside(
    context: Context, query: Tensor, key: Tensor, value: Tensor, backend: AttentionBackendName | None
) -> Float[Tensor, "batch tokens heads width"]:
    """Views that are read stand behind the targets in the batch: they attend to themselves, targets to both."""
    targets = len(query) - len(context.kept[0])
    both = [
        torch.cat([x[:targets], context.chosen(x[targets:], targets).transpose(1, 2).flatten(2, 3)], dim=2)
        for x in (key, value)
    ]
    return torch.cat(
        [
            attend(query[:targets], both[0], both[1], backend),
            attend(query[targets:], key[targets:], value[targets:], backend),
        ]
    )
