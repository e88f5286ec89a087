"""The loss of one batch: every view of a sample is a target, its context the clean views beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.flow import interpolate, sample_timesteps, velocity
from plenodream.models.context import ViewTokens
from plenodream.models.denoiser import Denoiser


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a training step asks of the denoiser.

    Attributes:
        shift: Bias of the training times to high noise (`flow.timesteps`).
        x0_floor: Smallest t in the weight 1 / t^2 that a velocity loss puts on an x0 output.
        overlap_probability: How often a clip's first frames are given clean, as in a later window of a long video.
        overlap_frames: Most latent frames that are then clean; every such step draws from 1 to this number.
        camera_dropout: How often a target's camera is hidden (rays set to zero), for guidance.
        context_dropout: How often a step's targets are given no context, for guidance.
    """

    shift: float = 4.0
    x0_floor: float = 0.4
    overlap_probability: float = 0.0
    overlap_frames: int = 0
    camera_dropout: float = 0.0
    context_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("shift", "x0_floor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"objective.{name} is {getattr(self, name)}: expected more than 0")
        for name in ("overlap_probability", "camera_dropout", "context_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"objective.{name} is {getattr(self, name)}: expected a probability, 0 to 1")
        if self.overlap_frames < 0:
            raise ValueError(f"objective.overlap_frames is {self.overlap_frames}: expected 0 or more")


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
    assert k <= views - any(target < views for target in targets), "a target would become its own context"
    order = torch.rand(batch, len(targets), views, generator=generator)
    own = torch.tensor(list(targets))[:, None] == torch.arange(views)
    return order.masked_fill(own, -1).topk(k, dim=-1).indices


def fill_context(context: Int[Tensor, "batch targets k"], slots: int | None) -> Int[Tensor, "batch targets slots"]:
    """Repeat the source (view 0) until a joint sequence's context slots are full, as the paper does.

    Raises:
        ValueError: More context views than slots.
    """
    if slots is None:
        return context
    k = context.shape[-1]
    if k > slots:
        raise ValueError(f"context of {k} views for {slots} context slots: lower curriculum.max_context by {k - slots}")
    return torch.nn.functional.pad(context, (0, slots - k))


def draw_overlap(frames: int, config: ObjectiveConfig, generator: torch.Generator) -> int:
    """How many leading frames of this step's targets are clean: none, or 1 to `overlap_frames`, never all."""
    most = min(config.overlap_frames, frames - 1)
    chance, number = torch.rand(2, generator=generator).tolist()
    return 1 + int(number * most) if most > 0 and chance < config.overlap_probability else 0


def draw_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise, drawn where `like` lives, by a generator seeded from the given one (on the CPU)."""
    seed = int(torch.randint(2**31, (), generator=generator))
    local = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(like.shape, generator=local, device=like.device, dtype=like.dtype)


def training_loss(
    model: Denoiser,
    latents: Float[Tensor, "batch views channels frames height width"],
    camera_tokens: Float[Tensor, "batch views frames rows columns numbers"],
    context: Int[Tensor, "batch targets k"],
    targets: range,
    config: ObjectiveConfig,
    generator: torch.Generator,
    context_latents: Float[Tensor, "batch views channels frames height width"] | None = None,
) -> Float[Tensor, ""]:
    """Flow-matching loss with teacher forcing: clean copies of the context views, noisy copies of the targets.

    In independent mode the clean copies are run once and shared by all targets; in joint mode every target is run
    with its own context in one sequence. The loss is that of the velocity; where the network predicts x0 its weight
    1 / t^2 is capped at 1 / x0_floor^2. Frames given clean have no part in it.

    Args:
        model: The denoiser.
        latents: True latents of all views.
        camera_tokens: Rays of all views relative to the source.
        context: Which views each target is given.
        targets: The views that are targets.
        config: Weights and probabilities.
        generator: Source of noise and times, on the CPU whatever the model's device.
        context_latents: What the views look like as context; the true latents if None.
    """
    batch = latents.shape[0]
    x_0 = latents[:, targets.start : targets.stop].flatten(0, 1)
    rays = camera_tokens[:, targets.start : targets.stop].flatten(0, 1)
    count, frames = x_0.shape[0], x_0.shape[2]
    t = sample_timesteps(count, config.shift, generator).to(x_0)
    keep = torch.rand(count, generator=generator).to(x_0) >= config.camera_dropout
    rays = rays * keep.view(-1, 1, 1, 1, 1)
    alone = torch.rand((), generator=generator).item() < config.context_dropout
    overlap = draw_overlap(frames, config, generator)
    eps = draw_noise(x_0, generator)

    x_t, clean = interpolate(x_0, eps, t), None
    if overlap:
        clean = (torch.arange(frames, device=x_0.device) < overlap).to(x_0).expand(count, frames)
        x_t = torch.where(clean.view(count, 1, frames, 1, 1) > 0, x_0, x_t)
    given = latents if context_latents is None else context_latents
    # Each clean view that some target is given is encoded once, and all targets are run against them.
    context = fill_context(context, model.context_slots)
    shared = int(context.max()) + 1
    index = (context + torch.arange(batch).view(-1, 1, 1) * shared).flatten(0, 1)
    index = index.to(x_t.device)  # before the pass, as a copy waits for all that is queued
    seen = model.encode(ViewTokens(given[:, :shared], camera_tokens[:, :shared])).select(index)
    raw = model.predict(x_t[:, None], t, rays[:, None], model.blank(seen) if alone else seen, clean)[:, 0]

    if model.config.prediction == "x0":
        error = (raw.float() - x_0) / t.clamp(min=config.x0_floor).view(-1, 1, 1, 1, 1)
    else:
        error = raw.float() - velocity(x_0, eps)
    return error[:, :, overlap:].square().mean()
