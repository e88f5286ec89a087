"""The procedural benchmarks that ship: rooms that no training run can draw, the paper's shots, exact truth."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import torch

from plenodream.evaluation.benchmarks.scene import BenchmarkScene, Truth, check_scene, shuffle
from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import GROUPS
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.types import Cameras, View
from plenodream.worlds.family import scene_family
from plenodream.worlds.raycast import render
from plenodream.worlds.world import Worlds, sample_worlds, world_generator

_SOURCE_PATHS = (
    "truck-right:distance=0.5", "arc-left:angle=10", "zoom-in:distance=0.7", "rotate-right:angle=8",
    "pedestal-up:distance=0.3", "arc-right:angle=10",
)  # fmt: skip


@dataclass(frozen=True)
class BasicBenchmark:
    """A benchmark; whatever changes it changes its version and its hash.

    Sizes take turns from scene to scene; of four scenes the sources of two stand still, those of two move.

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

    stills = True

    @property
    def most_shots(self) -> int:
        """See `Benchmark`."""
        return len(self.shots)

    def digest(self) -> str:
        """Hash of all that defines it, the family's numbers and the source paths among them."""
        content = [asdict(self), asdict(scene_family(self.family)), _SOURCE_PATHS]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def open(self, number: int, shots: int | None = None, shuffled: bool = False) -> BenchmarkScene:
        """See `Benchmark`."""
        check_scene(self, number, shots)
        generator = world_generator("benchmark", self.first + number)
        world = sample_worlds(scene_family(self.family), 1, generator, "cpu")
        height, width = self.sizes[number % len(self.sizes)]
        cameras = self._source_cameras(number, height, width)
        moving, still = (_see(world, cameras, motion=motion) for motion in (True, False))
        chosen = shuffle(self.shots[:shots], number) if shuffled else self.shots[:shots]
        trajectories = parse_trajectories(chosen)
        source, no_motion = (View(seen.frames, cameras, self.fps, depth=seen.depth) for seen in (moving, still))
        return BenchmarkScene(
            name=f"s{number:03d}",
            source=source,
            targets={path.name: trajectory_cameras(path, cameras) for path in trajectories},
            see=lambda name, along: _see(world, along),
            no_motion=no_motion,
            origins={path.name: {"preset": path.preset} for path in trajectories},
        )

    def _source_cameras(self, number: int, height: int, width: int) -> Cameras:
        lens, frames = intrinsics_from_fov(self.fov, height, width), self.frames
        still = Cameras(torch.eye(4).repeat(frames, 1, 1), lens.repeat(frames, 1), height, width)
        if number // 2 % 2 == 0:
            return still
        (path,) = parse_trajectories([_SOURCE_PATHS[number // 4 % len(_SOURCE_PATHS)]])
        return trajectory_cameras(path, still)


_KINDS = (("basic-mini", "mild", 9), ("basic-mini-full", "full", 9), ("basic-mini-long", "mild", 27))
BASIC = {
    name: BasicBenchmark(name, 1, family, 100, 1000, GROUPS["basic12"], frames, 6.0, 60.0, ((64, 64), (54, 96)))
    for name, family, frames in _KINDS
}


def _see(world: Worlds, cameras: Cameras, motion: bool = True) -> Truth:
    """What a world shows along some cameras; depth as views have it: 0 where there is nothing."""
    times = torch.linspace(0, 1, len(cameras)) * float(motion)
    seen = render(world, cameras.to(torch.float32)[None, None], times)
    depth = seen.depth[0, 0]
    frames = (seen.rgb[0, 0] * 255).round().byte()
    return Truth(frames, torch.where(depth.isfinite(), depth, 0), seen.moving[0, 0])
