"""Depth made larger with the edges of a picture."""

from __future__ import annotations

import torch

from plenodream.geometry.upsample import clear_steps, upsample_depth


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


def test_a_soft_step_beside_an_edge_is_put_on_it():
    colour = torch.full((3, 40, 60), 40.0)
    colour[:, :, 27:] = 200.0
    x = torch.arange(60).float()
    soft = 1 / (0.5 - 0.3 * ((x - 18) / 14).clamp(0, 1))  # from 2 to 5 m, over 14 pixels, half of them too far left
    clear = clear_steps(soft.expand(40, -1), colour, 10)
    assert ((clear[:, :27] - 2).abs() < 0.5).float().mean() > 0.95
    assert ((clear[:, 27:] - 5).abs() < 1.0).float().mean() > 0.95
    before = ((soft[:27] - 2).abs() < 0.5).float().mean()
    assert before < 0.9


def test_where_no_step_is_depth_is_left_alone():
    slope = 1 / (0.2 + 0.002 * torch.arange(60).float()).expand(40, -1)
    colour = 255 * torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(clear_steps(slope, colour, 6), slope)
    unknown = torch.where(torch.arange(60) < 30, 0.0, 3.0).expand(40, -1)
    torch.testing.assert_close(clear_steps(unknown, colour, 6), unknown)
