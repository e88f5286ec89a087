"""How well a run uses its device: operations of a step, counted, over the rate of its matrix products, measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def _attention(query: tuple, key: tuple, value: tuple, *args: Any, **kwargs: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(gradient: tuple, query: tuple, key: tuple, value: tuple, *args: Any, **kwargs: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


@contextmanager
def count_operations() -> Iterator[FlopCounterMode]:
    """Count the FLOP of what runs inside, forward and backward, compiled or not (it then runs uncompiled)."""
    # torch's counter knows no attention on CPUs.
    formulas = {
        _ATTENTION: _attention,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter, torch.compiler.set_stance("force_eager"):
        yield counter


def synchronize(device: torch.device | str) -> None:
    """Wait for what a GPU still has to do, so that clocks tell the truth."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class Meter:
    """Means over the last steps.

    Args:
        peak: FLOP/s that count as full use.
        window: How many steps.
    """

    def __init__(self, peak: float, window: int = 20) -> None:
        self.peak = peak
        self._steps: deque[tuple[float, float, int, float]] = deque(maxlen=window)

    def add(self, seconds: float, data_seconds: float, frames: int, flops: float) -> None:
        """One step: its time, the part of it in which data were made, its target frames, its operations."""
        self._steps.append((seconds, data_seconds, frames, flops))

    def report(self) -> dict[str, float]:
        """Target frames per second, share of the device's rate that was used, share of the time that data took."""
        seconds, data_seconds, frames, flops = (sum(column) for column in zip(*self._steps, strict=True))
        return {
            "frames_per_second": float(f"{frames / seconds:.4g}"),
            "mfu": float(f"{flops / seconds / self.peak:.4g}"),
            "data_share": float(f"{data_seconds / seconds:.4g}"),
        }
