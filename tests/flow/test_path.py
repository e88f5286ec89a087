"""The straight path: its ends and its slope."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plenodream.flow.path import interpolate, velocity


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
