"""What is to be scored: videos on disk with their cameras and whatever is known of the truth. No model is needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plenodream.types import Cameras


@dataclass(frozen=True)
class Sample:
    """One video of one scene; only its name, its place and where its files are, nothing is read.

    A video is a file of any format, or the folder of a view in one of our scenes, which is read without loss. Depth is
    metres along z and motion is true or false, `(frames, height, width)` of the video's size as .npy, .npz or
    .safetensors; 0, negative or not finite is no depth. Camera files are of any format that `load_cameras` reads.

    Attributes:
        scene: Name of the scene.
        shot: Name of the shot, unique in its scene.
        number: Place in the order in which the scene's shots were made, from 1.
        video: What was made.
        cameras: The cameras that were asked for, one a frame.
        truth: How it should look.
        depth: True depth along the cameras.
        moving: What moves.
        seen: What the source shows, too, where that is known without depth.
        source: The scene's source video.
        source_cameras: Its cameras.
        source_depth: Its true depth.
        estimated: Cameras that an estimator found in the video.
        truth_estimated: Cameras that it found in the truth: its floor.
        other: The same shot of the same method from other noise, in a chain of its own.
    """

    scene: str
    shot: str
    number: int
    video: Path
    cameras: Path | Cameras
    truth: Path | None = None
    depth: Path | None = None
    moving: Path | None = None
    seen: Path | None = None
    source: Path | None = None
    source_cameras: Path | Cameras | None = None
    source_depth: Path | None = None
    estimated: Path | None = None
    truth_estimated: Path | None = None
    other: Path | None = None

    @property
    def name(self) -> str:
        """The sample in messages."""
        return f"{self.scene}/{self.shot}"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every path that it names."""
        return tuple(value for value in vars(self).values() if isinstance(value, Path))


def by_scene(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples of each scene, in the order of their numbers."""
    scenes: dict[str, list[Sample]] = {}
    for sample in samples:
        scenes.setdefault(sample.scene, []).append(sample)
    return {name: sorted(shots, key=lambda shot: shot.number) for name, shots in sorted(scenes.items())}


def check_names(samples: Iterable[Sample], where: Path) -> None:
    """Refuse two samples of one name.

    Raises:
        ValueError: A shot that is named twice, or no sample at all.
    """
    seen: set[str] = set()
    for sample in samples:
        if sample.name in seen:
            raise ValueError(f"{where}: {sample.name} is listed twice; expected every shot of a scene once")
        seen.add(sample.name)
    if not seen:
        raise ValueError(f"{where}: no videos to score; expected a manifest with at least one line")
