"""Keys and values that a pass records, in the backward pass of sharded weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from plenodream.models.call import current_call


class _Tie(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.like = output.shape, output.dtype, output.device
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        shape, dtype, device = ctx.like
        return torch.zeros(shape, dtype=dtype, device=device), *grads


def tie_records(model: nn.Module) -> None:
    """Make the gradient of recorded keys and values pass through the output too, where it adds nothing.

    Sharded weights are gathered for the backward pass of a block when the gradient of the block's output arrives. Of
    a context pass only the records are used, never the output: without this its last blocks would run backward on
    weights that are not there.
    """

    def tie(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: tuple[Tensor]) -> None:
        call = current_call()
        if call.record and output[0].requires_grad:
            flat = [tensor for index in sorted(call.recorded) for tensor in call.recorded[index]]
            tied = _Tie.apply(output[0], *flat)
            call.recorded = {block: tied[2 * i : 2 * i + 2] for i, block in enumerate(sorted(call.recorded))}

    model.register_forward_hook(tie, with_kwargs=True)
