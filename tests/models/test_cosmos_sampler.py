"""The publisher's states on a velocity in closed form."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from plenodream.models.cosmos.scheduler import CosmosUniPCScheduler, cosmos_scheduler
from plenodream.sampling.denoise import SamplingConfig, denoise

REFERENCE = Path(__file__).parents[1] / "reference" / "cosmos_sampler" / "unipc_35_steps_shift_5.safetensors"


def test_the_published_sampler_is_reproduced_at_every_step():
    reference = load_file(REFERENCE)
    states, times = [], []

    def velocity(x, t):
        states.append(x[None] if x.ndim == 4 else x)
        times.append(t[0])
        return (3 * x).sin() + 0.5 * t.view(-1, 1, 1, 1, 1) * x

    last = denoise(velocity, reference["x"][0], cosmos_scheduler(), SamplingConfig(35))
    assert [round(1000 * t.item()) for t in times] == reference["timesteps"].tolist()
    for found, expected in zip([*states, last], reference["x"], strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("steps", [4, 35])
def test_sigmas_are_those_of_the_publisher_for_any_number_of_steps(steps, tmp_path):
    cosmos_scheduler().save_pretrained(tmp_path)
    scheduler = CosmosUniPCScheduler.from_pretrained(tmp_path)
    scheduler.set_timesteps(steps)
    unshifted = torch.linspace(0.999, 0, steps + 1)
    torch.testing.assert_close(scheduler.sigmas, 5 * unshifted / (1 + 4 * unshifted), rtol=0, atol=1e-6)
