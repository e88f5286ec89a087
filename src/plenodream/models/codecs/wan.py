"""The VAE of Wan 2.1, which Cosmos-Predict2.5 uses, too."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from jaxtyping import Float
from torch import Tensor

from plenodream.models.codecs.protocol import check_size


class WanCodec(AutoencoderKLWan):
    """The Wan 2.1 VAE (4x8x8) with normalised latents, in the interface of our codecs."""

    __module__ = "plenodream"  # see CosmosCameraTransformer
    temporal_factor, spatial_factor, published_channels = 4, 8, 16
    depth_channels = 0
    config: Any

    @property
    def channels(self) -> int:
        """Latent channels."""
        return self.config.z_dim

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(x).to(like) for x in (self.config.latents_mean, self.config.latents_std))
        return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)

    def encode(self, x: Float[Tensor, "batch 3 frames height width"], return_dict: bool = True) -> Tensor:  # type: ignore[override]
        """Normalised latents (the posterior's mode) of a video in [-1, 1], in the video's precision.

        A slice of the latents is not the latents of a slice: what is cut in time is to be encoded anew.

        Raises:
            ValueError: If the frame count is not 4 n + 1 (the VAE would drop the rest) or a side not a multiple of 8.
        """
        self.latent_frames(x.shape[2])
        check_size(x, self.spatial_factor)
        latents = super().encode(x.to(self.dtype), return_dict=False)[0].mode().to(x.dtype)
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def decode(self, z: Float[Tensor, "batch c frames rows cols"], return_dict: bool = True) -> Tensor:  # type: ignore[override]
        """Video in [-1, 1] of normalised latents, in their precision."""
        mean, std = self._statistics(z)
        return super().decode((z * std + mean).to(self.dtype), return_dict=False)[0].to(z.dtype)

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a video.

        Raises:
            ValueError: If the frame count is not 4 n + 1.
        """
        if frames % 4 != 1:
            raise ValueError(f"{frames} frames for the Wan VAE: expected 4 n + 1; pad or trim to {frames // 4 * 4 + 1}")
        return frames // 4 + 1
