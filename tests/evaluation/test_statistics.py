import math

import pytest
import torch

from plenodream.evaluation.statistics import bootstrap_interval


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_matches_a_plain_bootstrap():
    values = torch.tensor([1.0, 4.0, 2.0, 8.0, 5.0], dtype=torch.float64)
    mean, low, high = bootstrap_interval(values, confidence=0.8, samples=50, generator=generator())
    drawn = torch.randint(5, (50, 5), generator=generator()).tolist()
    means = sorted(sum(values[i].item() for i in row) / 5 for row in drawn)

    def quantile(share):
        position = share * 49
        below = int(position)
        return means[below] + (position - below) * (means[min(below + 1, 49)] - means[below])

    assert mean == pytest.approx(4.0)
    assert (low, high) == pytest.approx((quantile(0.1), quantile(0.9)))


def test_width_is_that_of_the_normal_theory_for_many_scenes():
    values = torch.randn(400, generator=generator(1), dtype=torch.float64)
    mean, low, high = bootstrap_interval(values, generator=generator())
    expected = 2 * 1.96 * values.std().item() / 20
    assert low < mean < high
    assert high - low == pytest.approx(expected, rel=0.1)


def test_covers_the_true_mean_about_as_often_as_promised():
    trials = torch.randn(200, 30, generator=generator(2))
    hits = 0
    draws = generator(3)
    for trial in trials:
        _, low, high = bootstrap_interval(trial, confidence=0.9, samples=300, generator=draws)
        hits += low <= 0 <= high
    assert 0.8 < hits / 200 < 0.97


def test_nan_scenes_are_left_out_and_the_generator_decides():
    values = torch.tensor([1.0, float("nan"), 3.0])
    assert bootstrap_interval(values, generator=generator()) == bootstrap_interval(
        values[[0, 2]], generator=generator()
    )
    spread = torch.randn(20, generator=generator(4))
    assert bootstrap_interval(spread, generator=generator(5)) != bootstrap_interval(spread, generator=generator(6))


def test_one_scene_and_none():
    mean, low, high = bootstrap_interval(torch.tensor([2.5]), generator=generator())
    assert mean == 2.5 and math.isnan(low) and math.isnan(high)  # of one scene nobody knows how far others lie
    assert all(math.isnan(v) for v in bootstrap_interval(torch.tensor([float("nan")]), generator=generator()))


@pytest.mark.parametrize(
    ("arguments", "message"), [({"confidence": 95}, "0.95"), ({"samples": 0}, "at least 1"), ({}, r"\(scenes,\)")]
)
def test_bad_input_is_named(any_arrays, arguments, message):
    values = torch.zeros(3) if arguments else torch.zeros(3, 2)
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, generator=generator(), **arguments)
