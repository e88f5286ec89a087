"""What the benchmarks share: the machine by name, and the time of a call."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import torch


def machine(device: str = "cpu") -> str:
    """Processor or GPU, threads and versions, since timings mean nothing without them."""
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, {versions}"
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    name = models[0].split(":", 1)[1].strip() if models else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads, {versions}"


def seconds(work: Callable[[], object], rounds: int = 10, device: str = "cpu") -> float:
    """The best time of several calls, after one to warm up: whatever else disturbs a call only makes it longer.

    Process time where one CPU thread does the work, so that other programs disturb less; wall time otherwise.
    """
    from plenodream.models.pace import best_seconds

    return best_seconds(work, torch.device(device), rounds)
