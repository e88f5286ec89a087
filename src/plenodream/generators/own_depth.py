"""How deep a network sees what a view shows: the mean of several looks, half of them at its mirror image. Ours.

A network takes a picture and its mirror image differently, and every noise: on the mean, errors cancel. One step is
enough: what a network says of pure noise is the mean of what it holds possible, which is what is asked for here; four
steps draw one of these, for four times the time (docs/ablations.md).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.diffusion import DiffusionGenerator
from plenodream.generators.protocol import Context, Generator
from plenodream.geometry.cameras import mirror_cameras, mirror_poses, resize_cameras
from plenodream.types import View

# Looks at the view, and as many at its mirror image.
LOOKS = 2


def own_depth(
    small: Generator, view: View, context: Context, anchor: Float[Tensor, "4 4"]
) -> Float[Tensor, "frames rows columns"] | None:
    """Depth along a view's own cameras, at the size that a generator works at; metres, 0 where it is not known.

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
        return _look(small, view, context, anchor, noise)
    quick = small.in_steps(1)
    mirrored = View(view.frames.flip(2), mirror_cameras(view.cameras), view.fps)
    behind = mirror_poses(anchor)
    sides = [(view, context, anchor), (mirrored, small.encode(mirrored, behind), behind)] * LOOKS
    total = None
    for number, side in enumerate(sides):
        depth = _look(quick, *side, noise)
        if depth is None:
            return None
        inverse = 1 / (depth.flip(2) if number % 2 else depth)
        total = inverse if total is None else total + inverse
    return None if total is None else len(sides) / total


def _look(small: Generator, view: View, context: Context, anchor: Tensor, noise: torch.Generator) -> Tensor | None:
    """One of them."""
    size, contexts = small.workings.size, [context] * small.workings.fewest
    cameras = view.cameras if size is None else resize_cameras(view.cameras, *size)
    return small.generate([cameras], contexts, anchor, [None], noise, view.fps)[0].depth
