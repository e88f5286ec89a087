"""How deep a network sees what a view shows: the mean of several looks in one step each. Ours.

What a network says of pure noise is the mean of what it holds possible, which is what is asked for here; more steps
draw one of these, at that many times the cost (docs/ablations.md). Errors by chance cancel over looks, and those that a
network makes on one side of a picture alone over the picture and its mirror image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.protocol import Context, Generator
from plenodream.geometry.cameras import mirror_cameras, mirror_poses, resize_cameras
from plenodream.types import View

# Looks at a view; at one whose picture is known, as many at its mirror image.
LOOKS = 2


def own_depth(
    small: Generator, view: View, context: Context, anchor: Float[Tensor, "4 4"]
) -> Float[Tensor, "frames rows columns"] | None:
    """Depth of a view whose picture is known, at the size that a generator works at; metres, 0 where it is not known.

    A generator that is no network is asked once: it would say the same again.

    Args:
        small: The generator.
        view: The view.
        context: What the generator has encoded it to.
        anchor: As for `Generator.encode`.

    Returns:
        None from a generator that knows no depth.
    """
    noise = torch.Generator().manual_seed(0)
    if not isinstance(small, DiffusionGenerator):
        return _look(small, view, context, anchor, noise).depth
    if not small.sampler.codec.depth_channels:
        return None
    quick, behind = small.in_steps(1), mirror_poses(anchor)
    mirrored = View(view.frames.flip(2), mirror_cameras(view.cameras), view.fps)
    there = small.encode(mirrored, behind)
    looks = [_look(quick, view, context, anchor, noise) for _ in range(LOOKS)]
    turned = [_look(quick, mirrored, there, behind, noise) for _ in range(LOOKS)]
    return _mean([*_depths(looks), *(depth.flip(2) for depth in _depths(turned))])


def with_own_depth(
    small: Generator,
    made: Sequence[View],
    contexts: Sequence[Context],
    anchor: Float[Tensor, "4 4"],
    known: Sequence[View | None],
    noise: torch.Generator,
) -> list[View]:
    """Views that a network has made, their depth no longer that of one sample; all else as for `Generator.generate`."""
    if not isinstance(small, DiffusionGenerator) or not small.sampler.codec.depth_channels:
        return list(made)
    quick, targets = small.in_steps(1), [view.cameras for view in made]
    looks = [quick.generate(targets, contexts, anchor, known, noise, made[0].fps) for _ in range(LOOKS)]
    return [replace(view, depth=_mean(_depths(of_view))) for view, *of_view in zip(made, *looks, strict=True)]


def _look(small: Generator, view: View, context: Context, anchor: Tensor, noise: torch.Generator) -> View:
    """One of them."""
    size, contexts = small.workings.size, [context] * small.workings.fewest
    cameras = view.cameras if size is None else resize_cameras(view.cameras, *size)
    return small.generate([cameras], contexts, anchor, [None], noise, view.fps)[0]


def _depths(views: Sequence[View]) -> list[Tensor]:
    return [view.depth for view in views if view.depth is not None]


def _mean(depths: Sequence[Tensor]) -> Tensor:
    """Mean of what the looks know, of 1 / depth."""
    inverse = torch.stack([torch.where(depth > 0, 1 / depth.clamp(min=1e-6), 0) for depth in depths])
    mean = inverse.sum(0) / (inverse > 0).sum(0).clamp(min=1)
    return torch.where(mean > 0, 1 / mean.clamp(min=1e-6), 0)
