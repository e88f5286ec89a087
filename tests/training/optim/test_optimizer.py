from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from plenodream.training.config import OptimizerConfig
from plenodream.training.optim.optimizer import PATIENCE, Average, SpikeGuard, learning_rate, make_optimizer


def test_rate_warms_up_stays_and_decays_to_zero():
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=10, warmup_share=0.0, decay_share=0.25)
    rates = [learning_rate(config, step, step / 100) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10:75] == pytest.approx([2.0] * 65)
    assert rates[75:] == pytest.approx([2.0 * (100 - step) / 25 for step in range(75, 101)])
    assert learning_rate(config, 1000, 1.3) == 0  # the last step of a budget in minutes may end late


def test_warm_up_takes_a_small_part_of_a_short_budget():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=1000, warmup_share=0.05)
    assert learning_rate(config, 0, 0.0) == pytest.approx(1e-3)
    assert learning_rate(config, 3, 0.025) == pytest.approx(0.5)
    assert learning_rate(config, 6, 0.05) == 1


def test_average_follows_its_formula():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average, expected = Average(model, 0.9), 0.0
    for n in range(1, 200):
        with torch.no_grad():
            model.weight.fill_(float(n))
        average.update(model)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
        assert average.weights["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_frozen_weights_are_neither_averaged_nor_optimised():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    assert list(Average(model, 0.9).weights) == ["1.weight", "1.bias"]
    groups = make_optimizer(model, OptimizerConfig(weight_decay=0.3)).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.3, 1), (0.0, 1)]


def test_guard_leaves_out_spikes_and_what_is_not_finite():
    guard = SpikeGuard(4.0)
    assert guard.accepts(1.0, 1.0)
    assert not guard.accepts(4.5, 1.0)
    assert not guard.accepts(math.nan, 1.0) and not guard.accepts(1.0, math.inf)
    assert guard.accepts(2.0, 1.0) and guard.left_out == 3
    assert guard.mean == pytest.approx(0.98 * 1 + 0.02 * 2)
    other = SpikeGuard(4.0)
    other.restore(guard.state())
    assert other.state() == guard.state()


def test_guard_follows_a_level_that_has_changed():
    guard = SpikeGuard(4.0)
    guard.accepts(1.0, 1.0)
    assert [guard.accepts(10.0, 1.0) for _ in range(PATIENCE + 1)] == [False] * PATIENCE + [True]
    assert guard.accepts(10.0, 1.0)


def test_a_diverged_run_ends_with_advice():
    guard = SpikeGuard(4.0)
    with pytest.raises(ValueError, match="learning_rate"):
        for _ in range(PATIENCE):
            guard.accepts(math.nan, 1.0)
