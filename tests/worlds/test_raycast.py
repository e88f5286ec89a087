import dataclasses
import math
from functools import partial

import pytest
import torch

from plenodream import geometry
from plenodream.geometry.cameras import invert_pose, look_at, pixel_centres, pixel_rays, unproject
from plenodream.types import Cameras
from plenodream.worlds import raycast, texels, world
from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import FULL, MILD
from plenodream.worlds.patterns import FACES
from plenodream.worlds.raycast import FAR, NEAR, render
from plenodream.worlds.world import sample_worlds, world_generator


def _sample(family, count=2, views=2, frames=2, size=12, index=0):
    generator = world_generator("train", index)
    worlds = sample_worlds(family, count, generator)
    return worlds, sample_cameras(family, count, views, frames, size, size, generator)


def _camera(pose, size=9, field=60.0):
    focal = size / 2 / math.tan(math.radians(field / 2))
    intrinsics = torch.tensor([focal, focal, size / 2, size / 2]).expand(*pose.shape[:-2], 4)
    return Cameras(pose, intrinsics, size, size)


def _enter_loop(shape, o, d):
    """Smallest depth at which a ray enters a unit shape through one of its surfaces, one surface after another."""
    hits = []

    def flat(axis, side):
        if d[axis] * side < 0:
            t = (side - o[axis]) / d[axis]
            p = [o[i] + t * d[i] for i in range(3)]
            others = [p[i] for i in range(3) if i != axis]
            inside = max(map(abs, others)) <= 1 if shape == "box" else others[0] ** 2 + others[1] ** 2 <= 1
            if inside:
                hits.append(t)

    if shape == "box":
        for axis in range(3):
            flat(axis, -1)
            flat(axis, 1)
    else:
        axes = (0, 1, 2) if shape == "sphere" else (0, 2)
        a = sum(d[i] ** 2 for i in axes)
        b = 2 * sum(o[i] * d[i] for i in axes)
        c = sum(o[i] ** 2 for i in axes) - 1
        if b * b > 4 * a * c:
            t = (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)
            if shape == "sphere" or abs(o[1] + t * d[1]) <= 1:
                hits.append(t)
        if shape == "cylinder":
            flat(1, -1)
            flat(1, 1)
    return min((t for t in hits if t > NEAR), default=math.inf)


def _leave_loop(low, high, o, d):
    """The last wall that a ray crosses within the room's walls."""
    best = (FAR, 0)
    for axis in range(3):
        if d[axis] == 0:
            continue
        for side, plane in ((0, low[axis]), (1, high[axis])):
            t = (plane - o[axis]) / d[axis]
            p = [o[i] + t * d[i] for i in range(3)]
            outward = (d[axis] > 0) == bool(side) and t > NEAR
            if outward and all(low[i] - 1e-9 <= p[i] <= high[i] + 1e-9 for i in range(3) if i != axis):
                best = (t, 2 * axis + side)
    return best


def _reference(worlds, cameras, times):
    """Depth and index of the surface of every pixel, one ray and one part after another, in double precision."""
    rotation, centre = worlds.part_poses(times.double().flatten(1))
    rotation, centre = (v.unflatten(1, cameras.shape[1:]) for v in (rotation, centre))
    to_room = invert_pose(worlds.room_pose.double())
    shape = (*cameras.shape, cameras.height, cameras.width)
    depth, surface = torch.empty(shape, dtype=torch.float64), torch.empty(shape, dtype=torch.long)
    pixels = pixel_centres(cameras.height, cameras.width, depth).flatten(0, 1)
    origins, directions = pixel_rays(cameras.to(torch.float64), pixels)
    for b, v, f in torch.cartesian_prod(*(torch.arange(n) for n in cameras.shape)).tolist():
        room = to_room[b]
        low, high = worlds.room_low[b].tolist(), worlds.room_high[b].tolist()
        for pixel in range(len(pixels)):
            o = room[:3, :3] @ origins[b, v, f, pixel] + room[:3, 3]
            d = room[:3, :3] @ directions[b, v, f, pixel]
            best = _leave_loop(low, high, o.tolist(), d.tolist())
            for part, kind in enumerate(worlds.shapes):
                inverse = rotation[b, v, f, part].T / worlds.extent[b, part].double()[:, None]
                local = inverse @ torch.stack([o - centre[b, v, f, part], d], dim=-1)
                hit = _enter_loop(kind, local[:, 0].tolist(), local[:, 1].tolist())
                best = min(best, (hit, part + FACES))
            row, column = divmod(pixel, cameras.width)
            depth[b, v, f, row, column], surface[b, v, f, row, column] = best
    return depth, surface


@pytest.mark.parametrize(("family", "index"), [(MILD, 0), (FULL, 1), (FULL, 7)])
def test_depth_and_motion_mask_agree_with_a_plain_loop(family, index):
    worlds, cameras = _sample(family, views=1, size=9, index=index)
    times = torch.tensor([0.2, 0.9]).expand(cameras.shape)
    depth, surface = _reference(worlds, cameras, times)
    rendered = render(worlds, cameras, times)
    moving = torch.nn.functional.pad(worlds.moving, (FACES, 0))
    moving = torch.stack([moving[b][surface[b]] for b in range(len(worlds))])
    # A ray along a silhouette may fall on either side of it.
    wrong = ((rendered.depth - depth).abs() > 1e-3 * depth) | (rendered.moving != moving)
    assert (surface >= FACES).float().mean() > 0.03
    assert wrong.float().mean() < 4e-3


def _with_images(family, index=0, texels=5, **arguments):
    """Worlds whose every surface shows an image of random pixels; one of odd size is never halved."""
    worlds, cameras = _sample(family, index=index, **arguments)
    generator = torch.Generator().manual_seed(0)
    shape = worlds.colours.shape[:2]
    return dataclasses.replace(
        worlds,
        images=torch.rand(*shape, 3, texels, texels, generator=generator),
        image_width=1 + 3 * torch.rand(shape, generator=generator),
        image_offset=2 * torch.rand(*shape, 3, generator=generator),
    ), cameras


def _image_loop(worlds, b, surface, point, rotation, centre):
    """The colour of one point's image, from the definition: nearest axis, mirrored tiles, four texels."""
    extent = torch.ones(3).double()
    if surface < FACES:
        axis = surface // 2
    else:
        kind, extent = worlds.shapes[surface - FACES], worlds.extent[b, surface - FACES].double()
        point = rotation.T @ (point - centre) / extent
        x, y, z = point.abs().tolist()
        axis = int((point / extent if kind == "sphere" else point).abs().argmax())
        if kind == "cylinder":
            axis = 1 if y > math.hypot(x, z) else 2 * int(z > x)
    image, size = worlds.images[b, surface].double(), worlds.images.shape[-1]
    corners, shares = [], []
    for i in {0: (2, 1), 1: (0, 2), 2: (0, 1)}[axis]:
        place = (point[i] * extent[i] / worlds.image_width[b, surface] + worlds.image_offset[b, surface, i]).item()
        place = place % 2 if place % 2 < 1 else 2 - place % 2
        position = place * size - 0.5
        low = math.floor(position)
        corners.append([min(max(low, 0), size - 1), min(max(low + 1, 0), size - 1)])
        shares.append([low + 1 - position, position - low])
    return sum(image[:, corners[1][r], corners[0][c]] * shares[1][r] * shares[0][c] for r in range(2) for c in range(2))


@pytest.mark.parametrize(("family", "index"), [(MILD, 0), (FULL, 1), (FULL, 7)])
def test_images_on_surfaces_agree_with_a_plain_loop(family, index):
    worlds, cameras = _with_images(family, index, views=1, size=9)
    times = torch.tensor([0.2, 0.9]).expand(cameras.shape)
    depth, surface = _reference(worlds, cameras, times)
    rotation, centre = (v.unflatten(1, cameras.shape[1:]) for v in worlds.part_poses(times.double().flatten(1)))
    pixels = pixel_centres(9, 9, depth).flatten(0, 1)
    points = unproject(pixels, depth.flatten(-2), cameras.to(torch.float64)).unflatten(-2, (9, 9))
    expected = torch.empty(*depth.shape, 3, dtype=torch.float64)
    for b, v, f, row, column in torch.cartesian_prod(*(torch.arange(n) for n in depth.shape)).tolist():
        number = int(surface[b, v, f, row, column])
        room = invert_pose(worlds.room_pose.double())[b]
        point = room[:3, :3] @ points[b, v, f, row, column] + room[:3, 3]
        part = max(number - FACES, 0)
        pose = (rotation[b, v, f, part], centre[b, v, f, part])
        expected[b, v, f, row, column] = _image_loop(worlds, b, number, point, *pose)
    # White images show the light alone.
    white = render(dataclasses.replace(worlds, images=torch.ones_like(worlds.images)), cameras, times)
    rendered = render(worlds, cameras, times)
    wrong = ((rendered.rgb - expected * white.rgb).abs() > 2e-3).any(-1)
    assert wrong.float().mean() < 0.01
    assert rendered.rgb.std() > 0.1 and torch.equal(rendered.depth, white.depth)


def test_an_image_stands_upright_on_all_of_a_cylinder_s_side():
    """Rows of one brightness each show at their height, up to the ends, all around."""
    worlds, _ = _with_images(MILD, count=1)
    part = worlds.shapes.index("cylinder")
    centre, ramp = torch.full_like(worlds.centre, 1e3), (torch.arange(5) + 0.5) / 5
    centre[0, part] = torch.tensor([0.0, 0.0, 4.0])
    still = {name: torch.zeros_like(getattr(worlds, name)) for name in ("sway_sine", "sway_cosine", "yaw", "spin")}
    worlds = dataclasses.replace(
        worlds, centre=centre, extent=torch.full_like(worlds.extent, 0.8), room_pose=torch.eye(4)[None], **still,
        images=ramp[:, None].expand(*worlds.images.shape), image_width=torch.full_like(worlds.image_width, 4.0),
        image_offset=torch.full_like(worlds.image_offset, 0.5),
    )  # fmt: skip
    camera = _camera(torch.eye(4)[None, None, None], size=32)
    rendered = render(worlds, camera, torch.zeros(1))
    white = render(dataclasses.replace(worlds, images=torch.ones_like(worlds.images)), camera, torch.zeros(1))
    points = unproject(pixel_centres(32, 32, rendered.depth).flatten(0, 1), rendered.depth.flatten(3), camera)
    height = points[..., 1].view_as(rendered.depth)
    hit = (rendered.depth < 4.5) & (height.abs() < 0.81)  # neither floor nor walls
    assert hit.sum() > 80
    shown = (rendered.rgb / white.rgb)[hit]
    expected = 0.5 + height[hit] / 4
    torch.testing.assert_close(shown, expected[:, None].expand(-1, 3), atol=1e-4, rtol=0)


def test_surfaces_without_an_image_keep_their_pattern():
    worlds, cameras = _with_images(FULL, size=16)
    none = dataclasses.replace(worlds, image_width=torch.full_like(worlds.image_width, torch.inf))
    plain = dataclasses.replace(worlds, images=None, image_width=None, image_offset=None)
    times = torch.tensor([0.1, 0.6])
    assert torch.equal(render(none, cameras, times).rgb, render(plain, cameras, times).rgb)
    assert torch.equal(render(worlds[1:], cameras[1:], times).rgb, render(worlds, cameras, times).rgb[1:])


def test_pixels_that_cover_many_texels_show_their_mean():
    worlds, cameras = _with_images(MILD, size=16)
    chess = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    fine = dataclasses.replace(worlds, image_width=torch.full_like(worlds.image_width, 0.1))
    chess, white = (
        render(dataclasses.replace(fine, images=images.float().expand(*worlds.images.shape[:3], 8, 8)), cameras, times)
        for images, times in ((chess, torch.zeros(2)), (torch.ones(8, 8), torch.zeros(2)))
    )
    torch.testing.assert_close(chess.rgb, white.rgb / 2, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", [MILD, FULL])
def test_halved_images_come_near_to_many_rays_a_pixel(family):
    worlds, cameras = _with_images(family, size=32, index=3)
    smooth = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(smooth, (64, 64), mode="bilinear")
    worlds = dataclasses.replace(worlds, images=smooth[:, None].expand(-1, worlds.colours.shape[1], -1, -1, -1))
    times = torch.tensor([0.1, 0.6])
    truth = render(worlds, cameras, times, supersample=6).rgb

    def error(images):
        rendered = render(dataclasses.replace(worlds, images=images), cameras, times).rgb
        return (rendered - truth).square().mean().sqrt()

    # The same pixels and a column and row more: an odd size, hence no halves.
    whole = torch.nn.functional.interpolate(worlds.images.flatten(0, 1), (65, 65), mode="bilinear")
    assert error(worlds.images) < 0.8 * error(whole.unflatten(0, worlds.images.shape[:2]))


@pytest.mark.parametrize("shape", ["sphere", "box", "cylinder"])
def test_one_shape_straight_ahead_in_closed_form(shape):
    worlds = sample_worlds(MILD, 1, world_generator("train", 0))
    part = worlds.shapes.index(shape)
    centre = torch.full_like(worlds.centre, 1e3)
    centre[0, part] = torch.tensor([0.0, 0.0, 4.0])
    extent = torch.full_like(worlds.extent, 0.6)
    still = {
        name: torch.zeros_like(getattr(worlds, name)) for name in ("sway_sine", "sway_cosine", "yaw", "spin", "swing")
    }
    worlds = dataclasses.replace(worlds, centre=centre, extent=extent, room_pose=torch.eye(4)[None], **still)
    rendered = render(worlds, _camera(torch.eye(4)[None, None, None]), torch.zeros(1))
    depth = rendered.depth[0, 0, 0]
    # The middle pixel's ray is the optical axis; one pixel to the right a ray goes `slope` metres aside per metre.
    assert depth[4, 4].item() == pytest.approx(3.4, abs=1e-5)
    slope = 1 / (4.5 / math.tan(math.radians(30)))
    a, b, c = 1 + slope**2, -8.0, 16 - 0.36
    expected = 3.4 if shape == "box" else (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)
    assert depth[4, 5].item() == pytest.approx(expected, abs=1e-4)
    # The top row's ray passes above and meets the ceiling, 2.6 m up.
    assert depth[0, 4].item() == pytest.approx(2.6 / (4 * slope), abs=1e-4)


def test_a_camera_outside_of_the_room_sees_the_far_wall():
    worlds = sample_worlds(MILD, 1, world_generator("train", 0))
    worlds = dataclasses.replace(worlds, centre=torch.full_like(worlds.centre, 1e3), room_pose=torch.eye(4)[None])
    outside, inside = (
        look_at(torch.tensor([x, 0.0, 2.0]), torch.tensor([4.0, 0.0, 2.0]))[None, None, None] for x in (-10.0, -4.0)
    )
    far, near = (render(worlds, _camera(pose, size=1), torch.zeros(1)) for pose in (outside, inside))
    assert far.depth.item() == pytest.approx(14.5, abs=1e-4)
    torch.testing.assert_close(far.rgb, near.rgb)
    # Looking away from the room, there is nothing but what lies very far.
    away = look_at(torch.tensor([-10.0, 0.0, 2.0]), torch.tensor([-20.0, 0.0, 2.0]))[None, None, None]
    assert render(worlds, _camera(away, size=1), torch.zeros(1)).depth.item() == FAR


@pytest.mark.parametrize("family", [MILD, FULL])
def test_a_point_has_one_colour_from_everywhere(family):
    """Points seen from one camera, looked at by cameras elsewhere: equal colour wherever they are not hidden."""
    worlds, cameras = _sample(family, count=3, views=1, frames=1, size=16, index=3)
    times = torch.full((3, 1, 1), 0.4)
    first = render(worlds, cameras, times)
    points = unproject(pixel_centres(16, 16, first.depth).flatten(0, 1), first.depth.flatten(-2), cameras)[:, 0, 0]
    centre = torch.tensor([0.7, -0.3, 0.5]).expand_as(points)
    second = render(worlds, _camera(look_at(centre, points)[:, None], size=1), times)
    distance = (points - centre).norm(dim=-1)
    visible = (second.depth[:, 0, :, 0, 0] - distance).abs() < 1e-3 * distance
    error = (second.rgb[:, 0, :, 0, 0] - first.rgb.flatten(3, 4)[:, 0, 0]).abs().amax(-1)
    assert visible.float().mean() > 0.7
    assert error[visible].quantile(0.99) < 0.01
    assert torch.equal(second.moving[:, 0, :, 0, 0][visible], first.moving.flatten(1)[visible])


def test_the_motion_mask_is_where_taking_the_movers_away_changes_depth():
    worlds, cameras = _sample(FULL, count=6, index=4)
    times = torch.tensor([0.0, 0.5])
    whole = render(worlds, cameras, times)
    centre = torch.where(worlds.moving[..., None], torch.full_like(worlds.centre, 1e3), worlds.centre)
    still = render(dataclasses.replace(worlds, centre=centre), cameras, times)
    assert torch.equal(whole.moving, still.depth > whole.depth)
    assert not bool(still.moving.any())
    assert 0.01 < whole.moving.float().mean() < 0.6


def test_movers_are_seen_to_move_and_the_rest_keeps_its_depth():
    worlds, cameras = _sample(MILD, count=8, views=1, frames=1, index=5)
    cameras = Cameras(
        cameras.camera_to_world.expand(-1, -1, 3, -1, -1), cameras.intrinsics.expand(-1, -1, 3, -1), 12, 12
    )
    rendered = render(worlds, cameras, torch.tensor([0.0, 0.5, 1.0]))
    never = ~rendered.moving.any(dim=2)
    assert torch.equal(rendered.depth[:, :, 0][never], rendered.depth[:, :, 2][never])
    assert (rendered.moving.any(dim=2) & ~rendered.moving.all(dim=2)).float().mean() > 0.03


@pytest.mark.parametrize("family", [MILD, FULL])
def test_colours_are_colours_and_worlds_do_not_mix(family):
    worlds, cameras = _sample(family, count=5, size=64, index=6)
    times = torch.rand(5, 2, 2, generator=world_generator("train", 0))
    rendered = render(worlds, cameras, times)
    assert rendered.rgb.shape == (5, 2, 2, 64, 64, 3)
    assert rendered.rgb.isfinite().all() and rendered.rgb.min() >= 0 and rendered.rgb.max() <= 1
    assert rendered.rgb.flatten(0, -2).std(0).min() > 0.1
    alone = render(worlds[3:4], cameras[3:4], times[3:4])
    torch.testing.assert_close(alone.rgb[0], rendered.rgb[3], atol=1e-5, rtol=0)
    assert torch.equal(alone.moving[0], rendered.moving[3])


def test_times_may_be_shared_or_one_per_sample_or_one_per_image():
    worlds, cameras = _sample(MILD)
    times = torch.tensor([0.3, 0.8])
    first = render(worlds, cameras, times)
    for other in (times.expand(2, 1, 2), times.expand(2, 2, 2)):
        assert torch.equal(render(worlds, cameras, other).rgb, first.rgb)


def test_rays_along_the_axes_give_no_nan():
    worlds = sample_worlds(FULL, 4, world_generator("train", 8))
    worlds = dataclasses.replace(worlds, room_pose=torch.eye(4).expand(4, 4, 4), yaw=torch.zeros_like(worlds.yaw))
    rendered = render(worlds, _camera(torch.eye(4).expand(4, 1, 1, 4, 4)), torch.zeros(1))
    assert rendered.rgb.isfinite().all() and rendered.depth.isfinite().all()


def test_supersampling_smooths_colours_and_keeps_depth():
    worlds, cameras = _sample(FULL, index=9)
    times = torch.tensor([0.1, 0.6])
    plain, smooth = render(worlds, cameras, times), render(worlds, cameras, times, supersample=3)
    assert torch.equal(plain.depth, smooth.depth) and torch.equal(plain.moving, smooth.moving)
    assert smooth.rgb.shape == plain.rgb.shape
    difference = (plain.rgb - smooth.rgb).abs()
    assert 0 < difference.mean() < 0.05


@pytest.mark.parametrize("sample", [_sample, _with_images])
def test_autocast_does_not_touch_the_picture(sample):
    worlds, cameras = sample(MILD)
    plain = render(worlds, cameras, torch.tensor([0.1, 0.6]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = render(worlds, cameras, torch.tensor([0.1, 0.6]))
    assert torch.equal(plain.depth, mixed.depth) and torch.equal(plain.rgb, mixed.rgb)


def test_cameras_of_another_batch_are_refused():
    worlds, cameras = _sample(MILD)
    with pytest.raises(ValueError, match="2 worlds"):
        render(worlds, cameras[:1], torch.zeros(2))


@pytest.mark.parametrize("textures", [None, torch.ones(3, 3, 8, 8)], ids=["patterns", "images"])
def test_it_runs_on_the_device_of_its_inputs(textures):
    # On the meta device every mixture with a CPU tensor of more than one number is an error, as on a GPU.
    generator = world_generator("train", 0)
    worlds = sample_worlds(FULL, 2, generator, "meta", textures)
    cameras = sample_cameras(FULL, 2, 2, 1, 8, 8, generator, device="meta")
    rendered = render(worlds, cameras, torch.zeros(2, 1, 1, device="meta"))
    assert rendered.rgb.device.type == rendered.depth.device.type == rendered.moving.device.type == "meta"


@pytest.mark.parametrize("sample", [_sample, partial(_with_images, texels=8)], ids=["patterns", "images"])
def test_it_compiles_to_one_graph(sample, unchecked):
    worlds, cameras = sample(MILD)
    times = torch.tensor([0.1, 0.6])
    unchecked(raycast, texels, world, geometry.cameras)
    compiled = torch.compile(raycast.render, fullgraph=True, backend="eager")(worlds, cameras, times)
    assert torch.equal(compiled.rgb, render(worlds, cameras, times).rgb)
