"""Views sampled under a chosen context, many scenes at once: the one way in which videos are made to be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers import SchedulerMixin
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.models.attention import ContextCache
from plenodream.models.camera_encoder import rays_for
from plenodream.models.codec import SpaceToDepthCodec, WanCodec
from plenodream.models.denoiser import DenoiserMixin, ViewTokens
from plenodream.sampling.denoise import SamplingConfig
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras


@dataclass(frozen=True)
class ContextBank:
    """Clean views of any scenes, each encoded alone; a condition is a choice among them.

    Attributes:
        views: Keys and values (independent mode), or latents and rays of batch shape (views, 1) (joint mode).
    """

    views: ContextCache | ViewTokens

    def __add__(self, other: ContextBank) -> ContextBank:
        """The views of both, these first."""
        if isinstance(self.views, ContextCache):
            return ContextBank(ContextCache.stack([self.views, other.views]))
        parts = self.views, other.views
        return ContextBank(
            ViewTokens(torch.cat([part.latents for part in parts]), torch.cat([part.camera_tokens for part in parts]))
        )


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

    model: DenoiserMixin
    codec: SpaceToDepthCodec | WanCodec
    scheduler: SchedulerMixin
    sampling: SamplingConfig
    on_step: Callable[[int], None] | None = None

    @torch.no_grad()
    def encode(
        self, frames: Float[Tensor, "views frames height width 3"], cameras: Cameras, anchor: Float[Tensor, "views 4 4"]
    ) -> ContextBank:
        """Views as context.

        Args:
            frames: Videos, 0..1.
            cameras: Batch shape (views, frames).
            anchor: Camera-to-world pose to which the rays are relative: the scene's first source camera.
        """
        latents = self.codec.encode(frames.movedim(-1, 1) * 2 - 1)
        views = ViewTokens(latents[:, None], self._rays(cameras, anchor)[:, None])
        independent = self.model.config.context_attention == "independent"
        return ContextBank(self.model.encode_context(views) if independent else views)

    @torch.no_grad()
    def sample(
        self,
        bank: ContextBank,
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
        context: ContextCache | ViewTokens = bank.views
        entries: Tensor | None = index
        if isinstance(context, ViewTokens):
            missing = max(0, (self.model.context_slots or 0) - index.shape[1])
            index = torch.cat([index, index[:, :1].expand(-1, missing)], dim=1)
            context = ViewTokens(context.latents[index, 0], context.camera_tokens[index, 0])
            entries = None
        rays = self._rays(cameras, anchor)
        return codec.decode(
            sample_view(self.model, self.scheduler, self.sampling, noise, rays, context, entries, on_step=self.on_step)
        ).float()

    @torch.no_grad()
    def reconstruct(
        self, frames: Float[Tensor, "clips frames height width 3"]
    ) -> Float[Tensor, "clips frames height width 3"]:
        """Videos through the codec and back: the best that any denoiser could do."""
        return colours(self.codec.decode(self.codec.encode(frames.movedim(-1, 1) * 2 - 1)))

    def _rays(self, cameras: Cameras, anchor: Tensor) -> Tensor:
        return rays_for(self.model, self.codec, cameras, anchor)


def colours(
    signal: Float[Tensor, "clips channels frames height width"],
) -> Float[Tensor, "clips frames height width 3"]:
    """A codec's signal as videos, 0..1."""
    return (signal[:, :3].float().movedim(1, -1) + 1).clamp(0, 2) / 2


def noise_seeds(seed: int, purpose: str, first: int, scenes: int) -> list[int]:
    """Seeds of the noise of scenes `first`, `first` + 1, ...: the same whatever number of scenes is evaluated."""
    texts = [f"{seed}/{scene}/{purpose}" for scene in range(first, first + scenes)]
    return [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
