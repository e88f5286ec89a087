"""What whatever makes a view looks like from outside: a diffusion model, a point cloud, both together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.types import Cameras, View

# A view as its generator reads it. Nobody else looks inside.
Context = Any


@dataclass(frozen=True)
class Workings:
    """What a generator works at.

    Attributes:
        size: Height and width in pixels that views are fitted to inside of it; None: it takes them as they are.
        frames: Frames of one window; None: any number at once.
        overlap: Frames that neighbouring windows of a long video share.
        temporal_factor: Frames of which one is known alone, then this many at a time (the codec's).
        fewest: Context views that it needs; fewer are filled up by repeating the source.
        most: Context views that it takes; None: any number.
        targets: Views that one call makes together.
        steps: Steps of one view, as `on_step` counts them; 0: it goes through none.
    """

    size: tuple[int, int] | None
    frames: int | None
    overlap: int = 0
    temporal_factor: int = 1
    fewest: int = 1
    most: int | None = None
    targets: int = 1
    steps: int = 1


class Generator(Protocol):
    """Makes views of a scene from views of it."""

    @property
    def workings(self) -> Workings:
        """What it works at."""
        ...

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> Context:
        """A window of a stored view, ready to be read; good for every target of the window.

        Args:
            view: Frames, cameras and, where known, depth, at any size.
            anchor: Camera-to-world pose of the source's first camera of the window.
        """
        ...

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
        """The views of some targets, at the size of their cameras, with depth where the generator has it.

        Args:
            targets: Cameras of every frame of the window; usually of one view.
            contexts: What `encode` made of the views to read, at least `workings.fewest` of them.
            anchor: As for `encode`.
            known: Per target, its leading frames where they are known (the overlap with an earlier window).
            noise: Of everything random (CPU).
            fps: Frames per second of the views.
            on_step: Called with the number of every finished step.

        Raises:
            ValueError: It gave numbers that are no picture.
        """
        ...

    def fingerprint(self) -> str:
        """Which generator this is: kept with a scene, compared when it goes on."""
        ...
