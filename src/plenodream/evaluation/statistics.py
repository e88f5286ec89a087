"""How sure a mean over scenes is. The scene is the unit: its pixels and frames are not independent."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Interval(NamedTuple):
    """A mean over scenes with the ends of its confidence interval, which are NaN where there are too few scenes."""

    mean: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether it has ends: of a single scene nobody knows how far it lies from others."""
        return self.low == self.low


def bootstrap_interval(
    values: Float[Tensor, "scenes"], confidence: float = 0.95, samples: int = 2000, *, generator: torch.Generator
) -> Interval:
    """Mean over scenes and its percentile bootstrap interval: scenes are drawn again with replacement.

    For the difference of two methods pass the difference scene by scene: the interval is then paired.

    Args:
        values: One number per scene. NaN (a scene too little covered to count) is left out.
        confidence: Share of the resampled means inside the interval.
        samples: Number of resampled means.
        generator: Where the draws come from; a CPU generator.

    Returns:
        (mean, low, high); all NaN if no scene counts, without ends for a single scene.

    Raises:
        ValueError: `confidence` outside 0..1, `samples` below 1, or values that are not one number per scene.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence:g}: expected more than 0 and less than 1, such as 0.95")
    if samples < 1:
        raise ValueError(f"{samples} bootstrap samples: expected at least 1, such as 2000")
    if values.ndim != 1:
        raise ValueError(f"values of shape {tuple(values.shape)}: expected (scenes,); average within each scene first")
    values = values.detach().to("cpu", torch.float64)
    values = values[~values.isnan()]
    if len(values) < 2:
        return Interval(values.sum().item() if len(values) else math.nan, math.nan, math.nan)
    drawn = torch.randint(len(values), (samples, len(values)), generator=generator)
    tail = (1 - confidence) / 2
    ends = torch.quantile(values[drawn].mean(dim=1), torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return Interval(values.mean().item(), ends[0].item(), ends[1].item())
