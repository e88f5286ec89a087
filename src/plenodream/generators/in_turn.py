"""Several renders in one process that take turns on its device: one reads or writes while another generates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.protocol import Context
from plenodream.generators.wrapped import Wrapped
from plenodream.types import Cameras, View


@dataclass(frozen=True)
class InTurn(Wrapped):
    """A generator of which one call runs at a time; a `Generator` itself.

    Attributes:
        turn: Of the device; shared by all that use it.
    """

    turn: Lock

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> Context:
        """As the generator's, in turn."""
        with self.turn:
            return self.generator.encode(view, anchor)

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
        """As the generator's, in turn."""
        with self.turn:
            return self.generator.generate(targets, contexts, anchor, known, noise, fps, on_step)
