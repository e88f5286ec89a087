"""Several renders in one process that take turns on its device: one reads or writes while another generates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.protocol import Context, Generator, Workings
from plenodream.types import Cameras, View


class InTurn:
    """A generator of which one call runs at a time; a `Generator` itself.

    Args:
        generator: What makes the views.
        turn: Of the device; shared by all that use it.
    """

    def __init__(self, generator: Generator, turn: Lock) -> None:
        self._generator, self._turn = generator, turn

    @property
    def workings(self) -> Workings:
        """As the generator's."""
        return self._generator.workings

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> Context:
        """As the generator's, in turn."""
        with self._turn:
            return self._generator.encode(view, anchor)

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
        with self._turn:
            return self._generator.generate(targets, contexts, anchor, known, noise, fps, on_step)

    def fingerprint(self) -> str:
        """As the generator's."""
        return self._generator.fingerprint()
