from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import loss_of_views

from plenodream.flow import sample_timesteps
from plenodream.models.context import Context, ViewTokens
from plenodream.training.objective import (
    ObjectiveConfig,
    draw_context,
    draw_noise,
    draw_overlap,
    draw_size,
    fill_context,
    hide_depth,
)

JOINT = {"context_attention": "joint", "layout": ("context", "context", "target")}
CONFIG = ObjectiveConfig(overlap_probability=1.0, overlap_frames=2)


def random_views(batch=2, views=4, frames=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, views, 4, frames, 2, 2, generator=generator)
    return latents, torch.randn(batch, views, frames, 2, 2, 24, generator=generator)


def loop_loss(model, latents, rays, context, targets, config, generator):
    """One target at a time, its context encoded for it alone; the draws in the order in which they are made."""
    batch = len(latents)
    count, frames = batch * len(targets), latents.shape[3]
    overlap = draw_overlap(frames, config, generator)
    t = sample_timesteps(count, config.shift, generator)
    eps = draw_noise(latents[:, list(targets)].flatten(0, 1), generator)
    total, numbers = 0.0, 0
    for row in range(count):
        sample, target = row // len(targets), list(targets)[row % len(targets)]
        x_0 = latents[sample, target]
        x_t = (1 - t[row]) * x_0 + t[row] * eps[row]
        x_t[:, :overlap] = x_0[:, :overlap]
        clean = torch.zeros(1, frames)
        clean[0, :overlap] = 1
        seen = context[sample, row % len(targets)]
        joint = model.config.context_attention == "joint"
        if joint:
            slots = list(model.config.layout).count("context")
            seen = torch.tensor(seen.tolist() + [0] * (slots - len(seen)))
        camera = rays[sample, target]
        views = ViewTokens(latents[None, sample, seen], rays[None, sample, seen])
        seen = model.encode(views)
        clean = clean if overlap else None
        raw = model.predict(x_t[None, None], t[row : row + 1], camera[None, None], seen, clean)[0, 0]
        if model.config.prediction == "x0":
            error = (raw - x_0) / max(t[row].item(), config.x0_floor)
        else:
            error = raw - (eps[row] - x_0)
        error = error if config.overlap_in_loss else error[:, overlap:]
        total, numbers = total + error.square().sum(), numbers + error.numel()
    return total / numbers


@pytest.mark.parametrize("prediction", ["velocity", "x0"])
@pytest.mark.parametrize("mode", [{}, JOINT])
@pytest.mark.parametrize("changes", [{}, {"overlap_probability": 0.0}, {"overlap_in_loss": True}])
def test_loss_and_gradient_equal_a_loop_over_targets(tiny_denoiser, prediction, mode, changes):
    """Context shared by all targets, encoded once, is the same as every target run on its own."""
    model, config = tiny_denoiser(prediction=prediction, **mode), replace(CONFIG, **changes)
    latents, rays = random_views()
    context = draw_context(2, 4, range(1, 4), 1 if mode else 2, torch.Generator().manual_seed(3))
    args = (model, latents, rays, context, range(1, 4), config)
    loss = loss_of_views(*args, torch.Generator().manual_seed(7))
    expected = loop_loss(*args, torch.Generator().manual_seed(7))
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)
    weights = [model.transformer_blocks[0].attn1.to_k.weight, model.proj_out.weight]
    for ours, theirs in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.abs().max().item())


@pytest.mark.parametrize("mode", [{}, JOINT])
def test_a_target_is_seen_by_nobody_whose_context_it_is_not_in(tiny_denoiser, mode):
    """With view 3 in no context, its clean latents reach the loss of view 3 alone: views 1 and 2 do not change."""
    model = tiny_denoiser(prediction="velocity", **mode)
    latents, rays = random_views(batch=1)
    context = torch.tensor([[[0, 2], [0, 1]]])
    changed = latents.clone()
    changed[:, 3] += 1
    config = ObjectiveConfig()
    first, second = (
        loss_of_views(model, x, rays, context, range(1, 3), config, torch.Generator().manual_seed(0))
        for x in (latents, changed)
    )
    assert first == second
    changed = latents.clone()
    changed[:, 0] += 1
    third = loss_of_views(model, changed, rays, context, range(1, 3), config, torch.Generator().manual_seed(0))
    assert third != first


@pytest.mark.parametrize("views", [1, 2, 5])
def test_contexts_are_distinct_and_never_the_target_itself(views):
    k = max(1, min(3, views - 1))
    context = draw_context(200, views, range(1, 5), k, torch.Generator().manual_seed(0)) if views != 2 else None
    if views == 2:
        context = draw_context(200, 2, range(1, 5), 1, torch.Generator().manual_seed(0))
    assert context.shape == (200, 4, k) and context.max() < views
    for row, target in enumerate(range(1, 5)):
        assert not (context[:, row] == target).any()
        assert all(len(set(chosen)) == k for chosen in context[:, row].tolist())
    if views == 5:
        for row, target in enumerate(range(1, 5)):
            assert set(context[:, row].flatten().tolist()) == set(range(5)) - {target}


def test_the_source_is_always_given_and_even_to_itself():
    context = draw_context(50, 4, range(0, 4), 2, torch.Generator().manual_seed(0), source=True)
    assert (context[..., 0] == 0).all()
    for target in range(1, 4):
        assert set(context[:, target, 1].tolist()) == {1, 2, 3} - {target}
    alone = draw_context(2, 4, range(0, 4), 1, torch.Generator().manual_seed(0), source=True)
    assert not alone.any()


def test_context_sizes_come_in_their_shares():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([draw_size(1, 4, (10.0, 4.0, 1.0, 1.0), generator) for _ in range(1600)])
    assert [abs((drawn == k + 1).sum() - n) < 100 for k, n in enumerate((1000, 400, 100, 100))] == [True] * 4
    assert {draw_size(2, 3, None, generator) for _ in range(40)} == {2, 3}


def test_hidden_depth_is_that_of_whole_views_and_colours_stay():
    latents = torch.rand(40, 4, 8, 1, 2, 2) + 1
    shown = hide_depth(latents, 2, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(shown[:, :, :6], latents[:, :, :6])
    known = (shown[:, :, 6:] == latents[:, :, 6:]).flatten(2)
    assert (known.all(-1) | (~known).all(-1)).all()
    assert 50 < known.all(-1).sum() < 110


@pytest.mark.parametrize("prediction", ["velocity", "x0"])
def test_unknown_depth_has_no_part_in_the_loss_and_known_depth_its_weight(tiny_denoiser, prediction):
    model = tiny_denoiser(prediction=prediction)
    latents, rays = random_views()
    latents[:, :, 3, 1] = 0  # nothing is known of the second frame's depth
    context = draw_context(2, 4, range(1, 4), 1, torch.Generator().manual_seed(3))

    def loss(weight):
        config = ObjectiveConfig(depth_weight=weight, hidden_depth=0.0)
        args = (model, latents, rays, context, range(1, 4), config, torch.Generator().manual_seed(7))
        return loss_of_views(*args, depth_channels=1)

    colours, both = loss(0.0), loss(1.0)
    assert both > colours
    torch.testing.assert_close(loss(0.25), colours + 0.25 * (both - colours))
    raw = {}
    predict = model.predict
    model.predict = lambda *args, **kwargs: raw.setdefault("output", predict(*args, **kwargs))
    gradient = torch.autograd.grad(loss(1.0), raw["output"])[0]
    assert not gradient[:, 0, 3, 1].any() and gradient[:, 0, 3, 0].any() and gradient[:, 0, :3, 1].any()


def test_a_context_that_must_hold_the_target_is_refused():
    with pytest.raises(AssertionError):
        draw_context(1, 2, range(1, 2), 2, torch.Generator())


def test_the_source_is_repeated_until_a_fixed_layout_is_full():
    context = torch.tensor([[[2, 1]]])
    assert fill_context(context, 4).tolist() == [[[2, 1, 0, 0]]]
    assert fill_context(context, None) is context
    with pytest.raises(ValueError, match=r"lower curriculum.max_context by 1"):
        fill_context(context, 1)


def test_overlap_ratio_and_lengths():
    config = ObjectiveConfig(overlap_probability=0.45, overlap_frames=3)
    generator = torch.Generator().manual_seed(0)
    draws = [draw_overlap(9, config, generator) for _ in range(4000)]
    assert sum(draw > 0 for draw in draws) / 4000 == pytest.approx(0.45, abs=0.03)
    for length in (1, 2, 3):
        assert sum(draw == length for draw in draws) / 4000 == pytest.approx(0.15, abs=0.03)
    assert {draw_overlap(2, config, generator) for _ in range(50)} == {0, 1}
    assert {draw_overlap(1, config, generator) for _ in range(50)} == {0}  # a single frame is never all given


class Recorder:
    """Stands in for a denoiser and remembers what it was given."""

    def __init__(self):
        self.config = type("Config", (), {"prediction": "velocity"})()
        self.rays, self.contexts, self.times = [], [], []

    context_slots = None

    def encode(self, views):
        return Context((views.latents.flatten(0, 1),))

    def predict(self, x_t, t, rays, context, clean, words):
        self.rays.append(rays), self.contexts.append(len(context)), self.times.append(t)
        return torch.zeros_like(x_t)


def test_time_shift():
    config = ObjectiveConfig(shift=4.0)
    model, generator = Recorder(), torch.Generator().manual_seed(0)
    latents, rays = random_views(batch=4)
    context = draw_context(4, 4, range(1, 4), 2, generator)
    for _ in range(400):
        loss_of_views(model, latents, rays, context, range(1, 4), config, generator)
    assert set(model.contexts) == {2}
    # The median of a logit-normal is 1/2, which the shift moves to 4 / (1 + 3) / ... = 0.8.
    assert torch.cat(model.times).median().item() == pytest.approx(0.8, abs=0.02)


def test_the_weight_of_an_x0_output_is_capped():
    """Output 0 for x_0 = 1: the loss is the mean of 1 / max(t, floor)^2."""
    model, generator = Recorder(), torch.Generator().manual_seed(0)
    model.config.prediction = "x0"
    latents, rays = torch.ones(16, 2, 1, 1, 1, 1), torch.zeros(16, 2, 1, 1, 1, 24)
    context = torch.zeros(16, 1, 1, dtype=torch.long)
    loss = loss_of_views(model, latents, rays, context, range(1, 2), ObjectiveConfig(1.0, 0.4), generator)
    expected = (1 / model.times[0].clamp(min=0.4) ** 2).mean()
    assert (model.times[0] < 0.4).any()
    torch.testing.assert_close(loss, expected)


def test_contexts_may_differ_from_the_truth(tiny_denoiser):
    """Self-conditioning: targets are true, contexts are what is given."""
    model = tiny_denoiser()
    latents, rays = random_views()
    context = draw_context(2, 4, range(1, 4), 1, torch.Generator().manual_seed(0))

    def loss(given=None):
        return loss_of_views(
            model, latents, rays, context, range(1, 4), ObjectiveConfig(), torch.Generator().manual_seed(1), given
        )

    assert loss(latents.clone()) == loss()
    assert loss(latents + 0.5) != loss()


def test_probabilities_are_checked():
    with pytest.raises(ValueError, match="caption_dropout"):
        ObjectiveConfig(caption_dropout=1.5)
