"""Training batches from episodes on disk: a batch's number and the run's seed say everything about its data, as for
rendered ones, so that a run resumes in the middle of an epoch by its step number alone. Ours."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from plenodream.data.dataset import (
    ATTEMPTS,
    EpisodeDataset,
    EpisodeLoader,
    Sample,
    StackedSamples,
    Window,
    collate,
    note_skipped,
)
from plenodream.data.discover import find_episodes
from plenodream.data.latents import cached_latents
from plenodream.models.codecs.protocol import to_signal
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.weights import weights_hash
from plenodream.training.batches.batch import Batch
from plenodream.training.curriculum import Stage


def codec_name(codec: WanCodec) -> str:
    """What cached latents call their codec: hash of the weights, and how latents are normalised."""
    return f"{weights_hash(codec.state_dict())} {(codec.config.latents_mean, codec.config.latents_std)}"


class DiskBatches:
    """A `BatchSource` over stored episodes, decoded ahead of time in worker processes.

    The ranks of a run share one stream of episodes, a new permutation every epoch. Batch number n is the part of rank
    n % world_size in step n // world_size; a step takes stage.batch * world_size episodes, whichever rank has them, so
    a run can go on with other ranks where that product stays the same. An episode that becomes unreadable is replaced,
    with one warning for each reason.

    Args:
        open_dataset: The stream of samples that a stage needs.
        stages: All stages of the run, checked before it begins.
        device: Where the batches go.
        workers: Decoding processes of this rank; 0 decodes in this one.
        rank: This process among `world_size` (data-parallel ranks: those that share a sample have one number).
        world_size: Number of such ranks.
        codec: A pretrained codec: its latents are computed once and kept beside the videos, for windows without
            pixels.

    Raises:
        ValueError: Episodes that do not have the views or frames of a stage.
    """

    def __init__(
        self,
        open_dataset: Callable[[Stage], EpisodeDataset],
        stages: Sequence[Stage],
        device: torch.device | str = "cpu",
        workers: int = 2,
        rank: int = 0,
        world_size: int = 1,
        codec: WanCodec | None = None,
    ) -> None:
        assert 0 <= rank < world_size, (rank, world_size)
        self.open_dataset, self.device, self.workers = open_dataset, device, workers
        self.rank, self.world_size = rank, world_size
        self.skipped: Counter[str] = Counter()
        self.codec = codec if codec is None else codec.to(device)  # type: ignore[arg-type]
        self._codec_name = "" if codec is None else codec_name(codec)
        self._fingerprints = [open_dataset(stage).fingerprint() for stage in stages]
        self._running: tuple[Stage, int] | None = None
        self._batches: Iterator[StackedSamples] = iter(())
        self._dataset: EpisodeDataset | None = None  # of the running batches

    def __call__(self, stage: Stage, number: int) -> Batch:
        """Batch `number`: its views at random, the first one the source; the same batch for the same number.

        Raises:
            ValueError: Many episodes in a row cannot be read.
        """
        loaded = self.load(stage, number)
        if loaded.frames is not None:
            signal = to_signal(loaded.frames.to(self.device))
            return Batch(signal, loaded.cameras.to(self.device), captions=self._captions(loaded.samples))
        encoded = [self._encoded(sample, stage) for sample in loaded.samples]
        cameras = collate([sample for sample, _ in encoded]).cameras.to(self.device)
        latents = torch.stack([latents for _, latents in encoded]).to(self.device)
        return Batch(None, cameras, latents=latents, captions=self._captions([sample for sample, _ in encoded]))

    def load(self, stage: Stage, number: int) -> StackedSamples:
        """The same as bytes, with what the samples came from. Any number can be asked for; the next one is fastest."""
        step, rank = divmod(number, self.world_size)
        assert rank == self.rank, (number, self.rank)
        if self._running != (stage, number):
            self.close()
            self._dataset = self.open_dataset(stage)
            loader = EpisodeLoader(self._dataset, stage.batch, self.workers, self.rank, self.world_size)
            loader.position, loader.skipped = step * stage.batch * self.world_size, self.skipped
            self._batches = iter(loader)
        self._running = None
        loaded = next(self._batches)
        self._running = stage, number + self.world_size
        return loaded

    def _captions(self, samples: Sequence[Sample]) -> tuple[str, ...]:
        assert self._dataset is not None
        return tuple(self._dataset.episodes[sample.episode].caption for sample in samples)

    def _encoded(self, sample: Sample, stage: Stage) -> tuple[Sample, Tensor]:
        """A sample with its latents; one whose videos cannot be read is replaced by another."""
        assert self._dataset is not None
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                return sample, self._latents(self._dataset, sample, stage.frames)
            except (ValueError, OSError) as error:
                reason = str(error)
                note_skipped(self.skipped, reason)
                sample = self._dataset.replacement(sample, attempt)
        raise ValueError(f"{ATTEMPTS} episodes in a row cannot be encoded; check the disk (last: {reason})")

    @torch.no_grad()
    def _latents(self, dataset: EpisodeDataset, sample: Sample, frames: int) -> Tensor:
        """Latents (views, channels, frames, height, width) of a sample's window, from the cache where it has them."""

        def encode(pixels: Tensor) -> Tensor:
            assert self.codec is not None
            return self.codec.encode(to_signal(pixels)[None].to(self.device))[0]

        episode = dataset.episodes[sample.episode]
        window = (sample.start, sample.start + frames, dataset.window.height, dataset.window.width)
        return torch.stack([cached_latents(episode, self._codec_name, encode, n, *window) for n in sample.names])

    def fingerprint(self) -> str:
        """Changes with the episodes, the stages' windows and the seed: kept in a checkpoint, compared on resume."""
        return hashlib.sha256(repr(self._fingerprints).encode()).hexdigest()[:16]

    def close(self) -> None:
        """End the worker processes."""
        if isinstance(self._batches, Generator):
            self._batches.close()
        self._batches, self._running = iter(()), None


def episode_batches(
    folder: str | Path,
    stages: Sequence[Stage],
    height: int,
    width: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    workers: int = 2,
    rank: int = 0,
    world_size: int = 1,
    codec: WanCodec | None = None,
    source: str | None = None,
) -> DiskBatches:
    """Batches of any folder of episodes that `data.discover` knows (ours, MultiCamVideo, SynCamVideo, AgiBot, plain).

    Windows of a stage's frames begin anywhere in a clip; views are drawn at random, frames are scaled to cover the
    size and cropped. Episodes that cannot be used at all are left out with a warning each.

    Args:
        folder: The data set, or any folder above several.
        stages: All stages of the run that take their data from here.
        height: Pixels.
        width: Pixels.
        seed: Of order, views and windows.
        device: Where the batches go.
        workers: Decoding processes of this rank.
        rank: This data-parallel rank.
        world_size: Number of them.
        codec: A pretrained codec. Windows then do not overlap, so that every frame is encoded once.
        source: Name of the source among an episode's views; any of them if None.

    Raises:
        ValueError: No such folder, nothing usable in it, or too few views or frames for a stage.
    """
    episodes = find_episodes(folder, skip_bad=True)

    def open_dataset(stage: Stage) -> EpisodeDataset:
        step = 1 if codec is None else stage.frames
        window = Window(stage.views, stage.frames, height, width, step, codec is None, source)
        return EpisodeDataset(episodes, window, seed)

    return DiskBatches(open_dataset, stages, device, workers, rank, world_size, codec)
