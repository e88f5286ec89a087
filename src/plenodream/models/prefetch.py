"""Keys and values that wait in main memory, fetched while the block before theirs computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


class Ahead:
    """Reads the next block's pair on a stream of its own.

    Args:
        read: Reads the pair of a block.
        blocks: How many there are.
        device: Where the pairs go; without streams (a CPU) they are read all the same, one block ahead.
    """

    def __init__(self, read: Callable[[int], Pair], blocks: int, device: torch.device) -> None:
        self._read, self._blocks = read, blocks
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._next: tuple[int, Pair] | None = None

    def take(self, block: int) -> Pair:
        """The pair of a block; that of the one after it is on its way then."""
        waiting, self._next = self._next, None
        pair = waiting[1] if waiting is not None and waiting[0] == block else self._read(block)
        if self._stream is not None:
            now = torch.cuda.current_stream(self._stream.device)
            now.wait_stream(self._stream)
            for tensor in pair:
                tensor.record_stream(now)
            self._stream.wait_stream(now)  # what is read may still be in the making
        if block + 1 < self._blocks:
            with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
                self._next = block + 1, self._read(block + 1)
        return pair
