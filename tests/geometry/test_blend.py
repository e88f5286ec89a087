"""Carried pictures as one, and what fills their holes."""

from __future__ import annotations

import torch

from plenodream.geometry.blend import blend, fill_holes, over
from plenodream.geometry.surface import Carried


def flat(colour: float, depth: float, weight: float = 1.0, size=(4, 6)) -> Carried:
    return Carried(torch.full((3, *size), colour), torch.full(size, depth), torch.full(size, weight))


def test_the_nearest_wins_and_equals_are_averaged():
    near, far = flat(1.0, 2.0), flat(5.0, 3.0)
    for order in ((near, far), (far, near)):
        both = blend(order)
        assert torch.allclose(both.colour, near.colour, atol=1e-6) and torch.allclose(both.depth, near.depth)
    assert torch.allclose(blend([near, flat(3.0, 2.0)]).colour, torch.tensor(2.0))
    assert torch.allclose(blend([near, flat(3.0, 2.0, 0.5)]).colour, torch.tensor(1.0), atol=0.01)


def test_the_order_does_not_matter_and_unknown_pixels_count_nothing():
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for _ in range(4):
        weight = torch.rand(4, 6, generator=generator)
        weight = torch.where(weight < 0.4, 0, weight)
        depth = 2 + 0.05 * torch.rand(4, 6, generator=generator)
        pictures.append(Carried(torch.rand(3, 4, 6, generator=generator), depth * (weight > 0), weight))
    one, other = blend(pictures), blend(pictures[::-1])
    known = torch.stack([p.weight for p in pictures]).amax(0) > 0
    assert torch.equal(one.weight > 0, known) and not bool(known.all())
    assert torch.allclose(one.colour, other.colour, atol=1e-5) and torch.allclose(one.depth, other.depth, atol=1e-5)
    # The plain sum, at double precision.
    scores = torch.stack([p.weight.double() ** 8 * (p.depth.double().clamp(min=1) / 2) ** -50 for p in pictures])
    plain = (scores[:, None] * torch.stack([p.colour for p in pictures])).sum(0) / scores.sum(0)
    assert torch.allclose(one.colour[:, known].double(), plain[:, known], rtol=1e-3)
    assert blend([]) is None


def test_over_fills_what_the_front_does_not_know():
    front = flat(1.0, 2.0)
    front.weight[:, :3] = 0
    laid = over(front, flat(4.0, 3.0))
    assert torch.equal(laid.colour[0, 0], torch.tensor([4.0, 4, 4, 1, 1, 1]))
    assert over(None, front) is front and over(front, None) is front and over(None, None) is None


def test_a_hole_takes_the_far_side_and_its_plane():
    height, width = 16, 24
    x = torch.arange(width).float().expand(height, -1)
    depth = 1 / (0.1 + 0.005 * x)
    depth[:, :8] = 1.0  # a thing before a slanted wall
    colour = torch.where(depth == 1.0, 9.0, 3.0).expand(3, -1, -1)
    known = torch.ones(height, width, dtype=torch.bool)
    known[:, 8:14] = False
    filled, found = fill_holes(torch.where(known, colour, 0), torch.where(known, depth, 0), known)
    assert torch.equal(filled[:, known], colour[:, known]) and torch.allclose(found[known], depth[known])
    assert (filled[:, ~known] - 3).abs().max() < 0.1
    # Between the wall going on as a plane and standing still, much nearer to the first.
    assert ((found - depth).abs() < 0.25 * (depth[0, 14] - depth).abs() + 0.3)[~known].all()


def test_filling_without_depth_or_without_anything_is_finite():
    known = torch.zeros(5, 7, dtype=torch.bool)
    colour, depth = fill_holes(torch.zeros(3, 5, 7), torch.zeros(5, 7), known)
    assert bool(colour.isfinite().all()) and torch.equal(depth, torch.zeros(5, 7))
    known[2, 3] = True
    colour, depth = fill_holes(torch.full((3, 5, 7), 8.0) * known, torch.zeros(5, 7), known)
    assert torch.allclose(colour, torch.tensor(8.0)) and torch.equal(depth, torch.zeros(5, 7))
