"""What generators have in common that stand around another one."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from plenodream.generators.protocol import Context, Generator, Workings
from plenodream.types import View


@dataclass(frozen=True)
class Wrapped:
    """The inner generator's own, where a class that is built on it says nothing else; `generate` is its to say.

    Attributes:
        generator: The inner one.
    """

    generator: Generator

    @property
    def workings(self) -> Workings:
        """See `Generator`."""
        return self.generator.workings

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> Context:
        """See `Generator`."""
        return self.generator.encode(view, anchor)

    def fingerprint(self) -> str:
        """See `Generator`."""
        return self.generator.fingerprint()
