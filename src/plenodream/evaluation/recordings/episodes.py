"""Training data as recordings: MultiCamVideo, SynCamVideo, AgiBot World and our own episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from plenodream.data.discover import find_episodes
from plenodream.data.episode import Episode
from plenodream.evaluation.recordings.recording import Recording, RecordingFile, fit_view, smaller
from plenodream.types import View

# The source's name where a layout has one (AgiBot World's head camera); else the first by name.
_SOURCES = ("source", "head")


def episode_recordings(folder: Path) -> list[RecordingFile]:
    """The episodes of a folder with two views or more.

    Raises:
        ValueError: None there, or one that is damaged.
    """
    episodes = [episode for episode in find_episodes(folder) if len(episode.names) > 1]
    return [
        RecordingFile(
            "episodes", episode.name.replace("/", "-"), _source(episode), episode.names, partial(read_episode, episode)
        )
        for episode in episodes
    ]


def read_episode(episode: Episode, names: Sequence[str], frames: int | None, height: int | None) -> Recording:
    """Some views of an episode, at the size of the first."""
    first = episode.videos[names[0]]
    size = smaller(first.height, first.width, height)
    stop = min(frames or episode.frames, episode.frames)
    return Recording({name: fit_view(_view(episode, name, stop), *size) for name in names})


def _source(episode: Episode) -> str:
    return next((name for name in _SOURCES if name in episode.names), episode.names[0])


def _view(episode: Episode, name: str, stop: int) -> View:
    view = episode.view(name, 0, stop)
    if name not in episode.depth_files:
        return view
    depth = episode.depth(name, 0, stop)
    return replace(view, depth=torch.where(depth.isfinite(), depth, 0))
