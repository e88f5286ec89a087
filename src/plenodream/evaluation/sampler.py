"""Videos in [0, 1] sampled under a chosen context, many scenes at once: as evaluation has its pixels and its noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.models.context import Context
from plenodream.sampling.sampler import Sampler
from plenodream.seeds import seed_from
from plenodream.types import Cameras


@dataclass(frozen=True)
class ViewSampler:
    """A sampler of videos in [0, 1].

    Attributes:
        sampler: What samples, on the device of the data.
        on_step: Called after every step of a batch.
    """

    sampler: Sampler
    on_step: Callable[[int], None] | None = None

    def encode(
        self, frames: Float[Tensor, "views frames height width 3"], cameras: Cameras, anchor: Float[Tensor, "views 4 4"]
    ) -> Context:
        """Views as context, a view an entry; arguments as for `Sampler.encode`."""
        return self.sampler.encode(_signal(frames), cameras, anchor)

    def sample(
        self,
        bank: Context,
        index: Int[Tensor, "clips context"],
        cameras: Cameras,
        anchor: Float[Tensor, "clips 4 4"],
        seeds: Sequence[int],
    ) -> Float[Tensor, "clips frames height width 3"]:
        """Sampled videos; arguments of `sample_signal`."""
        return colours(self.sample_signal(bank, index, cameras, anchor, seeds))

    def sample_signal(
        self,
        bank: Context,
        index: Int[Tensor, "clips context"],
        cameras: Cameras,
        anchor: Float[Tensor, "clips 4 4"],
        seeds: Sequence[int],
    ) -> Float[Tensor, "clips channels frames height width"]:
        """Sampled videos as the codec's signal: colours in [-1, 1], and depth where the model has it.

        Args:
            bank: The views there are.
            index: Which of them each clip is conditioned on, the source first.
            cameras: Where to look from, batch shape (clips, frames).
            anchor: As for `encode`.
            seeds: Of every clip's noise, so that it does not depend on what else is in the batch.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = torch.stack([self.sampler.noise(cameras[0], generator) for generator in generators]).to(index.device)
        return self.sampler.sample(bank.select(index), cameras, anchor, noise, on_step=self.on_step).float()

    def reconstruct(
        self, frames: Float[Tensor, "clips frames height width 3"]
    ) -> Float[Tensor, "clips frames height width 3"]:
        """Videos through the codec and back: the best that any denoiser could do."""
        return colours(self.sampler.reconstruct(_signal(frames)))


def _signal(frames: Tensor) -> Tensor:
    return frames.movedim(-1, 1) * 2 - 1


def colours(
    signal: Float[Tensor, "clips channels frames height width"],
) -> Float[Tensor, "clips frames height width 3"]:
    """A codec's signal as videos, 0..1."""
    return (signal[:, :3].float().movedim(1, -1) + 1).clamp(0, 2) / 2


def noise_seeds(seed: int, purpose: str, first: int, scenes: int) -> list[int]:
    """Seeds of the noise of scenes `first`, `first` + 1, ...: the same whatever number of scenes is evaluated."""
    return [seed_from(f"{seed}/{scene}/{purpose}") for scene in range(first, first + scenes)]
