"""Retrieval against Algorithm 1 in plain Python loops, in one run. Usage: python benchmarks/retrieval.py"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "memory"))
from test_retrieval import plain_scores, random_views

from plenodream.memory.retrieval import STRATEGIES, RetrievalConfig, retrieve

FRAMES, GRID = 24, (8, 6, 10)  # latent frames of a 93-frame video; points of a frustum


def machine() -> str:
    """Processor, cores and versions, since timings mean nothing without them."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    name = models[0].split(":", 1)[1].strip() if models else platform.processor() or platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, torch {torch.__version__} on {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}"
    )


def seconds(function, repeats: int) -> float:
    """Best time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the plain and the vectorised time for a few views, then every strategy for many."""
    print(machine())
    near, far = 0.2, 10.0
    config = RetrievalConfig(near=near, far=far, columns=GRID[0], rows=GRID[1], planes=GRID[2])
    few = random_views(0, 5, FRAMES)
    plain = seconds(lambda: plain_scores(few[0], few[1:], near, far, *GRID), 1)
    fast = seconds(lambda: retrieve(few[0], few[1:], config), 5)
    print(
        f"4 views x {FRAMES} frames: plain loop {plain:.3f} s, vectorised {fast:.4f} s, {plain / fast:.0f} times faster"
    )
    many = random_views(1, 101, FRAMES)
    for strategy in STRATEGIES:
        config = RetrievalConfig(strategy=strategy, k=4, near=near, far=far)
        fast = seconds(lambda c=config: retrieve(many[0], many[1:], c), 3)
        print(f"100 views x {FRAMES} frames, {strategy}: {fast:.4f} s")


if __name__ == "__main__":
    main()
