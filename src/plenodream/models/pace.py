"""How long a view takes on this machine: thin networks of its sizes are timed, a block is their difference. Ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plenodream.models.call import Kept, same_conditions
from plenodream.models.needs import ViewSizes, pass_inputs

_THIN = (1, 3)  # blocks
_ROUNDS = 2


@dataclass(frozen=True)
class Pace:
    """Seconds of the passes of a view.

    Attributes:
        reading: To read all context views.
        step: One evaluation of the network.
    """

    reading: float
    step: float


def measure_pace(network: Any, codec: Any, sizes: ViewSizes, device: torch.device | str) -> Pace:
    """Time networks of one block and of three, with random numbers, and go on from there to all blocks.

    Args:
        network: A denoiser; its sizes alone count.
        codec: Its codec, likewise.
        sizes: Of the view.
        device: Where.
    """
    device = torch.device(device)

    def make(*shape: int) -> Tensor:
        return torch.rand(shape, device=device).to(sizes.dtype)

    given, target, moment, text = pass_inputs(network, codec, sizes, make)
    readings, steps = [], []
    for blocks in _THIN:
        thin: Any = type(network).from_config(dict(network.config) | {"num_layers": blocks})
        thin = nn.Module.to(thin, device, sizes.dtype).eval()
        with torch.no_grad():
            readings.append(best_seconds(lambda thin=thin: thin.encode(given), device))
            seen = thin.encode(given).fill(thin.context_slots)
            arguments = target.latents, moment, target.camera_tokens, seen, None, text
            with same_conditions(Kept(), Kept()):
                steps.append(best_seconds(lambda thin=thin, arguments=arguments: thin.predict(*arguments), device))
    return Pace(*(_extended(times, network.config.num_layers) for times in (readings, steps)))


def best_seconds(work: Callable[[], object], device: torch.device, rounds: int = _ROUNDS) -> float:
    """The best of some calls after one to warm up; of the process alone where one CPU thread does the work."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu or torch.get_num_threads() > 1 else time.process_time
    times = []
    for _ in range(rounds + 1):
        began = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize(device)
        times.append(clock() - began)
    return min(times[1:])


def product_rate(dtype: torch.dtype, device: torch.device | str) -> float:
    """Best rate of a large square matrix product, operations a second: what a utilisation of 100 % would be. Ours."""
    device = torch.device(device)
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device).to(dtype)
    return 2 * side**3 / best_seconds(lambda: a @ a, device, rounds=6)


def _extended(times: list[float], blocks: int) -> float:
    fewest, most = _THIN
    return times[0] + (blocks - fewest) * max(0.0, times[1] - times[0]) / (most - fewest)
