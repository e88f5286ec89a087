"""A method's generator made to work otherwise: views at once, windows that do not overlap, a view of trajectories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.composite import Composite
from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.protocol import Context, Generator, Workings
from plenodream.generators.reprojection import Reprojection
from plenodream.generators.wrapped import Wrapped
from plenodream.types import Cameras, View


def altered(generator: Generator, **changes: Any) -> Generator:
    """The same with other workings of its network.

    Raises:
        ValueError: There is no network in it.
    """
    if isinstance(generator, Composite):
        return replace(generator, small=altered(generator.small, **changes))
    if isinstance(generator, DiffusionGenerator):
        return replace(generator, workings=replace(generator.workings, **changes))
    raise ValueError(f"{', '.join(changes)}: a point cloud has no such thing; expected it of a model")


def inner(generator: Generator) -> Generator:
    """The generator inside of a control or a baseline."""
    return inner(generator.generator) if isinstance(generator, Wrapped) else generator


def at_once(generator: Generator, views: int) -> Generator:
    """A generator that makes so many views at once: natively where its network has a sequence of views, or by exchange.

    Raises:
        ValueError: There is no network in it.
    """
    small = generator.small if isinstance(generator, Composite) else generator
    if isinstance(small, DiffusionGenerator) and small.sampler.denoiser.context_slots is None:
        return Exchange(generator, views)
    return altered(generator, targets=views)


@dataclass(frozen=True)
class Exchange(Wrapped):
    """Views made at once by a network that makes one: all from the source, then again with each given the others. Ours.

    Both rounds are from the same noise. What was made before these views is not seen: nothing but them is joint.

    Attributes:
        views: How many at once.
    """

    views: int

    @property
    def workings(self) -> Workings:
        """See `Generator`."""
        return replace(self.generator.workings, targets=self.views)

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
        seeds = torch.randint(2**31, (len(targets),), generator=noise).tolist()
        source, made = contexts[:1], []
        for _ in range(2 if len(targets) > 1 else 1):
            others = [self.generator.encode(view, anchor) for view in made]
            made = [
                self._one(target, [*source, *others[:n], *others[n + 1 :]], anchor, known[n], seeds[n], fps, on_step)
                for n, target in enumerate(targets)
            ]
        return made

    def _one(self, target: Cameras, contexts: list, anchor: Tensor, known: View | None, seed: int, *rest: Any) -> View:
        contexts += contexts[:1] * (self.workings.fewest - len(contexts))
        own = torch.Generator().manual_seed(seed)
        (view,) = self.generator.generate([target], contexts, anchor, [known], own, *rest)
        return view

    def fingerprint(self) -> str:
        """See `Generator`."""
        return f"{self.generator.fingerprint()}-exchange-{self.views}"


@dataclass(frozen=True)
class Seen:
    """A view, and what the generator made of it."""

    view: View
    context: Context


@dataclass(frozen=True)
class AlongTrajectories(Wrapped):
    """A baseline of Trajectory-Attention's type, with a method's own weights. Ours.

    Trajectory-Attention adds attention along the pixels' trajectories, which it has from depth. Here the source,
    carried along them to where the target sees it, is one more context view that has the target's own cameras: what the
    network attends to at its own place is then the same point. Nothing else is in the context but the source.

    """

    @property
    def workings(self) -> Workings:
        """See `Generator`."""
        return replace(self.generator.workings, targets=1)

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> Seen:
        """See `Generator`; the view must have depth."""
        return Seen(view, self.generator.encode(replace(view, depth=None), anchor))

    def generate(
        self,
        targets: Sequence[Cameras],
        contexts: Sequence[Seen],
        anchor: Float[Tensor, "4 4"],
        known: Sequence[View | None],
        noise: torch.Generator,
        fps: float,
        on_step: Callable[[int], None] | None = None,
    ) -> list[View]:
        """See `Generator`."""
        (target,), source = targets, contexts[0]
        cloud = Reprojection(update=False)
        (carried,) = cloud.generate([target], [cloud.encode(source.view, anchor)], anchor, [None], noise, fps)
        along = self.generator.encode(View(carried.frames, target, fps), anchor)
        given = [source.context, along] + [source.context] * (self.workings.fewest - 2)
        return self.generator.generate([target], given, anchor, known, noise, fps, on_step)

    def fingerprint(self) -> str:
        """See `Generator`."""
        return f"{self.generator.fingerprint()}-trajectories"
