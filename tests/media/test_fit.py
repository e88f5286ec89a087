"""Frames and cameras fitted to the model's size move together."""

import pytest
import torch
from torch.nn.functional import interpolate

from plenodream.geometry.cameras import intrinsics_from_fov, project
from plenodream.media.fit import fit_cameras, fit_frames, plan_fit
from plenodream.types import Cameras

SIZES = [
    ((90, 160), (48, 48)),
    ((160, 90), (48, 64)),
    ((31, 47), (64, 80)),
    ((200, 300), (33, 51)),
    ((48, 48), (48, 48)),
]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_a_projected_marker_lands_where_the_fitted_frames_show_it(source, target):
    height, width = source
    intrinsics = intrinsics_from_fov(60, height, width)[None]
    cameras = Cameras(torch.eye(4)[None], intrinsics, height, width)
    fitted_cameras = fit_cameras(cameras, *target)
    assert (fitted_cameras.height, fitted_cameras.width) == target
    points = torch.tensor([[0.0, 0.0, 4.0], [0.4, 0.2, 4.0], [-0.3, 0.35, 3.0]])
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    radius = max(2.0, 2.0 * height / target[0])
    for point in points:
        u, v = project(point[None], cameras)[0][0, 0]
        blob = 255 * torch.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * radius**2))
        frames, _ = fit_frames(blob.byte()[None, ..., None].expand(1, height, width, 3), *target)
        weight = frames[0, ..., 0].float()
        rows, columns = torch.arange(target[0]) + 0.5, torch.arange(target[1]) + 0.5
        seen = torch.stack([(weight.sum(0) * columns).sum(), (weight.sum(1) * rows).sum()]) / weight.sum()
        assert torch.allclose(seen, project(point[None], fitted_cameras)[0][0, 0], atol=0.12)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_fit_covers_and_is_central(source, target):
    fit = plan_fit(*source, *target)
    assert fit.scaled_height >= target[0] and fit.scaled_width >= target[1]
    assert fit.scaled_height == target[0] or fit.scaled_width == target[1]
    assert abs(fit.scaled_width / fit.scaled_height - source[1] / source[0]) < 1.0 / min(fit.scaled_height, target[0])
    assert (
        0 <= fit.scaled_width - target[1] - 2 * fit.left <= 1 and 0 <= fit.scaled_height - target[0] - 2 * fit.top <= 1
    )


def test_same_size_changes_nothing():
    frames = torch.randint(0, 256, (3, 20, 30, 3), dtype=torch.uint8)
    assert torch.equal(fit_frames(frames, 20, 30)[0], frames)
    assert torch.equal(fit_frames(frames, 16, 30)[0], frames[:, 2:18])


def test_agrees_with_one_frame_at_a_time_and_does_not_alias():
    frames = torch.randint(0, 256, (5, 61, 83, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    fitted, fit = fit_frames(frames, 24, 24)
    for frame, result in zip(frames, fitted, strict=True):
        image = frame.permute(2, 0, 1)[None].float()
        plain = interpolate(image, (fit.scaled_height, fit.scaled_width), mode="bicubic", antialias=True)[0]
        window = plain[:, fit.top : fit.top + 24, fit.left : fit.left + 24]
        assert torch.equal(window.round().clamp(0, 255).byte().permute(1, 2, 0), result)
    checkerboard = ((torch.arange(96)[:, None] + torch.arange(96)) % 2 * 255).byte()
    small = fit_frames(checkerboard[None, ..., None].expand(1, 96, 96, 3), 24, 24)[0]
    assert small[:, 2:-2, 2:-2].float().std() < 4  # without anti-aliasing: black or white


def test_impossible_sizes():
    with pytest.raises(ValueError, match="at least 1x1"):
        fit_frames(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), 0, 8)
