"""What one forward pass hands to every block's self-attention, past a stock forward that knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.context import Context
from plenodream.models.prefetch import Ahead

Function = TypeVar("Function", bound=Callable[..., Any])


class Exchange(Protocol):
    """How devices that hold parts of one sequence attend together: each sees all tokens in some of the heads.

    Attributes:
        axis: Of frames, rows and columns, the one that is shared.
    """

    axis: int

    def to_heads(self, *tensors: Float[Tensor, "batch heads part width"]) -> tuple[Tensor, ...]:
        """From all heads of this device's tokens to all tokens of this device's heads."""
        ...

    def to_tokens(self, attended: Float[Tensor, "batch tokens some width"]) -> Float[Tensor, "batch part heads width"]:
        """The way back."""
        ...


def uncompiled(function: Function) -> Function:
    """Left out where blocks are compiled: what it reads differs from block to block, which would be compiled each."""
    left_out: Any = torch.compiler.disable(function)
    return left_out


class Kept:
    """What modules make of something that stays the same through the steps of one video. Ours.

    Args:
        most: Bytes that it may hold; what has no room is made anew.
    """

    def __init__(self, most: int = 1 << 28) -> None:
        self._room = most
        self._made: dict[nn.Module, tuple[Tensor, ...]] = {}

    def of(self, module: nn.Module, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What a module makes, or made."""
        if module in self._made:
            return self._made[module]
        made = make()
        size = sum(tensor.numel() * tensor.element_size() for tensor in made)
        if size <= self._room:
            self._room -= size
            self._made[module] = made
        return made


class AttentionCall:
    """What one forward pass hands to every block's self-attention.

    A denoiser's `run` sets it for the time of the stock forward; the rope module reads it there and returns it in the
    place of its positions, which the stock forward hands to every block: no module keeps state between calls, and
    recomputation under checkpointing, which comes later and in another thread, is given the same call again. It is no
    dataclass, because sharded training (FSDP) looks into those and would hand every block a copy of its own.

    Attributes:
        camera_tokens: What every token is told of its camera, as the backbone takes it.
        context: Keys and values to attend to besides the sequence itself, or None.
        record: Whether to keep each block's keys and values in `recorded`.
        views: Views that lie end to end along time in the sequence.
        recorded: Keys and values by block.
        rotary: Positions (cos, sin) of the tokens; the rope module fills them in where they are not given.
        exchange: Set where the sequence is shared by several devices; context and record then hold a part of the heads.
        cameras: Where projected cameras are kept, or None.
        by_frame: Whether frames have timesteps of their own: they are then entries of the blocks' batch.
    """

    def __init__(
        self,
        camera_tokens: Float[Tensor, "batch tokens numbers"],
        context: Context | None = None,
        record: bool = False,
        views: int = 1,
    ) -> None:
        self.camera_tokens, self.context, self.record, self.views = camera_tokens, context, record, views
        self.recorded: dict[int, tuple[Tensor, Tensor]] = {}
        self.rotary: tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]] | None = None
        self.exchange: Exchange | None = None
        self.cameras, _ = _SAME.get()
        self.by_frame = False
        self._ahead: Ahead | None = None

    @uncompiled
    def projected_cameras(self, projection: nn.Module) -> Float[Tensor, "batch tokens width"]:
        """The camera tokens through a block's projection."""
        if self.cameras is None:
            return projection(self.camera_tokens)
        return self.cameras.of(projection, lambda: (projection(self.camera_tokens),))[0]

    def sequences(self, hidden_states: Float[Tensor, "entries some width"]) -> Float[Tensor, "batch tokens width"]:
        """What blocks hold, with frames end to end again."""
        return hidden_states.reshape(len(self.camera_tokens), -1, hidden_states.shape[-1])

    def keys_and_values(self, block: int, like: Tensor) -> tuple[Tensor, Tensor] | None:
        """What a block attends to besides the sequence, (batch, heads, tokens, width) in the precision of `like`."""
        context = self.context
        if context is None:
            return None

        def read(number: int) -> tuple[Tensor, Tensor]:
            key, value = (
                context.read(2 * number + part, len(like), like).transpose(1, 2).flatten(2, 3) for part in (0, 1)
            )
            return key, value

        if context.kept[0].device == like.device:
            return read(block)
        if self._ahead is None:
            self._ahead = Ahead(read, len(context.kept) // 2, like.device)
        return self._ahead.take(block)

    def recorded_context(self) -> Context:
        """The recorded keys and values of all blocks, in the order in which `keys_and_values` reads them."""
        return Context(tuple(tensor for block in sorted(self.recorded) for tensor in self.recorded[block]))


_CALL: ContextVar[AttentionCall] = ContextVar("call")
_SAME: ContextVar[tuple[Kept | None, Kept | None]] = ContextVar("same", default=(None, None))


@contextmanager
def same_conditions(cameras: Kept, words: Kept) -> Iterator[None]:
    """For the time of passes whose cameras, and whose words, are those of all other passes that are given the same."""
    token = _SAME.set((cameras, words))
    try:
        yield
    finally:
        _SAME.reset(token)


@uncompiled
def of_words(module: nn.Module, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """What a module makes of words alone, kept for as long as they stay the same."""
    _, kept = _SAME.get()
    return make() if kept is None else kept.of(module, make)


@contextmanager
def calling(call: AttentionCall) -> Iterator[AttentionCall]:
    """For the time of a stock forward."""
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


def current_call() -> AttentionCall:
    """The call of the forward pass that is under way in this thread.

    Raises:
        LookupError: The stock forward was called directly, not by the denoiser's `run`.
    """
    return _CALL.get()
