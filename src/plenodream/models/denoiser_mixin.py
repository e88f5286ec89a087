"""What is alike in all denoisers of ours: views laid out in sequences, context kept or read anew."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plenodream.models.codecs.protocol import Codec
from plenodream.models.context import Context, ViewTokens
from plenodream.models.denoiser import Pass
from plenodream.models.layout import TARGET, context_slots, lay_out
from plenodream.models.rays import camera_tokens
from plenodream.models.step_caches import StepCaches
from plenodream.types import Cameras


class DenoiserMixin(StepCaches):
    """Context, layout and prediction type of a `Denoiser`; a backbone adapter adds `blocks`, `run` and a config.

    The config holds `context_attention` (joint: all views in one sequence; independent: ours, clean views attend to
    themselves alone, at timestep 0 and the same temporal positions as the target), `layout` (for joint),
    `context_timestep` (of context frames in joint; None: that of the target) and `prediction` (velocity or x0).
    """

    config: Any

    @property
    def keeps_keys(self) -> bool:
        """See `Denoiser`."""
        return self.config.context_attention == "independent"

    @property
    def camera_width(self) -> int:
        """Numbers in a camera token, as `rays` gives them."""
        return self.config.camera_numbers

    @property
    def text_width(self) -> int:
        """Numbers in a word's embedding, as `run` takes it; 0 for a network without words."""
        projected = self.config.use_crossattn_projection
        return self.config.crossattn_proj_in_channels if projected else self.config.text_embed_dim

    @property
    def word_projection(self) -> nn.Module | None:
        """What words go through before anything else, so that they are kept after it; far smaller then. None: nothing.

        `run` takes words that went through it, and words that did not.
        """
        return None

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Tokens and width of an image's embedding; None for a network that is told none."""
        return None

    def untold(self, words: bool, image: bool) -> str | None:
        """See `Denoiser`: nothing."""
        return None

    @property
    def context_slots(self) -> int | None:
        """See `Denoiser`."""
        return None if self.keeps_keys else context_slots(tuple(self.config.layout))

    @property
    def targets(self) -> int:
        """See `Denoiser`."""
        return 1 if self.keeps_keys else tuple(self.config.layout).count(TARGET)

    def run(
        self,
        latents: Float[Tensor, "batch channels frames height width"],
        timestep: Float[Tensor, "batch"] | Float[Tensor, "batch frames"],
        camera_tokens: Float[Tensor, "batch frames rows columns numbers"],
        condition_mask: Float[Tensor, "batch frames"],
        text: Float[Tensor, "#batch words features"] | None,
        context: Context | None = None,
        record: bool = False,
        views: int = 1,
        image: Float[Tensor, "batch patches clip"] | None = None,
    ) -> tuple[Float[Tensor, "batch channels frames height width"], Context | None]:
        """One pass of the backbone over one sequence: the raw prediction, and the recorded keys and values.

        Args:
            latents: Views end to end along time.
            timestep: t in [0, 1], of the sequence or of every frame.
            camera_tokens: Cameras of every token.
            condition_mask: 1 where a frame is given clean.
            text: Text embedding; None for the null text.
            context: Keys and values to attend to besides.
            record: Whether to record keys and values.
            views: How many views lie in the sequence.
            image: `ViewTokens.image` of the first context view.
        """
        raise NotImplementedError

    def rays(
        self, codec: Codec, cameras: Cameras, anchor: Float[Tensor, "*#batch 4 4"]
    ) -> Float[Tensor, "*batch frames rows columns numbers"]:
        """See `Denoiser`: folded Plücker rays of every latent frame."""
        return camera_tokens(cameras, anchor, self.config.patch_size[1] * codec.spatial_factor, codec.temporal_factor)

    def encode(self, views: ViewTokens, recomputed: bool = False) -> Context:
        """See `Denoiser`. Keys and values of each view alone, without text (independent), or the views (joint)."""
        latents, camera_tokens = views.latents.flatten(0, 1), views.camera_tokens.flatten(0, 1)
        if recomputed:
            return Context((latents, camera_tokens), unread=True)
        if not self.keeps_keys:
            image = () if views.image is None else (views.image.flatten(0, 1),)
            return Context((latents, camera_tokens, *image))
        count, frames = latents.shape[0], latents.shape[2]
        clean = latents.new_ones(count, frames)
        self.begin()
        with self.branch("context"):
            _, kept = self.run(latents, latents.new_zeros(count), camera_tokens, clean, None, record=True)
        assert kept is not None
        return kept

    def predict(
        self,
        noisy: Float[Tensor, "batch targets channels frames height width"],
        timestep: Float[Tensor, "batch"],
        camera_tokens: Float[Tensor, "batch targets frames rows columns numbers"],
        context: Context,
        clean_frames: Float[Tensor, "batch frames"] | None = None,
        text: Float[Tensor, "#batch words features"] | None = None,
    ) -> Float[Tensor, "batch targets channels frames height width"]:
        """See `Denoiser`. One target in independent mode."""
        if not self.keeps_keys:
            return self._joint(noisy, timestep, camera_tokens, context, clean_frames, text)
        assert noisy.shape[1] == 1
        clean = noisy.new_zeros(noisy.shape[0], noisy.shape[3]) if clean_frames is None else clean_frames.to(noisy)
        step = timestep if clean_frames is None else timestep[:, None] * (1 - clean)
        if context.unread:
            return self._beside(noisy[:, 0], step, camera_tokens[:, 0], context, clean, text)[:, None]
        raw, _ = self.run(noisy[:, 0], step, camera_tokens[:, 0], clean, text, context=context)
        return raw[:, None]

    def _beside(
        self, noisy: Tensor, step: Tensor, rays: Tensor, context: Context, clean: Tensor, text: Tensor | None
    ) -> Tensor:
        """Targets, and behind them in the batch the views they read, clean and without text: one pass for all."""
        latents, seen = (kept.to(noisy) for kept in context.kept)
        views = len(latents)
        if text is not None:
            null = text.new_zeros(1, 1, self.text_width)
            if self.word_projection is not None and text.shape[-1] != self.text_width:
                null = self.word_projection(null)
            # As many null words as there are words are as one: attention over equals.
            text = torch.cat([text.expand(len(noisy), -1, -1), null.to(text).expand(views, text.shape[1], -1)])
        raw, _ = self.run(
            torch.cat([noisy, latents]),
            torch.cat([step, step.new_zeros(views, *step.shape[1:])]),
            torch.cat([rays, seen]),
            torch.cat([clean, clean.new_ones(views, clean.shape[1])]),
            text,
            context=context,
        )
        return raw[: len(noisy)]

    def _joint(
        self, noisy: Tensor, timestep: Tensor, rays: Tensor, context: Context, clean: Tensor | None, text: Tensor | None
    ) -> Tensor:
        """All views in one sequence, as published; fewer targets than it has slots stand in several."""
        batch, frames, layout = noisy.shape[0], noisy.shape[3], tuple(self.config.layout)
        targets, missing = noisy.shape[1], max(0, self.targets - noisy.shape[1])
        noisy, rays = (torch.cat([x, *[x[:, -1:]] * missing], dim=1) for x in (noisy, rays))
        views, slots = lay_out(layout, noisy, context.read(0, batch, noisy))
        rays, _ = lay_out(layout, rays, context.read(1, batch, rays))
        mask = views.new_ones(batch, views.shape[1], frames)
        mask[:, slots] = 0.0 if clean is None else clean.to(noisy)[:, None]
        step = timestep
        if self.config.context_timestep is not None:
            step = torch.where(mask > 0, torch.full_like(mask, self.config.context_timestep), timestep[:, None, None])
            step = step.flatten(1)
        image = context.read(2, batch, noisy)[:, 0] if len(context.kept) > 2 else None
        sequence, count = views.transpose(1, 2).flatten(2, 3), views.shape[1]
        raw, _ = self.run(sequence, step, rays.flatten(1, 2), mask.flatten(1), text, views=count, image=image)
        return raw.unflatten(2, (count, frames)).transpose(1, 2)[:, slots[:targets]]

    def velocity(self, noisy: Tensor, timestep: Tensor, *args, **kwargs) -> Tensor:
        """See `Denoiser`."""
        raw = self.predict(noisy, timestep, *args, **kwargs)
        if self.config.prediction == "velocity":
            return raw
        return (noisy - raw) / timestep.view(-1, *[1] * (noisy.ndim - 1))

    def passes(self, targets: int, context: int, clean: int) -> list[Pass]:
        """See `Denoiser`. In independent mode the first pass is that of the clean views.

        Raises:
            ValueError: More context views than slots.
        """
        if self.keeps_keys:
            return [Pass(clean, 1, 1), Pass(targets, 1, 1 + context)]
        slots = context if self.context_slots is None else self.context_slots
        if context > slots:
            raise ValueError(
                f"context of {context} views for a sequence of {slots} context slots: expected at most {slots}"
            )
        return [Pass(targets, self.targets + slots, self.targets + slots)]

    def misfit(self, channels: int, factor: int) -> str | None:
        """See `Denoiser`."""
        side = factor * self.config.patch_size[1]
        for name, expected in (
            ("out_channels", (channels,)),
            ("in_channels", (channels + 1, channels + 2)),  # a mask, and where the weights know one a padding channel
            ("camera_numbers", (6 * side**2,)),
        ):
            if self.config[name] not in expected:
                return f"{name} is {self.config[name]}: expected {' or '.join(map(str, expected))}, to fit the codec"
        return None
