"""A recipe's latents computed before it is trained, by any number of workers, into the cache that training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from plenodream.data.discover import find_episodes
from plenodream.data.episode import Episode
from plenodream.data.latents import cached_latents
from plenodream.models.codecs.protocol import to_signal
from plenodream.models.codecs.wan import WanCodec
from plenodream.recipes.run import pretrained_codec
from plenodream.rendering.load import choose_device
from plenodream.training.batches.disk import codec_name
from plenodream.training.config import TrainConfig


def latent_windows(config: TrainConfig, episodes: int, frames: int) -> Iterator[tuple[int, int, int]]:
    """Episode, first frame and number of frames of every window that training on a pretrained codec's latents reads.

    Args:
        config: The recipe.
        episodes: How many there are.
        frames: Of the shortest of them; longer ones have more windows, which are computed when they are met.
    """
    lengths = sorted({stage.frames for stage in config.curriculum.stages if stage.family == "disk"})
    for length in lengths:
        for episode in range(episodes):
            yield from ((episode, start, length) for start in range(0, frames - length + 1, length))


@dataclass(frozen=True)
class EncodeWindows:
    """Encodes the windows of all views of an episode, wherever it is sent; codec and episodes are opened once there.

    Attributes:
        data: Folder of episodes.
        pretrained: Folder of a pipeline with the VAE.
        height: Pixels.
        width: Pixels.
        device: Of the codec; None: the GPU where there is one.
    """

    data: Path
    pretrained: Path
    height: int
    width: int
    device: str | None = None

    @cached_property
    def episodes(self) -> list[Episode]:
        """As training finds them."""
        return find_episodes(self.data, skip_bad=True)

    @cached_property
    def codec(self) -> WanCodec:
        """On its device."""
        return pretrained_codec(self.pretrained).to(choose_device(self.device))  # type: ignore[arg-type]

    @cached_property
    def _name(self) -> str:
        return codec_name(self.codec)

    def __call__(self, window: tuple[int, int, int]) -> int:
        """Encode a window of `latent_windows`, unless it is there; returns how many views it has.

        Raises:
            UnreadableVideo: A damaged video.
        """
        number, start, frames = window
        episode = self.episodes[number]
        for name in episode.names:
            cached_latents(episode, self._name, self._encode, name, start, start + frames, self.height, self.width)
        return len(episode.names)

    @torch.no_grad()
    def _encode(self, pixels: Tensor) -> Tensor:
        return self.codec.encode(to_signal(pixels)[None].to(self.codec.device))[0]
