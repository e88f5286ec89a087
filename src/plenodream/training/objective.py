"""The loss of one batch: every view of a sample is a target, its context the clean views beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.flow.path import interpolate, velocity
from plenodream.flow.timesteps import sample_timesteps
from plenodream.models.denoiser import DenoiserMixin, ViewTokens


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a training step asks of the denoiser.

    Attributes:
        shift: Bias of the training times to high noise (`flow.timesteps`).
        x0_floor: Smallest t in the weight 1 / t^2 that a velocity loss puts on an x0 output.
        overlap_probability: How often a clip's first frames are given clean, as in a later chunk of a long video.
        overlap_frames: How many latent frames are then clean.
        camera_dropout: How often a target's camera is hidden (rays set to zero), for guidance.
    """

    shift: float = 4.0
    x0_floor: float = 0.4
    overlap_probability: float = 0.0
    overlap_frames: int = 0
    camera_dropout: float = 0.0


def draw_context(
    batch: int, views: int, targets: range, k: int, generator: torch.Generator
) -> Int[Tensor, "batch targets k"]:
    """For every target a random set of k other views, all different.

    Args:
        batch: Samples.
        views: Views that may serve as context: 0 .. views - 1.
        targets: The views that are targets; a target is never its own context.
        k: Context size; at most the other views there are.
        generator: Source of randomness (CPU).
    """
    order = torch.rand(batch, len(targets), views, generator=generator)
    for row, target in enumerate(targets):
        if target < views:
            order[:, row, target] = -1
    return order.topk(k, dim=-1).indices


def training_loss(
    model: DenoiserMixin,
    latents: Float[Tensor, "batch views channels frames height width"],
    camera_tokens: Float[Tensor, "batch views frames rows columns numbers"],
    context: Int[Tensor, "batch targets k"],
    targets: range,
    config: ObjectiveConfig,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Flow-matching loss with teacher forcing: clean copies of the context views, noisy copies of the targets.

    In independent mode the clean copies are run once and shared by all targets; in joint mode every target is run
    with its own context in one sequence. The loss is that of the velocity; where the network predicts x0 its weight
    1 / t^2 is capped at 1 / x0_floor^2.

    Args:
        model: The denoiser.
        latents: Clean latents of all views.
        camera_tokens: Rays of all views relative to the source.
        context: Which views each target is given.
        targets: The views that are targets.
        config: Weights and probabilities.
        generator: Source of noise and times (on the CPU; draws are moved to the model's device).
    """
    batch = latents.shape[0]
    x_0 = latents[:, targets.start : targets.stop].flatten(0, 1)
    rays = camera_tokens[:, targets.start : targets.stop].flatten(0, 1)
    count, frames = x_0.shape[0], x_0.shape[2]
    t = sample_timesteps(count, config.shift, generator).to(x_0)
    eps = torch.randn(x_0.shape, generator=generator).to(x_0)
    if config.camera_dropout:
        keep = torch.rand(count, generator=generator).to(x_0) >= config.camera_dropout
        rays = rays * keep.view(-1, 1, 1, 1, 1)
    x_t = interpolate(x_0, eps, t)
    clean = None
    if config.overlap_frames and torch.rand((), generator=generator).item() < config.overlap_probability:
        clean = torch.zeros(count, frames).to(x_0)
        clean[:, : config.overlap_frames] = 1
        x_t = torch.where(clean.view(count, 1, frames, 1, 1) > 0, x_0, x_t)

    index = context.to(latents.device)
    if model.config.context_attention == "independent":
        shared = int(context.max()) + 1
        cache = model.encode_context(ViewTokens(latents[:, :shared], camera_tokens[:, :shared]))
        flat = (index + torch.arange(batch, device=index.device).view(-1, 1, 1) * shared).flatten(0, 1)
        raw = model.predict(x_t[:, None], t, rays[:, None], cache, flat, clean)[:, 0]
    else:
        rows = torch.arange(batch, device=index.device).view(-1, 1, 1)
        views = ViewTokens(latents[rows, index].flatten(0, 1), camera_tokens[rows, index].flatten(0, 1))
        raw = model.predict(x_t[:, None], t, rays[:, None], views, clean_frames=clean)[:, 0]

    if model.config.prediction == "x0":
        error = (raw - x_0) / t.clamp(min=config.x0_floor).view(-1, 1, 1, 1, 1)
    else:
        error = raw - velocity(x_0, eps)
    if clean is None:
        return error.float().square().mean()
    weight = (1 - clean).view(count, 1, frames, 1, 1).expand_as(error)
    return (error.float().square() * weight).sum() / weight.sum()
