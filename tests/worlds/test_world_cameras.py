import pytest
import torch

from plenodream.geometry.cameras import check_cameras, horizontal_fov, project, unproject
from plenodream.types import Cameras
from plenodream.worlds.cameras import Footage, sample_cameras
from plenodream.worlds.family import FULL, MILD
from plenodream.worlds.world import sample_worlds, world_generator


@pytest.fixture(params=[MILD, FULL], ids=["mild", "full"])
def family(request):
    return request.param


@pytest.mark.parametrize("frames", [1, 9])
def test_shapes_validity_and_a_source_that_starts_at_the_identity(family, frames):
    cameras = sample_cameras(family, 40, 3, frames, 24, 32, world_generator("train", 0))
    assert cameras.shape == (40, 3, frames) and (cameras.height, cameras.width) == (24, 32)
    check_cameras(cameras, "sampled")
    torch.testing.assert_close(cameras.camera_to_world[:, 0, 0], torch.eye(4).expand(40, 4, 4))


def test_same_seed_same_cameras(family):
    first, again, other = (sample_cameras(family, 2, 3, 5, 8, 8, world_generator("train", s)) for s in (1, 1, 2))
    assert torch.equal(first.camera_to_world, again.camera_to_world)
    assert torch.equal(first.intrinsics, again.intrinsics)
    assert not torch.equal(first.camera_to_world, other.camera_to_world)


def test_footage_has_every_aspect_and_lens_and_rests_more_often(family):
    plain, footage = (
        sample_cameras(family, 400, 4, 3, 32, 32, world_generator("train", 7), footage=f) for f in (None, Footage())
    )
    check_cameras(footage, "footage")
    fx, fy, _, _ = footage.intrinsics.unbind(-1)
    aspect = fy / fx
    assert 0.5 <= aspect.min() < 0.55 and 1.9 < aspect.max() <= 2.0
    torch.testing.assert_close(aspect, aspect[:, :1, :1].expand_as(aspect))  # one scene, one aspect
    wide = 2 * torch.rad2deg(torch.atan(16 / fx))
    assert wide[:, 0].max() < 100 < wide[:, 1:].max() < 112
    # Rest, turn and zoom leave the camera where it is.
    rests = [
        (c.camera_to_world[:, 1:, :, :3, 3].flatten(2).abs().amax(-1) < 1e-5).float().mean() for c in (plain, footage)
    ]
    assert rests[1] > 1.5 * rests[0] > 0


def test_paths_are_smooth(family):
    coarse = sample_cameras(family, 100, 4, 9, 8, 8, world_generator("train", 3)).camera_to_world[..., :3, 3]
    fine = sample_cameras(family, 100, 4, 81, 8, 8, world_generator("train", 3)).camera_to_world[..., :3, 3]
    torch.testing.assert_close(fine[:, :, ::10], coarse, atol=1e-4, rtol=0)
    assert fine.diff(dim=2).norm(dim=-1).max() < 0.25
    bend = fine.diff(n=2, dim=2).norm(dim=-1)
    assert bend.max() < 0.02


def test_some_sources_stand_still_and_targets_mostly_do_not(family):
    centre = sample_cameras(family, 300, 2, 5, 8, 8, world_generator("train", 4)).camera_to_world
    gone = (centre[:, :, -1] - centre[:, :, 0]).abs().amax(dim=(-1, -2))
    assert 0.3 < (gone[:, 0] == 0).float().mean() < 0.85
    assert (gone[:, 1] > 0.05).float().mean() > 0.5
    away = (centre[:, 1, 0] - torch.eye(4)).abs().amax(dim=(-1, -2))
    assert 0.3 < (away > 0.05).float().mean() < 0.9


def test_focal_lengths_span_the_lenses_of_the_family(family):
    cameras = sample_cameras(family, 500, 1, 1, 8, 8, world_generator("train", 5))
    lens = cameras.intrinsics[:, 0, 0, 0] / cameras.width * 36
    low, high = family.lens
    assert low <= lens.min() < low * 1.05 and high * 0.95 < lens.max() <= high * 1.001
    if family is MILD:
        field = horizontal_fov(cameras)
        assert field.min() > 49 and field.max() < 71


def test_targets_overlap_with_the_source_and_see_more_than_it(family):
    count = 100
    cameras = sample_cameras(family, count, 4, 5, 12, 12, world_generator("train", 6))
    # Points of a wall behind the subject, from every target's view, in the source's image.
    y, x = torch.meshgrid(torch.arange(12) + 0.5, torch.arange(12) + 0.5, indexing="ij")
    points = unproject(torch.stack([x, y], -1).flatten(0, 1), torch.full((144,), 6.0), cameras)[:, 1:]
    source = Cameras(cameras.camera_to_world[:, :1], cameras.intrinsics[:, :1], 12, 12)
    pixels, depth = project(points, source)
    seen = ((pixels > 0) & (pixels < 12)).all(-1) & (depth > 0)
    share = seen.float().mean(-1).flatten()
    assert 0.45 < share.mean() < 0.85
    assert share.quantile(0.1) > 0.15


@pytest.mark.parametrize("empty", ["count", "views", "frames"])
def test_nothing_to_sample_is_refused(empty):
    wanted = {"count": 1, "views": 2, "frames": 3} | {empty: 0}
    with pytest.raises(ValueError, match="at least 1"):
        sample_cameras(MILD, **wanted, height=8, width=8, generator=world_generator("train", 0))


def test_mild_cameras_stay_above_the_floor():
    generator = world_generator("train", 7)
    worlds = sample_worlds(MILD, 200, generator)
    cameras = sample_cameras(MILD, 200, 4, 5, 8, 8, generator)
    assert cameras.camera_to_world[..., 1, 3].max() < worlds.room_high[:, 1].min() - 0.1
