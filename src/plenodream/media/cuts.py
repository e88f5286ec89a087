"""Where a clip jumps to another shot. Ours."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

_GRID = 24  # blocks along a side that frames are compared by
_SHIFT = 3  # blocks that a pan may move the picture by between two frames
_LEAST = 0.06  # of full contrast: below this no change of shot is seen
_TIMES = 2.0  # as large a change as those around it
_AROUND = 6  # frames to either side
_AT_ONCE = 64  # frames averaged at a time


def find_cuts(frames: UInt8[Tensor, "frames height width 3"]) -> list[int]:
    """First frame of every shot but the first.

    A cut is a change between two frames that is large, several times larger than any of the changes around it, and
    lasts: a flash, which is over after a frame or two, is none. Dissolves and fades are not found, nor cuts between
    whip pans.
    """
    if len(frames) < 3:
        return []
    small = torch.cat([_blocks(part) for part in frames.split(_AT_ONCE)])
    change = _difference(small[1:], small[:-1])
    cuts = []
    for index in (change > _LEAST).nonzero()[:, 0].tolist():
        others = torch.cat([change[max(0, index - _AROUND) : index], change[index + 1 : index + 1 + _AROUND]])
        typical = others.topk(min(2, len(others))).values[-1].item()  # one of them may be the next cut
        if change[index] > _TIMES * typical and _lasts(small, index + 1, change[index].item()):
            cuts.append(index + 1)
    return cuts


def cut_note(cuts: list[int]) -> str:
    """What to say of a clip's cuts, of which there are some, in one line."""
    some = ", ".join(map(str, cuts[:8])) + (" ..." if len(cuts) > 8 else "")
    shots = len(cuts) + 1
    return f"{shots} shots: cut{'s' * (len(cuts) > 1)} at frame {some}; cameras hold within a shot: take one at a time"


def _blocks(frames: UInt8[Tensor, "frames height width 3"]) -> Float[Tensor, "frames 3 rows columns"]:
    """Mean colours of the blocks, 0..1."""
    step = max(1, min(frames.shape[1:3]) // (4 * _GRID))  # a few pixels of each block tell its mean well enough
    pixels = frames[:, ::step, ::step].cpu().permute(0, 3, 1, 2).float() / 255
    return adaptive_avg_pool2d(pixels, _GRID)


def _difference(
    a: Float[Tensor, "frames 3 rows columns"], b: Float[Tensor, "frames 3 rows columns"]
) -> Float[Tensor, "frames"]:
    """Mean difference of pictures where one lies best upon the other."""
    shifts = range(-_SHIFT, _SHIFT + 1)
    return torch.stack([_shifted(a, b, x, y) for x in shifts for y in shifts]).amin(0)


def _shifted(a: Tensor, b: Tensor, x: int, y: int) -> Float[Tensor, "frames"]:
    def part(picture: Tensor, x: int, y: int) -> Tensor:
        rows, columns = (slice(max(0, by), _GRID + min(0, by)) for by in (y, x))
        return picture[..., rows, columns]

    return (part(a, x, y) - part(b, -x, -y)).abs().mean((-3, -2, -1))


def _lasts(small: Float[Tensor, "frames 3 rows columns"], cut: int, change: float) -> bool:
    """Whether the frames after a change stay unlike those before it."""
    before, after = small[max(0, cut - 3) : cut], small[cut : cut + 3]
    pairs = [(a, b) for a in before for b in after]
    differences = _difference(torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs]))
    return differences.min().item() > 0.5 * change
