"""Do two generated views agree? Exact where true depth and cameras are known: no learned matcher, no texture needed.

View a's pixel p at depth D_a(p) lands at q in view b. It is shared where b shows the same point, hidden where the
source does not. HSync compares the two videos on hidden pixels, VSync on those the source saw; what is shown is decided
in `geometry.visibility`. "Not seen" is eroded as "shared" is: the ring of pixels between seen and hidden belongs to
neither. Shapes are as there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.evaluation.metrics.fidelity import SquaredError, pool
from plenodream.geometry.visibility import covisible, erode, lookup, reproject, seen_by_source
from plenodream.types import Cameras


@dataclass(frozen=True)
class Match:
    """Where the pixels of view a lie in view b, and which of them to compare: a property of the true scene alone.

    Attributes:
        pixels: (x, y) in b's image of the point behind every pixel of a.
        hidden: Pixels of a that b shows and the source does not.
        seen: Pixels of a that b shows and the source does too.
        moving: Pixels of a that show something that moves; None if not known.
    """

    pixels: Float[Tensor, "*scenes frames height width 2"]
    hidden: Bool[Tensor, "*scenes frames height width"]
    seen: Bool[Tensor, "*scenes frames height width"]
    moving: Bool[Tensor, "*scenes frames height width"] | None = None


@dataclass(frozen=True)
class Agreement:
    """Squared error between two views over matched pixels, per scene: `.all.psnr(MINIMUM_COVERAGE)` is the score.

    Attributes:
        all: Over all compared pixels; its `coverage` is their share of the video.
        static: Over those that do not move; None without a motion mask.
        moving: Over those that move; None without a motion mask.
    """

    all: SquaredError
    static: SquaredError | None
    moving: SquaredError | None


def match_views(
    depth_a: Float[Tensor, "*#scenes frames height width"],
    cameras_a: Cameras,
    depth_b: Float[Tensor, "*#scenes frames height_b width_b"],
    cameras_b: Cameras,
    source_depth: Float[Tensor, "*#scenes frames height_s width_s"],
    source_cameras: Cameras,
    moving_a: Bool[Tensor, "*scenes frames height width"] | None = None,
    strict: bool = False,
) -> Match:
    """What of view a can be compared with view b, and whether the source showed it; serves any number of videos.

    Arguments and errors as for `covisible` and `seen_by_source`.
    """
    seen = seen_by_source(depth_a, cameras_a, source_depth, source_cameras, moving_a, strict)
    return match_seen(depth_a, cameras_a, depth_b, cameras_b, seen, moving_a)


def match_seen(
    depth_a: Float[Tensor, "*#scenes frames height width"],
    cameras_a: Cameras,
    depth_b: Float[Tensor, "*#scenes frames height_b width_b"],
    cameras_b: Cameras,
    seen_a: Bool[Tensor, "*scenes frames height width"],
    moving_a: Bool[Tensor, "*scenes frames height width"] | None = None,
) -> Match:
    """As `match_views`, where it is known already which pixels of a the source sees."""
    shared = covisible(depth_a, cameras_a, depth_b, cameras_b)
    pixels = reproject(depth_a, cameras_a, cameras_b)[0]
    return Match(pixels, hidden=shared & erode(~seen_a), seen=shared & erode(seen_a), moving=moving_a)


def hsync(
    frames_a: Float[Tensor, "*#scenes frames height width 3"],
    frames_b: Float[Tensor, "*#scenes frames height_b width_b 3"],
    match: Match,
    shift: int = 0,
) -> Agreement:
    """Agreement of two videos on the pixels both show and the source does not: only a shared memory can provide it.

    Args:
        frames_a: Video along a's cameras, 0..1.
        frames_b: Video along b's cameras.
        match: From `match_views`.
        shift: Tolerant variant: every frame may be moved by up to so many whole pixels of b, whichever fits best. One
            shift for all pixels of a frame (ours): a shift for each pixel would reward noise.
    """
    return sync(frames_a, frames_b, match, shift)[0]


def vsync(
    frames_a: Float[Tensor, "*#scenes frames height width 3"],
    frames_b: Float[Tensor, "*#scenes frames height_b width_b 3"],
    match: Match,
    shift: int = 0,
) -> Agreement:
    """Agreement of two videos on the pixels both show and the source showed too; arguments as for `hsync`."""
    return sync(frames_a, frames_b, match, shift)[1]


def sync(
    frames_a: Float[Tensor, "*#scenes frames height width 3"],
    frames_b: Float[Tensor, "*#scenes frames height_b width_b 3"],
    match: Match,
    shift: int = 0,
) -> tuple[Agreement, Agreement]:
    """`hsync` and `vsync`, for which b is looked up once."""
    errors = _errors(frames_a, frames_b, match, shift)
    return _agreement(errors, match.hidden, match.moving), _agreement(errors, match.seen, match.moving)


def _errors(
    frames_a: Tensor, frames_b: Tensor, match: Match, shift: int
) -> Float[Tensor, "moves *scenes frames height width"]:
    if not (frames_a.is_floating_point() and frames_b.is_floating_point()):
        raise ValueError(
            f"frames of type {frames_a.dtype} and {frames_b.dtype}: expected floats 0..1; divide uint8 frames by 255"
        )
    if frames_a.shape[-4:-1] != match.hidden.shape[-3:]:
        raise ValueError(
            f"frames of shape {tuple(frames_a.shape)} for masks of shape {tuple(match.hidden.shape)}: expected the "
            "frames of view a at the size of its depth"
        )
    steps = range(-shift, shift + 1)
    moves = [match.pixels.new_tensor([x, y]) for y in steps for x in steps]
    return torch.stack(
        [(frames_a - lookup(frames_b, match.pixels + move)).double().square().mean(dim=-1) for move in moves]
    )


def _agreement(errors: Tensor, mask: Tensor, moving: Tensor | None) -> Agreement:
    def best(chosen: Tensor) -> SquaredError:
        # Frame by frame, hence the extra dimension: `pool` sums over the last three.
        each = pool(errors[..., None, :, :], chosen[..., None, :, :])
        return SquaredError(each.total.amin(0).sum(-1), each.count[0].sum(-1), errors.shape[-3:].numel())

    if moving is None:
        return Agreement(best(mask), None, None)
    return Agreement(best(mask), best(mask & ~moving), best(mask & moving))
