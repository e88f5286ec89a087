"""Views sampled under a chosen context, many scenes at once: the one way in which videos are made to be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers import SchedulerMixin
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.models.codecs.protocol import Codec
from plenodream.models.context import Context, ViewTokens
from plenodream.models.denoiser import Denoiser
from plenodream.sampling.denoise import SamplingConfig
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras


@dataclass(frozen=True)
class ViewSampler:
    """What samples: a denoiser in either context mode, its codec and scheduler, steps and guidance.

    Attributes:
        model: The denoiser, on the device of the data.
        codec: Its codec.
        scheduler: Its scheduler.
        sampling: Steps and guidance.
        on_step: Called after every step of a batch.
    """

    model: Denoiser
    codec: Codec
    scheduler: SchedulerMixin
    sampling: SamplingConfig
    on_step: Callable[[int], None] | None = None

    @torch.no_grad()
    def encode(
        self, frames: Float[Tensor, "views frames height width 3"], cameras: Cameras, anchor: Float[Tensor, "views 4 4"]
    ) -> Context:
        """Views as context, a view an entry; a condition is a choice among them.

        Args:
            frames: Videos, 0..1.
            cameras: Batch shape (views, frames).
            anchor: Camera-to-world pose to which the rays are relative: the scene's first source camera.
        """
        latents = self.codec.encode(frames.movedim(-1, 1) * 2 - 1)
        views = ViewTokens(latents[:, None], self._rays(cameras, anchor)[:, None])
        return self.model.encode(views)

    @torch.no_grad()
    def sample(
        self,
        bank: Context,
        index: Int[Tensor, "clips context"],
        cameras: Cameras,
        anchor: Float[Tensor, "clips 4 4"],
        seeds: Sequence[int],
    ) -> Float[Tensor, "clips frames height width 3"]:
        """Sampled videos, 0..1; arguments of `sample_signal`."""
        return colours(self.sample_signal(bank, index, cameras, anchor, seeds))

    @torch.no_grad()
    def sample_signal(
        self,
        bank: ContextBank,
        index: Int[Tensor, "clips context"],
        cameras: Cameras,
        anchor: Float[Tensor, "clips 4 4"],
        seeds: Sequence[int],
    ) -> Float[Tensor, "clips channels frames height width"]:
        """Sampled videos as the codec's signal: colours in [-1, 1], and depth where the model has it.

        Args:
            bank: The views there are.
            index: Which of them each clip is conditioned on, the source first; a joint network with more slots than
                that sees the source again, as in rendering.
            cameras: Where to look from, batch shape (clips, frames).
            anchor: As for `encode`.
            seeds: Of every clip's noise, so that it does not depend on what else is in the batch.
        """
        codec, factor, device = self.codec, self.codec.spatial_factor, index.device
        size = (codec.latent_frames(cameras.shape[1]), cameras.height // factor, cameras.width // factor)
        noise = torch.stack(
            [torch.randn(codec.channels, *size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        ).to(device)
        context = bank.select(index).fill(self.model.context_slots)
        rays = self._rays(cameras, anchor)
        return codec.decode(
            sample_view(self.model, self.scheduler, self.sampling, noise, rays, context, on_step=self.on_step)
        ).float()

    @torch.no_grad()
    def reconstruct(
        self, frames: Float[Tensor, "clips frames height width 3"]
    ) -> Float[Tensor, "clips frames height width 3"]:
        """Videos through the codec and back: the best that any denoiser could do."""
        return colours(self.codec.decode(self.codec.encode(frames.movedim(-1, 1) * 2 - 1)))

    def _rays(self, cameras: Cameras, anchor: Tensor) -> Tensor:
        return self.model.rays(self.codec, cameras, anchor)


def colours(
    signal: Float[Tensor, "clips channels frames height width"],
) -> Float[Tensor, "clips frames height width 3"]:
    """A codec's signal as videos, 0..1."""
    return (signal[:, :3].float().movedim(1, -1) + 1).clamp(0, 2) / 2


def noise_seeds(seed: int, purpose: str, first: int, scenes: int) -> list[int]:
    """Seeds of the noise of scenes `first`, `first` + 1, ...: the same whatever number of scenes is evaluated."""
    texts = [f"{seed}/{scene}/{purpose}" for scene in range(first, first + scenes)]
    return [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
