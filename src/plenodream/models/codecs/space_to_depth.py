"""Squares of pixels as channels."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from plenodream.models.codecs.protocol import check_size


class SpaceToDepthCodec(ModelMixin, ConfigMixin):
    """Squares of pixels become channels, nothing is lost: no second network to train, no ceiling on quality. Ours.

    Args:
        patch: Side of the square in pixels.
        depth: Whether its signals have depth.
    """

    __module__ = "plenodream"  # see CosmosCameraTransformer
    temporal_factor = 1
    config: Any

    @register_to_config
    def __init__(self, patch: int = 8, depth: bool = False) -> None:
        super().__init__()
        # A parameterless module still needs a tensor for dtype, device and a weights file.
        self.register_buffer("patch_size", torch.tensor(patch))

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent cell, each way."""
        return self.config.patch

    @property
    def channels(self) -> int:
        """Latent channels."""
        return 3 * self.config.patch**2 + self.depth_channels

    @property
    def depth_channels(self) -> int:
        """How many of them, the last ones, are depth."""
        return self.config.depth * self.config.patch**2

    def encode(
        self, video: Float[Tensor, "batch channels frames height width"]
    ) -> Float[Tensor, "batch c frames rows cols"]:
        """Latents of a signal; colours alone have unknown depth.

        Raises:
            ValueError: If height or width is not a multiple of the patch.
        """
        check_size(video, self.config.patch)
        if self.config.depth and video.shape[1] == 3:
            video = torch.nn.functional.pad(video, (0, 0, 0, 0, 0, 0, 0, 1))
        return rearrange(video, "b c f (h p) (w q) -> b (c p q) f h w", p=self.config.patch, q=self.config.patch)

    def decode(
        self, latents: Float[Tensor, "batch c frames rows cols"]
    ) -> Float[Tensor, "batch channels frames height width"]:
        """The exact inverse of `encode`."""
        patch = self.config.patch
        return rearrange(latents, "b (c p q) f h w -> b c f (h p) (w q)", p=patch, q=patch)

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a video."""
        return frames
