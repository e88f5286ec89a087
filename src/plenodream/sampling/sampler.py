"""Videos from context, many at once: the one place where a denoiser is sampled, in whatever way it reads other views.

Rendering, evaluation and the generation of training contexts stand on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from jaxtyping import Float
from torch import Tensor

from plenodream.models.codecs.protocol import Codec
from plenodream.models.conditions import NOTHING, Conditions
from plenodream.models.context import Context, ViewTokens
from plenodream.models.denoiser import Denoiser
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras


@dataclass(frozen=True)
class Sampler:
    """What samples: a denoiser, its codec and scheduler, steps and guidance. All stay on their device.

    Attributes:
        denoiser: The denoiser, in evaluation mode.
        codec: Its codec.
        scheduler: Its scheduler.
        config: Steps and guidance.
        conditions: Words, and what sees a view's first frame for networks that are told.
        context_cache: Where context waits: on the `device`, on the `cpu`, in `fp8`, `cpu-fp8`, or nowhere: `recompute`.
    """

    denoiser: Denoiser
    codec: Codec
    scheduler: SchedulerMixin
    config: SamplingConfig
    conditions: Conditions = NOTHING
    context_cache: str = "device"

    @torch.no_grad()
    def encode(
        self,
        signal: Float[Tensor, "views signals frames height width"],
        cameras: Cameras,
        anchor: Float[Tensor, "*#views 4 4"],
    ) -> Context:
        """Views as context, an entry each; what is sampled reads a choice of them.

        Args:
            signal: Videos as the codec takes them: colours in [-1, 1], and depth where it has a channel for it.
            cameras: Batch shape (views, frames).
            anchor: Camera-to-world pose to which the rays are relative: the source's first camera of the window.
        """
        latents = self.codec.encode(signal)
        rays = self._rays(cameras, anchor).to(latents.device)
        see = self.conditions.see
        image = None if see is None else see(signal[:, :3, 0])[:, None].to(latents)
        views = ViewTokens(latents[:, None], rays[:, None], image)
        seen = self.denoiser.encode(views, recomputed=self.context_cache == "recompute")
        return seen.put_away("cpu" in self.context_cache, "fp8" in self.context_cache)

    def noise(
        self, cameras: Cameras, generator: torch.Generator
    ) -> Float[Tensor, "*batch channels frames rows columns"]:
        """Where videos seen by some cameras (batch shape (*batch, frames)) start from; on the generator's device."""
        *batch, frames = cameras.shape
        codec, factor = self.codec, self.codec.spatial_factor
        shape = *batch, codec.channels, codec.latent_frames(frames), cameras.height // factor, cameras.width // factor
        return torch.randn(shape, generator=generator, device=generator.device)

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        cameras: Cameras,
        anchor: Float[Tensor, "*#clips 4 4"],
        noise: Float[Tensor, "clips channels latent_frames rows columns"],
        known: Float[Tensor, "clips signals known_frames height width"] | None = None,
        on_step: Callable[[int], None] | None = None,
        together: int = 1,
    ) -> Float[Tensor, "clips signals frames height width"]:
        """Sampled videos as the codec's signal.

        Args:
            context: What `encode` made; all of it, or what each clip reads selected from it, the source first: where a
                network has more slots than that it sees the source again.
            cameras: Where to look from, batch shape (clips, frames).
            anchor: As for `encode`.
            noise: What `noise` drew for each clip.
            known: Leading frames that are kept (the overlap with an earlier window), as many as the codec can encode.
            on_step: Called after every step.
            together: Neighbouring clips that are made in one sequence, from one context.
        """
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
                context.fill(self.denoiser.context_slots),
                text=self._words(self.conditions.prompt, noise),
                negative=self._words(self.conditions.negative, noise),
                clean=clean,
                clean_frames=clean_frames,
                on_step=on_step,
                together=together,
            )
        )

    @torch.no_grad()
    def reconstruct(
        self, signal: Float[Tensor, "clips signals frames height width"]
    ) -> Float[Tensor, "clips signals frames height width"]:
        """Videos through the codec and back: the best that any denoiser could do."""
        return self.codec.decode(self.codec.encode(signal))

    def _rays(self, cameras: Cameras, anchor: Tensor) -> Tensor:
        return self.denoiser.rays(self.codec, cameras, anchor)

    def _words(self, text: Tensor | None, like: Tensor) -> Tensor | None:
        return None if text is None else text.to(like)
