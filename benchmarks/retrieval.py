"""How long a retrieval takes, per strategy, from few and from many stored views, against counting every point.

python benchmarks/retrieval.py
python benchmarks/retrieval.py --views 10000   # takes the plain loop a minute
python benchmarks/retrieval.py --plot docs/performance/views.svg   # how it grows with the number of views
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from common import machine, seconds
from matplotlib.figure import Figure

from plenodream.geometry.cameras import intrinsics_from_fov, stack_cameras
from plenodream.geometry.frustum import scene_depth_range
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.memory.counting import Grid
from plenodream.memory.overlap import overlap
from plenodream.memory.retrieval import RetrievalConfig, retrieve
from plenodream.memory.strategies import NAMES
from plenodream.types import Cameras

SIZES = ((4, 24), (100, 24), (1000, 93))  # views, frames: 24 latent frames are those of a 93-frame video
PLACES = ((0.0, "around one subject"), (30.0, "around many, 30 m apart"))
GROWTH = (30, 100, 300, 1000, 3000, 10000)  # views of the drawing
PLAIN = 1000  # most views that the plain loop is drawn for
RANGES = {
    "arc-left": ("angle", 0, 60),
    "arc-right": ("angle", 0, 60),
    "orbit": ("angle", -180, 180),
    "zoom-in": ("distance", 0, 3),
    "zoom-out": ("distance", 0, 3),
    "rotate-left": ("angle", 0, 60),
}


def memory(views: int, frames: int, walk: float) -> Cameras:
    """Cameras (views, frames) of random trajectories around one subject, or around many, `walk` metres apart."""
    generator = torch.Generator().manual_seed(0)
    lens = intrinsics_from_fov(60, 432, 768).repeat(frames, 1)
    source = Cameras(torch.eye(4).repeat(frames, 1, 1), lens, 432, 768)
    paths = []
    kinds, shares = torch.randint(len(RANGES), (views,), generator=generator), torch.rand(views, generator=generator)
    for kind, share in zip(kinds.tolist(), shares.tolist(), strict=True):
        preset, (parameter, low, high) = list(RANGES.items())[kind]
        paths.append(trajectory_cameras(make_trajectory(preset, {parameter: low + (high - low) * share}), source))
    stacked = stack_cameras(paths)
    stacked.camera_to_world[..., :3, 3] += walk * torch.randn(views, 1, 3, generator=generator)
    return stacked


def plain(target: Cameras, views: Cameras, config: RetrievalConfig) -> tuple[int, ...]:
    """`fov` by counting every point of every view, in pieces of the plain code."""
    target, views = target.to(torch.float64), views.to(torch.float64)
    near, far = scene_depth_range(target, views, subject_distance=config.subject_distance)
    grid = Grid(near, far, config.columns, config.rows, config.planes)
    counts = []
    for start in range(0, len(views), 50):
        seen, back = overlap(target, views[start : start + 50], grid)
        counts += (seen.sum(dim=(1, 2)) + back).tolist()
    return tuple(sorted(range(len(views)), key=lambda n: (-counts[n], n))[: config.k])


def main() -> None:
    """Print the time of every strategy for several sizes of the memory, and of the plain loop beside `fov`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=0, help="another size of the memory, with 93 frames")
    parser.add_argument("--plot", type=Path, help="draw how `fov` grows with the number of views, instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    if arguments.plot:
        draw(arguments.plot)
        return
    for views, frames in ((arguments.views, 93),) if arguments.views else SIZES:
        for walk, place in PLACES:
            cameras = memory(views + 1, frames, walk)
            report(cameras[0], cameras[1:], f"{views} views x {frames} frames {place}")


def report(target: Cameras, stored: Cameras, what: str) -> None:
    """Print one size of the memory."""
    print(what)
    config = RetrievalConfig(k=4)
    slow = seconds(lambda: plain(target, stored, config), 1)
    same = retrieve(target, stored, config).chosen == plain(target, stored, config)
    for strategy in NAMES:
        asked = replace(config, strategy=strategy)
        taken = seconds(lambda c=asked: retrieve(target, stored, c), 3)
        beside = f"  the plain loop {1e3 * slow:9.1f} ms, ratio {slow / taken:5.0f}, same choice: {same}"
        print(f"  {strategy:9s} {1e3 * taken:9.2f} ms{beside if strategy == 'fov' else ''}")


def draw(file: Path) -> None:
    """Draw and print milliseconds of `fov` against the number of stored views of 93 frames."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes, config = figure.subplots(), RetrievalConfig(k=4)
    for (walk, place), colour in zip(PLACES, ("#3d7ede", "#2e8b57"), strict=True):
        cameras = memory(GROWTH[-1] + 1, 93, walk)
        target, times = cameras[0], []
        for views in GROWTH:
            stored = cameras[1 : views + 1]
            times.append(1e3 * seconds(lambda s=stored, t=target: retrieve(t, s, config), 5))
            print(f"{views:6d} views {place}: {times[-1]:8.1f} ms", flush=True)
        axes.plot(GROWTH, times, "o-", color=colour, label=place)
        if not walk:
            some = [views for views in GROWTH if views <= PLAIN]
            loop = [1e3 * seconds(lambda n=n, c=cameras: plain(c[0], c[1 : n + 1], config), 1) for n in some]
            print("the plain loop, ms:", *(f"{views}: {time:.0f}" for views, time in zip(some, loop, strict=True)))
            axes.plot(some, loop, "--", color="#858b95", label="the plain loop")
    axes.set(xscale="log", yscale="log", xlabel="stored views of 93 frames", ylabel="milliseconds a retrieval")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
