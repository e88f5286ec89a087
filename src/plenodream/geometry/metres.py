"""From what programs call depth to metres along z: scale and shift, steady in time. Ours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

# Frames over which what changes from frame to frame by chance is smoothed away (standard deviation).
STEADY = 4.0
# Fewest points of a frame that its scale and shift are solved from, and the median error from which on nothing fits.
FEWEST, MISFIT = 8, 0.35
# Correlation with the points' inverse depth from which on down near and far are taken for each other.
OPPOSITE = -0.3
# Where nothing else is known of a disparity's shift: how much farther than the subject the farthest is.
FARTHEST = 5.0
# Least share of the range of a disparity that the subject is taken to lie before the farthest.
_DEEP = 0.02


def steady_inverse(inverse: Float[Tensor, "frames height width"], shift: bool) -> Float[Tensor, "frames height width"]:
    """Inverse depth estimated frame by frame, without the jumps of its scale (and shift) from one to the next.

    Median and mean deviation of every frame are made to follow their own mean over time.

    Args:
        inverse: Any scale; 0 where nothing is known.
        shift: Whether its zero is a matter of chance too.
    """
    known = inverse > 0
    middle = torch.stack(
        [frame[mask].median() if bool(mask.any()) else frame.sum() for frame, mask in zip(inverse, known, strict=True)]
    )
    if not shift:
        factor = smooth(middle.clamp(min=1e-12).log()).exp() / middle.clamp(min=1e-12)
        return inverse * factor[:, None, None]
    centred = torch.where(known, inverse - middle[:, None, None], 0)
    spread = centred.abs().sum((1, 2)) / known.sum((1, 2)).clamp(min=1)
    spread = spread.clamp(min=1e-6 * spread.max().clamp(min=1e-12))
    steady = centred * (smooth(spread.log()).exp() / spread)[:, None, None] + smooth(middle)[:, None, None]
    return torch.where(known, steady.clamp(min=0), 0)


def smooth(values: Float[Tensor, "frames *numbers"], over: float = STEADY) -> Float[Tensor, "frames *numbers"]:
    """Gaussian mean over time, the ends repeated."""
    reach = min(int(3 * over), len(values) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=values.dtype) / over).square())
    flat = values.reshape(len(values), -1).t()[:, None]
    padded = pad(flat, (reach, reach), mode="replicate")
    found = torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])
    return found[:, 0].t().reshape(values.shape)


def metres_by_points(
    inverse: Float[Tensor, "frames height width"], points: Float[Tensor, "points 4"], shift: bool, name: str
) -> Float[Tensor, "frames height width"]:
    """Inverse depth in 1 / metres, by points whose depth is known (structure from motion).

    1 / z = a v + b (b = 0 without `shift`), solved frame by frame against outliers, a and b then smooth in time.

    Args:
        inverse: v; 0 where nothing is known.
        points: Number of the frame, x and y in 0..1 of the picture, z in metres.
        shift: Whether b is unknown too.
        name: What to call it in messages.

    Raises:
        ValueError: Too few points, points that nothing fits, or that fit what is near being far.
    """
    frames, height, width = inverse.shape
    number, x, y = points[:, 0].long(), points[:, 1], points[:, 2]
    row, column = ((v * n).long().clamp(0, n - 1) for v, n in ((y, height), (x, width)))
    v, w = inverse[number, row, column], 1 / points[:, 3]
    usable = (v > 0) & w.isfinite() & (w > 0)
    if torch.corrcoef(torch.stack([v[usable], w[usable]]))[0, 1] < OPPOSITE:
        raise ValueError(
            f"{name}: what it calls near is far by the cameras' points; expected the other kind of the two, depth and "
            "disparity"
        )
    solved, numbers = [], []
    for frame in number[usable].unique().tolist():
        mine = usable & (number == frame)
        if int(mine.sum()) >= FEWEST:
            numbers.append(frame)
            solved.append(_line(v[mine], w[mine], shift))
    if not solved:
        raise ValueError(f"{name}: no frame has {FEWEST} points of known depth; expected more: leave the points out")
    a, b = torch.stack(solved).unbind(1)
    nearest = (torch.arange(frames)[:, None] - torch.tensor(numbers)).abs().argmin(1)
    a, b = smooth(a[nearest]), smooth(b[nearest])
    found = a[number] * v + b[number]
    error = (found / w - 1).abs()[usable].median().item()
    if error > MISFIT:
        raise ValueError(
            f"{name}: differs from the cameras' points by {error:.0%} after fitting; expected depth of this clip, of "
            "the kind that was said"
        )
    return torch.where(inverse > 0, (a[:, None, None] * inverse + b[:, None, None]).clamp(min=1e-4), 0)


def metres_by_subject(
    inverse: Float[Tensor, "frames height width"], subject_distance: float, shift: bool
) -> Float[Tensor, "frames height width"]:
    """Inverse depth in 1 / metres, so that the middle of the clip's picture lies at the subject's distance.

    An unknown shift is chosen so that the farthest (first of 100) lies `FARTHEST` times as far.
    """
    height, width = inverse.shape[1:]
    middle = inverse[:, height // 3 : height - height // 3, width // 3 : width - width // 3]
    subject = middle[middle > 0].median() if bool((middle > 0).any()) else inverse[inverse > 0].median()
    if not shift:
        return inverse / (subject * subject_distance)
    known = inverse[inverse > 0][:: max(1, inverse.numel() // 10**6)]
    far, near = torch.quantile(known, torch.tensor([0.01, 0.99], dtype=known.dtype))
    if near - far <= 1e-6 * near:  # a wall
        return torch.where(inverse > 0, 1 / subject_distance, 0.0)
    # Where the middle is as far as anything, only what is nearer tells how deep the picture is.
    a = (1 - 1 / FARTHEST) / subject_distance / (subject - far).clamp(min=_DEEP * (near - far))
    found = a * (inverse - far) + 1 / (FARTHEST * subject_distance)
    return torch.where(inverse > 0, found.clamp(min=0.2 / (FARTHEST * subject_distance)), 0)


def _line(v: Tensor, w: Tensor, shift: bool) -> Tensor:
    """a and b of w = a v + b with the least sum of absolute relative errors, by weighted least squares in turn."""
    columns = torch.stack([v, torch.full_like(v, float(shift))], dim=1)
    weight = 1 / w
    line = torch.zeros(2, dtype=v.dtype)
    for _ in range(10):
        rows = columns * weight[:, None]
        line = torch.linalg.lstsq(rows.double(), (w * weight)[:, None].double(), driver="gelsd").solution[:, 0].to(v)
        error = ((columns @ line - w) / w).abs()
        weight = 1 / w / error.clamp(min=0.01).sqrt()
    return line
