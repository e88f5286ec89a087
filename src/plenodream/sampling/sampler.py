"""Videos from context, many at once: the one place where a denoiser is sampled, in whatever way it reads other views.

Rendering, evaluation and the generation of training contexts stand on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.models.attention import ContextCache
from plenodream.models.camera_encoder import rays_for
from plenodream.models.codec import SpaceToDepthCodec, WanCodec
from plenodream.models.denoiser import DenoiserMixin, ViewTokens
from plenodream.sampling.denoise import SamplingConfig
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras

Context = ContextCache | ViewTokens


@dataclass(frozen=True)
class Sampler:
    """What samples: a denoiser, its codec and scheduler, steps and guidance. All stay on their device.

    Attributes:
        denoiser: The denoiser, in evaluation mode.
        codec: Its codec.
        scheduler: Its scheduler.
        config: Steps and guidance.
    """

    denoiser: DenoiserMixin
    codec: SpaceToDepthCodec | WanCodec
    scheduler: SchedulerMixin
    config: SamplingConfig

    @torch.no_grad()
    def encode(
        self,
        signal: Float[Tensor, "views channels frames height width"],
        cameras: Cameras,
        anchor: Float[Tensor, "*#views 4 4"],
    ) -> Context:
        """Views as context, an entry each; what is sampled reads a choice of them.

        Args:
            signal: Videos as the codec takes them, [-1, 1].
            cameras: Batch shape (views, frames).
            anchor: Camera-to-world pose to which the rays are relative: the source's first camera of the window.
        """
        latents = self.codec.encode(signal)
        views = ViewTokens(latents[:, None], self._rays(cameras, anchor).to(latents.device)[:, None])
        independent = self.denoiser.config.context_attention == "independent"
        return self.denoiser.encode_context(views) if independent else views

    def noise(self, cameras: Cameras, generator: torch.Generator) -> Float[Tensor, "channels frames rows columns"]:
        """Where a video seen by some cameras (batch shape (frames,)) starts from; drawn on the generator's device."""
        frames, factor = self.codec.latent_frames(len(cameras)), self.codec.spatial_factor
        shape = self.codec.channels, frames, cameras.height // factor, cameras.width // factor
        return torch.randn(shape, generator=generator, device=generator.device)

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        index: Int[Tensor, "clips context"] | None,
        cameras: Cameras,
        anchor: Float[Tensor, "*#clips 4 4"],
        noise: Float[Tensor, "clips channels frames rows columns"],
        known: Float[Tensor, "clips channels known_frames height width"] | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Float[Tensor, "clips channels frames height width"]:
        """Sampled videos, about in [-1, 1].

        Args:
            context: What `encode` made.
            index: Which of its views each clip reads, all if None, the source first: where a network has more slots
                it sees the source again.
            cameras: Where to look from, batch shape (clips, frames).
            anchor: As for `encode`.
            noise: What `noise` drew for each clip.
            known: Leading frames that are kept (the overlap with an earlier window), as many as the codec can encode.
            on_step: Called after every step.
        """
        if isinstance(context, ViewTokens):
            if index is None:
                index = torch.arange(len(context.latents), device=noise.device).expand(len(noise), -1)
            missing = max(0, (self.denoiser.context_slots or 0) - index.shape[1])
            index = torch.cat([index, index[:, :1].expand(-1, missing)], dim=1)
            context = ViewTokens(context.latents[index, 0], context.camera_tokens[index, 0])
            index = None
        clean, clean_frames = None, 0
        if known is not None:
            start = self.codec.encode(known)
            clean, clean_frames = torch.zeros_like(noise), start.shape[2]
            clean[:, :, :clean_frames] = start
        return self.codec.decode(
            sample_view(
                self.denoiser,
                self.scheduler,
                self.config,
                noise,
                self._rays(cameras, anchor).to(noise.device),
                context,
                index,
                clean=clean,
                clean_frames=clean_frames,
                on_step=on_step,
            )
        )

    @torch.no_grad()
    def reconstruct(
        self, signal: Float[Tensor, "clips channels frames height width"]
    ) -> Float[Tensor, "clips channels frames height width"]:
        """Videos through the codec and back: the best that any denoiser could do."""
        return self.codec.decode(self.codec.encode(signal))

    def _rays(self, cameras: Cameras, anchor: Tensor) -> Tensor:
        return rays_for(self.denoiser, self.codec, cameras, anchor)


def stack(parts: list[Context]) -> Context:
    if isinstance(parts[0], ContextCache):
        return ContextCache.stack(parts)
    return ViewTokens(torch.cat([p.latents for p in parts]), torch.cat([p.camera_tokens for p in parts]))
