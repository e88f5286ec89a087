"""agibot-mini: head, then left gripper, then right gripper of a two-armed robot at a table, as the paper's Agibot."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import torch

from plenodream.evaluation.benchmarks.scene import BenchmarkScene, Truth, check_scene, shuffle
from plenodream.rendering.request import SOURCE
from plenodream.types import Cameras, View
from plenodream.worlds.robot import SCALE, VIEWS, Filmed, film_robot

_HEAD, *_GRIPPERS = VIEWS


@dataclass(frozen=True)
class RobotBenchmark:
    """Episodes that `synth --family robot` never writes; whatever changes them changes version and hash.

    Attributes:
        name: What it is called.
        version: Raised with every change.
        scenes: Episodes.
        frames: Frames of every video.
        fps: Frames per second.
        height: Pixels.
        width: Pixels.
    """

    name: str
    version: int
    scenes: int
    frames: int
    fps: float
    height: int
    width: int

    stills = True
    most_shots = len(_GRIPPERS)

    def digest(self) -> str:
        """Hash of its numbers; what draws the episodes is not in it."""
        return hashlib.sha256(json.dumps([asdict(self), SCALE], sort_keys=True).encode()).hexdigest()[:16]

    def open(self, number: int, shots: int | None = None, shuffled: bool = False) -> BenchmarkScene:
        """See `Benchmark`."""
        check_scene(self, number, shots)
        size = self.frames, self.height, self.width
        filmed = film_robot("benchmark", number, *size)
        still = film_robot("benchmark", number, *size, motion=False)[_HEAD]
        chosen = tuple(_GRIPPERS[:shots])
        chosen = shuffle(chosen, number) if shuffled else chosen
        return BenchmarkScene(
            name=f"e{number:03d}",
            source=self._view(filmed[_HEAD]),
            targets={name: _single(filmed[name].cameras) for name in chosen},
            see=lambda name, along: _truth(filmed[_HEAD if name == SOURCE else name]),
            no_motion=self._view(still),
        )

    def _view(self, filmed: Filmed) -> View:
        return View(filmed.frames, _single(filmed.cameras), self.fps, depth=filmed.depth)


ROBOT = {"agibot-mini": RobotBenchmark("agibot-mini", 1, 50, 9, 6.0, 48, 64)}


def _single(cameras: Cameras) -> Cameras:
    return cameras.to(torch.float32)


def _truth(filmed: Filmed) -> Truth:
    return Truth(filmed.frames, filmed.depth, filmed.moving)
