import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from plenodream.evaluation.metrics.camera import paper_error, rotation_angles, worldscore_error
from plenodream.geometry.cameras import axis_rotation, make_pose, rotation_matrix

REFERENCE = Path(__file__).parents[2] / "reference" / "metric_values"
VALUES = json.loads((REFERENCE / "values.json").read_text())
TENSORS = load_file(REFERENCE / "tensors.safetensors")


def path(name, which):
    rows = TENSORS[f"{name}.{which}_camera_to_world"]
    return make_pose(rows[:, :, :3], rows[:, :, 3])


def random_path(seed, frames=7):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(2, frames, 3, generator=generator, dtype=torch.float64)
    return make_pose(rotation_matrix(0.3 * steps[0]), steps[1])


@pytest.mark.parametrize("name", ["arc", "dolly"])
def test_published_numbers(name):
    wanted = VALUES[name]
    # CamI2V sums the same angles.
    rotation = paper_error(path(name, "pred"), path(name, "gt")).rotation
    assert rotation == pytest.approx(wanted["CamI2V"]["RotErr_rad_sum"], rel=1e-6)
    score = worldscore_error(path(name, "pred"), path(name, "gt"))
    assert score.rotation == pytest.approx(wanted["WorldScore"]["rotation_deg_mean"], rel=1e-6)
    assert score.translation == pytest.approx(wanted["WorldScore"]["translation_mean"], rel=1e-6)


def test_a_pan_has_a_rotation_error_and_no_translation_error():
    predicted, truth = path("pan", "pred"), path("pan", "gt")
    error = paper_error(predicted, truth)
    assert error.rotation == pytest.approx(VALUES["pan"]["CamI2V"]["RotErr_rad_sum"], rel=1e-6)
    assert error.translation is None
    score = worldscore_error(predicted, truth)
    assert score.translation is None
    assert score.rotation == pytest.approx(math.degrees(error.rotation) / len(truth))


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1e-4, 1.0, 3.0, math.pi - 1e-7, math.pi])
def test_angles_are_exact_from_nothing_to_a_half_turn(angle):
    axis = torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64) / 3
    base = rotation_matrix(torch.tensor([0.4, 0.2, -0.7], dtype=torch.float64))
    turned = base @ rotation_matrix(axis * angle)
    assert rotation_angles(base, turned).item() == pytest.approx(angle, abs=2e-15 if angle < 1e-3 else 1e-7)


def test_angles_follow_the_stated_formula():
    a, b = random_path(0)[:, :3, :3], random_path(1)[:, :3, :3]
    for one, other, angle in zip(a, b, rotation_angles(a, b), strict=True):
        r = (one.T @ other).tolist()
        vee = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]]
        sine, cosine = math.hypot(*vee) / 2, (r[0][0] + r[1][1] + r[2][2] - 1) / 2
        assert angle.item() == pytest.approx(math.atan2(sine, cosine), abs=1e-12)
        assert angle.item() == pytest.approx(math.acos(cosine), abs=1e-7)


def test_the_papers_error_by_hand():
    predicted, truth = random_path(2), random_path(3)
    truth[:, :3, 3] = 0.4 * predicted[:, :3, 3] + 0.1 * truth[:, :3, 3]
    error = paper_error(predicted, truth)
    own = [(torch.linalg.inv(p[0]) @ p).tolist() for p in (predicted, truth)]
    p, g = ([[row[3] for row in pose[:3]] for pose in poses] for poses in own)
    dot = sum(x * y for a, b in zip(p, g, strict=True) for x, y in zip(a, b, strict=True))
    scale = max(dot / sum(x * x for a in p for x in a), 0)
    expected = sum((y - scale * x) ** 2 for a, b in zip(p, g, strict=True) for x, y in zip(a, b, strict=True))
    assert error.translation == pytest.approx(expected, rel=1e-9)
    # No other scale does better.
    for other in (0.99 * scale, 1.01 * scale):
        worse = sum((y - other * x) ** 2 for a, b in zip(p, g, strict=True) for x, y in zip(a, b, strict=True))
        assert worse >= expected


def test_no_other_scale_gives_a_smaller_mean_distance():
    predicted, truth = random_path(4), random_path(5)
    found = worldscore_error(predicted, truth).translation
    p, g = ((torch.linalg.inv(x[0]) @ x)[:, :3, 3] for x in (predicted, truth))
    scales = torch.linspace(-3, 3, 60001, dtype=torch.float64)
    best = (g - scales[:, None, None] * p).norm(dim=-1).mean(-1).min().item()
    assert found <= best + 1e-12
    assert found == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("measure", [paper_error, worldscore_error])
def test_world_and_scale_of_the_prediction_do_not_matter(measure):
    truth, noisy = random_path(6), random_path(6)
    noisy[:, :3, 3] += 0.05 * random_path(7)[:, :3, 3]
    moved = noisy.clone()
    moved[:, :3, 3] *= 3.7
    moved = random_path(8)[:1] @ moved
    first, second = measure(noisy, truth), measure(moved, truth)
    assert second.translation == pytest.approx(first.translation, rel=1e-9)
    assert second.rotation == pytest.approx(first.rotation, abs=1e-9)
    perfect = measure(random_path(8)[:1] @ truth, truth)
    assert perfect.translation == pytest.approx(0, abs=1e-12)
    assert perfect.rotation == pytest.approx(0, abs=1e-9)


def test_standing_still_is_the_true_path_itself():
    truth = random_path(9)
    still = truth[:1].expand_as(truth)
    length = (truth[:, :3, 3] - truth[0, :3, 3]).norm(dim=-1)
    assert paper_error(still, truth).translation == pytest.approx(length.square().sum().item())
    assert worldscore_error(still, truth).translation == pytest.approx(length.mean().item())


def test_moving_backwards_is_no_better_than_standing_still():
    straight = torch.linspace(0, 2, 9, dtype=torch.float64)[:, None] * torch.tensor(
        [0.0, 0.0, 1.0], dtype=torch.float64
    )
    turn = axis_rotation("y", torch.zeros(9, dtype=torch.float64))
    truth, backwards = make_pose(turn, straight), make_pose(turn, -straight)
    assert paper_error(backwards, truth).translation == pytest.approx(straight.square().sum().item())


def test_float32_poses_keep_small_angles():
    truth = torch.eye(4).repeat(3, 1, 1)
    predicted = truth.clone()
    predicted[1:, :3, :3] = axis_rotation("y", torch.tensor([0.005, 0.01]))
    assert paper_error(predicted, truth).rotation == pytest.approx(math.radians(0.015), rel=1e-5)


def test_bad_paths_are_named(any_arrays):
    good = random_path(10)
    with pytest.raises(ValueError, match=r"frames, 4, 4"):
        paper_error(good[:5], good)
    broken = good.clone()
    broken[2, 0, 3] = torch.nan
    with pytest.raises(ValueError, match="predicted camera path"):
        worldscore_error(broken, good)
