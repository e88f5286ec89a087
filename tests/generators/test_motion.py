"""Depth that was estimated moment by moment, made steady where things rest."""

from __future__ import annotations

import torch

from plenodream.generators.motion import _shrink, moving_pixels, steady_depth
from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.types import Cameras, View

FRAMES, SIDE = 6, 24


def clip():
    """A noise wall 4 m away; a white square 2 m away goes over it from left to right."""
    frames = (60 + 60 * torch.rand(SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))).byte()
    frames, depth = frames.repeat(FRAMES, 1, 1, 1), torch.full((FRAMES, SIDE, SIDE), 4.0)
    for number in range(FRAMES):
        where = (number, slice(8, 14), slice(3 * number, 3 * number + 6))
        frames[where], depth[where] = 255, 2.0
    cameras = Cameras(
        torch.eye(4).repeat(FRAMES, 1, 1), intrinsics_from_fov(60, SIDE, SIDE).repeat(FRAMES, 1), SIDE, SIDE
    )
    return View(frames, cameras, 10.0, depth=depth)


def test_what_rests_has_the_mean_of_all_moments_and_what_moves_its_own():
    true = clip()
    noise = torch.randn(FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    noisy = View(true.frames, true.cameras, 10.0, depth=true.depth * (1 + 0.03 * noise))
    steady = steady_depth(noisy)
    moving = moving_pixels(true, range(FRAMES))
    far = ~moving & (true.depth == 4)

    def error(depth):
        return (depth / true.depth - 1).abs()[far].mean()

    assert far.float().mean() > 0.5 and error(steady) < 0.6 * error(noisy.depth)
    change = [(depth.diff(dim=0).abs())[far[1:] & far[:-1]].mean() for depth in (noisy.depth, steady)]
    assert change[1] < 0.4 * change[0]
    square = true.depth == 2
    assert torch.allclose(steady[square & moving], noisy.depth[square & moving])
    assert (steady[square] / 2 - 1).abs().max() < 0.15


def test_unknown_depth_stays_unknown():
    view = clip()
    view.depth[:, :4] = 0
    assert bool((steady_depth(view)[:, :4] == 0).all())


def test_depth_is_made_small_about_the_middle_of_its_pixels():
    height, width = 480, 640  # five pixels become one
    depth = (torch.arange(width) + 0.5).expand(1, height, width)
    cameras = Cameras(torch.eye(4)[None], intrinsics_from_fov(60, height, width)[None], height, width)
    small = _shrink(View(torch.zeros(1, height, width, 3, dtype=torch.uint8), cameras, 6.0, depth=depth))
    assert torch.equal(small.depth[0, 0], 5 * (torch.arange(width / 5) + 0.5))
