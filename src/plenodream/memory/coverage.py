"""The set of views that together see most of a target: greedy, and lazy where there are many views. Ours.

What a view adds to a set never grows with the set, so what it sees alone bounds it: a view is only looked at point by
point once its bound reaches what the best of those looked at adds, and among equals once what it may share does, by
which ties are broken. The picks are those of the plain greedy algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from plenodream.memory.counting import Grid, bound_shared, count_shared
from plenodream.memory.leading import ALL_COUNTED, part
from plenodream.memory.overlap import overlap
from plenodream.types import Cameras

_AT_ONCE = 8  # views looked at before bounds are compared again


@dataclass(frozen=True)
class Cover:
    """What was picked.

    Attributes:
        seen: Share of the target's points that each view sees alone; minus infinity for views that were not looked at.
        chosen: Indices, in the order they were picked.
        added: Share of the points that each pick adds to those before.
    """

    seen: tuple[float, ...]
    chosen: tuple[int, ...]
    added: tuple[float, ...]


def cover(target: Cameras, views: Cameras, grid: Grid, k: int, kept: Sequence[int]) -> Cover:
    """Pick k views greedily; ties go to the higher overlap of Algorithm 1, then to the lower index.

    Args:
        target: Batch shape (frames,), float64.
        views: Batch shape (views, frames), on the CPU.
        grid: The points.
        k: Number of views to pick.
        kept: Views that are picked first, whatever they add.
    """
    search = _Search(target, views, grid)
    chosen, added = list[int](), list[float]()
    while len(chosen) < min(k, len(views)):
        if len(chosen) < len(kept):
            best = kept[len(chosen)]
            search.look([best])
        else:
            best = search.best(chosen)
        chosen.append(best)
        added.append(search.take(best) / search.missing.numel())
    points = search.missing.numel()
    seen = (search.masks[n].sum().item() / points if n in search.masks else -math.inf for n in range(len(views)))
    return Cover(tuple(seen), tuple(chosen), tuple(added))


class _Search:
    """What is known so far: of the views looked at, which points they see; of the others, how many at most."""

    def __init__(self, target: Cameras, views: Cameras, grid: Grid) -> None:
        self.target, self.views, self.grid = target, views, grid
        self.masks: dict[int, Tensor] = {}
        self.shared: dict[int, float] = {}
        self.missing = torch.ones(len(target), grid.points, dtype=torch.bool)
        if len(views) <= ALL_COUNTED:
            self.bounds = torch.full(views.shape, 1.0 * grid.points, dtype=torch.float64)
            self.both = torch.full((len(views),), math.inf, dtype=torch.float64)
            self.look(list(range(len(views))))
        else:
            seen, back = bound_shared(target, views, grid)
            self.bounds, self.both = seen, seen.sum(dim=1) + back.sum(dim=1)

    def look(self, numbers: list[int]) -> None:
        """See which points views see."""
        numbers = [n for n in numbers if n not in self.masks]
        if numbers:
            views = part(self.views, torch.tensor(numbers)).to(torch.float64)
            shared = count_shared(self.target, views, self.grid).sum(dim=(0, 2)).tolist()
            self.shared |= dict(zip(numbers, shared, strict=True))
            self.masks |= dict(zip(numbers, overlap(self.target, views, self.grid)[0], strict=True))

    def take(self, number: int) -> float:
        """Take a view: what it sees is missing no longer. Returns how many points that is."""
        gain = self._gain(number)
        self.missing = self.missing & ~self.masks[number]
        return gain

    def best(self, chosen: Sequence[int]) -> int:
        """The view that adds most to those chosen."""
        while True:
            known = [(self._gain(n), self.shared[n], -n) for n in self.masks if n not in chosen]
            best = max(known, default=(-1.0, 0.0, 0))
            bounds = torch.minimum(self.bounds, self.missing.sum(dim=1)).sum(dim=1)
            bounds[list(self.masks)] = -1
            # Once the set sees all there is, nothing adds anything, and only what ties are broken by still counts.
            ahead = (bounds > best[0]) | ((bounds == best[0]) & (self.both >= best[1]))
            others = sorted(ahead.nonzero().flatten().tolist(), key=lambda n: (-bounds[n], -self.both[n]))
            if not others:
                return -best[2]
            self.look(others[:_AT_ONCE])

    def _gain(self, number: int) -> float:
        return float((self.masks[number] & self.missing).sum())
