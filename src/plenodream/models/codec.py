"""Video to latents and back, behind one interface: an invertible space-to-depth codec, and the Wan VAE.

A signal is what a codec takes: RGB in [-1, 1], and for a codec with `depth` a fourth channel, inverse depth, in which 0
says that nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

# Metres at which the signal of inverse depth is 0: how far the subject is in the scenes that models are trained on.
DEPTH_UNIT = 4.0
# Largest signals of depth, either way: 4 cm and 200 m.
_NEAREST, _FARTHEST = 0.98, -0.9608


def to_signal(frames: UInt8[Tensor, "*batch frames height width 3"]) -> Float[Tensor, "*batch 3 frames height width"]:
    """RGB bytes to the range [-1, 1] that codecs take."""
    return rearrange(frames, "... f h w c -> ... c f h w").float() / 127.5 - 1


def to_frames(
    signal: Float[Tensor, "*batch channels frames height width"],
) -> UInt8[Tensor, "*batch frames height width 3"]:
    """Codec output to RGB bytes, clipped and rounded; without its depth, where it has one."""
    pixels = (signal[..., :3, :, :, :].float().clamp(-1, 1) + 1) * 127.5
    return rearrange(pixels.round().to(torch.uint8), "... c f h w -> ... f h w c")


def depth_to_signal(depth: Float[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
    """Metres along z to inverse depth between -1 (far) and 1 (near): 2 u / (u + z) - 1 with u = `DEPTH_UNIT`. Ours.

    Depth that is not known (0, negative or not finite) becomes 0.
    """
    known = (depth > 0) & depth.isfinite()
    return torch.where(known, 2 * DEPTH_UNIT / (DEPTH_UNIT + torch.where(known, depth, 1.0)) - 1, 0.0)


def signal_to_depth(signal: Float[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
    """The inverse of `depth_to_signal`, in metres; signals out of range become 4 cm or 200 m."""
    bounded = signal.float().clamp(_FARTHEST, _NEAREST)
    return DEPTH_UNIT * (1 - bounded) / (1 + bounded)


class SpaceToDepthCodec(ModelMixin, ConfigMixin):
    """Squares of pixels become channels, nothing is lost: no second network to train, no ceiling on quality. Ours.

    Args:
        patch: Side of the square in pixels.
        depth: Whether signals have a fourth channel, inverse depth (`depth_to_signal`).
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
        """Latent channels, those of depth last."""
        return (3 + self.depth) * self.config.patch**2

    @property
    def depth(self) -> bool:
        """Whether its signals have depth."""
        return self.config.depth

    def encode(
        self, video: Float[Tensor, "batch channels frames height width"]
    ) -> Float[Tensor, "batch c frames rows cols"]:
        """Latents of a signal; to a codec with depth, one of colours alone is one of unknown depth.

        Raises:
            ValueError: If height or width is not a multiple of the patch.
        """
        check_size(video, self.config.patch)
        if self.depth and video.shape[1] == 3:
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


class WanCodec(AutoencoderKLWan):
    """The Wan 2.1 VAE (4x8x8) with normalised latents, in the interface of our codecs."""

    __module__ = "plenodream"  # see CosmosCameraTransformer
    temporal_factor, spatial_factor, published_channels = 4, 8, 16
    depth = False
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


def check_size(video: Tensor, multiple: int) -> None:
    """Refuse videos whose sides are no multiple of the codec's factor.

    Raises:
        ValueError: Saying the size found and the multiple expected.
    """
    height, width = video.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(f"video of {height}x{width}: expected multiples of {multiple}; resize or crop it first")


def misfit(network: Mapping[str, Any], channels: int, factor: int) -> str | None:
    """What in a denoiser's config does not fit a codec, and what would; None where all does.

    Args:
        network: The denoiser's config.
        channels: Latent channels of the codec.
        factor: Pixels under one of its latent cells, each way.
    """
    side = factor * network["patch_size"][1]
    for name, expected in (
        ("out_channels", (channels,)),
        ("in_channels", (channels + 1, channels + 2)),  # a mask, and where the weights know one a padding channel
        ("camera_numbers", (6 * side**2,)),
    ):
        if network[name] not in expected:
            return f"{name} is {network[name]}: expected {' or '.join(map(str, expected))}, to fit the codec"
    return None
