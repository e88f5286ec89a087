"""Which pixels of a video show something that moves, found from what the same video shows at other times. Ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from plenodream.geometry.cameras import resize_cameras
from plenodream.geometry.splat import carry, turn
from plenodream.geometry.surface import Carried, surface
from plenodream.media.fit import stretch_depth
from plenodream.types import Cameras, View

# Cameras whose centres are this near (metres) share one.
SAME_PLACE = 1e-4
# Motion is looked for in pictures whose shorter side has about this many pixels.
_SIDE = 96
# Mean difference of colour (0..255, over 3x3 small pixels) from which on a pixel does not show the same thing.
_DIFFERENCE = 16.0
# Share by which the inverse depth of a point may differ from moment to moment where it is estimated.
_SAME = 0.15
# Moments that this is looked at.
_LOOKS = 9
# Mean difference of colour (0..255, at 16x16 pixels) of frames on both sides of a cut.
_CUT = 30.0


def same_place(a: Cameras, b: Cameras) -> bool:
    """Whether two cameras (batch shape ()) differ in nothing but direction and lens."""
    return bool((a.camera_to_world[:3, 3] - b.camera_to_world[:3, 3]).norm() < SAME_PLACE)


def carry_frame(view: View, frame: int, target: Cameras, keep: Bool[Tensor, "height width"] | None) -> Carried | None:
    """One frame of a view as a target camera sees it; None where that takes depth and the view has none."""
    colour, camera = picture(view, frame), view.cameras[frame]
    depth = None if view.depth is None else view.depth[frame]
    if same_place(camera, target):
        return turn(colour, depth, camera, target, keep)
    return None if depth is None else carry(surface(colour, depth, camera, keep), target)


def picture(view: View, frame: int) -> Float[Tensor, "3 height width"]:
    """A frame's colours, 0..255, channels first."""
    return view.frames[frame].permute(2, 0, 1).float()


def is_cut(view: View, frame: int) -> bool:
    """Whether a frame is of another shot than the one before it: next to nothing of it is where it was."""
    before, now = (interpolate(picture(view, n)[None], size=(16, 16), mode="area") for n in (max(frame - 1, 0), frame))
    return (before - now).abs().mean().item() > _CUT


def key_frames(frames: int, most: int) -> list[int]:
    """Moments spread over a video."""
    count = min(frames, most)
    return [round((i + 0.5) * frames / count - 0.5) for i in range(count)]


def moving_pixels(view: View, moments: Sequence[int]) -> Bool[Tensor, "frames height width"]:
    """Pixels that differ from what is seen at the same place at most of the other moments.

    Looked for at a small size, and grown by one pixel of it. What no other moment sees counts as still.
    """
    small = _shrink(view)
    found = [_moving(small, frame, moments) for frame in range(len(view))]
    masks = interpolate(torch.stack(found)[:, None].float(), size=view.frames.shape[1:3], mode="nearest-exact")
    return masks[:, 0] > 0


def steady_depth(view: View) -> Float[Tensor, "frames height width"]:
    """Depth of a view whose resting points are where they are at all moments together: errors by chance cancel.

    The mean of 1 / depth over the moments at which a resting point is seen where its own moment nearly says it is.

    Args:
        view: With depth that was estimated; small, since every frame is carried to every other.
    """
    assert view.depth is not None
    moments = key_frames(len(view), _LOOKS)
    moving = moving_pixels(view, moments)
    made = torch.empty_like(view.depth)
    for frame in range(len(view)):
        own = view.depth[frame]
        total, weight = torch.where(own > 0, 1 / own.clamp(min=1e-6), 0), torch.ones_like(own)
        first = total
        for moment in (m for m in moments if m != frame):
            there = carry_frame(view, moment, view.cameras[frame], ~moving[moment])
            assert there is not None
            inverse = torch.where(there.depth > 0, 1 / there.depth.clamp(min=1e-6), 0)
            near = (there.weight > 0) & (own > 0) & ((inverse - first).abs() < _SAME * first) & ~moving[frame]
            total, weight = total + near * inverse, weight + near
        made[frame] = torch.where(own > 0, weight / total.clamp(min=1e-6), 0)
    return made


def _moving(view: View, frame: int, moments: Sequence[int]) -> Tensor:
    own = picture(view, frame)
    differs, seen = torch.zeros_like(own[0]), torch.zeros_like(own[0])
    for other in _others(view, frame, moments):
        residual = avg_pool2d((own - other.colour).abs().mean(0, keepdim=True), 3, 1, 1, count_include_pad=False)[0]
        visible = (other.weight > 0).float()
        seen += visible
        differs += visible * (residual > _DIFFERENCE)
    return max_pool2d((2 * differs > seen).float()[None], 3, 1, 1)[0] > 0


def _others(view: View, frame: int, moments: Sequence[int]) -> Iterator[Carried]:
    for moment in moments:
        if moment != frame and (carried := carry_frame(view, moment, view.cameras[frame], None)) is not None:
            yield carried


def _shrink(view: View) -> View:
    height, width = view.frames.shape[1:3]
    scale = max(1, min(height, width) / _SIDE)
    size = (max(1, round(height / scale)), max(1, round(width / scale)))
    frames = [interpolate(picture(view, n)[None], size=size, mode="area")[0] for n in range(len(view))]
    depth = None if view.depth is None else stretch_depth(view.depth, *size)
    pixels = torch.stack(frames).round().to(torch.uint8).permute(0, 2, 3, 1)
    return View(pixels, resize_cameras(view.cameras, *size), view.fps, depth=depth)
