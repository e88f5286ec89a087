"""The straight path: its ends and its slope."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from plenodream.flow import interpolate, sample_timesteps, shift_timesteps, velocity

TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)


def pair(seed=0, batch=3):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(batch, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2))


def test_the_path_starts_at_the_data_and_ends_at_the_noise():
    x_0, eps = pair()
    assert torch.equal(interpolate(x_0, eps, torch.zeros(3, dtype=torch.float64)), x_0)
    assert torch.equal(interpolate(x_0, eps, torch.ones(3, dtype=torch.float64)), eps)


def test_every_entry_of_a_batch_has_its_own_time():
    x_0, eps = pair()
    x_t = interpolate(x_0, eps, torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64))
    torch.testing.assert_close(x_t, torch.stack([x_0[0], 0.75 * x_0[1] + 0.25 * eps[1], eps[2]]))


@settings(deadline=None)
@given(st.floats(0.01, 0.99))
def test_the_velocity_is_the_slope_of_the_path(time):
    x_0, eps = pair()
    t = torch.full((3,), time, dtype=torch.float64).requires_grad_()
    x_t, slope = torch.autograd.functional.jvp(lambda t: interpolate(x_0, eps, t), t, torch.ones_like(t))
    torch.testing.assert_close(slope, velocity(x_0, eps))
    step = 1e-3
    torch.testing.assert_close(interpolate(x_0, eps, t + step), x_t + step * velocity(x_0, eps))


TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)


@settings(deadline=None)
@given(st.floats(1, 20), st.floats(1, 20))
def test_the_shift_keeps_ends_and_order_moves_to_noise_and_composes(shift, other):
    moved = shift_timesteps(TIMES, shift)
    assert moved[0] == 0
    torch.testing.assert_close(moved[-1], torch.ones_like(moved[-1]))
    assert (moved.diff() > 0).all()
    assert (moved >= TIMES - 1e-12).all()
    torch.testing.assert_close(shift_timesteps(moved, other), shift_timesteps(TIMES, shift * other))
    torch.testing.assert_close(shift_timesteps(moved, 1 / shift), TIMES)


def test_a_shift_of_one_changes_nothing_and_of_five_sends_a_half_to_five_sixths():
    assert torch.equal(shift_timesteps(TIMES, 1.0), TIMES)
    assert shift_timesteps(torch.tensor(0.5), 5.0).item() == pytest.approx(5 / 6)


def test_the_shift_is_that_of_the_scheduler():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0)
    scheduler.set_timesteps(sigmas=[1.0, 0.6, 0.2])
    expected = shift_timesteps(torch.tensor([1.0, 0.6, 0.2]), 5.0)
    torch.testing.assert_close(scheduler.sigmas[:3], expected)


def draw(shift, seed=0, count=20000):
    return sample_timesteps(count, shift, torch.Generator().manual_seed(seed))


def test_draws_repeat_with_their_seed_and_follow_one_another_otherwise():
    assert torch.equal(draw(5.0), draw(5.0))
    assert not torch.equal(draw(5.0), draw(5.0, seed=1))
    generator = torch.Generator().manual_seed(0)
    first, second = (sample_timesteps(8, 5.0, generator) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_draws_are_logit_normal_around_the_shift(shift):
    times = draw(shift)
    assert ((times > 0) & (times < 1)).all()
    # The shift adds log(shift) to the logit, which is standard normal without it.
    logit = torch.logit(times.double()) - torch.log(torch.tensor(shift, dtype=torch.float64))
    assert abs(logit.mean()) < 0.03
    assert abs(logit.std() - 1) < 0.03


def test_a_shift_biases_to_high_noise():
    assert (draw(1.0) > 0.5).float().mean() < 0.52
    assert (draw(5.0) > 0.5).float().mean() > 0.9
