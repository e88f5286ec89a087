"""The robot's episodes: right cameras and depth, grippers that move, splits that share nothing."""

from __future__ import annotations

import pytest
import torch

from plenodream.data.episode import open_episode
from plenodream.data.robot import synthesize_robot
from plenodream.evaluation.benchmarks import get_benchmark
from plenodream.evaluation.recordings import find_recordings
from plenodream.geometry.visibility import covisible, warp
from plenodream.worlds import robot
from plenodream.worlds.robot import VIEWS, film_robot

FRAMES, SIZE = 3, (48, 64)


@pytest.fixture(scope="module")
def filmed():
    try:  # without MuJoCo, the arms or a way to draw, these tests are skipped
        return film_robot("benchmark", 0, FRAMES, *SIZE)
    except ValueError as error:
        pytest.skip(str(error))


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(robot, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs MuJoCo and gym-aloha; pip install 'plenodream\[robot\]'"):
        film_robot("benchmark", 0, FRAMES, *SIZE)


def test_depth_and_cameras_carry_one_view_into_another(filmed):
    head = filmed["head"]
    for name in VIEWS[1:]:
        one = filmed[name]
        both = covisible(one.depth, one.cameras.to(torch.float32), head.depth, head.cameras.to(torch.float32))
        views = one.cameras.to(torch.float32), head.cameras.to(torch.float32)
        carried = warp(head.frames.float(), one.depth, *views)
        error = (carried - one.frames.float()).abs().mean(-1)
        elsewhere = (carried.flip(2) - one.frames.float()).abs().mean(-1)
        assert both.float().mean() > 0.1 and error[both].mean() < 0.4 * elsewhere[both].mean()


def test_the_head_stands_still_and_the_grippers_move_with_the_arms(filmed):
    poses = {name: one.cameras.camera_to_world for name, one in filmed.items()}
    assert torch.equal(poses["head"][0], poses["head"][-1]) and torch.equal(poses["head"][0].float(), torch.eye(4))
    for name in VIEWS[1:]:
        assert (poses[name][0, :3, 3] - poses[name][-1, :3, 3]).norm() > 0.05
        assert 0.02 < filmed[name].moving.float().mean() < 0.9
    # What is said to rest does: the head's picture changes only where something moves, or has moved away.
    moved = filmed["head"].moving.any(0)
    change = (filmed["head"].frames[0].float() - filmed["head"].frames[-1].float()).abs().amax(-1)
    assert change[~moved].max() < 3 < change[moved].max()


def test_episodes_are_fixed_and_of_splits_of_their_own(filmed):
    again = film_robot("benchmark", 0, FRAMES, *SIZE)
    assert torch.equal(again["hand_left"].frames, filmed["hand_left"].frames)
    assert not torch.equal(film_robot("train", 0, FRAMES, *SIZE)["head"].frames, filmed["head"].frames)
    still = film_robot("benchmark", 0, FRAMES, *SIZE, motion=False)["head"].frames
    assert torch.equal(still[0], still[-1]) and torch.equal(still[0], filmed["head"].frames[0])


def test_a_training_set_and_the_benchmark(filmed, tmp_path):
    (folder,) = synthesize_robot(tmp_path / "data", 1, FRAMES, *SIZE)
    assert open_episode(folder).names == tuple(sorted(VIEWS))
    (file,) = find_recordings(tmp_path / "data")
    assert file.source == "head" and file.read(("head",), None, None).views["head"].depth is not None
    scene = get_benchmark("agibot-mini").open(0)
    assert scene.shots == ("hand_left", "hand_right") and scene.no_motion is not None
    truth = scene.see("hand_left", scene.targets["hand_left"])
    assert truth.depth is not None and truth.moving is not None and truth.frames.shape == (9, 48, 64, 3)
