"""The point cloud as a generator: stored views carried to new cameras by their depth, holes filled and kept. Ours.

Without a network, at any size: the baseline that a model must beat, and the detail that a model cannot give. A view
that it makes has depth where, and only where, it was filled: the scene's views together are the cloud, in which
everything is once. A scene stores that, so that later views read it and agree by construction. With `update=False` it
reads one view alone, the source, and what it makes is never read: TrajectoryCrafter's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.generators.motion import carry_frame, is_cut, key_frames, moving_pixels, same_place
from plenodream.generators.protocol import Workings
from plenodream.geometry.blend import blend, fill_holes, over
from plenodream.geometry.surface import Carried
from plenodream.types import Cameras, View

# Other moments of the context views that still things may be taken from; how many of them one frame looks at, and
# the share of missing pixels from which on it does.
MOMENTS, LOOKS, MISSING = 4, 6, 0.002


@dataclass(frozen=True)
class StoredView:
    """A view as the point cloud reads it.

    Attributes:
        view: As stored.
        moving: Pixels that only their own moment may show.
    """

    view: View
    moving: Bool[Tensor, "frames height width"]


class Reprojection:
    """Views of a scene from its point cloud.

    Args:
        update: Whether what it makes is part of the cloud for later views.
        most: Context views that are read for one view.
    """

    def __init__(self, update: bool = True, most: int = 6) -> None:
        self.update, self.most = update, most if update else 1

    @property
    def workings(self) -> Workings:
        """Any size, any number of frames."""
        return Workings(size=None, frames=None, most=self.most, steps=0)

    def fingerprint(self) -> str:
        """Its name and how it is set."""
        return f"reprojection-2{'' if self.update else '-source-only'}"

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> StoredView:
        """A view and what moves in it."""
        return StoredView(view, moving_pixels(view, key_frames(len(view), MOMENTS)))

    def generate(
        self,
        targets: Sequence[Cameras],
        contexts: Sequence[StoredView],
        anchor: Float[Tensor, "4 4"],
        known: Sequence[View | None],
        noise: torch.Generator,
        fps: float,
        on_step: Callable[[int], None] | None = None,
    ) -> list[View]:
        """See `Generator`; views have depth at the pixels that they add to the cloud.

        Raises:
            ValueError: A camera that does not share the place of any view at its time, and no view with depth.
        """
        contexts = contexts[: self.most]
        return [self._view(target, contexts, before, fps) for target, before in zip(targets, known, strict=True)]

    def _view(self, target: Cameras, contexts: Sequence[StoredView], known: View | None, fps: float) -> View:
        """One view, frame after frame: memory is that of one frame beside the result."""
        made: list[View] = [] if known is None else [known]
        added = None
        for frame in range(0 if known is None else len(known), len(target)):
            seen = see(contexts, frame, target[frame])
            before, added = added, unseen(seen)
            seen = see_resting(seen, contexts, frame, target[frame])
            if before is not None and not is_cut(contexts[0].view, frame):
                seen = over(seen, carry_frame(made[-1], 0, target[frame], before))
            if seen is None:
                raise ValueError(_nothing(contexts, frame, target[frame]))
            made.append(_complete(seen, added, target[frame : frame + 1], fps))
        depth = None
        if self.update and all(view.depth is not None for view in made):
            depth = torch.cat([view.depth for view in made if view.depth is not None])
        return View(torch.cat([view.frames for view in made]), target, fps, depth=depth)


def see(contexts: Sequence[StoredView], frame: int, target: Cameras) -> Carried | None:
    """What stored views show of a target camera (batch shape ()) at one moment; None where that takes depth.

    First what a view at the same place shows, which needs none; then the others with depth; last what was filled in
    them, so that it never stands before what a view really shows.
    """
    views = [stored.view for stored in contexts]
    here = [view for view in views if same_place(view.cameras[frame], target)]
    here.sort(key=lambda view: _turned(view.cameras[frame], target))
    seen = None
    for view in here:
        seen = over(seen, carry_frame(view, frame, target, None))
    others = [view for view in views if not same_place(view.cameras[frame], target)]
    for filled in (False, True):
        if _missing(seen):
            seen = over(seen, blend(_carried([v for v in others if is_filled(v) is filled], frame, target)))
    return seen


def see_resting(seen: Carried | None, contexts: Sequence[StoredView], frame: int, target: Cameras) -> Carried | None:
    """`seen`, and where it shows nothing what rests at other moments; few of them are looked at, and only if needed."""
    moments = key_frames(len(contexts[0].view), MOMENTS)
    for moment, stored in islice(((m, c) for m, c in product(moments, contexts) if m != frame), LOOKS):
        if _missing(seen):
            seen = over(seen, carry_frame(stored.view, moment, target, ~stored.moving[moment]))
    return seen


def unseen(seen: Carried | None) -> Tensor | None:
    """Pixels that are not known; None if none is."""
    return None if seen is None else seen.weight == 0


def _carried(views: Iterable[View], frame: int, target: Cameras) -> Iterator[Carried]:
    for view in views:
        if (carried := carry_frame(view, frame, target, None)) is not None:
            yield carried


def _complete(seen: Carried, added: Tensor | None, camera: Cameras, fps: float) -> View:
    """A view of one frame, its holes filled; with depth at the pixels that it adds to the cloud, 0 elsewhere."""
    colour, depth = fill_holes(seen.colour, seen.depth, seen.weight > 0)
    pixels = colour.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    known = bool((depth > 0).any())
    depth = depth if added is None else torch.where(added, depth, 0)
    return View(pixels[None], camera, fps, depth=depth[None] if known else None)


def _nothing(contexts: Sequence[StoredView], frame: int, target: Cameras) -> str:
    """Why nothing can be seen."""
    centres = torch.stack([stored.view.cameras.camera_to_world[frame, :3, 3] for stored in contexts])
    gap = (centres - target.camera_to_world[:3, 3]).norm(dim=-1).min()
    return (
        f"frame {frame}: the camera stands {gap:.2g} m from every view, and none of them has depth; expected depth "
        "(--depth), or a camera that only turns or zooms"
    )


def is_filled(view: View) -> bool:
    """Whether a view's depth is that of filled pixels alone."""
    return view.depth is not None and (view.depth > 0).float().mean().item() < 0.5


def _missing(seen: Carried | None) -> bool:
    return seen is None or (seen.weight == 0).float().mean().item() > MISSING


def _turned(a: Cameras, b: Cameras) -> float:
    """How far apart two cameras of one place are: the difference of their rotations and lenses."""
    rotation = (a.camera_to_world[:3, :3] - b.camera_to_world[:3, :3]).norm().item()
    return rotation + (a.intrinsics[:2] / a.width).sub(b.intrinsics[:2] / b.width).abs().sum().item()
