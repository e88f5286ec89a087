"""Depth made larger with the edges of a picture."""

from __future__ import annotations

import torch

from plenodream.geometry.upsample import upsample_depth


def test_steps_go_where_the_picture_has_its_edges_and_nothing_lies_between():
    colour = torch.full((3, 40, 60), 40.0)
    colour[:, :, 27:] = 200.0  # the edge lies inside of a small pixel
    depth = torch.where(torch.arange(6) < 3, 2.0, 5.0).expand(4, -1)
    large = upsample_depth(depth, colour)
    assert torch.allclose(large[:, :27], torch.tensor(2.0)) and torch.allclose(large[:, 27:], torch.tensor(5.0))


def test_a_slope_stays_smooth_in_inverse_depth():
    inverse = 0.2 + 0.004 * torch.arange(16).expand(12, -1)
    large = 1 / upsample_depth(1 / inverse, torch.full((3, 96, 128), 90.0))
    expected = 0.2 + 0.004 * ((torch.arange(128) + 0.5) / 8 - 0.5)
    assert (large - expected)[:, 8:-8].abs().max() < 0.002
    assert (large.diff(dim=1) > -1e-5).all()


def test_unknown_depth_is_not_mixed_in():
    depth = torch.full((4, 4), 3.0)
    depth[1, 1] = 0
    assert torch.allclose(upsample_depth(depth, torch.full((3, 16, 16), 9.0)), torch.tensor(3.0))
    assert torch.equal(upsample_depth(torch.zeros(4, 4), torch.zeros(3, 8, 8)), torch.zeros(8, 8))
    assert torch.equal(upsample_depth(depth, torch.zeros(3, 4, 4)), depth)
