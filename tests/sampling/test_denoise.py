"""The flow ODE on fields whose solution is known in closed form, under both schedulers."""

import copy

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from plenodream.flow import shift_timesteps
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.denoise import denoise

UNIPC = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 5.0}
SCHEDULERS = {
    "euler": FlowMatchEulerDiscreteScheduler(shift=5.0),
    "unipc": UniPCMultistepScheduler(**UNIPC),
}
each_scheduler = pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)


def random_tensor(seed, batch=2):
    return torch.randn(batch, 3, 2, 4, 4, generator=torch.Generator().manual_seed(seed))


def per_sample(t):
    return t.view(-1, 1, 1, 1, 1)


def field_to(x_0):
    """The velocity field that carries every point to x_0 in a straight line."""
    return lambda x, t: (x - x_0) / per_sample(t)


@each_scheduler
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 35, 400])
def test_an_exact_field_lands_on_its_endpoint(scheduler, steps):
    x_0 = random_tensor(0)
    result = denoise(field_to(x_0), random_tensor(1), scheduler, SamplingConfig(steps))
    torch.testing.assert_close(result, x_0, rtol=0, atol=2e-5)


MEAN, STD = 1.5, 0.2


def gaussian_field(x, t):
    """The velocity of data that are normal with MEAN and STD: E[eps - x_0 | x_t]."""
    t = per_sample(t)
    variance = (1 - t) ** 2 * STD**2 + t**2
    centred = x - (1 - t) * MEAN
    return t / variance * centred - (MEAN + (1 - t) * STD**2 / variance * centred)


def gaussian_error(scheduler, steps):
    noise = random_tensor(1)
    result = denoise(gaussian_field, noise, scheduler, SamplingConfig(steps))
    return (result - (MEAN + STD * noise)).abs().max().item()


def test_normal_data_are_reached_in_the_limit_of_many_steps():
    euler = [gaussian_error(SCHEDULERS["euler"], steps) for steps in (32, 128, 512)]
    assert euler[2] < 0.02
    assert 3 < euler[1] / euler[2] < 5  # of first order: four times the steps, a quarter of the error
    assert euler[1] < euler[0] / 3
    unipc = [gaussian_error(SCHEDULERS["unipc"], steps) for steps in (8, 32, 128)]
    assert unipc[1] < unipc[0] / 2
    assert unipc[2] < euler[1] / 20  # of higher order


@each_scheduler
def test_the_network_is_given_the_schedulers_sigmas_not_its_rounded_timesteps(scheduler):
    seen, steps = [], 7

    def velocity(x, t):
        assert t.shape == (2,)
        seen.append(t)
        return torch.zeros_like(x)

    denoise(velocity, random_tensor(1), scheduler, SamplingConfig(steps))
    expected = shift_timesteps(torch.linspace(1, 1 / steps, steps), 5.0)
    torch.testing.assert_close(torch.stack(seen)[:, 0], expected, rtol=0, atol=2e-6)


@each_scheduler
def test_the_scheduler_passed_in_is_left_alone_and_calls_do_not_depend_on_each_other(scheduler):
    before = copy.deepcopy(scheduler.__dict__)
    arguments = gaussian_field, random_tensor(1), scheduler, SamplingConfig(5)
    first = denoise(*arguments)
    denoise(gaussian_field, random_tensor(2, batch=1), scheduler, SamplingConfig(9))
    assert torch.equal(denoise(*arguments), first)
    assert before.keys() == scheduler.__dict__.keys()
    for name, value in before.items():
        now = scheduler.__dict__[name]
        assert torch.equal(now, value) if isinstance(value, torch.Tensor) else now == value, name


@each_scheduler
def test_clean_frames_are_kept_exactly_and_shown_to_the_network(scheduler):
    x_0, clean = random_tensor(0), random_tensor(2)
    mask = torch.zeros(1, 1, 2, 1, 1)
    mask[:, :, 0] = 1

    def velocity(x, t):
        assert torch.equal(x[:, :, 0], clean[:, :, 0])
        return field_to(x_0)(x, t)

    result = denoise(velocity, random_tensor(1), scheduler, SamplingConfig(4), clean=clean, clean_mask=mask)
    assert torch.equal(result[:, :, 0], clean[:, :, 0])
    torch.testing.assert_close(result[:, :, 1], x_0[:, :, 1], rtol=0, atol=2e-5)


@each_scheduler
@pytest.mark.parametrize("guidance", [0.5, 1.0, 7.0])
def test_guidance_goes_beyond_the_condition_by_its_difference_to_no_condition(scheduler, guidance):
    conditional, unconditional = random_tensor(3), random_tensor(4)
    noise = random_tensor(1)
    result = denoise(
        lambda x, t: conditional,
        noise,
        scheduler,
        SamplingConfig(3, guidance),
        unconditional=lambda x, t: unconditional,
    )
    # Constant fields: the whole way from t = 1 to 0 is one velocity.
    expected = noise - (conditional + guidance * (conditional - unconditional))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_without_guidance_the_unconditional_branch_is_not_run():
    def fail(x, t):
        raise AssertionError("not needed")

    config = SamplingConfig(2, guidance=0.0)
    denoise(gaussian_field, random_tensor(1), SCHEDULERS["euler"], config, unconditional=fail)


def test_every_step_is_reported_once():
    steps = []
    denoise(gaussian_field, random_tensor(1), SCHEDULERS["euler"], SamplingConfig(4), on_step=steps.append)
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"{steps} sampling steps: expected a whole number, at least 1"):
        SamplingConfig(steps)


@pytest.mark.parametrize("guidance", [-1.0, float("nan"), float("inf")])
def test_guidance_is_finite_and_not_negative(guidance):
    with pytest.raises(ValueError, match=f"guidance {guidance:g}: expected a finite number"):
        SamplingConfig(guidance=guidance)
