"""How the cost of a denoising step grows with context, frames and pixels, how far it is from what the machine can do,
and what compiling it is worth; also as a drawing.

python benchmarks/growth.py [--model nano] [--plot docs/performance/growth.svg]

`of the limit` is the time that operations and bytes would take at the rates of matrix products and of copying measured
in the same run (whichever is more), over the time taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import machine, seconds
from matplotlib.figure import Figure

from plenodream.models.context import ViewTokens
from plenodream.models.needs import measure
from plenodream.rendering.load import load_pipeline

_PRODUCT, _COPIED = 768, 2**24  # rows of the matrices, numbers of the copy


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        at: Context views, frames or pixels a side.
        cached: Seconds of a step with its context encoded before.
        encode: Seconds of encoding the context.
        limit: Seconds that the machine would need at its best.
    """

    at: int
    cached: float
    encode: float
    limit: float


def step_of(pipe: Any, context: int, frames: int, side: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A step from encoded context, and the encoding."""
    model, cells = pipe.transformer, side // pipe.codec.spatial_factor

    def views(count: int) -> ViewTokens:
        latents = torch.randn(1, count, pipe.codec.channels, frames, cells, cells)
        return ViewTokens(latents, torch.randn(1, count, frames, cells, cells, model.config.camera_numbers))

    given, target, time = views(context), views(1), torch.full((1,), 0.5)
    seen = model.encode(given)
    return lambda: model.velocity(target.latents, time, target.camera_tokens, seen), lambda: model.encode(given)


def limits() -> tuple[float, float]:
    """FLOP a second of matrix products, and bytes a second that a copy reads and writes."""
    a, b = torch.randn(2, _PRODUCT, _PRODUCT)
    source, target = torch.randn(2, _COPIED)
    rate = 2 * _PRODUCT**3 / seconds(lambda: a @ b, 20)
    return rate, 8 * _COPIED / seconds(lambda: target.copy_(source), 10)


def measured(pipe: Any, at: int, size: tuple[int, int, int], rates: tuple[float, float], rounds: int) -> Point:
    """One point, the best of some rounds."""
    step, encode = step_of(pipe, *size)
    _, meter = measure(step)
    weights = sum(p.numel() * p.element_size() for p in pipe.transformer.parameters())
    limit = max(meter.flop / rates[0], (weights + 2 * meter.peak) / rates[1])
    return Point(at, seconds(step, rounds), seconds(encode, rounds), limit)


def draw(file: Path, series: dict[str, list[Point]]) -> None:
    """A panel for each of what grows."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(series)), series.items(), strict=True):
        x = [point.at for point in points]
        axes.plot(x, [1e3 * (p.cached + p.encode) for p in points], "o-", color="#c0392b", label="context recomputed")
        axes.plot(x, [1e3 * p.cached for p in points], "o-", color="#3d7ede", label="context cached")
        axes.plot(x, [1e3 * p.limit for p in points], "--", color="#858b95", label="the machine's limit")
        axes.set_xlabel(name)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("milliseconds a step")
    figure.axes[0].legend(frameon=False, fontsize=7)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipe = load_pipeline(args.model, "cpu")
    pipe.transformer.eval()
    frames, side, k = pipe.config.frames, pipe.config.height, pipe.config.context_views
    grid = {
        "context views": [(n, (n, frames, side)) for n in (1, 2, 4, 8, 16)],
        "frames": [(n, (k, n, side)) for n in (1, 5, 9, 17, 33)],
        "pixels a side": [(n, (k, frames, n)) for n in (24, 48, 72, 96)],
    }
    with torch.no_grad():
        rates = limits()
        print(machine())
        print(f"{args.model}; {rates[0] / 1e9:.0f} GFLOP/s of matrix products, {rates[1] / 1e9:.1f} GB/s copied")
        series: dict[str, list[Point]] = {}
        for name, sizes in grid.items():
            print(f"{name:>14} {'cached ms':>10} {'recomputed ms':>14} {'times':>6} {'of the limit':>13}")
            for at, size in sizes:
                point = measured(pipe, at, size, rates, args.rounds)
                series.setdefault(name, []).append(point)
                whole = point.cached + point.encode
                row = f"{at:>14} {1e3 * point.cached:>10.1f} {1e3 * whole:>14.1f} {whole / point.cached:>6.1f}"
                print(f"{row} {point.limit / point.cached:>13.0%}", flush=True)
        step, _ = step_of(pipe, k, frames, side)
        plain = seconds(step, args.rounds)
        pipe.transformer.compile_repeated_blocks()
        print(f"compiled blocks: a step takes {seconds(step, args.rounds) / plain:.2f} of the time")
    if args.plot:
        draw(args.plot, series)


if __name__ == "__main__":
    main()
