"""How near predicted frames are to true ones: PSNR pooled per scene, contrast and sharpness kept, and the floors.

Frames are floats 0..1 with channels last, `(*scenes, frames, height, width, 3)`; masks are
`(*scenes, frames, height, width)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MAX_PSNR = 100.0
MINIMUM_COVERAGE = 0.005  # share of the pixels below which a masked score says nothing


@dataclass(frozen=True)
class SquaredError:
    """Squared error summed over the pixels of a scene, so that errors are pooled before they become decibels.

    Attributes:
        total: Sum over pixels of the squared error averaged over the channels, float64.
        count: Number of pixels in the sum.
        size: Number of pixels there are, in the mask or not.
    """

    total: Float[Tensor, "*scenes"]
    count: Float[Tensor, "*scenes"]
    size: int

    @property
    def coverage(self) -> Float[Tensor, "*scenes"]:
        """Share of all pixels that was compared."""
        return self.count / self.size

    def psnr(self, minimum_coverage: float = 0.0) -> Float[Tensor, "*scenes"]:
        """Peak signal-to-noise ratio in dB, one per scene.

        At most 100 dB (ours), so that exact equality does not turn a mean over scenes into infinity. NaN where nothing,
        or less than `minimum_coverage` of the pixels, was compared.
        """
        mean = self.total / self.count.clamp(min=1)
        decibels = (-10 * torch.log10(mean)).clamp(max=MAX_PSNR)
        return decibels.masked_fill((self.count == 0) | (self.coverage < minimum_coverage), float("nan"))

    def __add__(self, other: SquaredError) -> SquaredError:
        """Pooled error of two parts of the same scenes, such as two shots."""
        return SquaredError(self.total + other.total, self.count + other.count, self.size + other.size)


def squared_error(
    a: Float[Tensor, "*#scenes frames height width 3"],
    b: Float[Tensor, "*#scenes frames height width 3"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> SquaredError:
    """Squared error of frames (0..1) over a mask, summed over frames and pixels of each scene.

    Raises:
        ValueError: Frames that are not floats, or differ in size.
    """
    if not (a.is_floating_point() and b.is_floating_point()):
        raise ValueError(f"frames of type {a.dtype} and {b.dtype}: expected floats 0..1; divide uint8 frames by 255")
    if a.shape[-4:] != b.shape[-4:]:
        raise ValueError(f"frames of shape {tuple(a.shape)} and {tuple(b.shape)}: expected the same size")
    return pool((a.double() - b.double()).square().mean(dim=-1), mask)


def pool(
    errors: Float[Tensor, "*#scenes frames height width"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> SquaredError:
    """Errors per pixel, summed over a mask; several videos and several masks are summed each by each at little cost."""
    weight = torch.ones_like(errors) if mask is None else mask.to(errors)
    total = _sum_products(errors, weight)
    return SquaredError(total, weight.sum((-3, -2, -1)).expand_as(total), errors.shape[-3:].numel())


def _sum_products(values: Tensor, weight: Tensor) -> Tensor:
    """Sum over the last three dimensions; those before them broadcast, as a product of matrices where they differ."""
    return torch.einsum("...n,...n->...", values.flatten(-3), weight.flatten(-3))


def psnr(
    a: Float[Tensor, "*#scenes frames height width 3"],
    b: Float[Tensor, "*#scenes frames height width 3"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> Float[Tensor, "*scenes"]:
    """PSNR in dB of frames (0..1), one per scene: the squared error is pooled over the mask first.

    Returns:
        At most 100 dB; NaN for a scene whose mask is empty.

    Raises:
        ValueError: Frames that are not floats, or differ in size.
    """
    return squared_error(a, b, mask).psnr()


def variance_ratio(
    frames: Float[Tensor, "*#scenes frames height width 3"],
    reference: Float[Tensor, "*#scenes frames height width 3"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> Float[Tensor, "*scenes"]:
    """Colour variance of frames over that of the reference, on the same pixels: below 1 for blur, which wins PSNR.

    NaN for an empty mask or a flat reference.
    """
    return _ratio(colour_variance(frames, mask), colour_variance(reference, mask))


def colour_variance(
    frames: Float[Tensor, "*#scenes frames height width 3"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> Float[Tensor, "*scenes"]:
    """Variance about each scene's mean colour over the mask, averaged over pixels and channels; NaN where empty."""
    # About any colour the variance is the same; near the mean the difference of squares loses nothing.
    values = frames.double().movedim(-1, -4)
    values = values - values.mean((-3, -2, -1), keepdim=True)
    weight = torch.ones_like(values[..., :1, :, :, :]) if mask is None else mask.to(values).unsqueeze(-4)
    count = weight.sum((-3, -2, -1))
    first, second = _sum_products(values, weight), _sum_products(values.square(), weight)
    return ((second - first.square() / count).clamp(min=0) / count).mean(-1)


def sharpness_ratio(
    frames: Float[Tensor, "*#scenes frames height width 3"],
    reference: Float[Tensor, "*#scenes frames height width 3"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> Float[Tensor, "*scenes"]:
    """Squared difference between neighbouring pixels of frames over that of the reference: below 1 for blur.

    NaN for an empty mask or a flat reference.
    """
    return _ratio(edge_energy(frames, mask), edge_energy(reference, mask))


def edge_energy(
    frames: Float[Tensor, "*#scenes frames height width 3"],
    mask: Bool[Tensor, "*#scenes frames height width"] | None = None,
) -> Float[Tensor, "*scenes"]:
    """Squared differences of neighbours (left-right, above-below) summed where both lie in the mask."""
    values = frames.double()
    inside = torch.ones_like(values[..., 0]) if mask is None else mask.to(values)
    across = _sum_products(values.diff(dim=-2).square().sum(-1), inside[..., 1:] * inside[..., :-1])
    return across + _sum_products(values.diff(dim=-3).square().sum(-1), inside[..., 1:, :] * inside[..., :-1, :])


def mean_colour(
    source: Float[Tensor, "*scenes frames height width 3"],
) -> Float[Tensor, "*scenes frames height width 3"]:
    """The mean colour of the source video as a prediction of any target: what knowing nothing else scores."""
    return source.mean((-4, -3, -2), keepdim=True).expand_as(source)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    return torch.where(denominator > 0, numerator / denominator, torch.full_like(denominator, float("nan")))
