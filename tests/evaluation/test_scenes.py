from __future__ import annotations

import pytest
import torch

from plenodream.evaluation.scenes import held_out, neighbour
from plenodream.geometry.visibility import covisible, warp
from plenodream.worlds.family import FULL


@pytest.mark.parametrize(("height", "width"), [(36, 64), (64, 64), (64, 36)])
def test_depth_and_cameras_explain_the_pixels_at_any_aspect(height, width):
    data = held_out(FULL, 2, 3, 2, height, width)
    assert data.rgb.shape == (2, 3, 2, height, width, 3) and (data.cameras.height, data.cameras.width) == (
        height,
        width,
    )
    fx, fy = data.cameras.intrinsics[..., 0], data.cameras.intrinsics[..., 1]
    assert torch.equal(fx, fy)  # square pixels
    views = data.depth[:, 1:], data.cameras[:, 1:]
    shared = covisible(*views, data.depth[:, :1], data.cameras[:, :1])
    error = (warp(data.rgb[:, :1], *views, data.cameras[:, :1]) - data.rgb[:, 1:]).abs().mean(-1)
    assert shared.float().mean() > 0.2 and error[shared].mean() < 0.03


def test_neighbours_lend_each_other():
    assert neighbour(torch.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]
