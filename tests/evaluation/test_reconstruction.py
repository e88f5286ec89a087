from __future__ import annotations

import pytest
import torch

from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE, psnr
from plenodream.evaluation.reconstruction import reconstruction_errors, score_reconstruction
from plenodream.evaluation.scenes import held_out
from plenodream.sampling.config import SamplingConfig
from plenodream.worlds.family import MILD

SIZE = {"views": 3, "frames": 3, "height": 16, "width": 16}


@pytest.fixture(scope="module")
def data():
    return held_out(MILD, 4, **SIZE)


def test_a_scene_does_not_depend_on_the_others(data):
    later = held_out(MILD, 2, **SIZE, first=2)
    for name in ("rgb", "depth", "moving", "seen", "no_motion"):
        assert torch.equal(getattr(later, name), getattr(data, name)[2:]), name
    assert torch.equal(later.cameras.camera_to_world, data.cameras.camera_to_world[2:])
    assert not torch.equal(held_out(MILD, 4, **SIZE, split="benchmark").rgb, data.rgb)
    assert not torch.equal(data.rgb[0], data.rgb[1])


def test_in_a_source_without_motion_only_what_moves_is_different(data):
    torch.testing.assert_close(data.no_motion[:, 0], data.rgb[:, 0, 0])
    changed = (data.no_motion - data.rgb[:, 0]).abs().amax(-1) > 1e-4
    assert changed[:, -1].flatten(1).any(dim=1).float().mean() > 0.5
    assert changed.float().mean() < 0.5


def test_the_source_sees_itself_and_not_everything(data):
    assert data.seen[:, 0].float().mean() > 0.99
    assert 0.2 < data.seen[:, 1:].float().mean() < 0.95


def test_errors_split_the_pixels(data):
    video = data.rgb[:, 1] * 0.9
    errors = reconstruction_errors(video, data.rgb[:, 1], data.seen[:, 1], data.moving[:, 1])
    for whole, parts in (("all", ("seen", "hidden")), ("seen", ("static", "moving"))):
        for number in ("total", "count"):
            split = sum(getattr(errors[part], number) for part in parts)
            torch.testing.assert_close(getattr(errors[whole], number), split)


def test_scores_of_a_model(tiny_pipeline, data):
    p = tiny_pipeline()
    args = (p.transformer, p.codec, p.scheduler, SamplingConfig(2), data)
    scores = score_reconstruction(*args)
    assert scores.videos.shape == (4, 2, 3, 16, 16, 3)
    for target in (1, 2):
        truth, seen = data.rgb[:, target], data.seen[:, target]
        enough = seen.float().mean((1, 2, 3)) >= MINIMUM_COVERAGE
        for column, video in (("seen", scores.videos[:, target - 1]), ("copied", data.rgb[:, 0])):
            expected = psnr(video, truth, seen).masked_fill(~enough, torch.nan)
            torch.testing.assert_close(getattr(scores, column)[:, target - 1], expected, equal_nan=True)
    assert not torch.equal(scores.seen.nan_to_num(), scores.wrong_camera.nan_to_num())
    again, other = score_reconstruction(*args), score_reconstruction(*args, seed=1)
    assert torch.equal(again.videos, scores.videos) and not torch.equal(other.videos, scores.videos)


def test_no_scenes():
    with pytest.raises(ValueError, match="0 scenes: expected at least 1"):
        held_out(MILD, 0, **SIZE)
