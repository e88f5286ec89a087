from __future__ import annotations

import pytest
import torch
from held import held_shot

from plenodream.evaluation.metrics.metric import Unavailable
from plenodream.evaluation.metrics.shared_centre import SharedCentre
from plenodream.geometry.cameras import axis_rotation, make_pose
from plenodream.types import Cameras


def turned(degrees: float, centre=(0.0, 0.0, 0.0)) -> Cameras:
    turn = axis_rotation("y", torch.full((2,), degrees, dtype=torch.float64))
    pose = make_pose(turn, torch.tensor(centre, dtype=torch.float64).expand(2, 3))
    lens = torch.tensor([96.0, 96, 60, 48], dtype=torch.float64)
    return Cameras(pose, lens.expand(2, 4), 96, 120)


def shots(closed_form, angles, source=True, centres=None, spoil=lambda frames: frames):
    """Turned views; `spoil` is done to the last one."""
    given = turned(0.0)
    pair = (closed_form.cast(given).frames.float(), given) if source else None
    made = []
    for number, angle in enumerate(angles, start=1):
        cameras = turned(angle, *((centres[number - 1],) if centres else ()))
        frames = closed_form.cast(cameras).frames
        frames = spoil(frames) if number == len(angles) else frames
        made.append(held_shot(f"turn{angle}", number, frames, cameras, pair))
    return made


def by_column(scores, row="video"):
    return {score.column: score for score in scores if score.row == row}


def psnr(score):
    return -10 * torch.log10(torch.tensor(score.total / score.count)).item()


def test_turned_views_of_one_scene_agree_and_others_do_not(closed_form):
    a, b = shots(closed_form, (30.0, 38.0))
    scores = by_column(SharedCentre().score(b, [a]))
    assert min(psnr(scores[name]) for name in ("homography", "homography.hidden", "homography.source")) > 28
    # What both show and the source does not: right of the source's picture, a part of what both show.
    assert 0.05 < scores["homography.hidden"].share < scores["homography"].share < 0.9
    a, b = shots(closed_form, (30.0, 38.0), spoil=lambda frames: frames.flip(-2))
    worse = by_column(SharedCentre().score(b, [a]))
    assert psnr(worse["homography"]) < psnr(scores["homography"]) - 15


def test_a_view_moved_by_three_pixels_is_found_out(closed_form):
    a, b = shots(closed_form, (10.0, -10.0))
    exact = psnr(by_column(SharedCentre().score(b, [a]))["homography"])
    a, b = shots(closed_form, (10.0, -10.0), spoil=lambda frames: frames.roll(3, dims=-2))
    assert psnr(by_column(SharedCentre().score(b, [a]))["homography"]) < exact - 6


def test_what_the_source_would_show_is_not_hidden(closed_form):
    a, b = shots(closed_form, (5.0, -5.0))
    assert by_column(SharedCentre().score(b, [a]))["homography.hidden"].share == 0


def test_cameras_elsewhere_have_no_homography(closed_form):
    a, b = shots(closed_form, (0.0, 0.0), source=False, centres=((0.5, 0.0, 0.0), (0.7, 0.0, 0.0)))
    with pytest.raises(Unavailable, match="share a centre"):
        SharedCentre().score(b, [a])
