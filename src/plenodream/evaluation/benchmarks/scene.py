"""One scene of a benchmark: a source, cameras to look along, and what is to be seen along them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from plenodream.files.folders import new_folder
from plenodream.media.video import write_lossless
from plenodream.types import Cameras, View


@dataclass(frozen=True)
class Truth:
    """What is to be seen along some cameras.

    Attributes:
        frames: The true video.
        depth: Its depth, metres along z; 0 where there is nothing. None where it is not known.
        moving: What moves; None where it is not known.
        seen: What the source shows, too, where that is known without depth.
    """

    frames: UInt8[Tensor, "frames height width 3"]
    depth: Float[Tensor, "frames height width"] | None = None
    moving: Bool[Tensor, "frames height width"] | None = None
    seen: Bool[Tensor, "frames height width"] | None = None


@dataclass(frozen=True)
class BenchmarkScene:
    """One scene of a benchmark.

    Attributes:
        name: Unique in it.
        source: The source video, with its true depth where it is known.
        targets: Cameras of the shots, in the order in which they are rendered.
        see: The truth of a shot, by its name and along its cameras; of `source`, too.
        no_motion: The source if nothing in it moved; None of recordings.
        origins: By shot, how its cameras were asked for, as a scene keeps it.
    """

    name: str
    source: View
    targets: Mapping[str, Cameras]
    see: Callable[[str, Cameras], Truth]
    no_motion: View | None = None
    origins: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def shots(self) -> tuple[str, ...]:
        """Names of the shots, in order."""
        return tuple(self.targets)


class Benchmark(Protocol):
    """A set of scenes with their truth."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def version(self) -> int:
        """Raised with every change."""
        ...

    @property
    def scenes(self) -> int:
        """How many there are; fewer are the first ones."""
        ...

    @property
    def most_shots(self) -> int:
        """The most shots of a scene."""
        ...

    @property
    def stills(self) -> bool:
        """Whether its scenes can be shown without motion, as a control."""
        ...

    def digest(self) -> str:
        """Hash of all that defines it."""
        ...

    def open(self, number: int, shots: int | None = None, shuffled: bool = False) -> BenchmarkScene:
        """Scene `number`; the same whatever others are asked for.

        Args:
            number: From 0.
            shots: Only the first so many; all if None.
            shuffled: In an order of the scene's own, so that a shot's kind and its place can be told apart.

        Raises:
            ValueError: No such scene, or number of shots.
        """
        ...


def check_scene(benchmark: Benchmark, number: int, shots: int | None) -> None:
    """Refuse scenes and shots that a benchmark has not.

    Raises:
        ValueError: No such scene, or number of shots.
    """
    if not 0 <= number < benchmark.scenes:
        raise ValueError(f"scene {number} of {benchmark.name}: expected 0 to {benchmark.scenes - 1}")
    if shots is not None and not 1 <= shots <= benchmark.most_shots:
        raise ValueError(f"{shots} shots of {benchmark.name}: expected 1 to {benchmark.most_shots}")


def shuffle(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Names in an order that is the scene's own."""
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(number)).tolist()
    return tuple(names[place] for place in order)


def write_truth(folder: Path, scene: BenchmarkScene, cameras: Mapping[str, Cameras], fps: float) -> dict[str, dict]:
    """True videos, depth and masks along some cameras, unless they are there already.

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
                truth = scene.see(name, path)
                write_lossless(filling / f"{name}.mkv", truth.frames, fps)
                for kind, values in (("depth", truth.depth), ("moving", truth.moving), ("seen", truth.seen)):
                    if values is not None:
                        np.save(filling / f"{name}.{kind}.npy", values.numpy())
    files = {"truth": "mkv", "depth": "depth.npy", "moving": "moving.npy", "seen": "seen.npy"}
    paths = {name: {kind: own / f"{name}.{ending}" for kind, ending in files.items()} for name in cameras}
    return {name: {kind: path for kind, path in each.items() if path.is_file()} for name, each in paths.items()}
