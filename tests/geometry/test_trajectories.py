"""Closed forms and laws of the presets, and how specifications are read."""

import json
import math
import re
from pathlib import Path

import pytest
import torch

from plenodream.geometry.cameras import check_cameras, intrinsics_from_fov, make_pose, project, rotation_matrix
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import GROUPS, PRESETS
from plenodream.geometry.trajectories import (
    describe_presets,
    make_trajectory,
    parse_trajectories,
)
from plenodream.types import Cameras

FRAMES = 9
CONVENTIONS = Path(__file__).parents[2] / "docs" / "conventions.md"
STATIC_ELSEWHERE = [name for name, preset in PRESETS.items() if preset.static]
MOVING = [name for name in PRESETS if name not in STATIC_ELSEWHERE]
MIRRORED = [
    (name, name.replace(a, b), axis)
    for a, b, axis in (("-left", "-right", 0), ("-up", "-down", 1))
    for name in PRESETS
    if name.endswith(a)
]
AIMED = [
    name
    for name in PRESETS
    if name.startswith(
        ("arc", "azimuth", "elevation", "translate", "zoom", "distance", "orbit", "spiral", "dolly-zoom")
    )
]


def still_source(frames=FRAMES, dtype=torch.float64):
    """A source that stands at the world's origin."""
    pose = torch.eye(4, dtype=dtype).repeat(frames, 1, 1)
    return Cameras(pose, intrinsics_from_fov(60, 48, 64, dtype).repeat(frames, 1), 48, 64)


def moving_source(frames=FRAMES, dtype=torch.float64):
    """A source that starts anywhere, drifts, turns and zooms."""
    time = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None]
    rotation = rotation_matrix(torch.tensor([0.4, -1.0, 0.2]) + time * torch.tensor([0.1, 0.5, -0.2]).double())
    centre = torch.tensor([3.0, -1.0, 2.0]) + time * torch.tensor([0.5, 0.2, -0.7]).double()
    intrinsics = intrinsics_from_fov(50, 48, 64, torch.float64) * torch.cat(
        [1 + time, 1 + time, *[time**0] * 2], dim=-1
    )
    return Cameras(make_pose(rotation.double(), centre), intrinsics, 48, 64).to(dtype)


def cameras_of(spec, source=None):
    (trajectory,) = parse_trajectories([spec])
    return trajectory_cameras(trajectory, source or still_source())


def centres(cameras):
    return cameras.camera_to_world[:, :3, 3]


def forwards(cameras):
    return cameras.camera_to_world[:, :3, 2]


def degrees_right(forward):
    return math.degrees(math.atan2(forward[0], forward[2]))


def degrees_up(forward):
    return math.degrees(math.asin(-forward[1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("of", ["start", "source"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_gives_valid_cameras(preset, of, dtype):
    source = moving_source(dtype=dtype)
    cameras = cameras_of(f"{preset}:of={of}", source)
    assert cameras.shape == (FRAMES,) and (cameras.height, cameras.width) == (48, 64)
    assert cameras.camera_to_world.dtype == cameras.intrinsics.dtype == dtype
    check_cameras(cameras, preset)
    rotation = cameras.camera_to_world[:, :3, :3]
    eye = torch.eye(3, dtype=dtype).expand(FRAMES, 3, 3)
    torch.testing.assert_close(rotation @ rotation.mT, eye, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)
    assert torch.equal(cameras.intrinsics[0, 2:], source.intrinsics[0, 2:])


@pytest.mark.parametrize("ease", ["linear", "smooth"])
@pytest.mark.parametrize("preset", MOVING)
def test_moving_presets_start_at_the_source(preset, ease):
    source = moving_source()
    for frames in (1, FRAMES):
        cameras = cameras_of(f"{preset}:ease={ease}", source[:frames])
        torch.testing.assert_close(cameras.camera_to_world[0], source.camera_to_world[0], rtol=0, atol=1e-12)
        if preset != "focal":
            torch.testing.assert_close(cameras.intrinsics[0], source.intrinsics[0])


@pytest.mark.parametrize("preset", STATIC_ELSEWHERE)
def test_static_presets_stand_elsewhere_from_the_first_frame(preset):
    cameras = cameras_of(preset)
    assert torch.equal(cameras.camera_to_world, cameras.camera_to_world[:1].expand(FRAMES, 4, 4))
    assert centres(cameras)[0].norm() > 0.5


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_move_with_the_source(preset):
    """The trajectory in the frame of the source's first camera does not depend on where that camera stands."""
    source = moving_source()
    here = still_source()
    here = Cameras(here.camera_to_world, source.intrinsics, 48, 64)
    expected = source.camera_to_world[0] @ cameras_of(preset, here).camera_to_world
    torch.testing.assert_close(cameras_of(preset, source).camera_to_world, expected)


@pytest.mark.parametrize("preset", PRESETS)
def test_of_source_composes_with_the_sources_motion(preset):
    still, moving = still_source(), moving_source()
    alone = cameras_of(preset, still)
    same = cameras_of(f"{preset}:of=source", still)
    torch.testing.assert_close(same.camera_to_world, alone.camera_to_world)
    torch.testing.assert_close(same.intrinsics, alone.intrinsics)
    composed = cameras_of(f"{preset}:of=source", moving)
    torch.testing.assert_close(composed.camera_to_world, moving.camera_to_world @ alone.camera_to_world)
    if preset not in ("focal", "dolly-zoom"):
        torch.testing.assert_close(composed.intrinsics, moving.intrinsics)


def test_static_of_source_is_the_source():
    source = moving_source(dtype=torch.float32)
    cameras = cameras_of("static:of=source", source)
    assert torch.equal(cameras.camera_to_world, source.camera_to_world)
    assert torch.equal(cameras.intrinsics, source.intrinsics)
    still = cameras_of("static", source)
    assert torch.equal(still.camera_to_world, source.camera_to_world[:1].expand(FRAMES, 4, 4))


@pytest.mark.parametrize(("preset", "twin", "axis"), MIRRORED)
def test_left_and_right_and_up_and_down_mirror_each_other(preset, twin, axis):
    mirror = torch.eye(4, dtype=torch.float64)
    mirror[axis, axis] = -1
    first, second = cameras_of(preset), cameras_of(twin)
    torch.testing.assert_close(mirror @ first.camera_to_world @ mirror, second.camera_to_world, rtol=0, atol=1e-12)
    assert (first.camera_to_world[-1] - second.camera_to_world[-1]).abs().max() > 0.1


def test_the_mirror_pairs_are_complete():
    assert len(MIRRORED) == 8


@pytest.mark.parametrize(
    "spec", [*AIMED, "arc-left:angle=80,subject_distance=2.5", "spiral:angle=-400,rise=-30,closer=-2"]
)
def test_aimed_presets_keep_the_subject_in_the_middle(spec):
    source = moving_source()
    cameras = cameras_of(spec, source)
    distance = 2.5 if "2.5" in spec else 4.0
    subject = source.camera_to_world[0, :3, 3] + distance * source.camera_to_world[0, :3, 2]
    pixel, depth = project(subject.expand(FRAMES, 1, 3), cameras)
    torch.testing.assert_close(pixel[:, 0], torch.tensor([[32.0, 24.0]]).double().expand(FRAMES, 2), rtol=0, atol=1e-6)
    assert bool((depth > 0.1).all())
    if spec.startswith(("arc", "azimuth", "elevation", "orbit")):
        assert ((centres(cameras) - subject).norm(dim=-1) - distance).abs().max() < 1e-6


@pytest.mark.parametrize(("spec", "sign"), [("rotate-left", -20), ("rotate-right", 20), ("rotate-right:angle=50", 50)])
def test_rotation_turns_the_optical_axis_on_the_spot(spec, sign):
    cameras = cameras_of(spec)
    turned = [degrees_right(forward.tolist()) for forward in forwards(cameras)]
    assert turned == pytest.approx(torch.linspace(0, sign, FRAMES).tolist(), abs=1e-5)
    assert centres(cameras).abs().max() == 0
    assert forwards(cameras)[:, 1].abs().max() == 0


@pytest.mark.parametrize(("spec", "sign"), [("tilt-up", 10), ("tilt-down", -10), ("tilt-down:angle=15", -15)])
def test_tilt_raises_the_optical_axis_on_the_spot(spec, sign):
    cameras = cameras_of(spec)
    raised = [degrees_up(forward.tolist()) for forward in forwards(cameras)]
    assert raised == pytest.approx(torch.linspace(0, sign, FRAMES).tolist(), abs=1e-5)
    assert centres(cameras).abs().max() == 0


@pytest.mark.parametrize(("spec", "sign"), [("arc-left", -30), ("arc-right", 30), ("azimuth-right:angle=45", 45)])
def test_arcs_end_at_their_angle_on_the_circle(spec, sign):
    last = cameras_of(spec).camera_to_world[-1]
    angle = math.radians(sign)
    assert last[:3, 3].tolist() == pytest.approx([4 * math.sin(angle), 0, 4 - 4 * math.cos(angle)])
    assert degrees_right(last[:3, 2].tolist()) == pytest.approx(-sign)  # a camera on the right looks to the left


def test_arcs_have_constant_speed():
    steps = centres(cameras_of("arc-right")).diff(dim=0).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


@pytest.mark.parametrize(("spec", "sign"), [("elevation-up", 20), ("elevation-down", -20)])
def test_elevation_stands_above_or_below(spec, sign):
    last = cameras_of(spec).camera_to_world[-1]
    angle = math.radians(sign)
    assert last[:3, 3].tolist() == pytest.approx([0, -4 * math.sin(angle), 4 - 4 * math.cos(angle)])
    assert degrees_up(last[:3, 2].tolist()) == pytest.approx(-sign)


@pytest.mark.parametrize(
    ("spec", "end"),
    [
        ("zoom-in", (0, 0, 2)),
        ("zoom-out:distance=1.5", (0, 0, -1.5)),
        ("distance-closer", (0, 0, 1)),
        ("distance-away", (0, 0, -1)),
        ("truck-left", (-1, 0, 0)),
        ("truck-right:distance=3", (3, 0, 0)),
        ("pedestal-up", (0, -1, 0)),
        ("pedestal-down", (0, 1, 0)),
        ("translate-up", (0, -1, 0)),
        ("translate-down", (0, 1, 0)),
        ("translate-up:distance=30,subject_distance=1", (0, -30, 0)),
    ],
)
def test_straight_moves_go_straight_at_constant_speed(spec, end):
    cameras = cameras_of(spec)
    end = torch.tensor(end, dtype=torch.float64)
    steps = torch.ones(FRAMES) if PRESETS[spec.partition(":")[0]].static else torch.linspace(0, 1, FRAMES)
    torch.testing.assert_close(centres(cameras), steps[:, None].double() * end, rtol=0, atol=1e-6)
    if not spec.startswith("translate"):
        assert torch.equal(forwards(cameras), torch.tensor([[0.0, 0, 1]]).double().expand(FRAMES, 3))


def test_orbit_goes_all_the_way_round():
    cameras = cameras_of("orbit")
    torch.testing.assert_close(cameras.camera_to_world[0], cameras.camera_to_world[-1], rtol=0, atol=1e-12)
    assert centres(cameras)[4].tolist() == pytest.approx([0, 0, 8])  # half way: behind the subject
    assert centres(cameras)[2].tolist() == pytest.approx([4, 0, 4])  # a quarter: to its right
    assert centres(cameras_of("orbit:angle=-360"))[2].tolist() == pytest.approx([-4, 0, 4])


def test_spiral_rises_and_closes_in():
    cameras = cameras_of("spiral:angle=720,rise=30,closer=1")
    subject = torch.tensor([0.0, 0, 4], dtype=torch.float64)
    torch.testing.assert_close((centres(cameras) - subject).norm(dim=-1), torch.linspace(4, 3, FRAMES).double())
    assert centres(cameras)[-1].tolist() == pytest.approx([0, -1.5, 4 - 3 * math.cos(math.pi / 6)])


@pytest.mark.parametrize("spec", ["dolly-zoom", "dolly-zoom:forward=-3,ease=smooth", "dolly-zoom:subject_distance=2"])
def test_dolly_zoom_keeps_the_size_of_the_subject(spec):
    cameras = cameras_of(spec)
    distance = 2.0 if "=2" in spec else 4.0
    subject = torch.tensor([0.0, 0, distance], dtype=torch.float64)
    remaining = (subject - centres(cameras)).norm(dim=-1, keepdim=True)
    ratio = cameras.intrinsics[:, :2] / remaining
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    assert (remaining[-1] - remaining[0]).abs() > 1
    background, _ = project(torch.tensor([[1.0, 0, 20]]).double().expand(FRAMES, 1, 3), cameras)
    assert (background[0, 0, 0] - background[-1, 0, 0]).abs() > 0.5


def test_focal_goes_from_and_to_millimetres_at_a_constant_ratio():
    source = moving_source()
    cameras = cameras_of("focal", source)
    expected = 64 / 36 * torch.logspace(math.log10(24), math.log10(100), FRAMES, dtype=torch.float64)
    torch.testing.assert_close(cameras.intrinsics[:, 0], expected)
    assert torch.equal(cameras.camera_to_world, source.camera_to_world[:1].expand(FRAMES, 4, 4))
    torch.testing.assert_close(cameras_of("focal:of=source", source).intrinsics[:, 0], expected)
    anamorphic = Cameras(source.camera_to_world, source.intrinsics * torch.tensor([1.0, 2, 1, 1]).double(), 48, 64)
    intrinsics = cameras_of("focal:from=35,to=50", anamorphic).intrinsics
    torch.testing.assert_close(intrinsics[:, 1], 2 * intrinsics[:, 0])
    assert intrinsics[[0, -1], 0].tolist() == pytest.approx([35 * 64 / 36, 50 * 64 / 36])


@pytest.mark.parametrize("preset", ["arc-left", "zoom-out", "tilt-up", "spiral", "focal"])
def test_smooth_speed_starts_and_ends_at_rest(preset):
    source = still_source(frames=1001)
    smooth, linear = cameras_of(f"{preset}:ease=smooth", source), cameras_of(preset, source)

    def speed(cameras):
        state = torch.cat([cameras.camera_to_world.flatten(1), cameras.intrinsics], dim=-1)
        return state.diff(dim=0).norm(dim=-1)

    for frame in (0, -1):
        assert speed(smooth)[frame] < 0.005 * speed(linear)[frame]
    assert speed(smooth)[500] > 1.3 * speed(linear)[500]
    for frame in (0, 500, -1):  # same path: the ends and the middle are met at the same time
        torch.testing.assert_close(smooth.camera_to_world[frame], linear.camera_to_world[frame])


def test_more_frames_sample_the_same_path():
    few, many = cameras_of("spiral", still_source(5)), cameras_of("spiral", still_source(9))
    torch.testing.assert_close(few.camera_to_world, many.camera_to_world[::2])


def test_basic12_is_the_papers_order():
    names = [trajectory.name for trajectory in parse_trajectories(["basic12"])]
    assert names == [
        "rotate-left",
        "arc-right",
        "azimuth-right",
        "rotate-right",
        "arc-left",
        "azimuth-left",
        "tilt-up",
        "translate-down",
        "tilt-down",
        "translate-up",
        "elevation-up",
        "zoom-out",
    ]
    scaled = parse_trajectories(["basic12:subject_distance=2", "orbit"])
    assert len(scaled) == 13 and scaled[0].name == "rotate-left-subject-distance-2"


def test_parsing():
    specs = [
        "arc-right",
        "arc-right:angle=40,ease=smooth",
        " zoom-in : distance = 0.5 ",
        "orbit:angle=-90",
        "arc-left:angle=30",
    ]
    trajectories = parse_trajectories(specs)
    assert [trajectory.name for trajectory in trajectories] == [
        "arc-right",
        "arc-right-angle-40-ease-smooth",
        "zoom-in-distance-0.5",
        "orbit-angle-minus90",
        "arc-left",  # a parameter at its default does not change the name
    ]
    assert trajectories[1].parameters == {"angle": 40.0, "subject_distance": 4.0, "ease": "smooth", "of": "start"}
    assert trajectories[1] == make_trajectory("arc-right", {"angle": 40, "ease": "smooth"})
    assert parse_trajectories([]) == []


def test_names_are_unique_and_safe_and_parameters_json():
    values = [0.0, 1.0, 10.0, 11.0, 0.1, 1e-7, 12.25, 89.0, 30.000000001]
    specs = [f"elevation-up:angle={v!r},of={of}" for v in values for of in ("start", "source")]
    specs += [f"orbit:angle={sign}{v!r}" for v in values[1:] for sign in "-+"]
    trajectories = parse_trajectories([*specs, *PRESETS])
    assert len({trajectory.name.lower() for trajectory in trajectories}) == len(specs) + len(PRESETS)
    for trajectory in trajectories:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", trajectory.name)
        again = make_trajectory(trajectory.preset, json.loads(json.dumps(trajectory.parameters)))
        assert again == trajectory


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["arc-rigth"], "unknown trajectory 'arc-rigth'; did you mean 'arc-right'"),
        (["qqq"], "unknown trajectory 'qqq'; expected one of static, rotate-left"),
        ([""], "unknown trajectory ''"),
        (["basic-12"], "did you mean 'basic12'"),
        (["arc-right:angel=40"], "arc-right: unknown parameter 'angel'; did you mean 'angle'"),
        (
            ["zoom-in:angle=40"],
            "zoom-in: unknown parameter 'angle'; expected one of distance, subject_distance, ease, of",
        ),
        (["arc-right:angle"], "cannot read 'angle'; expected name:parameter=value"),
        (["arc-right:"], "cannot read ''"),
        (["arc-right:angle=1,angle=2"], "parameter 'angle' is given twice"),
        (["arc-right", "arc-right"], "trajectory 'arc-right' is given twice"),
        (["basic12", "zoom-out"], "trajectory 'zoom-out' is given twice"),
        (["arc-right", "arc-right:angle=30.0"], "given twice"),
        (["arc-right:angle=wide"], "arc-right: angle=wide; expected a number in degrees"),
        (["arc-right:angle=nan"], "angle=nan; expected from 0 to 360 degrees"),
        (["arc-right:angle=inf"], "angle=inf; expected"),
        (["arc-right:angle=-5"], "angle=-5; expected from 0"),
        (["elevation-up:angle=90"], "angle=90; expected from 0 to 89 degrees"),
        (["spiral:rise=-90"], "rise=-90; expected from -89 to 89"),
        (["zoom-out:distance=-1"], "distance=-1; expected from 0"),
        (["zoom-out:subject_distance=0"], "subject_distance=0; expected from 0.01"),
        (["zoom-in:distance=4"], "zoom-in: distance=4 m reaches the subject at subject_distance=4 m; expected less"),
        (["zoom-in:subject_distance=1.5"], "lower distance or raise subject_distance"),
        (["distance-closer:distance=9"], "reaches the subject"),
        (["dolly-zoom:forward=5"], "forward=5 m reaches the subject"),
        (["spiral:closer=4"], "closer=4 m reaches the subject"),
        (["focal:to=0"], "to=0; expected from 1"),
        (["arc-left:ease=fast"], "arc-left: ease=fast; expected linear or smooth"),
        (["arc-left:of=end"], "of=end; expected start or source"),
    ],
)
def test_bad_specifications_get_one_clear_line(specs, message):
    with pytest.raises(ValueError) as error:
        parse_trajectories(specs)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_a_source_is_one_path(shape):
    source = Cameras(torch.eye(4).expand(*shape, 4, 4), torch.ones(4).expand(*shape, 4), 48, 64)
    with pytest.raises(ValueError, match="expected one path"):
        trajectory_cameras(make_trajectory("static"), source)


def test_the_listing_has_every_name_and_its_defaults():
    rows = {row["name"]: row for row in json.loads(json.dumps(describe_presets()))}
    assert list(rows) == [*PRESETS, *GROUPS]
    for name in PRESETS:
        parameters = {parameter["name"]: parameter["default"] for parameter in rows[name]["parameters"]}
        assert parameters == make_trajectory(name).parameters
        assert rows[name]["description"]
    assert rows["arc-left"]["parameters"][0] == {"name": "angle", "default": 30.0, "unit": "degrees", "choices": []}


def test_the_conventions_page_has_every_preset_with_its_defaults():
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]*) \|", CONVENTIONS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    units = {"degrees": "°", "m": " m", "mm": " mm"}
    expected = {
        name: ", ".join(f"{key} {value.default:g}{units[value.unit]}" for key, value in preset.parameters.items())
        or "-"
        for name, preset in PRESETS.items()
    }
    assert dict(rows) == expected
