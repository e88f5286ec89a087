"""How long the parts of a view take, learned while views are rendered. Ours.

A part's time is taken to be linear in what it depends on (`Work.load`). What a view more in the context adds is first
guessed as a share of the time of one from a single view at the same place, and corrected by every view that is
finished: least squares, in which the guess counts as one more observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

# Parts of a view: reading its context, the generator's steps, what comes after them.
READING, STEPS, FINISHING = range(3)


@dataclass(frozen=True)
class Guess:
    """Before enough is measured: what times grow by (nano, nano-depth, reprojection on a CPU: benchmarks/outlook.py).

    Attributes:
        steps: Shares of `Work.load` in the steps.
        finishing: Shares of `Work.load` in what comes after them.
    """

    steps: tuple[float, float, float]
    finishing: tuple[float, float, float]


# Later views find some of their context read already, but may have two to read.
_LATER = 1.2
NETWORK = Guess((0.15, 0.0, 0.0), (0.05, 0.9, 1.2))
CLOUD = Guess((0.0, 0.0, 0.0), (0.1, 1.4, 1.2))


@dataclass
class Pace:
    """Of one part.

    Attributes:
        part: Which.
        seen: Load and seconds of the views that are finished, in order.
    """

    part: int
    seen: list[tuple[tuple[float, ...], float]] = field(default_factory=list)

    def seconds(self, loads: Sequence[tuple[float, ...]], guess: Guess) -> float:
        """Of views that are to come, together; 0 while none is finished."""
        if not self.seen:
            return 0.0
        if self.part == READING:
            later = [seconds for _, seconds in self.seen[1:]] or [_LATER * self.seen[0][1]]
            return len(loads) * sum(later) / len(later)
        base, *more = self._fitted(guess.steps if self.part == STEPS else guess.finishing)
        return sum(base + sum(m * x for m, x in zip(more, load, strict=True)) for load in loads)

    def _fitted(self, guessed: tuple[float, ...]) -> list[float]:
        """Seconds of a view from one other at the same place, and for one of each of the loads."""
        shares = torch.tensor(guessed, dtype=torch.float64)
        loads = torch.tensor([load for load, _ in self.seen], dtype=torch.float64)
        seconds = torch.tensor([seconds for _, seconds in self.seen], dtype=torch.float64)
        scale = seconds.mean().clamp(min=1e-9)
        rows = torch.cat([torch.ones(len(loads), 1, dtype=torch.float64), loads], 1)
        guess = torch.cat([-shares[:, None], torch.eye(len(shares), dtype=torch.float64)], 1)  # more = share * base
        wanted = torch.cat([seconds / scale, torch.zeros_like(shares)])
        found = torch.linalg.lstsq(torch.cat([rows, guess]), wanted[:, None]).solution[:, 0]
        if bool((found < 0).any()):  # nothing takes less for more context: then by the guess alone
            base = wanted.sum() / (1 + loads @ shares).sum()
            found = base * torch.cat([torch.ones(1, dtype=torch.float64), shares])
        return (found * scale).tolist()
