"""Video to latents and back: what every codec does, and the pixels on either side of it.

A signal is what a codec takes: colours in [-1, 1], and for a codec that has depth a fourth channel (`codecs.depth`).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor


class Codec(Protocol):
    """What a denoiser's latents are made by; a module of diffusers besides.

    Attributes:
        config: What it was built with.
        temporal_factor: Frames under one latent frame; the first frame is alone.
    """

    config: Any
    temporal_factor: int

    @property
    def spatial_factor(self) -> int:
        """Pixels per latent cell, each way."""
        ...

    @property
    def channels(self) -> int:
        """Latent channels."""
        ...

    @property
    def depth_channels(self) -> int:
        """How many of them, the last ones, are depth: 0 if its signals have none."""
        ...

    def encode(self, video: Any, /) -> Float[Tensor, "batch c frames rows cols"]:
        """Latents of a signal (batch, channels, frames, height, width), in its precision.

        Colours alone are a signal of unknown depth to a codec that has depth.

        Raises:
            ValueError: A size or length that it cannot hold.
        """
        ...

    def decode(self, latents: Any, /) -> Float[Tensor, "batch channels frames height width"]:
        """The signal, in [-1, 1], about."""
        ...

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """As a module's."""
        ...

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a video.

        Raises:
            ValueError: A length that it cannot hold.
        """
        ...


def to_signal(frames: UInt8[Tensor, "*batch frames height width 3"]) -> Float[Tensor, "*batch 3 frames height width"]:
    """RGB bytes to the range [-1, 1] that codecs take."""
    return rearrange(frames, "... f h w c -> ... c f h w").float() / 127.5 - 1


def to_frames(
    signal: Float[Tensor, "*batch channels frames height width"],
) -> UInt8[Tensor, "*batch frames height width 3"]:
    """Colours of a codec's output as RGB bytes, clipped and rounded."""
    pixels = (signal[..., :3, :, :, :].float().clamp(-1, 1) + 1) * 127.5
    return rearrange(pixels.round().to(torch.uint8), "... c f h w -> ... f h w c")


def check_size(video: Tensor, multiple: int) -> None:
    """Refuse videos whose sides are no multiple of the codec's factor.

    Raises:
        ValueError: Saying the size found and the multiple expected.
    """
    height, width = video.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(f"video of {height}x{width}: expected multiples of {multiple}; resize or crop it first")
