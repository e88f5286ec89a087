"""Constant frame rate from timestamps."""

from __future__ import annotations

from fractions import Fraction

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from plenodream.media.rate import exact_rate


def constant_rate(
    times: Float64[Tensor, "frames"], last_duration: float, declared: Fraction | None
) -> tuple[Fraction, Int64[Tensor, "frames"]]:
    """Constant frame rate for a video, and which of its frames to show at each of the constant steps (Ours).

    Args:
        times: Presentation times in seconds, strictly increasing, at least two.
        last_duration: How long the last frame is shown, in seconds; 0 if unknown (the median step is taken then).
        declared: Frame rate that the file states. Kept when no frame is more than half a step away from it.

    Returns:
        The rate, and the nearest frame for each step: as many as came in, over the same duration.
    """
    count = len(times)
    steps = torch.arange(count, dtype=torch.float64)
    elapsed = times - times[0]
    if declared and bool(((elapsed - steps / float(declared)).abs() < 0.5 / float(declared)).all()):
        return declared, steps.long()
    end = last_duration if last_duration > 0 else elapsed.diff().median().item()
    rate = exact_rate(count / (elapsed[-1].item() + end))
    wanted = steps / float(rate)
    later = torch.searchsorted(elapsed, wanted).clamp(1, count - 1)
    index = torch.where(wanted - elapsed[later - 1] <= elapsed[later] - wanted, later - 1, later)
    return rate, index
