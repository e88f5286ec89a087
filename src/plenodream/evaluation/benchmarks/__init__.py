"""Benchmarks by name: those that ship, and folders of recordings."""

from __future__ import annotations

from pathlib import Path

from plenodream.evaluation.benchmarks.basic import BASIC
from plenodream.evaluation.benchmarks.recorded import RecordedBenchmark
from plenodream.evaluation.benchmarks.robot import ROBOT
from plenodream.evaluation.benchmarks.scene import Benchmark

SHIPPED: dict[str, Benchmark] = {**BASIC, **ROBOT}


def get_benchmark(name: str, frames: int | None = None, height: int | None = None) -> Benchmark:
    """The benchmark of a name, or that of a folder of recordings.

    Args:
        name: Of one that ships, or a folder.
        frames: Of recordings, only the first so many frames; all if None.
        height: Of recordings, pixels that they are made smaller to; as they are if None.

    Raises:
        ValueError: Neither; frames or height for one that ships; a folder without recordings.
    """
    if name in SHIPPED:
        if frames is not None or height is not None:
            raise ValueError(f"--frames and --height: {name} has its own; expected them for a folder of recordings")
        return SHIPPED[name]
    if Path(name).is_dir():
        return RecordedBenchmark(Path(name), frames, height)
    raise ValueError(f"unknown benchmark {name!r}: expected one of {', '.join(SHIPPED)}, or a folder of recordings")
