"""Benchmarks that ship: scenes that no training run can draw, their shots, and the true videos for any cameras."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from plenodream.files.folders import new_folder
from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import GROUPS
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.video import write_lossless
from plenodream.types import Cameras, View
from plenodream.worlds.family import scene_family
from plenodream.worlds.raycast import Rendered, render
from plenodream.worlds.world import Worlds, sample_worlds, world_generator

SOURCE = "source"
_SOURCE_PATHS = (
    "truck-right:distance=0.5", "arc-left:angle=10", "zoom-in:distance=0.7", "rotate-right:angle=8",
    "pedestal-up:distance=0.3", "arc-right:angle=10",
)  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """A benchmark; whatever changes it changes its version and its hash.

    Attributes:
        name: What it is called.
        version: Raised with every change.
        family: Family of its scenes.
        scenes: How many there are; fewer are the first ones.
        first: Number of the first in the split `benchmark`; the numbers below are those of `eval`.
        shots: Trajectories in the order in which they are rendered.
        frames: Frames of every video.
        fps: Frames per second.
        fov: Horizontal field of view of the source, degrees.
        sizes: Height and width; scenes take them in turn.
    """

    name: str
    version: int
    family: str
    scenes: int
    first: int
    shots: tuple[str, ...]
    frames: int
    fps: float
    fov: float
    sizes: tuple[tuple[int, int], ...]

    def digest(self) -> str:
        """Hash of all that defines it, the family's numbers and the source paths among them."""
        content = [asdict(self), asdict(scene_family(self.family)), _SOURCE_PATHS]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


BENCHMARKS = {
    name: Benchmark(name, 1, family, 100, 1000, GROUPS["basic12"], 9, 6.0, 60.0, ((64, 64), (54, 96)))
    for name, family in (("basic-mini", "mild"), ("basic-mini-full", "full"))
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        ValueError: Unknown name.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"unknown benchmark {name!r}: expected one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


@dataclass(frozen=True)
class BenchmarkScene:
    """One scene of a benchmark.

    Attributes:
        name: Unique in it.
        world: What is there.
        source: The source video with its true depth.
        no_motion: The same if nothing in it moved.
        shots: The trajectories in the order in which they are rendered.
    """

    name: str
    world: Worlds
    source: View
    no_motion: View
    shots: tuple[str, ...]


def open_scene(benchmark: Benchmark, number: int, shots: int | None = None, shuffled: bool = False) -> BenchmarkScene:
    """Scene `number` of a benchmark; the same whatever others are asked for.

    Sizes take turns from scene to scene; of four scenes the sources of two stand still, those of two move. A scene is
    as the paper's table has it unless its order is shuffled, so that a shot's kind and its place can be told apart.

    Args:
        benchmark: Which.
        number: From 0.
        shots: Only the first so many trajectories; all if None.
        shuffled: In an order of the scene's own.

    Raises:
        ValueError: No such scene, or number of shots.
    """
    most = len(benchmark.shots)
    if not 0 <= number < benchmark.scenes:
        raise ValueError(f"scene {number} of {benchmark.name}: expected 0 to {benchmark.scenes - 1}")
    if shots is not None and not 1 <= shots <= most:
        raise ValueError(f"{shots} shots of {benchmark.name}: expected 1 to {most}")
    world = sample_worlds(
        scene_family(benchmark.family), 1, world_generator("benchmark", benchmark.first + number), "cpu"
    )
    height, width = benchmark.sizes[number % len(benchmark.sizes)]
    cameras = _source_cameras(benchmark, number, height, width)
    moving, still = (_shoot(world, cameras, motion=motion) for motion in (True, False))
    chosen = benchmark.shots[:shots]
    if shuffled:
        order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(number)).tolist()
        chosen = tuple(chosen[place] for place in order)
    views = (View(_bytes(seen), cameras, benchmark.fps, depth=_depth(seen)) for seen in (moving, still))
    return BenchmarkScene(f"s{number:03d}", world, *views, shots=chosen)


def _source_cameras(benchmark: Benchmark, number: int, height: int, width: int) -> Cameras:
    lens = intrinsics_from_fov(benchmark.fov, height, width)
    frames = benchmark.frames
    still = Cameras(torch.eye(4).repeat(frames, 1, 1), lens.repeat(frames, 1), height, width)
    if number // 2 % 2 == 0:
        return still
    (path,) = parse_trajectories([_SOURCE_PATHS[number // 4 % len(_SOURCE_PATHS)]])
    return trajectory_cameras(path, still)


def _shoot(world: Worlds, cameras: Cameras, motion: bool = True) -> Rendered:
    times = torch.linspace(0, 1, len(cameras)) * float(motion)
    return render(world, cameras.to(torch.float32)[None, None], times)


def _bytes(seen: Rendered) -> torch.Tensor:
    return (seen.rgb[0, 0] * 255).round().byte()


def _depth(seen: Rendered) -> torch.Tensor:
    """Depth as views have it: 0 where there is nothing."""
    depth = seen.depth[0, 0]
    return torch.where(depth.isfinite(), depth, 0)


def write_truth(folder: Path, scene: BenchmarkScene, cameras: Mapping[str, Cameras], fps: float) -> dict[str, dict]:
    """True videos, depth and motion along some cameras, unless they are there already.

    Args:
        folder: Where the truth of all scenes goes.
        scene: The scene.
        cameras: By shot, the source's among them, at the size wanted.
        fps: Frames per second.

    Returns:
        By shot the fields of `Sample` that say where its truth is.
    """
    digest = hashlib.sha256()
    for name, path in cameras.items():
        digest.update(f"{name} {path.camera_to_world.tolist()} {path.intrinsics.tolist()} {path.width}".encode())
    own = folder / f"{scene.name}-{digest.hexdigest()[:12]}"
    if not own.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with new_folder(own) as filling:
            for name, path in cameras.items():
                seen = _shoot(scene.world, path)
                write_lossless(filling / f"{name}.mkv", _bytes(seen), fps)
                np.save(filling / f"{name}.depth.npy", _depth(seen).numpy())
                np.save(filling / f"{name}.moving.npy", seen.moving[0, 0].numpy())
    return {
        name: {"truth": own / f"{name}.mkv", "depth": own / f"{name}.depth.npy", "moving": own / f"{name}.moving.npy"}
        for name in cameras
    }
