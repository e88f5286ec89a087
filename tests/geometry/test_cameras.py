"""Laws of poses, intrinsics, projection and the rig."""

import math

import pytest
import torch

from plenodream.geometry.cameras import (
    axis_rotation,
    cameras_at,
    check_cameras,
    crop_cameras,
    fill_cameras,
    horizontal_fov,
    intrinsics_from_fov,
    invert_pose,
    look_at,
    make_pose,
    mirror_cameras,
    pixel_centres,
    pixel_rays,
    project,
    relative_poses,
    resize_cameras,
    rotation_matrix,
    rotation_vector,
    scale_poses,
    unproject,
)
from plenodream.geometry.rig import Rig, rig_poses
from plenodream.types import Cameras

DTYPES = [torch.float32, torch.float64]
BATCHES = [(), (5,), (2, 3)]
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def random_poses(batch, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(*batch, 3, generator=generator, dtype=torch.float64)
    centre = torch.randn(*batch, 3, generator=generator, dtype=torch.float64)
    return make_pose(rotation_matrix(vector), centre).to(dtype)


def random_cameras(batch, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed + 100)
    intrinsics = torch.tensor([50.0, 55.0, 30.0, 26.0], dtype=dtype)
    intrinsics = intrinsics * (0.8 + 0.4 * torch.rand(*batch, 4, generator=generator, dtype=dtype))
    return Cameras(random_poses(batch, dtype, seed), intrinsics, height=48, width=64)


def random_pixels(batch, points, dtype):
    generator = torch.Generator().manual_seed(7)
    size = torch.tensor([64.0, 48.0], dtype=dtype)
    pixels = torch.rand(*batch, points, 2, generator=generator, dtype=dtype) * size
    return pixels, 0.5 + 5 * torch.rand(*batch, points, generator=generator, dtype=dtype)


def assert_near(actual, expected, tolerance=None):
    assert actual.dtype == expected.dtype
    tolerance = tolerance or TOLERANCE[actual.dtype]
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def assert_rigid(pose):
    rotation = pose[..., :3, :3]
    assert_near(rotation @ rotation.mT, torch.eye(3, dtype=pose.dtype).expand_as(rotation))
    assert_near(torch.linalg.det(rotation), torch.ones(pose.shape[:-2], dtype=pose.dtype))
    assert_near(pose[..., 3, :], torch.tensor([0.0, 0, 0, 1], dtype=pose.dtype).expand(*pose.shape[:-2], 4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_poses_are_the_group_se3(batch, dtype):
    a, b, c = (random_poses(batch, dtype, seed) for seed in range(3))
    identity = torch.eye(4, dtype=dtype).expand_as(a)
    assert_rigid(a)
    assert_rigid(a @ b)
    assert_rigid(invert_pose(a))
    assert_near((a @ b) @ c, a @ (b @ c))
    assert_near(a @ invert_pose(a), identity)
    assert_near(invert_pose(a) @ a, identity)
    assert_near(invert_pose(a @ b), invert_pose(b) @ invert_pose(a))
    assert_near(invert_pose(a), torch.linalg.inv(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_relative_poses(dtype):
    poses, move = random_poses((5,), dtype), random_poses((), dtype, seed=9)
    relative = relative_poses(poses, poses[2])
    assert_near(relative[2], torch.eye(4, dtype=dtype))
    assert_near(poses[2] @ relative, poses)
    assert_near(
        relative_poses(move @ poses, move @ poses[2]), relative
    )  # where the world's origin lies does not matter


@pytest.mark.parametrize("dtype", DTYPES)
def test_scaling_moves_the_picture_of_a_scaled_scene_nowhere(dtype):
    cameras = random_cameras((4,), dtype)
    pixels, depth = random_pixels((4,), 10, dtype)
    points = unproject(pixels, depth, cameras)
    scaled = Cameras(scale_poses(cameras.camera_to_world, 2.5), cameras.intrinsics, 48, 64)
    seen, far = project(points * 2.5, scaled)
    assert_near(seen, pixels, 2e-4 if dtype == torch.float32 else 1e-10)
    assert_near(far, depth * 2.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", BATCHES)
def test_project_and_unproject_are_inverse(batch, dtype):
    cameras = random_cameras(batch, dtype)
    pixels, depth = random_pixels(batch, 20, dtype)
    points = unproject(pixels, depth, cameras)
    again, again_depth = project(points, cameras)
    assert points.shape == (*batch, 20, 3)
    assert_near(again, pixels, 3e-4 if dtype == torch.float32 else 1e-10)
    assert_near(again_depth, depth)
    assert_near(unproject(again, again_depth, cameras), points, 1e-4 if dtype == torch.float32 else 1e-11)


def test_projection_agrees_with_the_textbook_matrix():
    cameras = random_cameras((3,), torch.float64)
    points = unproject(*random_pixels((3,), 5, torch.float64), cameras)
    for frame in range(3):
        fx, fy, cx, cy = cameras.intrinsics[frame].tolist()
        matrix = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
        matrix = matrix @ torch.linalg.inv(cameras.camera_to_world[frame])[:3]
        for point in range(5):
            x, y, w = (matrix @ torch.cat([points[frame, point], torch.ones(1, dtype=torch.float64)])).tolist()
            pixel, depth = project(points[frame, point : point + 1], cameras[frame])
            assert pixel[0].tolist() == pytest.approx([x / w, y / w]) and depth.item() == pytest.approx(w)


def test_one_set_of_points_is_seen_by_many_cameras():
    cameras = random_cameras((2, 3), torch.float64)
    points = torch.randn(10, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    pixels, depth = project(points, cameras)
    assert pixels.shape == (2, 3, 10, 2) and depth.shape == (2, 3, 10)
    assert_near(pixels[1, 2], project(points, cameras[1, 2])[0])


def test_points_behind_the_camera_have_negative_depth():
    cameras = Cameras(torch.eye(4), torch.tensor([50.0, 50, 32, 24]), 48, 64)
    _, depth = project(torch.tensor([[0.0, 0, -2], [0, 0, 0], [0, 0, 2]]), cameras)
    assert depth.tolist() == [-2, 0, 2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_resize_and_crop_are_what_happens_to_the_pixels(dtype):
    cameras = random_cameras((4,), dtype)
    points = unproject(*random_pixels((4,), 20, dtype), cameras)
    pixels, depth = project(points, cameras)
    scale = torch.tensor([96 / 64, 30 / 48], dtype=dtype)
    shift = torch.tensor([5.0, 7.0], dtype=dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    resized, cropped = resize_cameras(cameras, 30, 96), crop_cameras(cameras, 7, 5, 20, 40)
    assert (resized.height, resized.width, cropped.height, cropped.width) == (30, 96, 20, 40)
    assert_near(project(points, resized)[0], pixels * scale, tolerance)
    assert_near(project(points, cropped)[0], pixels - shift, tolerance)
    both = resize_cameras(cropped, 40, 120)
    assert_near(project(points, both)[0], (pixels - shift) * torch.tensor([3.0, 2.0], dtype=dtype), tolerance)
    assert_near(project(points, both)[1], depth)
    assert_near(horizontal_fov(resized), horizontal_fov(cameras))
    assert_near(resize_cameras(resized, 48, 64).intrinsics, cameras.intrinsics)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mirrored_world_is_seen_in_a_mirrored_picture(dtype):
    cameras = random_cameras((4,), dtype)
    points = unproject(*random_pixels((4,), 20, dtype), cameras)
    pixels, depth = project(points, cameras)
    mirrored, there = project(points * torch.tensor([-1.0, 1, 1], dtype=dtype), mirror_cameras(cameras))
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    assert_near(mirrored[..., 0], 64 - pixels[..., 0], tolerance)
    assert_near(mirrored[..., 1], pixels[..., 1], tolerance)
    assert_near(there, depth)
    check_cameras(mirror_cameras(cameras), "mirrored")


def test_pixel_centres_lie_at_one_half():
    centres = pixel_centres(2, 3, torch.zeros(1))
    assert centres.tolist() == [[[0.5, 0.5], [1.5, 0.5], [2.5, 0.5]], [[0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]]


@pytest.mark.parametrize("fov", [10.0, 60.0, 120.0])
def test_field_of_view(fov):
    intrinsics = intrinsics_from_fov(fov, 48, 64, torch.float64)
    camera = Cameras(torch.eye(4, dtype=torch.float64), intrinsics, 48, 64)
    assert horizontal_fov(camera).item() == pytest.approx(fov)
    _, edges = pixel_rays(camera, torch.tensor([[0.0, 24.0], [64.0, 24.0]], dtype=torch.float64))
    assert math.degrees(math.atan2(edges[1, 0], edges[1, 2]) - math.atan2(edges[0, 0], edges[0, 2])) == pytest.approx(
        fov
    )


@pytest.mark.parametrize("fov", [0, 180, -5, math.nan])
def test_impossible_fields_of_view(fov):
    with pytest.raises(ValueError, match="field of view"):
        intrinsics_from_fov(fov, 48, 64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_look_at_puts_the_target_in_the_middle_without_roll(dtype):
    generator = torch.Generator().manual_seed(1)
    centre, target = (torch.randn(6, 3, generator=generator, dtype=dtype) for _ in range(2))
    pose = look_at(centre, target)
    assert_rigid(pose)
    cameras = Cameras(pose, torch.tensor([50.0, 50, 32, 24], dtype=dtype).expand(6, 4), 48, 64)
    pixel, depth = project(target[:, None], cameras)
    assert_near(pixel, torch.tensor([32.0, 24.0], dtype=dtype).expand(6, 1, 2), 1e-4)
    assert_near(depth[:, 0], (target - centre).norm(dim=-1))
    assert_near(pose[:, 1, 0], torch.zeros(6, dtype=dtype))  # right is level
    assert bool((pose[:, 1, 1] > 0).all())  # and down is down


def test_look_at_refuses_straight_down():
    with pytest.raises(ValueError, match="straight above or below"):
        look_at(torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "angle", [0.0, 1e-12, 1e-6, 0.01, 1.0, 2.0, 3.0, 3.14, math.pi - 1e-5, math.pi - 1e-9, math.pi]
)
def test_rotation_logarithm_inverts_the_exponential(angle, dtype):
    axes = torch.randn(50, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    axes = torch.cat([axes / axes.norm(dim=-1, keepdim=True), torch.eye(3, dtype=torch.float64)])
    vectors = (axes * angle).to(dtype)
    rotation = rotation_matrix(vectors)
    logarithm = rotation_vector(rotation)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    assert_near(rotation_matrix(logarithm), rotation, max(tolerance, TOLERANCE[dtype] / 5))
    if angle > math.pi - 1e-4:  # a half turn about an axis is one about its opposite
        logarithm = logarithm * (logarithm * vectors).sum(-1, keepdim=True).sign()
    assert_near(logarithm, vectors, 2e-6 if dtype == torch.float32 else 1e-11)


def test_axis_rotation_is_the_exponential_of_its_axis():
    degrees = torch.tensor([-170.0, -30, 0, 45, 90], dtype=torch.float64)
    for index, axis in enumerate("xyz"):
        vector = torch.zeros(5, 3, dtype=torch.float64)
        vector[:, index] = torch.deg2rad(degrees)
        assert_near(axis_rotation(axis, degrees), rotation_matrix(vector))


def constant_velocity(frames, dtype):
    time = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None]
    turn = torch.tensor([0.3, 1.2, -0.4], dtype=torch.float64)
    start = random_poses((), torch.float64, seed=4)
    centre = start[:3, 3] + time * torch.tensor([1.0, -2, 0.5], dtype=torch.float64)
    pose = make_pose(start[:3, :3] @ rotation_matrix(turn * time), centre)
    intrinsics = torch.tensor([50.0, 55, 32, 24], dtype=torch.float64) * (1 + time)
    return Cameras(pose, intrinsics, 48, 64).to(dtype)


def resample(cameras, frames):
    return cameras_at(cameras, torch.linspace(0, len(cameras) - 1, frames, dtype=torch.float64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("frames", [2, 3, 7, 8, 20])
def test_resampling_a_constant_velocity_path_is_exact(frames, dtype):
    resampled, expected = resample(constant_velocity(8, dtype), frames), constant_velocity(frames, dtype)
    assert_near(resampled.camera_to_world, expected.camera_to_world)
    assert_near(resampled.intrinsics, expected.intrinsics)


@pytest.mark.parametrize("frames", [2, 5, 11])
def test_resampling_keeps_the_ends_and_stays_rigid(frames):
    cameras = random_cameras((5,), torch.float64)
    resampled = resample(cameras, frames)
    assert resampled.shape == (frames,)
    assert_rigid(resampled.camera_to_world)
    for end in (0, -1):
        assert_near(resampled.camera_to_world[end], cameras.camera_to_world[end])
        assert_near(resampled.intrinsics[end], cameras.intrinsics[end])
    if frames == 5:
        assert_near(resampled.camera_to_world, cameras.camera_to_world)


def test_frames_without_a_camera_are_filled_between_and_beyond_the_others():
    cameras = random_cameras((3,), torch.float64)
    filled = fill_cameras(cameras, (1, 2, 6), 8)
    expected = cameras_at(cameras, torch.tensor([0, 0, 1, 1.25, 1.5, 1.75, 2, 2], dtype=torch.float64))
    assert_near(filled.camera_to_world, expected.camera_to_world)
    assert_near(filled.intrinsics, expected.intrinsics)
    assert_near(resample(cameras[:1], 4).camera_to_world, cameras.camera_to_world[:1].expand(4, 4, 4))
    assert_near(fill_cameras(cameras[1:2], (3,), 4).camera_to_world, cameras.camera_to_world[1].expand(4, 4, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pose, k: pose[1, 0, 3].fill_(math.nan), "NaN"),
        (lambda pose, k: k[0, 2].fill_(math.inf), "infinite"),
        (lambda pose, k: k[2, 1].fill_(0), "focal length 0"),
        (lambda pose, k: k[2, 0].fill_(-3), "focal length -3"),
        (lambda pose, k: pose[1, :3, :3].mul_(1.01), "not a rotation"),
        (lambda pose, k: pose[1, :3, 0].neg_(), "determinant -1"),
    ],
)
def test_impossible_cameras_are_refused(change, message):
    cameras = random_cameras((3,), torch.float32)
    check_cameras(cameras, "good")
    change(cameras.camera_to_world, cameras.intrinsics)
    with pytest.raises(ValueError, match=f"^file.json: .*{message}") as error:
        check_cameras(cameras, "file.json")
    assert "expected" in str(error.value) and "\n" not in str(error.value)


def rig(dtype=torch.float64, **values):
    rest = dict.fromkeys(("azimuth", "elevation", "right", "up", "forward", "pan", "tilt"), 0.0)
    rest |= {"radius": 4.0, "focal": 1.0} | values
    return Rig(**{name: torch.as_tensor(value, dtype=dtype) for name, value in rest.items()})


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rig_at_rest_is_the_anchor(dtype):
    assert rig_poses(rig(dtype), 4.0).tolist() == torch.eye(4).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rig_on_the_sphere_aims_at_the_subject(dtype):
    azimuth = torch.linspace(-170, 170, 7, dtype=dtype)
    elevation = torch.linspace(-80, 80, 5, dtype=dtype)[:, None]
    pose = rig_poses(rig(dtype, azimuth=azimuth, elevation=elevation), 4.0)
    assert pose.shape == (5, 7, 4, 4)
    assert_rigid(pose)
    subject = torch.tensor([0.0, 0.0, 4.0], dtype=dtype)
    assert_near(pose[..., :3, 3] + 4 * pose[..., :3, 2], subject.expand(5, 7, 3))
    assert_near(pose[..., 1, 0], torch.zeros(5, 7, dtype=dtype))  # no roll


@pytest.mark.parametrize(
    ("field", "value", "centre", "forward"),
    [
        ("azimuth", 90, (4, 0, 4), (-1, 0, 0)),
        ("elevation", 30, (0, -2, 4 - 4 * math.cos(math.pi / 6)), (0, 0.5, math.cos(math.pi / 6))),
        ("radius", 3, (0, 0, 1), (0, 0, 1)),
        ("right", 1, (1, 0, 0), (0, 0, 1)),
        ("up", 1, (0, -1, 0), (0, 0, 1)),
        ("forward", 1, (0, 0, 1), (0, 0, 1)),
        ("pan", 90, (0, 0, 0), (1, 0, 0)),
        ("tilt", 90, (0, 0, 0), (0, -1, 0)),
    ],
)
def test_signs_of_the_rig(field, value, centre, forward):
    pose = rig_poses(rig(**{field: value}), 4.0)
    assert pose[:3, 3].tolist() == pytest.approx(centre, abs=1e-12)
    assert pose[:3, 2].tolist() == pytest.approx(forward, abs=1e-12)
