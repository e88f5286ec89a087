"""A data set of the robot's episodes, for training: AgiBot World in miniature (`worlds/robot.py`), as our episodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from plenodream.data.episode import write_episode
from plenodream.types import View
from plenodream.worlds.robot import film_robot


def synthesize_robot(
    folder: Path,
    scenes: int,
    frames: int,
    height: int,
    width: int,
    first: int = 0,
    fps: float = 15.0,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write episodes `first` to `first + scenes - 1` of the training split; those that are there stay.

    Args:
        folder: Where; an episode a folder, with the views head, hand_left and hand_right and their depth.
        scenes: How many.
        frames: Of every video.
        height: Pixels.
        width: Pixels.
        first: Number of the first.
        fps: Frames per second.
        progress: Called with the number of episodes done so far.

    Raises:
        ValueError: MuJoCo or the arms are missing, or no such sizes.
    """
    if min(scenes, frames, height, width) < 1 or first < 0:
        raise ValueError(f"{scenes} episodes of {frames} frames of {width}x{height}: expected at least 1 of each")
    written = []
    for number in range(first, first + scenes):
        path = folder / "train" / f"episode{number:05d}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            filmed = film_robot("train", number, frames, height, width)
            views = {name: View(one.frames, one.cameras.to(torch.float32), fps) for name, one in filmed.items()}
            write_episode(path, views, {name: one.depth for name, one in filmed.items()})
        written.append(path)
        if progress is not None:
            progress(len(written))
    return written
