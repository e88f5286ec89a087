"""Depth by a model of transformers (a tiny one of random weights), and depth of any kind in metres."""

from __future__ import annotations

from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_depth import save_tiny_depth

from plenodream.estimate.depth import estimate_depth, metric_depth
from plenodream.geometry.metres import FARTHEST, smooth, steady_inverse
from plenodream.media.depth import DISPARITY, METRIC, SCALED, RawDepth

TRUTH = 1 / (0.1 + 0.4 * torch.rand(6, 12, 16, generator=torch.Generator().manual_seed(1)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folders of a metric and of a relative model."""
    pytest.importorskip("transformers")
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("metric", "relative")}
    for kind, folder in folders.items():
        save_tiny_depth(folder, kind)
    return folders


def test_any_model_gives_a_map_for_each_frame_and_says_its_kind(model):
    frames = torch.randint(0, 256, (3, 30, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    done = []
    metric = estimate_depth(frames, str(model["metric"]), progress=done.append)
    assert metric.kind == METRIC and metric.values.shape == (3, 28, 42) and done == [1, 2, 3]
    assert bool(((metric.values > 0) & (metric.values < 21)).all())
    relative = estimate_depth(frames, str(model["relative"]))
    assert relative.kind == DISPARITY and bool((relative.values >= 0).all())


def test_models_that_cannot_be_are_said_in_one_line(model, tmp_path):
    frames = torch.zeros(1, 28, 28, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="cannot be loaded"):
        estimate_depth(frames, str(tmp_path))
    model["zero"] = tmp_path / "zero"
    copytree(model["relative"], model["zero"])
    weights = {name: 0 * tensor for name, tensor in load_file(model["zero"] / "model.safetensors").items()}
    save_file(weights, model["zero"] / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"gave no depth for frame 0 \(0 everywhere\); check its weights"):
        estimate_depth(frames, str(model["zero"]))
    config = (model["metric"] / "config.json").read_text()
    (model["metric"] / "config.json").write_text(config.replace('"metric"', '"strange"'))
    with pytest.raises(ValueError, match=r"does not say whether|cannot be loaded"):
        estimate_depth(frames, str(model["metric"]))
    (model["metric"] / "config.json").write_text(config)


def points_of(truth: torch.Tensor, every: int = 5) -> torch.Tensor:
    """Depth known at some pixels, one in ten of them wrong."""
    frame, row, column = (truth > 0).nonzero()[::every].unbind(1)
    z = truth[frame, row, column].clone()
    z[::10] *= 3
    return torch.stack([frame, (column + 0.5) / truth.shape[2], (row + 0.5) / truth.shape[1], z], dim=1)


@pytest.mark.parametrize(
    ("values", "kind"),
    [(7 * TRUTH, SCALED), (3 * TRUTH, METRIC), (5 / TRUTH + 2, DISPARITY)],
    ids=[SCALED, METRIC, DISPARITY],
)
def test_points_give_scale_and_shift_against_outliers(values, kind):
    depth, how = metric_depth(RawDepth(values, kind, "x"), 4.0, points_of(TRUTH))
    assert torch.allclose(depth, TRUTH, rtol=0.02) and "points" in how


def test_metres_that_are_millimetres_are_doubted():
    for factor, doubted in ((1, False), (1000, True)):
        values, how = metric_depth(RawDepth(factor * TRUTH, METRIC, ""), 4.0)
        assert how.startswith("taken as they are") and ("if they are millimetres" in how) == doubted
        assert torch.equal(values, factor * TRUTH)


def test_points_that_do_not_fit_are_refused():
    other = 1 / (0.1 + 0.4 * torch.rand(6, 12, 16, generator=torch.Generator().manual_seed(2)))
    with pytest.raises(ValueError, match=r"differs from the cameras' points by \d+%"):
        metric_depth(RawDepth(other**3, SCALED, "x"), 4.0, points_of(TRUTH, 2))
    with pytest.raises(ValueError, match="what it calls near is far"):
        metric_depth(RawDepth(1 / TRUTH, SCALED, "x"), 4.0, points_of(TRUTH, 2))
    with pytest.raises(ValueError, match="no frame has 8 points"):
        metric_depth(RawDepth(TRUTH, SCALED, "x"), 4.0, points_of(TRUTH)[:5])


def test_without_points_the_subject_gives_the_scale():
    truth = TRUTH.clone()
    truth[:, 4:8, 5:11] = 2.0
    depth, how = metric_depth(RawDepth(9 * truth, SCALED, "x"), 3.0)
    assert torch.allclose(depth, 1.5 * truth) and "3 m" in how
    assert torch.equal(metric_depth(RawDepth(truth, METRIC, "x"), 3.0)[0], truth)
    relative, _ = metric_depth(RawDepth(4 / truth, DISPARITY, "x"), 3.0)
    assert torch.allclose(relative[:, 4:8, 5:11], torch.tensor(3.0))
    assert abs(relative.quantile(0.99) / (3 * FARTHEST) - 1) < 0.1


def test_disparity_of_a_wall_and_of_a_far_middle_stays_within_reason():
    wall, _ = metric_depth(RawDepth(torch.full((2, 12, 16), 7.0), DISPARITY, "x"), 3.0)
    assert torch.allclose(wall, torch.tensor(3.0))
    sky = torch.zeros(2, 12, 16)
    sky[:, :3, :3] = torch.linspace(1, 2, 9).reshape(3, 3)
    far, _ = metric_depth(RawDepth(sky, DISPARITY, "x"), 3.0)
    assert far.min() > 0.01 and far.max() < 5.01 * 3 * FARTHEST


def test_jumps_from_frame_to_frame_are_evened_out_and_slow_change_stays():
    generator = torch.Generator().manual_seed(3)
    slow = (1 / TRUTH[:1]).repeat(40, 1, 1) * torch.linspace(1, 1.5, 40)[:, None, None]
    jumping = slow * (1 + 0.1 * torch.randn(40, 1, 1, generator=generator)) + 0.03 * torch.rand(
        40, 1, 1, generator=generator
    )
    for values, shift in ((jumping, True), (slow * (1 + 0.1 * torch.randn(40, 1, 1, generator=generator)), False)):
        steady = steady_inverse(values, shift)
        before, after = ((v.diff(dim=0) / v[1:]).abs().mean() for v in (values, steady))
        assert after < 0.35 * before
        assert 1.3 < (steady[-1].median() / steady[0].median()) < 1.6
    assert torch.equal(steady_inverse(torch.zeros(2, 3, 4), True), torch.zeros(2, 3, 4))
    assert torch.allclose(smooth(torch.full((5, 2), 3.0)), torch.tensor(3.0))
