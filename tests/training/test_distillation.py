from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_config

from plenodream.flow import shift_timesteps
from plenodream.models.context import Context, ViewTokens
from plenodream.recipes import get_recipe
from plenodream.recipes.run import configure
from plenodream.sampling.config import SamplingConfig
from plenodream.training import distillation, trainer
from plenodream.training.checkpoint.weights import load_weights
from plenodream.training.config import OptimizerConfig, RunOptions
from plenodream.training.distillation import DistillationConfig, distillation_loss, teacher_jumps
from plenodream.training.export import make_scheduler
from plenodream.training.objective import ObjectiveConfig, Task, draw_context, draw_task
from plenodream.training.trainer import Trainer

CONFIG = tiny_config(
    steps=4,
    distillation=DistillationConfig(teacher_steps=2),
    optimizer=OptimizerConfig(warmup_steps=1, learning_rate=3e-3, ema_decay=0.5),
)


class Straight:
    """A network known in closed form, for data that are one number a: its velocity is (x_t - a) / t, times a factor."""

    context_slots = None
    config = type("Config", (), {"prediction": "velocity"})()

    def __init__(self, factor: float) -> None:
        self.factor = torch.tensor(factor, requires_grad=True)

    def encode(self, views):
        return Context((views.latents.flatten(0, 1),))

    def predict(self, x_t, t, rays, context, clean, words):
        return self.factor * (x_t - 3) / t.view(-1, *[1] * (x_t.ndim - 1))

    velocity = predict

    def begin(self):
        pass

    def branch(self, name):
        return torch.no_grad() if name == "never" else torch.enable_grad()


def a_task(targets=3) -> Task:
    latents, rays = torch.zeros(1, 1, 2, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2, 24)
    index = torch.zeros(targets, 1, dtype=torch.long)
    x_0 = torch.zeros(targets, 2, 2, 2, 2)
    return Task(x_0, torch.zeros(targets, 2, 2, 2, 24), 0, ViewTokens(latents, rays), index, None)


def test_jumps_lead_where_the_teacher_comes():
    """A teacher of dx/dt = f (x - 3) / t goes from t to s by Euler steps; one jump of its velocity ends there, too."""
    scheduler = make_scheduler(CONFIG)
    jumps = teacher_jumps(
        Straight(0.5), a_task(), scheduler, 2, DistillationConfig(2), torch.Generator().manual_seed(0)
    )
    times = shift_timesteps(torch.tensor([1, 0.75, 0.5, 0.25, 0]), 4.0)
    torch.testing.assert_close(jumps.t, times[[0, 0, 0, 2, 2, 2]])
    x = jumps.x_t[:3]
    for number, (start, middle, end) in enumerate((times[0:3], times[2:5])):
        torch.testing.assert_close(jumps.x_t[3 * number : 3 * number + 3], x)
        y = x + (middle - start) * 0.5 * (x - 3) / start
        y = y + (end - middle) * 0.5 * (y - 3) / middle
        torch.testing.assert_close(x + (end - start) * jumps.velocity[3 * number : 3 * number + 3], y)
        x = y


def test_a_student_of_a_known_teacher_learns_its_jumps():
    """One number is learned: the factor with which one step from noise ends where the teacher's four do."""
    student, generator = Straight(0.5), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([student.factor], lr=0.1)
    scheduler, losses = make_scheduler(CONFIG), []
    for _ in range(25):
        jumps = teacher_jumps(Straight(0.5), a_task(), scheduler, 1, DistillationConfig(4), generator)
        loss = distillation_loss(student, a_task(), jumps, ObjectiveConfig())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    times = shift_timesteps(torch.tensor([1, 0.75, 0.5, 0.25, 0]), 4.0)
    left = torch.prod(1 - 0.5 * (times[:-1] - times[1:]) / times[:-1])  # of the distance to 3, after four steps
    assert student.factor.item() == pytest.approx(1 - left.item(), abs=0.02)
    assert losses[-1] < 0.02 * losses[0]


@pytest.mark.parametrize("prediction", ["velocity", "x0"])
def test_a_student_of_one_step_a_jump_is_its_teacher(tiny_denoiser, prediction):
    """With the same steps there is nothing to learn, whatever is predicted, also where frames are given clean."""
    model = tiny_denoiser(prediction=prediction)
    latents, rays = torch.randn(2, 4, 4, 3, 2, 2), torch.randn(2, 4, 3, 2, 2, 24)
    generator = torch.Generator().manual_seed(0)
    context = draw_context(2, 4, range(1, 4), 2, generator)
    objective = ObjectiveConfig(overlap_probability=1.0, overlap_frames=2)
    task = draw_task(latents, rays, context, range(1, 4), objective, generator)
    assert task.overlap
    for teacher_steps, same in ((1, True), (2, False)):
        config = DistillationConfig(teacher_steps)
        jumps = teacher_jumps(model, task, make_scheduler(CONFIG), 2, config, generator)
        assert (distillation_loss(model, task, jumps, objective).item() < 1e-8) is same


def test_a_run_distils_and_goes_on_exactly_also_without_the_folder_that_it_began_from(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "product_rate", lambda dtype, device: 1e12)
    monkeypatch.setattr(trainer, "count_operations", lambda: nullcontext(SimpleNamespace(get_total_flops=lambda: 1000)))
    start = tmp_path / "start"
    Trainer(tiny_config(steps=2, validate_every=2), RunOptions(start, quiet=True)).run()

    def make(name, **options):
        teacher = {} if options.get("resume") else {"init_from": tmp_path / "given"}
        return Trainer(CONFIG, RunOptions(tmp_path / name, quiet=True, **teacher, **options))

    (start / "model").rename(tmp_path / "given")
    whole = make("a")
    whole.run()
    make("b", stop_after=1).run()
    (tmp_path / "given").rename(tmp_path / "gone")
    parts = make("b", resume=True)
    parts.run()
    first, last = load_weights(tmp_path / "gone"), whole.model.state_dict()
    assert all(torch.equal(value, parts.model.state_dict()[name]) for name, value in last.items())
    assert not all(torch.equal(value, first[name].to(value)) for name, value in last.items())
    assert all(torch.equal(value, first[name].to(value)) for name, value in parts.teacher.model.state_dict().items())


def test_what_cannot_be_distilled_is_refused(tmp_path):
    with pytest.raises(ValueError, match="distils a model: expected --init-from"):
        Trainer(CONFIG, RunOptions(tmp_path, quiet=True))
    with pytest.raises(ValueError, match=r"scheduler=euler, sampling\.guidance=0"):
        replace(CONFIG, scheduler="unipc")
    with pytest.raises(ValueError, match="teacher_steps"):
        DistillationConfig(-1)
    with pytest.raises(ValueError, match="guidance"):
        configure("basic-few-steps", ["distillation.guidance=-1"], data=tmp_path)


def test_recipes_halve_their_teacher_s_steps_and_keep_its_network():
    student, teacher = get_recipe("nano-depth-2step"), get_recipe("nano-depth")
    assert student.model == teacher.model
    assert student.sampling.steps * student.distillation.teacher_steps == teacher.sampling.steps
    large = get_recipe("basic-few-steps")
    assert large.model == get_recipe("basic").model and large.guided_by is None
    assert large.distillation.guidance == get_recipe("basic").sampling.guidance


def test_guidance_of_the_teacher_is_over_what_it_is_not_told(tiny_denoiser, monkeypatch):
    """Where there are words, a guided teacher's way is that of `sample_view` with the negative ones."""
    seen = {}

    def spy(*args, visited, **named):
        seen.update(named, config=args[2])
        visited += [torch.zeros(3, 2, 2, 2, 2)] * (args[2].steps + 1)

    monkeypatch.setattr(distillation, "sample_view", spy)
    task, words = replace(a_task(), words=torch.ones(3, 1, 8)), torch.zeros(1, 1, 8)
    config = DistillationConfig(3, 7.0)
    teacher_jumps(Straight(1.0), task, make_scheduler(CONFIG), 2, config, torch.Generator(), words)
    assert seen["config"] == SamplingConfig(6, 7.0) and seen["negative"] is words and seen["text"] is task.words
