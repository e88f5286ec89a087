"""What the published camera networks on Wan 2.1 have in common: one forward pass of the stock transformer in a call."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from jaxtyping import Float
from torch import Tensor

from plenodream.models.call import AttentionCall, calling
from plenodream.models.context import Context
from plenodream.models.denoiser_mixin import DenoiserMixin

STEPS_PER_UNIT = 1000  # Wan's timesteps run to 1000, the t of the path to 1


class WanDenoiser(DenoiserMixin, WanTransformer3DModel):
    """A stock Wan transformer as a `Denoiser`: all views in one sequence, one timestep for all of it.

    Frames that are given clean are not told to it: it was never trained to be.
    """

    config: Any
    # As published, all of it computes in one type; and diffusers cannot load such lists without accelerate.
    _keep_in_fp32_modules = None

    @property
    def text_width(self) -> int:
        """See `DenoiserMixin`."""
        return self.config.text_dim

    def camera_embedding(
        self, camera_tokens: Float[Tensor, "batch frames rows columns numbers"], views: int
    ) -> Float[Tensor, "batch frames rows columns numbers"]:
        """What each token is told of the cameras in the sequence."""
        raise NotImplementedError

    def run(
        self,
        latents: Float[Tensor, "batch channels frames height width"],
        timestep: Float[Tensor, "batch"],
        camera_tokens: Float[Tensor, "batch frames rows columns numbers"],
        condition_mask: Float[Tensor, "batch frames"],
        text: Float[Tensor, "#batch words features"] | None,
        context: Context | None = None,
        record: bool = False,
        views: int = 1,
        image: Float[Tensor, "batch patches clip"] | None = None,
    ) -> tuple[Float[Tensor, "batch channels frames height width"], Context | None]:
        """See `DenoiserMixin.run`. Latents of another precision than the weights come back in their own."""
        batch, channels, *size = latents.shape
        like = latents.to(self.patch_embedding.weight.dtype)  # the weights may wait elsewhere
        padding = latents.new_zeros(batch, self.config.in_channels - channels, *size)
        if problem := self.untold(text is not None, image is not None):
            raise ValueError(problem)
        assert text is not None
        cameras = self.camera_embedding(camera_tokens, views).flatten(1, 3).to(like)
        with calling(AttentionCall(cameras, context, record, views)) as call:
            (prediction,) = self(
                hidden_states=torch.cat([like, padding.to(like)], dim=1),
                timestep=timestep * STEPS_PER_UNIT,
                encoder_hidden_states=text.to(like).expand(batch, -1, -1),
                encoder_hidden_states_image=None if image is None else image.to(like),
                return_dict=False,
            )
        return prediction.to(latents.dtype), call.recorded_context() if record else None

    def untold(self, words: bool, image: bool) -> str | None:
        """See `Denoiser`."""
        if not words:
            return "this network reads words and was given none: expected text.safetensors in its folder, or an encoder"
        if not image and self.config.image_dim is not None:
            return (
                "this network is told what CLIP sees in the first frame: expected image_encoder in its folder, as "
                "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers has it"
            )
        return None

    def misfit(self, channels: int, factor: int) -> str | None:
        """See `Denoiser`."""
        if self.config.out_channels != channels:
            return f"out_channels is {self.config.out_channels}: expected {channels}, to fit the codec"
        return None if factor == 8 else f"the codec has {factor} pixels a cell: expected the 8 of the Wan VAE"
