"""How a view is sampled: steps and guidance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """How a view is sampled.

    Attributes:
        steps: Network evaluations (per guidance branch).
        guidance: g in v_c + g (v_c - v_u); 0 leaves the unconditional branch out (the usual CFG scale is 1 + g).
    """

    steps: int = 8
    guidance: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"{self.steps} sampling steps: expected a whole number, at least 1")
        if not 0 <= self.guidance < float("inf"):
            raise ValueError(f"guidance {self.guidance:g}: expected a finite number, 0 (none) or more")
