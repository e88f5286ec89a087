"""Exact frame rates."""

from __future__ import annotations

import math
from fractions import Fraction


def exact_rate(fps: float | Fraction) -> Fraction:
    """The frame rate that a number stands for: 29.97002997... is 30000/1001.

    Raises:
        ValueError: If it is not a positive finite number of frames per second.
    """
    if not math.isfinite(fps) or (rate := Fraction(fps).limit_denominator(1001)) <= 0:
        raise ValueError(f"frame rate {fps}: expected a finite number of frames per second, more than 0.001")
    return rate
