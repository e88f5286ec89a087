from dataclasses import replace

import pytest
import torch
from closed_form import BALLS

from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE
from plenodream.evaluation.metrics.sync import Match, hsync, match_views, vsync
from plenodream.geometry.visibility import covisible, erode, seen_by_source, warp


@pytest.mark.parametrize("strict", [False, True])
def test_hidden_is_shared_and_safely_unseen(views, strict):
    a, b, source, in_a, in_b, in_source = views((12, 16))
    shared = covisible(in_a.depth, a, in_b.depth, b)
    seen = seen_by_source(in_a.depth, a, in_source.depth, source, in_a.moving, strict)
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source, in_a.moving, strict)
    assert torch.equal(match.hidden, shared & erode(~seen)) and match.hidden.any()
    assert torch.equal(match.seen, shared & erode(seen)) and match.seen.any()
    assert not (match.hidden & match.seen).any()


def test_agreement_matches_the_plain_loop(views):
    a, b, source, in_a, in_b, in_source = views((12, 16))
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source, in_a.moving)
    result = vsync(in_a.frames, in_b.frames, match)
    warped = warp(in_b.frames, in_a.depth, a, b)
    for part, chosen in ((result.all, match.seen), (result.moving, match.seen & in_a.moving)):
        total, count = 0.0, 0
        for t, y, x in chosen.nonzero().tolist():
            total += (in_a.frames[t, y, x] - warped[t, y, x]).square().mean().item()
            count += 1
        assert part.total.item() == pytest.approx(total)
        assert (part.count.item(), part.coverage.item()) == (count, count / (3 * 12 * 16))


def test_scenes_are_pooled_one_by_one_and_predictions_broadcast(views):
    a, b, source, in_a, in_b, in_source = views((12, 16))

    def twice(cameras):
        pose, intrinsics = cameras.camera_to_world, cameras.intrinsics
        return replace(
            cameras,
            camera_to_world=torch.stack([pose, pose.flip(0)]),
            intrinsics=torch.stack([intrinsics, intrinsics.flip(0)]),
        )

    def both(x):
        return torch.stack([x, x.flip(0)])

    single = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source, in_a.moving, strict=True)
    batch = match_views(
        both(in_a.depth), twice(a), both(in_b.depth), twice(b), both(in_source.depth), twice(source),
        both(in_a.moving), strict=True,
    )  # fmt: skip
    assert torch.equal(batch.hidden, both(single.hidden))
    noise = in_b.frames + 0.1 * torch.randn(in_b.frames.shape, generator=torch.Generator().manual_seed(0))
    one, other = vsync(in_a.frames, in_b.frames, single).all.psnr(), vsync(in_a.frames, noise, single).all.psnr()
    found = vsync(both(in_a.frames), torch.stack([both(in_b.frames), both(noise)]), batch, shift=1)
    assert found.all.total.shape == found.moving.count.shape == (2, 2)
    found = vsync(both(in_a.frames), torch.stack([both(in_b.frames), both(noise)]), batch).all.psnr()
    torch.testing.assert_close(found, torch.stack([one, other])[:, None].expand(2, 2))


@pytest.mark.parametrize(("size", "kept"), [((24, 32), 0.7), ((48, 48), 0.85), ((96, 128), 0.97)])
def test_masks_keep_to_the_true_visibility(views, closed_form, size, kept):
    a, b, source, in_a, in_b, in_source = views(size)
    in_view, in_sight = closed_form.visible(in_a.points, b, BALLS), closed_form.visible(in_a.points, source, BALLS)
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source, in_a.moving)
    assert not (match.hidden & in_sight).sum() > 1e-3 * match.hidden.sum()
    assert not (match.seen & ~in_sight).sum() > 1e-3 * match.seen.sum()
    assert not ((match.hidden | match.seen) & ~in_view).any()
    # Besides the rings around edges only the crease of floor and wall is lost, a line that thins out with size.
    for mask, truth in ((match.hidden, in_view & ~in_sight), (match.seen, in_view & in_sight)):
        core = erode(erode(erode(truth)))
        assert core.sum() > 50
        assert (mask & core).sum() > kept * core.sum()


def test_what_the_source_is_itself_hides_nothing(views):
    a, _, _, in_a, _, _ = views()
    match = match_views(in_a.depth, a, in_a.depth, a, in_a.depth, a)
    assert not match.hidden.any()
    assert hsync(in_a.frames, in_a.frames, match).all.psnr().isnan()


def test_truth_scores_near_the_ceiling_and_strangers_do_not(views):
    a, b, source, in_a, in_b, in_source = views((48, 64))
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source, in_a.moving)
    generator = torch.Generator().manual_seed(1)
    stranger = in_b.frames.flip(-1)
    for measure in (hsync, vsync):
        truth = measure(in_a.frames, in_b.frames, match)
        assert min(p.psnr(MINIMUM_COVERAGE).item() for p in (truth.all, truth.static, truth.moving)) > 38
        assert measure(in_a.frames, stranger, match).all.psnr() < 15
        noisy = in_b.frames + 0.1 * torch.randn(in_b.frames.shape, generator=generator)
        # Interpolation averages some of the noise away: a little above 20 dB.
        assert 20 < measure(in_a.frames, noisy, match).all.psnr() < 25


def test_parts_sum_to_the_whole(views):
    a, b, source, in_a, in_b, in_source = views()
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source, in_a.moving)
    result = vsync(in_a.frames, in_b.frames, match)
    assert result.moving.count > 20
    torch.testing.assert_close(result.static.total + result.moving.total, result.all.total)
    torch.testing.assert_close(result.static.coverage + result.moving.coverage, result.all.coverage)
    without = vsync(in_a.frames, in_b.frames, replace(match, moving=None))
    assert without.static is without.moving is None


def test_shifts_forgive_a_displaced_picture_and_nothing_else(views):
    a, b, source, in_a, in_b, in_source = views((48, 64))
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source)
    exact = vsync(in_a.frames, in_b.frames, match).all.psnr()
    displaced = in_b.frames.clone()
    displaced[:, 1:] = in_b.frames[:, :-1]
    displaced[2] = in_b.frames[2].roll(-1, dims=1)
    assert vsync(in_a.frames, displaced, match).all.psnr() < exact - 10
    assert vsync(in_a.frames, displaced, match, shift=1).all.psnr() > exact - 6
    strange = torch.rand(in_b.frames.shape, generator=torch.Generator().manual_seed(2))
    plain, tolerant = (vsync(in_a.frames, strange, match, shift=s).all.psnr() for s in (0, 1))
    assert plain <= tolerant < plain + 0.3


def test_little_coverage_is_skipped():
    mask = torch.zeros(1, 20, 20, dtype=torch.bool)
    mask[0, 3, 3] = True
    frames = torch.rand(1, 20, 20, 3, generator=torch.Generator().manual_seed(0))
    pixels = torch.stack(torch.meshgrid(torch.arange(20), torch.arange(20), indexing="xy"), dim=-1)[None] + 0.5
    match = Match(pixels, hidden=mask, seen=~mask)
    assert hsync(frames, frames, match).all.coverage.item() == pytest.approx(1 / 400)
    assert hsync(frames, frames, match).all.psnr(MINIMUM_COVERAGE).isnan()
    assert vsync(frames, frames, match).all.psnr(MINIMUM_COVERAGE) == 100


def test_float32_agrees_with_float64(views):
    a, b, source, in_a, in_b, in_source = views()
    exact = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source)
    a, b, source = (c.to(torch.float32) for c in (a, b, source))
    single = match_views(in_a.depth.float(), a, in_b.depth.float(), b, in_source.depth.float(), source)
    assert (single.hidden != exact.hidden).float().mean() < 0.002
    torch.testing.assert_close(single.pixels.double(), exact.pixels, atol=1e-3, rtol=0)


def test_bad_input_is_named(any_arrays, views):
    a, b, source, in_a, in_b, in_source = views()
    match = match_views(in_a.depth, a, in_b.depth, b, in_source.depth, source)
    with pytest.raises(ValueError, match="divide uint8"):
        hsync((in_a.frames * 255).byte(), in_b.frames, match)
    with pytest.raises(ValueError, match="view a at the size of its depth"):
        hsync(in_a.frames[:, :-1], in_b.frames, match)
