"""Context parallelism: devices hold parts of one token sequence, and swap tokens for heads around self-attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.call import current_call

AXES = ("latent frames", "token rows", "token columns")


def swap(x: Tensor, split: int, join: int, group: dist.ProcessGroup) -> Tensor:
    """All-to-all: give every rank its piece of axis `split`, lay what comes back end to end along axis `join`.

    Differentiable: it only moves numbers, so the gradient moves back the same way.
    """
    return _Swap.apply(x, split, join, group)


def gather(x: Tensor, axis: int, group: dist.ProcessGroup) -> Tensor:
    """The whole of a tensor of which every rank holds an equal part along `axis`, differentiable.

    Every rank is expected to go on with the same computation. Each then holds one of `size` equal losses, and the
    gradient is that of their sum; averaged over the ranks it is the gradient of the loss.
    """
    return _Gather.apply(x, axis, group)


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, split: int, join: int, group: dist.ProcessGroup) -> Tensor:
        ctx.split, ctx.join, ctx.group = split, join, group
        pieces = torch.stack(x.chunk(group.size(), split))
        received = torch.empty_like(pieces)
        dist.all_to_all_single(received, pieces, group=group)
        return torch.cat(received.unbind(0), join)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        return _Swap.apply(grad, ctx.join, ctx.split, ctx.group), None, None, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: int, group: dist.ProcessGroup) -> Tensor:
        ctx.axis, ctx.group = axis, group
        parts = [torch.empty_like(x) for _ in range(group.size())]
        dist.all_gather(parts, x.contiguous(), group=group)
        return torch.cat(parts, axis)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        return grad.chunk(ctx.group.size(), ctx.axis)[ctx.group.rank()] * ctx.group.size(), None, None


class HeadExchange:
    """The `Exchange` of a call: DeepSpeed-Ulysses (Jacobs et al. 2023), q, k and v in one message.

    Args:
        group: The ranks that share the sequence.
        axis: Of frames, rows and columns, the one that is shared.
    """

    def __init__(self, group: dist.ProcessGroup, axis: int) -> None:
        self.group, self.axis = group, axis

    def to_heads(self, *tensors: Float[Tensor, "batch heads part width"]) -> tuple[Tensor, ...]:
        """See `Exchange`. Tokens come in the order of the ranks; positions are already in the keys."""
        return swap(torch.stack(tensors), 2, 3, self.group).unbind(0)

    def to_tokens(self, attended: Float[Tensor, "batch tokens some width"]) -> Float[Tensor, "batch part heads width"]:
        """See `Exchange`."""
        return swap(attended, 1, 2, self.group)


def choose_axis(grid: tuple[int, int, int], size: int) -> int:
    """The first of frames, token rows and token columns that `size` ranks can share equally: 0, 1 or 2. Ours.

    Frames come first, because their parts are contiguous in memory. Of the published setting, 24 latent frames a view
    and 27 x 48 tokens, eight ranks share the frames.

    Raises:
        ValueError: If none of the three is a multiple of `size`.
    """
    if (axis := _shared_axis(grid, size)) is not None:
        return axis
    sizes = ", ".join(f"{length} {name}" for name, length in zip(AXES, grid, strict=True))
    raise ValueError(f"{sizes}: expected one of them to be a multiple of context_parallel={size}; change the size")


def _shared_axis(grid: tuple[int, ...], size: int) -> int | None:
    return next((axis for axis, length in enumerate(grid) if length % size == 0), None)


def check_sharing(heads: int, grids: Sequence[tuple[int, int, int]], size: int) -> None:
    """Refuse a number of processes that cannot share a network's sequences equally.

    Args:
        heads: Attention heads.
        grids: Latent frames, token rows and columns of every kind of sequence.
        size: How many processes.

    Raises:
        ValueError: With the nearest numbers that can.
    """

    def can(number: int) -> bool:
        return heads % number == 0 and all(_shared_axis(grid, number) is not None for grid in grids)

    if can(size):
        return
    near = [
        n for n in (next(filter(can, range(size - 1, 0, -1))), next(filter(can, range(size + 1, heads + 1)), 0)) if n
    ]
    frames, rows, columns = grids[-1]
    raise ValueError(
        f"{size} processes: {heads} attention heads and {frames} latent frames of {rows}x{columns} tokens cannot be "
        f"shared equally; expected {' or '.join(map(str, near))} (torchrun --nproc-per-node)"
    )


def cut(x: Tensor, axis: int, group: dist.ProcessGroup) -> Tensor:
    """This rank's part along an axis; an axis of length 1 is broadcast and stays."""
    return x if x.shape[axis] == 1 else x.chunk(group.size(), axis)[group.rank()].contiguous()


def share_sequences(model: ModelMixin, group: dist.ProcessGroup) -> None:
    """Let the ranks of a group carry every sequence of a denoiser together.

    The stock forward then runs on this rank's part of the latents, at the positions the part has in the whole;
    self-attention exchanges; the prediction is gathered, so that every rank goes on with the whole of it. Keys and
    values recorded for later calls hold all tokens of a part of the heads: the cache is shared by heads. Ranks of a
    group must be given the same inputs.

    Args:
        model: A denoiser with patch size 1 in time, whose self-attention is `attend_in_call`.
        group: The ranks.

    Raises:
        ValueError: If the heads cannot be shared equally.
    """
    heads, size = model.config.num_attention_heads, group.size()
    if heads % size:
        raise ValueError(f"{heads} attention heads; expected a multiple of context_parallel={size}; lower it")
    patch = tuple(model.config.patch_size)

    def divide(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        latents, timestep, call = kwargs["hidden_states"], kwargs["timestep"], current_call()
        grid = tuple(length // step for length, step in zip(latents.shape[2:], patch, strict=True))
        axis = choose_axis(grid, size)
        rotary = module.get_submodule("rope")(latents).rotary
        cos, sin = (cut(x.unflatten(0, grid), axis, group).flatten(0, 2) for x in rotary)
        call.rotary = cos, sin
        call.camera_tokens = cut(call.camera_tokens.unflatten(1, grid), 1 + axis, group).flatten(1, 3)
        call.exchange = HeadExchange(group, axis)
        if axis == 0 and len(timestep) > len(latents):  # one a frame
            timestep = cut(timestep.unflatten(0, (len(latents), -1)), 1, group).flatten()
        return args, kwargs | {"hidden_states": cut(latents, 2 + axis, group), "timestep": timestep}

    def unite(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: tuple[Tensor]) -> tuple[Tensor]:
        exchange = current_call().exchange
        assert exchange is not None
        return (gather(output[0], 2 + exchange.axis, group),)

    model.register_forward_pre_hook(divide, with_kwargs=True)
    model.register_forward_hook(unite, with_kwargs=True)
