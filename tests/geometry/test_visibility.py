from __future__ import annotations

import math

import pytest
import torch
from closed_form import LOOK

from plenodream.geometry.cameras import intrinsics_from_fov, make_pose, rotation_matrix
from plenodream.geometry.visibility import (
    apply_homography,
    covisible,
    erode,
    homography,
    lookup,
    reproject,
    seen_by_source,
    warp,
)
from plenodream.types import Cameras


def plain_project(point, camera):
    pose, (fx, fy, cx, cy) = camera.camera_to_world.tolist(), camera.intrinsics.tolist()
    way = [point[i] - pose[i][3] for i in range(3)]
    x, y, z = (sum(pose[i][j] * way[i] for i in range(3)) for j in range(3))
    return x / z * fx + cx, y / z * fy + cy, z


def plain_bilinear(picture, x, y):
    height, width = len(picture), len(picture[0])
    column, row = math.floor(x - 0.5), math.floor(y - 0.5)
    total = 0.0
    for r, wy in ((row, 1 - (y - 0.5 - row)), (row + 1, y - 0.5 - row)):
        for c, wx in ((column, 1 - (x - 0.5 - column)), (column + 1, x - 0.5 - column)):
            total += wy * wx * picture[min(max(r, 0), height - 1)][min(max(c, 0), width - 1)]
    return total


def plain_shown(point, camera, depth):
    """(by nearest depth, by interpolated inverse depth) for one point and one frame."""
    x, y, z = plain_project(point, camera)
    if not (z > 0 and 0 <= x < camera.width and 0 <= y < camera.height):
        return False, False
    depth = depth.tolist()
    smooth = 1 / plain_bilinear([[1 / d for d in row] for row in depth], x, y)
    return abs(z - depth[int(y)][int(x)]) < 0.01 * z, abs(z - smooth) < 0.01 * z


def plain_erode(mask):
    height, width = mask.shape
    result = torch.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            window = [
                mask[v, u]
                for v in range(y - 1, y + 2)
                for u in range(x - 1, x + 2)
                if 0 <= v < height and 0 <= u < width
            ]
            result[y, x] = all(window)
    return result


def plain_masks(a, b, source, cast_a, cast_b, cast_source, strict):
    """(covisible, seen) pixel by pixel."""
    shared, seen = torch.zeros(2, *cast_a.depth.shape, dtype=torch.bool)
    frames, height, width = cast_a.depth.shape
    for t in range(frames):
        for y in range(height):
            for x in range(width):
                point = cast_a.points[t, y, x].tolist()
                shared[t, y, x] = plain_shown(point, b[t], cast_b.depth[t])[1]
                times = range(frames) if strict and not cast_a.moving[t, y, x] else [t]
                seen[t, y, x] = any(any(plain_shown(point, source[s], cast_source.depth[s])) for s in times)
        shared[t] = plain_erode(shared[t])
    return shared, seen


@pytest.mark.parametrize("strict", [False, True])
def test_masks_match_the_plain_loop(views, strict):
    a, b, source, in_a, in_b, in_source = views((12, 16))
    shared, seen = plain_masks(a, b, source, in_a, in_b, in_source, strict)
    assert torch.equal(covisible(in_a.depth, a, in_b.depth, b), shared)
    assert torch.equal(seen_by_source(in_a.depth, a, in_source.depth, source, in_a.moving, strict), seen)
    assert torch.equal(erode(~seen), torch.stack([plain_erode(~frame) for frame in seen]))


def test_warp_matches_the_plain_loop(views):
    a, b, _, in_a, in_b, _ = views((6, 8))
    warped = warp(in_b.frames, in_a.depth, a, b)
    for t in range(3):
        for y in range(6):
            for x in range(8):
                u, v, _ = plain_project(in_a.points[t, y, x].tolist(), b[t])
                for channel in range(3):
                    expected = plain_bilinear(in_b.frames[t, ..., channel].tolist(), u, v)
                    assert warped[t, y, x, channel].item() == pytest.approx(expected, abs=1e-9)


def test_a_wall_seen_by_two_cameras_side_by_side():
    """Baseline 0.5 m, wall at 4 m, focal length 32 px: 4 pixels to the left."""
    pose = make_pose(torch.eye(3).expand(2, 3, 3), torch.tensor([[0.0, 0, 0], [0.5, 0, 0]]))
    cameras = Cameras(pose, torch.tensor([32.0, 32, 16, 12]).expand(2, 4), 24, 32)
    depth = torch.full((1, 24, 32), 4.0)
    pixels, z = reproject(depth, cameras[:1], cameras[1:])
    torch.testing.assert_close(pixels[0, 3, :, 0], torch.arange(32) - 3.5)
    torch.testing.assert_close(z, depth)
    mask = covisible(depth, cameras[:1], depth, cameras[1:])
    # Columns 0-3 leave the picture, column 4 touches them.
    assert mask[0].all(dim=0).tolist() == mask[0].any(dim=0).tolist() == [False] * 5 + [True] * 27
    assert seen_by_source(depth, cameras[:1], depth, cameras[1:])[0, 0].tolist() == [False] * 4 + [True] * 28
    ramp = torch.arange(32.0)[:, None].expand(1, 24, 32, 3)
    torch.testing.assert_close(warp(ramp, depth, cameras[:1], cameras[1:])[0, 0, 4:, 0], torch.arange(28.0))


def test_what_a_source_saw_earlier_is_hidden_only_for_the_lax_test(views, closed_form):
    a, _, source, in_a, _, in_source = views((24, 32))
    now = seen_by_source(in_a.depth, a, in_source.depth, source, in_a.moving)
    ever = seen_by_source(in_a.depth, a, in_source.depth, source, in_a.moving, strict=True)
    assert (ever >= now).all()
    assert (ever & ~now).sum() > 50
    assert torch.equal(ever & in_a.moving, now & in_a.moving)
    assert torch.equal(ever, seen_by_source(in_a.depth, a, in_source.depth, source, strict=True) & ~in_a.moving | now)


def test_a_view_is_covisible_with_itself(views):
    a, _, _, in_a, _, _ = views()
    assert covisible(in_a.depth, a, in_a.depth, a).all()
    assert seen_by_source(in_a.depth, a, in_a.depth, a).all()
    torch.testing.assert_close(warp(in_a.frames, in_a.depth, a, a), in_a.frames)


def test_a_slanted_floor_is_covisible_at_small_sizes(closed_form):
    a = closed_form.cameras([[0.0, 0, 0]], [[0.0, 0.6, 2]], (48, 48))
    b = closed_form.cameras([[0.0, -0.1, -0.1]], [[0.0, 0.6, 2]], (48, 48))
    in_a, in_b = closed_form.cast(a, [9.0, 9, -9]), closed_form.cast(b, [9.0, 9, -9])
    floor = (in_a.points[..., 1] > 1 - 1e-9) & closed_form.visible(in_a.points, b, [9.0, 9, -9])
    assert (covisible(in_a.depth, a, in_b.depth, b) & floor).sum() > 0.93 * floor.sum()


def test_both_directions_count_alike(closed_form):
    left, right = (closed_form.cameras([[x, 0.0, 0.0]], LOOK, (48, 64)) for x in (-0.4, 0.4))
    in_left, in_right = closed_form.cast(left), closed_form.cast(right)
    there = covisible(in_left.depth, left, in_right.depth, right)
    back = covisible(in_right.depth, right, in_left.depth, left)
    assert 0.3 < there.double().mean() < 0.95
    # The scene is its own mirror image.
    assert (there != back.flip(-1)).sum() <= 2
    # Other cameras at the same distance: about as many pixels both ways.
    high = closed_form.cameras([[0.3, -0.5, 0.0]], LOOK, (48, 64))
    in_high = closed_form.cast(high)
    there = covisible(in_left.depth, left, in_high.depth, high).sum().item()
    assert there == pytest.approx(covisible(in_high.depth, high, in_left.depth, left).sum().item(), rel=0.15)


def turned(vectors, size=(24, 32), centre=(0.3, -0.2, 0.1)):
    rotation = rotation_matrix(torch.tensor(vectors, dtype=torch.float64))
    centre = torch.tensor(centre, dtype=torch.float64).expand(*rotation.shape[:-2], 3)
    intrinsics = intrinsics_from_fov(60, *size, dtype=torch.float64).expand(*rotation.shape[:-2], 4)
    return Cameras(make_pose(rotation, centre), intrinsics, *size)


def test_the_homography_of_a_shared_centre_needs_no_depth(closed_form):
    a, b = turned([[0.0, 0, 0], [0.1, 0.2, 0]]), turned([[0.1, -0.3, 0.2], [0.0, 0.4, 0.1]], size=(20, 40))
    in_a, in_b = closed_form.cast(a), closed_form.cast(b)
    pixels, z = reproject(in_a.depth, a, b)
    found = apply_homography(homography(a, b), 24, 32)
    assert (z > 0).all()
    torch.testing.assert_close(found, pixels)
    warped = lookup(in_b.frames, found)
    error = (warped - in_a.frames).square().mean(-1)[covisible(in_a.depth, a, in_b.depth, b)].mean()
    assert error < 10**-3.5


def test_equal_cameras_have_the_identity_homography():
    a = turned([[0.1, 0.2, 0.3]])
    torch.testing.assert_close(homography(a, a)[0], torch.eye(3, dtype=torch.float64))
    behind = apply_homography(homography(a, turned([[0.0, math.pi, 0]])), 24, 32)
    assert behind.isnan().all()


def test_sky_without_depth_is_seen_by_nobody(views):
    a, _, _, in_a, _, _ = views()
    depth = in_a.depth.clone()
    depth[0, :5], depth[1, :5], depth[2, :5] = torch.inf, 0.0, -1.0
    mask = covisible(depth, a, depth, a)
    assert not mask[:, :6].any()
    assert mask[:, 6:].all()
    assert not seen_by_source(depth, a, depth, a)[:, :5].any()
    # 1 m behind a is 2 m in front of a camera 3 m further back.
    pose = make_pose(torch.eye(3).expand(2, 3, 3), torch.tensor([[0.0, 0, 0], [0.0, 0, -3]]))
    cameras, metre = Cameras(pose, torch.tensor([32.0, 32, 16, 12]).expand(2, 4), 24, 32), torch.ones(1, 24, 32)
    assert covisible(metre, cameras[:1], 4 * metre, cameras[1:]).all()
    assert not covisible(-metre, cameras[:1], 2 * metre, cameras[1:]).any()


def test_what_lies_behind_the_other_camera_is_not_shown():
    pose = make_pose(torch.eye(3).expand(2, 3, 3), torch.tensor([[0.0, 0, 0], [0.0, 0, 6]]))
    cameras = Cameras(pose, torch.tensor([32.0, 32, 16, 12]).expand(2, 4), 24, 32)
    depth = torch.full((1, 24, 32), 4.0)
    assert not seen_by_source(depth, cameras[:1], torch.full_like(depth, 2.0), cameras[1:]).any()


def test_bad_input_is_named(views):
    a, b, source, in_a, in_b, in_source = views()
    with pytest.raises(ValueError, match="depth of view a is 24x31"):
        covisible(in_a.depth[..., :-1], a, in_b.depth, b)
    with pytest.raises(ValueError, match="depth of view b is 23x32"):
        seen_by_source(in_a.depth, a, in_source.depth[:, 1:], source)
