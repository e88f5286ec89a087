"""Constant rates from timestamps: closed forms."""

from fractions import Fraction

import pytest
import torch

from plenodream.media.rate import exact_rate
from plenodream.media.timestamps import constant_rate


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001)])
def test_exact_rate_finds_the_fraction_behind_a_float(rate):
    assert exact_rate(float(rate)) == rate


def test_constant_timestamps_keep_the_declared_rate():
    times = (torch.arange(50, dtype=torch.float64) / 30 * 1000).round() / 1000 + 7.5
    rate, index = constant_rate(times, 0.0, Fraction(30))
    assert rate == 30 and index.tolist() == list(range(50))


def test_a_wrong_declared_rate_is_measured_again():
    rate, index = constant_rate(torch.arange(50, dtype=torch.float64) / 25, 1 / 25, Fraction(30))
    assert rate == 25 and index.tolist() == list(range(50))
    assert constant_rate(torch.arange(50, dtype=torch.float64) / 25, 0.0, None)[0] == 25


def test_a_pause_lasts_as_long_as_before():
    times = torch.tensor([0.0, 0.1, 0.2, 0.9], dtype=torch.float64)
    rate, index = constant_rate(times, 0.1, None)
    assert rate == 4 and index.tolist() == [0, 2, 2, 3]


def test_a_long_last_frame_counts():
    rate, index = constant_rate(torch.tensor([0.0, 0.5], dtype=torch.float64), 9.5, None)
    assert rate == Fraction(1, 5) and index.tolist() == [0, 1]
