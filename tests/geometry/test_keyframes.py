"""Key-framed trajectories: closed forms, what they share with the presets, files, and refusals."""

import json
import math

import pytest
import torch
from test_trajectories import moving_source, still_source

from plenodream.geometry.cameras import invert_pose, project
from plenodream.geometry.keyframe_paths import interpolate, keyframe_cameras, keyframe_of
from plenodream.geometry.keyframes import KEY_EASES, Keyframe, Keyframes, read_keyframes, write_keyframes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories

LINEAR = {"ease": "linear"}


def preset(spec, source):
    return trajectory_cameras(parse_trajectories([spec])[0], source)


@pytest.mark.parametrize(
    "spec, start, end",
    [
        ("arc-left:angle=40", {}, {"azimuth": -40}),
        ("arc-right:angle=40,of=source", {}, {"azimuth": 40}),
        ("arc-right:angle=40,ease=smooth", {}, {"azimuth": 40, "ease": "smooth"}),
        ("elevation-up:angle=30", {"elevation": 30}, {"elevation": 30}),
        ("truck-right:distance=1.5", {}, {"target": (1.5, 0, 0)}),
        ("pedestal-up:distance=1.5", {}, {"target": (0, 1.5, 0)}),
        ("zoom-in:distance=1", {}, {"target": (0, 0, 1)}),
        ("orbit:angle=-360", {}, {"azimuth": -360}),
        ("focal:from=30,to=60", {"focal": 30}, {"focal": 60}),
    ],
)
def test_key_frames_say_what_presets_say(spec, start, end):
    source = moving_source()
    path = Keyframes((Keyframe(0, **start), Keyframe(1, **(LINEAR | end))), of="source" if "of=" in spec else "start")
    ours, theirs = keyframe_cameras(path, source), preset(spec, source)
    torch.testing.assert_close(ours.camera_to_world, theirs.camera_to_world)
    torch.testing.assert_close(ours.intrinsics, theirs.intrinsics)


def test_the_camera_is_aimed_at_its_target_at_its_distance_and_rolled():
    key = Keyframe(0, azimuth=50, elevation=-20, distance=2.5, roll=30, target=(0.5, 1.0, -0.7))
    source = still_source()
    cameras = keyframe_cameras(Keyframes((key,), subject_distance=5), source)
    point = torch.tensor([[0.5, -1.0, 4.3]], dtype=torch.float64)
    above = point + torch.tensor([0, -0.1, 0])
    pixel, depth = project(point, cameras[0])
    torch.testing.assert_close(pixel[0], source.intrinsics[0, 2:])
    assert depth.item() == pytest.approx(2.5)
    # Clockwise by 30 degrees: what points up in the world leans 30 degrees to the left.
    lean = project(above, cameras[0])[0][0] - pixel[0]
    assert math.degrees(math.atan2(-lean[0], -lean[1])) == pytest.approx(30, abs=1e-6)


def test_a_camera_becomes_the_key_frame_that_gives_it():
    source = moving_source()
    key = Keyframe(0.3, azimuth=-130, elevation=41, distance=3, roll=-17, focal=28, target=(1, 2, 3), ease="linear")
    camera = keyframe_cameras(Keyframes((key,), subject_distance=6), source)[0]
    pose = invert_pose(source.camera_to_world[0]) @ camera.camera_to_world
    found = keyframe_of(pose, 0.3, 3, 6, 28, "linear")
    for name in ("azimuth", "elevation", "roll", "distance", "target"):
        assert getattr(found, name) == pytest.approx(getattr(key, name)), name


def values_of(keys, heights, time):
    return interpolate(keys, torch.tensor(heights, dtype=torch.float64)[:, None], time)[:, 0]


def test_gliding_passes_key_frames_without_a_stop_and_never_overshoots():
    times, heights = [0, 0.2, 0.3, 0.8, 1], [0.0, 1.0, 5.0, 5.5, 2.0]
    keys = [Keyframe(t) for t in times]
    at = torch.tensor(times, dtype=torch.float64)
    torch.testing.assert_close(values_of(keys, heights, at), torch.tensor(heights).double())
    fine = values_of(keys, heights, torch.linspace(0, 1, 1001, dtype=torch.float64))
    assert (fine[:801].diff() >= 0).all() and (fine[800:].diff() <= 0).all()
    speed = fine.diff() * 1000
    assert speed[200] > 1 and speed[300] > 1  # on the way through
    for moment in times[1:-1]:  # no jump of the speed
        near = torch.tensor([moment - 1e-6, moment, moment + 1e-6], dtype=torch.float64)
        before, after = (values_of(keys, heights, near).diff() * 1e6).tolist()
        assert before == pytest.approx(after, abs=1e-2)
    assert abs(speed[0]) < 0.3 and abs(speed[-1]) < 0.3  # from rest to rest


@pytest.mark.parametrize("ease", KEY_EASES)
def test_eases_between_two_key_frames(ease):
    time = torch.tensor([0.0, 0.25, 0.5, 0.999999, 1.0], dtype=torch.float64)
    keys = [Keyframe(0), Keyframe(1, ease=ease)]
    share = {"linear": 0.25, "smooth": 0.15625, "in": 0.0625, "out": 0.4375, "hold": 0.0}[ease]
    found = values_of(keys, [2.0, 4.0], time)
    assert found[0] == 2 and found[-1] == 4 and found[1] == pytest.approx(2 + 2 * share)
    assert found[3] == pytest.approx(2 if ease == "hold" else 4, abs=1e-5)


def test_before_and_after_the_key_frames_the_camera_stands():
    path = Keyframes((Keyframe(0.25, azimuth=10), Keyframe(0.75, azimuth=30)))
    poses = keyframe_cameras(path, still_source()).camera_to_world
    assert torch.equal(poses[0], poses[2]) and torch.equal(poses[6], poses[8]) and not torch.equal(poses[2], poses[4])


def test_a_zooming_source_is_followed_where_no_focal_length_is_said():
    source = moving_source()
    path = Keyframes((Keyframe(0), Keyframe(1, focal=40, ease="linear")), of="source")
    cameras = keyframe_cameras(path, source)
    torch.testing.assert_close(cameras.intrinsics[0], source.intrinsics[0])
    assert cameras.intrinsics[-1, 0] / 64 * 36 == pytest.approx(40)


def test_the_subject_is_where_the_caller_says_unless_the_path_does():
    source, key = still_source(), Keyframe(0, azimuth=180)
    for said, given, place in ((None, None, 8), (None, 3, 6), (5, 3, 10)):
        cameras = keyframe_cameras(Keyframes((key,), said), source, *([] if given is None else [given]))
        torch.testing.assert_close(cameras.camera_to_world[0, :3, 3], torch.tensor([0, 0, place]).double())


def test_files_give_back_what_was_written(tmp_path):
    keys = (Keyframe(0), Keyframe(0.5, 1.25, -3, 2, 0.1, 35, (1, 2, 3.5), "hold"), Keyframe(1, elevation=3))
    path = Keyframes(keys, 5.5, "source")
    write_keyframes(tmp_path / "path.json", path)
    assert read_keyframes(tmp_path / "path.json") == path
    assert json.loads((tmp_path / "path.json").read_text())["keyframes"][0] == {"time": 0}


@pytest.mark.parametrize(
    "keys, said",
    [
        ([], "at least one"),
        ([{"time": 0.5}, {"time": 0.5}], "each later than the one before"),
        ([{"time": 2}], "time 2; expected from 0 to 1"),
        ([{"azimuth": 2}], "missing required field time"),
        ([{"time": 0, "azimut": 2}], "unknown field azimut"),
        ([{"time": 0, "focal": "35mm"}], 'keyframes[0].focal: found "35mm", expected float'),
        ([{"time": 0, "elevation": 90}], "elevation 90; expected from -89 to 89"),
        ([{"time": 0, "ease": "bounce"}], "ease 'bounce'; expected one of glide, linear"),
        ([{"time": 0, "target": [1, 2]}], "target"),
    ],
)
def test_refusals_are_one_line(keys, said, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"keyframes": keys}))
    with pytest.raises(ValueError, match=r"p\.json") as refused:
        read_keyframes(tmp_path / "p.json")
    assert said in str(refused.value) and "\n" not in str(refused.value)
