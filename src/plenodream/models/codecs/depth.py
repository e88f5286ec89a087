"""Depth as codecs take it: the fourth channel of a signal, in which 0 says that nothing is known. Ours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Metres at which the signal is 0: how far the subject is in the scenes that models are trained on.
DEPTH_UNIT = 4.0
# Largest signals, either way: 4 cm and 200 m.
_NEAREST, _FARTHEST = 0.98, -0.9608


def depth_to_signal(depth: Float[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
    """Metres along z to inverse depth between -1 (far) and 1 (near): 2 u / (u + z) - 1 with u = `DEPTH_UNIT`.

    Depth that is not known (0, negative or not finite) becomes 0.
    """
    known = (depth > 0) & depth.isfinite()
    return torch.where(known, 2 * DEPTH_UNIT / (DEPTH_UNIT + torch.where(known, depth, 1.0)) - 1, 0.0)


def signal_to_depth(signal: Float[Tensor, "*batch height width"]) -> Float[Tensor, "*batch height width"]:
    """The inverse of `depth_to_signal`, in metres; signals out of range become 4 cm or 200 m."""
    bounded = signal.float().clamp(_FARTHEST, _NEAREST)
    return DEPTH_UNIT * (1 - bounded) / (1 + bounded)
