"""One target view from its context: noise in, latents out, whatever the denoiser's context mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from jaxtyping import Float
from torch import Tensor

from plenodream.models.call import Kept, same_conditions
from plenodream.models.context import Context
from plenodream.models.denoiser import Denoiser
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.denoise import denoise


def sample_view(
    model: Denoiser,
    scheduler: SchedulerMixin,
    config: SamplingConfig,
    noise: Float[Tensor, "batch channels frames height width"],
    camera_tokens: Float[Tensor, "batch frames rows columns numbers"],
    context: Context,
    text: Float[Tensor, "#batch words features"] | None = None,
    negative: Float[Tensor, "#batch others features"] | None = None,
    clean: Float[Tensor, "batch channels frames height width"] | None = None,
    clean_frames: int = 0,
    on_step: Callable[[int], None] | None = None,
    together: int = 1,
    visited: list[Tensor] | None = None,
) -> Float[Tensor, "batch channels frames height width"]:
    """Latents of one view per batch entry.

    The guidance branches differ in text alone where there is text, as in the published network, and otherwise in the
    camera, which the unconditional branch does not see. Both read the same context.

    Args:
        model: The denoiser.
        scheduler: Its flow scheduler.
        config: Steps and guidance.
        noise: Where to start.
        camera_tokens: Rays of the target.
        context: The views that each batch entry reads.
        text: Text embedding of the condition, None for the null text.
        negative: Text embedding of what guidance leads away from, None for the null text.
        clean: Latents whose first `clean_frames` frames are already known.
        clean_frames: How many latent frames are kept clean.
        on_step: Called after every step.
        together: Neighbouring batch entries that are targets of one sequence, with one context and one timestep.
        visited: Every x_t on the way is appended here, from the noise to the result.
    """
    mask, frame_mask = None, None
    if clean is not None and clean_frames:
        mask = torch.zeros_like(noise)
        mask[:, :, :clean_frames] = 1
        frame_mask = mask[::together, 0, :, 0, 0]

    def branch(name: str, rays: Tensor, words: Tensor | None, cameras: Kept) -> Callable[[Tensor, Tensor], Tensor]:
        of_words = Kept()

        def velocity(x_t: Tensor, t: Tensor) -> Tensor:
            noisy, seen = (tensor.unflatten(0, (-1, together)) for tensor in (x_t, rays))
            with model.branch(name), same_conditions(cameras, of_words):
                return model.velocity(noisy, t[::together], seen, context, frame_mask, words).flatten(0, 1)

        return velocity

    model.begin()
    hidden, cameras = camera_tokens if text is not None else torch.zeros_like(camera_tokens), Kept()
    return denoise(
        branch("conditional", camera_tokens, text, cameras),
        noise,
        scheduler,
        config,
        unconditional=branch("unconditional", hidden, negative, cameras if hidden is camera_tokens else Kept()),
        clean=clean if mask is not None else None,
        clean_mask=mask,
        on_step=on_step,
        visited=visited,
    )
