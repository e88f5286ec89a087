"""Training samples from episodes on disk: deterministic order, sharded over ranks, resumable anywhere. Ours.

All ranks read one endless stream of episodes, a new permutation every epoch. Rank r of w takes every w-th of it, so
ranks never meet, none runs dry, and a run resumes exactly from one number: how much of the stream is consumed.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from plenodream.data.episode import Episode, decode_fitted
from plenodream.geometry.cameras import relative_poses
from plenodream.media.fit import fit_cameras
from plenodream.types import Cameras

_log = logging.getLogger(__name__)
ATTEMPTS = 16  # so many unreadable episodes in a row mean that the disk is gone, not that a file is bad


@dataclass(frozen=True)
class Window:
    """What the training samples of a run look like.

    Attributes:
        views: Views per sample, chosen at random; the first is the source.
        frames: Consecutive frames per view.
        height: Pixels.
        width: Pixels.
        start_step: Windows begin at multiples of this; a large step makes few different windows to cache latents of.
        pixels: False leaves out the frames, where latents come from the cache.
        source: Name of the view that comes first; any of them if None.
    """

    views: int
    frames: int
    height: int
    width: int
    start_step: int = 1
    pixels: bool = True
    source: str | None = None


@dataclass(frozen=True)
class Sample:
    """One window of some views of one episode.

    Attributes:
        frames: RGB of every view; None if left out.
        cameras: Batch shape (views, frames), float32, relative to the first frame of the first view.
        names: Names of the views.
        episode: Index into the data set's episodes.
        start: First frame of the window.
        fps: Frames per second.
        skipped: Why episodes were passed over to get this sample, one line each.
    """

    frames: UInt8[Tensor, "views frames height width 3"] | None
    cameras: Cameras
    names: tuple[str, ...]
    episode: int
    start: int
    fps: float
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackedSamples:
    """Samples stacked.

    Attributes:
        frames: RGB; None if left out.
        cameras: Batch shape (batch, views, frames).
        samples: What each came from, without its tensors' batch dimension.
    """

    frames: UInt8[Tensor, "batch views frames height width 3"] | None
    cameras: Cameras
    samples: tuple[Sample, ...]


class EpisodeDataset(Dataset):
    """The stream of samples: item g is the g-th of all epochs laid end to end, a function of g and the seed alone.

    Args:
        episodes: What `find_episodes` found.
        window: Which views and frames a sample holds.
        seed: Of order, views and windows.

    Raises:
        ValueError: No episodes, or one with fewer views or frames than a sample needs.
    """

    def __init__(self, episodes: Sequence[Episode], window: Window, seed: int = 0) -> None:
        if not episodes:
            raise ValueError("no episodes to train on; expected at least one: check the data folder")
        for episode in episodes:
            if len(episode.videos) < window.views:
                raise ValueError(f"{episode.folder}: {len(episode.videos)} views; expected {window.views} per sample")
            if episode.frames < window.frames:
                raise ValueError(f"{episode.folder}: {episode.frames} frames; expected at least {window.frames}")
            if window.source is not None and window.source not in episode.names:
                raise ValueError(f"{episode.folder}: no view {window.source!r}; expected it as source")
        self.episodes, self.window, self.seed = list(episodes), window, seed
        self._order: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        """Number of episodes: the length of one epoch."""
        return len(self.episodes)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index` of the endless stream; an unreadable episode is replaced by another, drawn from the seed.

        Raises:
            ValueError: Many episodes in a row cannot be read.
        """
        epoch, position = divmod(index, len(self))
        skipped: list[str] = []
        for attempt in range(ATTEMPTS):
            generator = _generator(self.seed, index, attempt)
            replacement = int(torch.randint(len(self), (), generator=generator))
            chosen = replacement if attempt else self.order(epoch)[position]
            try:
                return self._read(chosen, generator, tuple(skipped))
            except (ValueError, OSError) as error:
                skipped.append(str(error))
        raise ValueError(f"{ATTEMPTS} episodes in a row cannot be read; check the disk (last: {skipped[-1]})")

    def order(self, epoch: int) -> list[int]:
        """The permutation of the episodes in an epoch."""
        if self._order[0] != epoch:
            permutation = torch.randperm(len(self), generator=_generator(self.seed, epoch, -1))
            self._order = (epoch, permutation.tolist())
        return self._order[1]

    def replacement(self, sample: Sample, attempt: int) -> Sample:
        """Another sample, drawn from the seed, for one whose videos turn out to be unreadable later on."""
        generator = _generator(self.seed, sample.episode, sample.start, sample.names, attempt)
        return self._read(int(torch.randint(len(self), (), generator=generator)), generator, ())

    def fingerprint(self) -> str:
        """Changes with the episodes, the window and the seed, that is, when an old position means other samples."""
        names = [(episode.name, episode.names, episode.frames) for episode in self.episodes]
        return hashlib.sha256(repr((names, self.window, self.seed)).encode()).hexdigest()[:16]

    def _read(self, index: int, generator: torch.Generator, skipped: tuple[str, ...]) -> Sample:
        episode, window = self.episodes[index], self.window
        drawn = [episode.names[i] for i in torch.randperm(len(episode.names), generator=generator)]
        names = sorted(drawn, key=lambda name: name != window.source)[: window.views]
        starts = (episode.frames - window.frames) // window.start_step + 1
        start = int(torch.randint(starts, (), generator=generator)) * window.start_step
        stop = start + window.frames
        known = episode.cameras()
        fitted = [fit_cameras(known[name][start:stop], window.height, window.width) for name in names]
        poses = torch.stack([cameras.camera_to_world.double() for cameras in fitted])
        cameras = Cameras(
            relative_poses(poses, poses[0, 0]).float(),
            torch.stack([cameras.intrinsics for cameras in fitted]).float(),
            window.height,
            window.width,
        )
        frames = None
        if window.pixels:
            videos = [episode.videos[name] for name in names]
            frames = torch.stack([decode_fitted(v, start, stop, window.height, window.width) for v in videos])
        return Sample(frames, cameras, tuple(names), index, start, episode.fps, skipped)


class EpisodeLoader:
    """Endless batches of one rank, decoded in worker processes, from any position of the stream on.

    Args:
        dataset: The stream, the same on all ranks.
        batch_size: Samples per batch of this rank.
        workers: Decoding processes; 0 decodes in this one.
        rank: This process among `world_size`.
        world_size: Number of processes that share the stream.

    Attributes:
        position: How much of the stream all ranks together have been given; advanced as a batch is handed out.
        skipped: Why episodes were passed over on this rank, and how often. Each reason is logged once.
    """

    def __init__(
        self, dataset: EpisodeDataset, batch_size: int, workers: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        assert 0 <= rank < world_size, (rank, world_size)
        self.dataset, self.batch_size, self.workers = dataset, batch_size, workers
        self.rank, self.world_size = rank, world_size
        self.position = 0
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[StackedSamples]:
        """Batches from `position` on, without end."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=_Stream(self.position + self.rank, self.world_size, self.batch_size),
            num_workers=self.workers,
            collate_fn=collate,
            multiprocessing_context=_clean_processes() if self.workers else None,
        )
        for batch in loader:
            self.position += self.batch_size * self.world_size
            for reason in (reason for sample in batch.samples for reason in sample.skipped):
                note_skipped(self.skipped, reason)
            yield batch


def note_skipped(skipped: Counter[str], reason: str) -> None:
    """Count an episode that was passed over; each reason is logged once."""
    if reason not in skipped:
        _log.warning("skipped: %s", reason)
    skipped[reason] += 1


def collate(samples: Sequence[Sample]) -> StackedSamples:
    """Stack samples; their own tensors are dropped."""
    cameras = [sample.cameras for sample in samples]
    stacked = Cameras(
        torch.stack([each.camera_to_world for each in cameras]),
        torch.stack([each.intrinsics for each in cameras]),
        cameras[0].height,
        cameras[0].width,
    )
    frames = [sample.frames for sample in samples if sample.frames is not None]
    return StackedSamples(
        torch.stack(frames) if frames else None,
        stacked,
        tuple(Sample(None, s.cameras, s.names, s.episode, s.start, s.fps, s.skipped) for s in samples),
    )


class _Stream:
    """Batches of indices start, start + step, ... without end."""

    def __init__(self, start: int, step: int, batch_size: int) -> None:
        self.start, self.step, self.batch_size = start, step, batch_size

    def __iter__(self) -> Iterator[list[int]]:
        indices = itertools.count(self.start, self.step)
        while True:
            yield list(itertools.islice(indices, self.batch_size))


def _clean_processes() -> BaseContext:
    """Worker processes that inherit no decoder: a plain fork hangs when it frees its parent's FFmpeg threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _generator(*key: object) -> torch.Generator:
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
