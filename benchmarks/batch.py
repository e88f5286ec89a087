"""Many clips on Ray: one worker against two, and what a worker's memory does over many jobs.

python benchmarks/batch.py [--jobs 200] [--ratio 12]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from common import machine

from plenodream.batch.pool import Pool, connected
from plenodream.batch.schedule import Task
from plenodream.cli.job import RenderWork
from plenodream.media.video import write_lossless

WARM = 20  # jobs after which a worker has loaded and cached what it ever will


class Measured(RenderWork):
    """Renders a job, and tells the process's memory (MiB) after it."""

    def __call__(self, task: Task, note: Callable[[str], None]) -> float:
        super().__call__(task, note)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20


def clips(folder: Path, count: int) -> list[Task]:
    """Tiny clips as jobs of one view each, by the point cloud."""
    tasks = []
    for number in range(count):
        noise = torch.rand(3, 3, 4, 6, generator=torch.Generator().manual_seed(number))
        frames = (torch.nn.functional.interpolate(noise, (32, 48), mode="bilinear") * 255).byte().movedim(1, -1)
        write_lossless(folder / f"c{number}.mkv", frames.contiguous(), 12.0)
        options = {"clip": str(folder / f"c{number}.mkv"), "trajectory": ("rotate-left",), "model": "reprojection"}
        tasks.append(Task(f"c{number}", options))
    return tasks


def rate(tasks: Sequence[Task], workers: int) -> tuple[float, list[float]]:
    """Jobs a second once all workers are warm, and the memory after each job."""
    with tempfile.TemporaryDirectory() as out:
        ended, memory = [], []
        for outcome in Pool(partial(Measured, out), workers).run(tasks):
            assert outcome.reason is None, outcome.reason
            ended.append(time.monotonic())
            memory.append(outcome.result)
    first = len(ended) // 4
    return (len(ended) - 1 - first) / (ended[-1] - ended[first]), memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="for memory, with one worker")
    parser.add_argument("--ratio", type=int, default=0, help="jobs for one worker against two; 0 measures no ratio")
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, connected(None, 2):
        tasks = clips(Path(folder), max(args.jobs, args.ratio))
        if args.ratio:
            one, two = (rate(tasks[: args.ratio], workers)[0] for workers in (1, 2))
            print(f"{one:.2f} jobs/s with one worker, {two:.2f} with two: {two / one:.2f} times as many")
        _, memory = rate(tasks[: args.jobs], 1)
        marks = [n for n in (1, WARM, 50, 100, 150, 200) if n <= len(memory)]
        print("MiB of a worker after job " + ", ".join(f"{n}: {memory[n - 1]:.0f}" for n in marks))
        late = torch.tensor(memory[WARM:], dtype=torch.float64)
        index = torch.arange(len(late), dtype=torch.float64) - (len(late) - 1) / 2
        slope = ((late - late.mean()) @ index / index.square().sum()).item()
        print(f"growth after job {WARM}: {1024 * slope:.1f} KiB a job")


if __name__ == "__main__":
    main()
