"""The loss of one batch: every view of a sample is a target, its context the clean views beside it."""

from __future__ import annotations

import math
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
        overlap_in_loss: Whether these frames have a part in the loss, as in the paper.
        camera_dropout: How often a target's camera is hidden (rays set to zero): what guidance over cameras needs.
        caption_dropout: How often a sample is not told its caption: what guidance over text needs. 1: never any.
        depth_weight: Of the loss of depth beside that of colours, where the codec has depth.
        hidden_depth: How often the depth of a context view is not given, as it is with footage.
    """

    shift: float = 4.0
    x0_floor: float = 0.4
    overlap_probability: float = 0.0
    overlap_frames: int = 0
    overlap_in_loss: bool = False
    camera_dropout: float = 0.0
    caption_dropout: float = 1.0
    depth_weight: float = 0.5
    hidden_depth: float = 0.5

    def __post_init__(self) -> None:
        for name in ("shift", "x0_floor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"objective.{name} is {getattr(self, name)}: expected a finite number, more than 0")
        for name in ("overlap_probability", "camera_dropout", "caption_dropout", "hidden_depth"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"objective.{name} is {getattr(self, name)}: expected a probability, 0 to 1")
        if not self.depth_weight >= 0:
            raise ValueError(f"objective.depth_weight is {self.depth_weight}: expected 0 or more")
        if self.overlap_frames < 0:
            raise ValueError(f"objective.overlap_frames is {self.overlap_frames}: expected 0 or more")


def draw_context(
    batch: int, views: int, targets: range, k: int, generator: torch.Generator, source: bool = False
) -> Int[Tensor, "batch targets k"]:
    """For every target a random set of k other views, all different.

    Args:
        batch: Samples.
        views: Views that may serve as context: 0 .. views - 1.
        targets: The views that are targets; a target is never its own context.
        k: Context size; at most the other views there are.
        generator: Source of randomness (CPU).
        source: The source (view 0) comes first, always, and also where it is the target.
    """
    assert k <= views - any(target < views for target in targets), "a target would become its own context"
    order = torch.rand(batch, len(targets), views, generator=generator)
    own = torch.tensor(list(targets))[:, None] == torch.arange(views)
    order = order.masked_fill(own, -1)
    if source:
        order[..., 0] = 1
    return order.topk(k, dim=-1).indices


def draw_size(least: int, most: int, shares: tuple[float, ...] | None, generator: torch.Generator) -> int:
    """How many context views this step's targets are given: `least` to `most`, with these weights or equally often."""
    if shares is None:
        return int(torch.randint(least, most + 1, (), generator=generator))
    return least + int(torch.multinomial(torch.tensor(shares), 1, generator=generator))


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


def hide_depth(
    latents: Float[Tensor, "batch views channels frames height width"],
    depth_channels: int,
    probability: float,
    generator: torch.Generator,
) -> Float[Tensor, "batch views channels frames height width"]:
    """Latents of context views of which some have lost their depth: its channels, the last ones, are 0 (not known)."""
    hidden = torch.rand(latents.shape[:2], generator=generator) < probability
    colours = torch.arange(latents.shape[2], device=latents.device) < latents.shape[2] - depth_channels
    kept = colours | ~hidden[..., None].to(latents.device)
    return latents * kept[..., None, None, None]


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
    depth_channels: int = 0,
    text: Float[Tensor, "batch words features"] | None = None,
) -> Float[Tensor, ""]:
    """Flow-matching loss with teacher forcing: clean copies of the context views, noisy copies of the targets.

    In independent mode the clean copies are run once and shared by all targets; in joint mode every target is run
    with its own context in one sequence. The loss is that of the velocity; where the network predicts x0 its weight
    1 / t^2 is capped at 1 / x0_floor^2. Frames given clean have a part in it if `overlap_in_loss` says so. Depth has a
    mean of its own, over the latents that are known (not 0); depth that is not known has no part in any.

    Args:
        model: The denoiser.
        latents: True latents of all views.
        camera_tokens: Rays of all views relative to the source.
        context: Which views each target is given.
        targets: The views that are targets.
        config: Weights and probabilities.
        generator: Source of noise and times, on the CPU whatever the model's device.
        context_latents: What the views look like as context; the true latents if None.
        depth_channels: How many of the latents' channels, the last ones, are depth.
        text: What each sample's targets are told in words; None: nothing.
    """
    batch = latents.shape[0]
    x_0 = latents[:, targets.start : targets.stop].flatten(0, 1)
    rays = camera_tokens[:, targets.start : targets.stop].flatten(0, 1)
    count, frames = x_0.shape[0], x_0.shape[2]
    t = sample_timesteps(count, config.shift, generator).to(x_0)
    keep = torch.rand(count, generator=generator).to(x_0) >= config.camera_dropout
    rays = rays * keep.view(-1, 1, 1, 1, 1)
    overlap = draw_overlap(frames, config, generator)
    eps = draw_noise(x_0, generator)

    x_t, clean = interpolate(x_0, eps, t), None
    if overlap:
        clean = (torch.arange(frames, device=x_0.device) < overlap).to(x_0).expand(count, frames)
        x_t = torch.where(clean.view(count, 1, frames, 1, 1) > 0, x_0, x_t)
    given = latents if context_latents is None else context_latents
    if depth_channels:
        given = hide_depth(given, depth_channels, config.hidden_depth, generator)
    # Each clean view that some target is given is encoded once, and all targets are run against them.
    context = fill_context(context, model.context_slots)
    shared = int(context.max()) + 1
    index = (context + torch.arange(batch).view(-1, 1, 1) * shared).flatten(0, 1)
    index = index.to(x_t.device)  # before the pass, as a copy waits for all that is queued
    seen = model.encode(ViewTokens(given[:, :shared], camera_tokens[:, :shared])).select(index)
    words = None if text is None else text.repeat_interleave(len(targets), 0)
    raw = model.predict(x_t[:, None], t, rays[:, None], seen, clean, words)[:, 0]

    if model.config.prediction == "x0":
        error = (raw.float() - x_0) / t.clamp(min=config.x0_floor).view(-1, 1, 1, 1, 1)
    else:
        error = raw.float() - velocity(x_0, eps)
    first = 0 if config.overlap_in_loss else overlap
    square = error[:, :, first:].square()
    if not depth_channels:
        return square.mean()
    known = x_0[:, -depth_channels:, first:] != 0
    depth = (square[:, -depth_channels:] * known).sum() / known.sum().clamp(min=1)
    return square[:, :-depth_channels].mean() + config.depth_weight * depth
