import dataclasses
import itertools

import pytest
import torch

from plenodream.geometry.cameras import invert_pose
from plenodream.worlds.family import FULL, MILD
from plenodream.worlds.world import SPLITS, sample_worlds, world_generator


@pytest.fixture(params=[MILD, FULL], ids=["mild", "full"])
def family(request):
    return request.param


def test_same_seed_gives_the_same_worlds_and_another_seed_others(family):
    first, again, other = (sample_worlds(family, 3, world_generator("train", seed)) for seed in (4, 4, 5))
    for field in dataclasses.fields(first):
        value = getattr(first, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(again, field.name)), field.name
    assert not torch.equal(first.colours, other.colours)


def test_splits_never_share_a_seed():
    # CPU generators use the low 32 bits of a seed: the ranges must be disjoint there, not only as integers.
    assert all(0 <= low < high <= 2**32 for low, high in SPLITS.values())
    bounds = sorted(SPLITS.values())
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(bounds))
    ends = [world_generator(name, index) for name, (low, high) in SPLITS.items() for index in (0, high - low - 1)]
    draws = [tuple(torch.randint(2**40, (4,), generator=generator).tolist()) for generator in ends]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize(("split", "index"), [("test", 0), ("train", -1), ("validation", 2**30)])
def test_seeds_outside_of_a_split_are_refused(split, index):
    with pytest.raises(ValueError, match="expected"):
        world_generator(split, index)


def test_as_many_things_are_present_and_move_as_the_family_says(family):
    worlds = sample_worlds(family, 200, world_generator("train", 0))
    # A figure's parts share one centre, so that distinct centres count things.
    things = [
        {tuple(c) for c, m in zip(centre.tolist(), moving.tolist(), strict=True) if c[1] < 100 and (m or not only)}
        for only in (False, True)
        for centre, moving in zip(worlds.centre, worlds.moving, strict=True)
    ]
    present, moving = ([len(s) for s in part] for part in (things[:200], things[200:]))
    assert (min(present), max(present)) == family.present
    assert (min(moving), max(moving)) == family.movers


def test_only_movers_move_and_they_move_visibly(family):
    worlds = sample_worlds(family, 50, world_generator("train", 1))
    times = torch.linspace(0, 1, 17).expand(50, -1)
    rotation, centre = worlds.part_poses(times)
    still = (centre - centre[:, :1]).abs().amax(dim=(1, 3)) == 0
    still &= (rotation - rotation[:, :1]).abs().amax(dim=(1, 3, 4)) == 0
    present = worlds.centre[..., 1] < 100
    assert torch.equal(~still, worlds.moving)
    extent = (centre.amax(1) - centre.amin(1)).amax(-1)[worlds.moving & present]
    assert extent.min() > 0.25
    assert extent.median() > 0.6
    # Smooth: no step of a sixteenth of the clip goes further than fast walking would.
    assert (centre[:, 1:] - centre[:, :-1]).norm(dim=-1).max() < 0.6


def test_things_stand_on_the_floor_and_never_go_through_it(family):
    worlds = sample_worlds(family, 50, world_generator("train", 2))
    _, centre = worlds.part_poses(torch.linspace(0, 1, 9).expand(50, -1))
    present = (worlds.centre[..., 1] < 100)[:, None].expand(centre.shape[:3])
    single = torch.tensor([i < 5 for i in range(len(worlds.shapes))])  # Before the parts of figures.
    lowest = (centre[..., 1] + worlds.extent[:, None, :, 1] - worlds.room_high[:, None, None, 1])[present & single]
    assert lowest.max() < 1e-4
    static = (present & single & ~worlds.moving[:, None])[:, 0]
    resting = (worlds.centre[..., 1] + worlds.extent[..., 1] - worlds.room_high[:, None, 1])[static]
    assert resting.abs().max() < 1e-4


def test_limbs_of_a_figure_stay_at_their_joints():
    worlds = sample_worlds(FULL, 20, world_generator("train", 3))
    rotation, centre = worlds.part_poses(torch.linspace(0, 1, 9).expand(20, -1))
    end = -worlds.limb[:, None, :, :, None]
    joint = centre + (rotation @ end)[..., 0]
    legs = slice(-2, None)
    apart = (joint[:, :, -1] - joint[:, :, -2]).norm(dim=-1)
    expected = (worlds.joint[:, -1] - worlds.joint[:, -2]).norm(dim=-1)
    torch.testing.assert_close(apart, expected[:, None].expand_as(apart), atol=1e-4, rtol=0)
    assert (centre[:, :, legs][worlds.moving[:, -1]].diff(dim=1).abs().max()) > 0.02


def test_the_anchor_stands_in_the_room_and_looks_at_the_subject(family):
    worlds = sample_worlds(family, 100, world_generator("train", 4))
    anchor = invert_pose(worlds.room_pose)[:, :3, 3]
    assert bool(((anchor > worlds.room_low) & (anchor < worlds.room_high)).all())
    subject = worlds.room_pose[:, :3, :3] @ torch.tensor([0.0, 0.0, 4.0]) + worlds.room_pose[:, :3, 3]
    assert (subject[:, 2] - 4).abs().max() < 1
    assert (subject[:, :2]).abs().max() < 1.5


def test_mild_rooms_are_all_one_box_and_full_ones_are_not():
    mild, full = (sample_worlds(f, 20, world_generator("train", 5)) for f in (MILD, FULL))
    assert torch.equal(mild.room_low, torch.tensor([[-4.5, -2.6, -3.0]]).expand(20, 3))
    torch.testing.assert_close(mild.room_high, torch.tensor([[4.5, 1.4, 8.5]]).expand(20, 3))
    assert full.room_high.std(0).min() > 0.05
    assert bool(full.is_open.any()) and not bool(full.is_open.all())


def test_worlds_can_be_indexed():
    worlds = sample_worlds(MILD, 4, world_generator("train", 6))
    assert len(worlds[1:3]) == 2
    assert torch.equal(worlds[1:3].colours, worlds.colours[1:3])
