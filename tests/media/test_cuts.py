import pytest
import torch

from plenodream.media.cuts import cut_note, find_cuts


def shot(seed, frames, speed):
    """A noise picture, smooth enough to be one, that the camera pans over by `speed` pixels a frame."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 12, 40, generator=generator)
    picture = torch.nn.functional.interpolate(coarse, size=(96, 640), mode="bilinear")[0].permute(1, 2, 0)
    views = [picture[:, speed * index : speed * index + 128] for index in range(frames)]
    return (torch.stack(views) * 255).byte()


@pytest.mark.parametrize("speed", [0, 2, 6])
def test_cuts_are_found_whatever_the_motion(speed):
    shots = [shot(seed, frames, speed) for seed, frames in ((0, 12), (1, 5), (2, 20))]
    assert find_cuts(torch.cat(shots)) == [12, 17]


@pytest.mark.parametrize("speed", [0, 4, 30])
def test_no_cut_where_there_is_none(speed):
    assert find_cuts(shot(3, 16, speed)) == []


def test_a_flash_a_fade_and_a_start_of_motion_are_no_cuts():
    frames = shot(4, 20, 1)
    frames[8:10] = (frames[8:10].float() * 0.3 + 178).byte()
    assert find_cuts(frames) == []
    fade = (shot(5, 20, 0) * torch.linspace(0, 1, 20)[:, None, None, None]).byte()
    assert find_cuts(fade) == []
    assert find_cuts(torch.cat([shot(6, 10, 0), shot(6, 12, 8)])) == []


def test_short_clips_and_what_is_said():
    assert find_cuts(shot(0, 2, 0)) == []
    assert cut_note([12]).startswith("2 shots: cut at frame 12;")
    assert cut_note(list(range(10, 100, 5))).startswith("19 shots: cuts at frame 10, 15, 20, 25, 30, 35, 40, 45 ...;")
