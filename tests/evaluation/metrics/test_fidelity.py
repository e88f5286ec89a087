import math

import pytest
import torch

from plenodream.evaluation.metrics.fidelity import (
    mean_colour,
    psnr,
    sharpness_ratio,
    squared_error,
    variance_ratio,
)


@pytest.fixture
def videos():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, 3, 5, 6, 3, generator=generator)
    return a, b, torch.rand(2, 3, 5, 6, generator=generator) < 0.4


def test_psnr_matches_a_plain_loop(videos):
    a, b, mask = videos
    for scene in range(2):
        total, count = 0.0, 0
        for frame in range(3):
            for row in range(5):
                for column in range(6):
                    if mask[scene, frame, row, column]:
                        one, other = a[scene, frame, row, column].tolist(), b[scene, frame, row, column].tolist()
                        total += sum((x - y) ** 2 for x, y in zip(one, other, strict=True))
                        count += 3
        assert psnr(a, b, mask)[scene].item() == pytest.approx(10 * math.log10(count / total))


def test_error_is_pooled_before_the_logarithm():
    truth = torch.zeros(2, 4, 4, 3)
    prediction = truth.clone()
    prediction[1] = 0.1
    assert psnr(prediction, truth).item() == pytest.approx(-10 * math.log10(0.01 / 2))


def test_a_constant_error_in_closed_form(videos):
    a, _, mask = videos
    assert psnr(a, a + 0.1, mask).tolist() == pytest.approx([20, 20], abs=1e-4)
    assert psnr(a, a).tolist() == [100, 100]


def test_empty_masks_and_little_coverage_give_no_number(videos):
    a, b, mask = videos
    mask[0] = False
    mask[1] = False
    mask[1, 0, 0, 0] = True
    error = squared_error(a, b, mask)
    assert error.coverage.tolist() == pytest.approx([0, 1 / 90])
    assert error.psnr().isnan().tolist() == [True, False]
    assert error.psnr(minimum_coverage=0.02).isnan().all()


def test_parts_add_up(videos):
    a, b, mask = videos
    whole, left, right = squared_error(a, b), squared_error(a, b, mask), squared_error(a, b, ~mask)
    torch.testing.assert_close(left.total + right.total, whole.total)
    assert (left + right).coverage.tolist() == pytest.approx([0.5, 0.5])
    torch.testing.assert_close(squared_error(a[0], b[0]).psnr(), whole.psnr()[0])


def test_several_predictions_share_one_truth_and_mask(videos):
    a, b, mask = videos
    both = psnr(torch.stack([a, b]), b, mask)
    assert both.shape == (2, 2)
    torch.testing.assert_close(both[0], psnr(a, b, mask))


def test_variance_ratio_matches_the_definition(videos):
    a, b, mask = videos
    expected = [
        (a[s][mask[s]].var(0, correction=0).sum() / b[s][mask[s]].var(0, correction=0).sum()).item() for s in (0, 1)
    ]
    assert variance_ratio(a, b, mask).tolist() == pytest.approx(expected, rel=1e-5)
    assert variance_ratio(0.5 + 0.3 * (a - 0.5), a, mask).tolist() == pytest.approx([0.09, 0.09], rel=1e-5)
    assert variance_ratio(a, torch.ones_like(a)).isnan().all()


def test_sharpness_ratio_matches_a_plain_loop_and_falls_with_blur(videos):
    a, b, mask = videos

    def energy(video, mask):
        total = 0.0
        for f in range(3):
            for y in range(5):
                for x in range(6):
                    for v, u in ((y, x + 1), (y + 1, x)):
                        if v < 5 and u < 6 and mask[f, y, x] and mask[f, v, u]:
                            total += (video[f, y, x] - video[f, v, u]).square().sum().item()
        return total

    expected = [energy(a[s], mask[s]) / energy(b[s], mask[s]) for s in (0, 1)]
    assert sharpness_ratio(a, b, mask).tolist() == pytest.approx(expected, rel=1e-5)
    blurred = (a + a.roll(1, dims=-2) + a.roll(1, dims=-3)) / 3
    assert (sharpness_ratio(blurred, a) < 0.6).all()
    assert sharpness_ratio(a, a).tolist() == [1, 1]


def test_the_mean_colour_is_the_best_constant(videos):
    a, _, _ = videos
    flat = mean_colour(a)
    assert flat.shape == a.shape
    torch.testing.assert_close(flat[1, 2, 3, 1], a[1].mean((0, 1, 2)))
    assert (psnr(flat, a) >= psnr(flat + 0.05, a)).all()


def test_bad_frames_are_named(any_arrays, videos):
    a, _, _ = videos
    with pytest.raises(ValueError, match="divide uint8"):
        psnr((a * 255).byte(), a)
    with pytest.raises(ValueError, match="same size"):
        psnr(a, a[..., :-1, :])
