"""Controls of a method: the same generator without what it is given by memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.protocol import Context
from plenodream.generators.wrapped import Wrapped
from plenodream.types import Cameras, View


@dataclass(frozen=True)
class NoContextBut(Wrapped):
    """A generator that sees the source alone, once or several times, whatever was retrieved.

    The renderer must hand the source in first (it does where the settings keep it).

    Attributes:
        times: How often it sees the source: twice is as much context as a source and one view, but no news.
    """

    times: int = 1

    def generate(
        self,
        targets: Sequence[Cameras],
        contexts: Sequence[Context],
        anchor: Float[Tensor, "4 4"],
        known: Sequence[View | None],
        noise: torch.Generator,
        fps: float,
        on_step: Callable[[int], None] | None = None,
    ) -> list[View]:
        """See `Generator`."""
        alone = list(contexts[:1]) * max(self.times, self.workings.fewest)
        return self.generator.generate(targets, alone, anchor, known, noise, fps, on_step)

    def fingerprint(self) -> str:
        """See `Generator`."""
        return f"{self.generator.fingerprint()}-source-{self.times}"


def control_options() -> dict[str, dict[str, Any]]:
    """Options of the controls that are rendered for a method, by what they are called."""
    return {
        "source only": {"memory": "source"},
        "source twice": {"memory": "source-twice"},
        "no motion": {"motion": "off"},
    }
