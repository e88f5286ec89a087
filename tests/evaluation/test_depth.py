"""Depth scores against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from plenodream.evaluation.metrics.depth import beside_steps, flicker, relative_error
from plenodream.evaluation.scenes import held_out
from plenodream.worlds.family import MILD


def test_relative_error_is_a_median_over_what_is_known():
    truth = torch.tensor([[1.0, 2.0, 4.0, 5.0, 0.0]])
    depth = torch.tensor([[1.1, 2.0, 2.0, 0.0, 9.0]])
    assert relative_error(depth, truth) == pytest.approx(0.1)
    assert relative_error(depth, truth, torch.tensor([[False, False, True, True, True]])) == pytest.approx(0.5)
    assert math.isnan(relative_error(depth, truth, torch.zeros(1, 5, dtype=torch.bool)))


def test_pixels_beside_a_step_lie_within_reach_of_it_on_both_sides():
    depth = torch.full((1, 12, 20), 5.0)
    depth[:, :, 10:] = 3.0
    depth[:, :, 2] = 5.3  # six per cent are no step
    rows = beside_steps(depth, reach=3)[0]
    assert rows.all(0).tolist() == [7 <= column <= 12 for column in range(20)]
    assert torch.equal(beside_steps(depth.mT, reach=3)[0].mT, rows)


def test_depth_that_is_wrong_by_one_factor_does_not_flicker_and_one_that_swings_does():
    data = held_out(MILD, 2, 2, 4, 24, 24)
    arguments = data.depth, data.cameras, data.moving
    assert flicker(data.depth, *arguments) < 1e-6
    assert flicker(1.3 * data.depth, *arguments) < 1e-6
    swing = torch.tensor([1.0, 1.05, 1.0, 1.05])[:, None, None]
    assert flicker(swing * data.depth, *arguments) == pytest.approx(0.05, abs=0.003)
    changed = torch.where(data.moving, 2 * data.depth, data.depth)  # what moves is left out
    assert flicker(changed, *arguments) < 1e-6
    assert math.isnan(flicker(0 * data.depth, *arguments))
