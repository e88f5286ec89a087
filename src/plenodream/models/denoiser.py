"""What every denoiser does, whatever its backbone: lay views out, keep context, return a velocity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.models.attention import ContextCache

CONTEXT, TARGET, ANY_CONTEXT = "context", "target", "context*"

# How views lie in one sequence along time, as data. `context*` takes any number of context views.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "target-first": (TARGET, ANY_CONTEXT),
    "middle-of-4": (CONTEXT, CONTEXT, TARGET, CONTEXT, CONTEXT),
    "source-between-targets": (TARGET, CONTEXT, TARGET),
}


@dataclass(frozen=True)
class ViewTokens:
    """Views ready for a denoiser.

    Attributes:
        latents: Clean latents of the views.
        camera_tokens: Their folded Plücker rays, relative to the window's anchor.
    """

    latents: Float[Tensor, "batch views channels frames height width"]
    camera_tokens: Float[Tensor, "batch views frames rows columns numbers"]

    @staticmethod
    def stack(parts: list[ViewTokens]) -> ViewTokens:
        """The views of several, in order."""
        latents, camera_tokens = ([getattr(p, name) for p in parts] for name in ("latents", "camera_tokens"))
        return ViewTokens(torch.cat(latents, dim=1), torch.cat(camera_tokens, dim=1))


def lay_out(
    layout: tuple[str, ...], target: Float[Tensor, "batch targets ..."], context: Float[Tensor, "batch views ..."]
) -> tuple[Float[Tensor, "batch slots ..."], list[int]]:
    """Views in the order of a layout, and the slots that are targets.

    Raises:
        ValueError: If the layout does not hold as many contexts or targets as are given.
    """
    slots: list[Tensor] = []
    target_slots: list[int] = []
    contexts, targets = iter(context.unbind(1)), iter(target.unbind(1))
    try:
        for slot in layout:
            if slot == ANY_CONTEXT:
                slots.extend(contexts)
            elif slot == CONTEXT:
                slots.append(next(contexts))
            else:
                target_slots.append(len(slots))
                slots.append(next(targets))
    except StopIteration:
        slots = []
    if len(slots) != context.shape[1] + target.shape[1]:
        raise ValueError(
            f"layout {list(layout)} was given {context.shape[1]} context and {target.shape[1]} target views; "
            "expected as many as it has slots (repeat the source to fill the context)"
        )
    return torch.stack(slots, dim=1), target_slots


class DenoiserMixin:
    """Context, layout and prediction type of a denoiser; a backbone adapter adds `run` and a config.

    The config holds `context_attention` (joint: all views in one sequence; independent: ours, clean views attend to
    themselves alone, at timestep 0 and the same temporal positions as the target), `layout` (for joint),
    `context_timestep` (of context frames in joint; None: that of the target) and `prediction` (velocity or x0).
    """

    config: Any

    @property
    def context_slots(self) -> int | None:
        """Context views that its sequence always holds (fewer are filled up with the source); None: any number."""
        layout, joint = tuple(self.config.layout), self.config.context_attention == "joint"
        return layout.count(CONTEXT) if joint and ANY_CONTEXT not in layout else None

    def run(
        self,
        latents: Float[Tensor, "batch channels frames height width"],
        timestep: Float[Tensor, "batch"] | Float[Tensor, "batch frames"],
        camera_tokens: Float[Tensor, "batch frames rows columns numbers"],
        condition_mask: Float[Tensor, "batch frames"],
        text: Float[Tensor, "#batch words features"] | None,
        context: ContextCache | None = None,
        record: bool = False,
    ) -> tuple[Float[Tensor, "batch channels frames height width"], ContextCache | None]:
        """One pass of the backbone over one sequence: the raw prediction, and the recorded keys and values."""
        raise NotImplementedError

    def encode_context(self, views: ViewTokens, text: Tensor | None = None) -> ContextCache:
        """Keys and values of clean views, each seen alone (independent mode). Ours.

        Returns:
            A cache of batch * views entries, the views of one batch entry together.
        """
        assert self.config.context_attention == "independent"
        latents, camera_tokens = views.latents.flatten(0, 1), views.camera_tokens.flatten(0, 1)
        count, frames = latents.shape[0], latents.shape[2]
        clean = latents.new_ones(count, frames)
        text = None if text is None else text.repeat_interleave(views.latents.shape[1], dim=0)
        _, cache = self.run(latents, latents.new_zeros(count), camera_tokens, clean, text, record=True)
        assert cache is not None
        return cache

    def predict(
        self,
        noisy: Float[Tensor, "batch targets channels frames height width"],
        timestep: Float[Tensor, "batch"],
        camera_tokens: Float[Tensor, "batch targets frames rows columns numbers"],
        context: ContextCache | ViewTokens,
        context_index: Int[Tensor, "batch context"] | None = None,
        clean_frames: Float[Tensor, "batch frames"] | None = None,
        text: Float[Tensor, "#batch words features"] | None = None,
    ) -> Float[Tensor, "batch targets channels frames height width"]:
        """Raw prediction (velocity or x0, as the config says) for the target views.

        Args:
            noisy: x_t of the targets; one target in independent mode.
            timestep: t in [0, 1]; 1 is pure noise.
            camera_tokens: Rays of the targets.
            context: A cache (independent) or the views themselves (joint).
            context_index: Which entries of the cache each batch entry attends to; all, in order, if None. Only with a
                cache.
            clean_frames: 1 where a target frame is already known and given clean inside `noisy`, else 0.
            text: Text embedding; None for the null text.
        """
        batch, targets, _, frames = noisy.shape[:4]
        clean = noisy.new_zeros(batch, frames) if clean_frames is None else clean_frames.to(noisy)
        if self.config.context_attention == "independent":
            assert isinstance(context, ContextCache) and targets == 1
            if context_index is None:
                context_index = torch.arange(context.keys[0].shape[0], device=noisy.device).expand(batch, -1)
            step = timestep if clean_frames is None else timestep[:, None] * (1 - clean)
            chosen = context.select(context_index)
            raw, _ = self.run(noisy[:, 0], step, camera_tokens[:, 0], clean, text, context=chosen)
            return raw[:, None]
        assert isinstance(context, ViewTokens) and context_index is None
        views, slots = lay_out(tuple(self.config.layout), noisy, context.latents)
        rays, _ = lay_out(tuple(self.config.layout), camera_tokens, context.camera_tokens)
        mask = views.new_ones(batch, views.shape[1], frames)
        mask[:, slots] = clean[:, None]
        step = timestep
        if self.config.context_timestep is not None:
            step = torch.where(mask > 0, torch.full_like(mask, self.config.context_timestep), timestep[:, None, None])
            step = step.flatten(1)
        raw, _ = self.run(views.transpose(1, 2).flatten(2, 3), step, rays.flatten(1, 2), mask.flatten(1), text)
        return raw.unflatten(2, (views.shape[1], frames)).transpose(1, 2)[:, slots]

    def velocity(self, noisy: Tensor, timestep: Tensor, *args, **kwargs) -> Tensor:
        """v = eps - x_0 for the targets, whatever the network predicts; arguments of `predict`."""
        raw = self.predict(noisy, timestep, *args, **kwargs)
        if self.config.prediction == "velocity":
            return raw
        return (noisy - raw) / timestep.view(-1, *[1] * (noisy.ndim - 1))
