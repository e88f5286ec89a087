"""A generator that works small, with the detail of the stored views at full size: both together. Ours.

The small one says what a view looks like; where stored views show the same, their own pixels are carried over: forwards
by their depth (given, or what the small one sees along their own cameras), and, where that depth is the small one's,
also backwards by the target's; the mean where both know. Its own pixels stay where nothing else is known and, where the
depth is its own, where the two disagree at the size it works at (depth that was given is the better judge: measured,
the test costs 2 to 7 dB with it). For a camera that only turns or zooms, detail needs neither depth nor test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from plenodream.generators.motion import key_frames, moving_pixels, picture, same_place, steady_depth
from plenodream.generators.own_depth import own_depth, with_own_depth
from plenodream.generators.protocol import Context, Generator, Workings
from plenodream.generators.reprojection import MOMENTS, StoredView, is_filled, see, see_resting
from plenodream.geometry.blend import over
from plenodream.geometry.cameras import resize_cameras
from plenodream.geometry.splat import look_up
from plenodream.geometry.surface import Carried
from plenodream.geometry.upsample import clear_steps, upsample_depth
from plenodream.geometry.visibility import reproject
from plenodream.media.fit import stretch_frames
from plenodream.types import Cameras, View

# Mean difference of colour (0..1) at the small size: full trust up to the first, none from the second on.
AGREE, DISAGREE = 0.3, 0.5
# Mean difference of colour (0..255) from which on two pictures do not show the same: their mean would show both.
DOUBLE = 40.0
# How much farther than the stored view's own depth a point may lie to be shown by it: surely, and at all.
SHOWN, HIDDEN = 1.15, 1.2
# How much farther than the small generator's depth what is carried may lie: not at all from here on.
BEHIND = 1.35


@dataclass(frozen=True)
class DetailedView:
    """A stored view as both generators read it.

    Attributes:
        small: The small generator's context.
        stored: The view at its own size, with depth where any is known.
        predicted: Whether that depth is the small generator's.
    """

    small: Context
    stored: StoredView
    predicted: bool


@dataclass(frozen=True)
class Composite:
    """Views of a small generator with the detail of the views they were made from.

    Attributes:
        small: What makes them.
    """

    small: Generator

    @property
    def workings(self) -> Workings:
        """Those of the small one, but views are taken as they are."""
        return replace(self.small.workings, size=None)

    def fingerprint(self) -> str:
        """The small one's, and that this is more."""
        return f"composite-4-{self.small.fingerprint()}"

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> DetailedView:
        """A view for both; where it has no depth, the small one is asked for that along the view's own cameras."""
        # Depth of filled pixels alone is nothing a model has learned to read.
        small = self.small.encode(replace(view, depth=None) if is_filled(view) else view, anchor)
        predicted = view.depth is None
        if predicted:
            view = replace(view, depth=self._own_depth(view, small, anchor))
        return DetailedView(small, StoredView(view, moving_pixels(view, key_frames(len(view), MOMENTS))), predicted)

    def generate(
        self,
        targets: Sequence[Cameras],
        contexts: Sequence[DetailedView],
        anchor: Float[Tensor, "4 4"],
        known: Sequence[View | None],
        noise: torch.Generator,
        fps: float,
        on_step: Callable[[int], None] | None = None,
    ) -> list[View]:
        """See `Generator`; views have depth at the pixels that no stored view of the same moment shows."""
        small = [context.small for context in contexts]
        made = self.small.generate(targets, small, anchor, known, noise, fps, on_step)
        made = with_own_depth(self.small, made, small, anchor, known, noise)
        return [self._detailed(view, contexts, before) for view, before in zip(made, known, strict=True)]

    def _own_depth(self, view: View, small: Context, anchor: Tensor) -> Tensor | None:
        """What the small generator takes a view's depth to be, at the view's size."""
        depth = own_depth(self.small, view, small, anchor)
        if depth is None:
            return None
        depth = self._large_depth(depth, view)
        reach = self._ratio(view.cameras)
        return torch.stack([clear_steps(frame, picture(view, n), reach) for n, frame in enumerate(depth)])

    def _large_depth(self, depth: Tensor, view: View) -> Float[Tensor, "frames height width"]:
        """Depth that was made small, with the edges of the view that it is of.

        What rests is where its depth at all moments together says.
        """
        size = self.small.workings.size or depth.shape[1:]
        small = interpolate(depth[None], size=size, mode="nearest-exact")[0]
        pictures = stretch_frames(view.frames, *size)
        small = steady_depth(View(pictures, resize_cameras(view.cameras, *size), view.fps, depth=small))
        return torch.stack([upsample_depth(frame, picture(view, n)) for n, frame in enumerate(small)])

    def _detailed(self, made: View, contexts: Sequence[DetailedView], known: View | None) -> View:
        """One view, frame after frame."""
        depth = None if made.depth is None else self._large_depth(made.depth, made)
        frames, added = [], []
        for frame in range(0 if known is None else len(known), len(made)):
            own = Carried(
                picture(made, frame), torch.zeros(made.frames.shape[1:3]) if depth is None else depth[frame],
                torch.ones(made.frames.shape[1:3]),
            )  # fmt: skip
            colour, new = self._frame(own, contexts, frame, made.cameras[frame])
            frames.append(colour.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0))
            added.append(new)
        pixels, depth = torch.stack(frames), None if depth is None else torch.stack(added)
        if known is not None:
            pixels = torch.cat([known.frames, pixels])
        if known is not None and depth is not None:
            before = torch.zeros(known.frames.shape[:3]) if known.depth is None else known.depth
            depth = torch.cat([before, depth])
        return View(pixels, made.cameras, made.fps, depth=depth)

    def _frame(
        self, own: Carried, contexts: Sequence[DetailedView], frame: int, camera: Cameras
    ) -> tuple[Float[Tensor, "3 height width"], Float[Tensor, "height width"]]:
        """Colours of one frame, and the depth of what no stored view shows of it."""
        stored = [context.stored for context in contexts]
        exact = see([s for s in stored if same_place(s.view.cameras[frame], camera)], frame, camera)
        shown = see([s for s in stored if not same_place(s.view.cameras[frame], camera)], frame, camera)
        now = over(exact, shown)
        own = _scaled(own, now)
        if shown is not None:
            shown = see_resting(shown, stored, frame, camera) or shown
            for context in contexts:
                if context.predicted and not same_place(context.stored.view.cameras[frame], camera):
                    shown = _mean(shown, look_back(own, context.stored.view, frame, camera))
        detail = over(exact, shown)
        if detail is None:
            return own.colour, own.depth
        trust = (detail.weight > 0).to(own.colour)
        if any(context.predicted for context in contexts):
            trust = trust * self._agreement(detail, own, camera) * _not_behind(detail, own, self._ratio(camera))
            trust = _feathered(trust, self._ratio(camera))
        if exact is not None:
            trust = torch.where(exact.weight > 0, 1.0, trust)
        colour = torch.lerp(own.colour, detail.colour, trust)
        new = torch.ones_like(own.depth, dtype=torch.bool) if now is None else now.weight == 0
        depth = torch.where((detail.weight > 0) & (detail.depth > 0) & (trust > 0.5), detail.depth, own.depth)
        return colour, torch.where(new | (trust <= 0.5), depth, 0)

    def _ratio(self, camera: Cameras) -> int:
        """Pixels under one of the small generator's, each way."""
        height, width = self.small.workings.size or (camera.height, camera.width)
        return max(1, round(max(camera.height / height, camera.width / width)))

    def _agreement(self, detail: Carried, own: Carried, camera: Cameras) -> Float[Tensor, "height width"]:
        """How far detail and the small generator's own pixels show the same, 0 to 1, compared at its size."""
        size = self.small.workings.size or (camera.height, camera.width)
        known = (detail.weight > 0).float()
        parts = torch.cat([detail.colour * known, own.colour * known, known[None]])
        parts = interpolate(parts[None], size=size, mode="area")[0]
        difference = (parts[:3] - parts[3:6]).abs().mean(0) / parts[6].clamp(min=1e-6) / 255
        trust = ((DISAGREE - difference) / (DISAGREE - AGREE)).clamp(0, 1)
        return interpolate(trust[None, None], size=known.shape, mode="bilinear", align_corners=False)[0, 0]


def look_back(own: Carried, view: View, frame: int, camera: Cameras) -> Carried:
    """A stored view's colours at the points where a target's own depth says they are, if the view shows them."""
    known = own.depth > 0
    pixels, z = reproject(torch.where(known, own.depth, 1), camera, view.cameras[frame])
    x, y = pixels.unbind(-1)
    height, width = view.frames.shape[1:3]
    inside = known & (z > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    trust = inside.float()
    if view.depth is not None:
        row, column = (v.nan_to_num(0).floor().clamp(0, n - 1).long() for v, n in ((y, height), (x, width)))
        there = view.depth[frame][row, column]
        trust = trust * ((HIDDEN - z / there.clamp(min=1e-6)) / (HIDDEN - SHOWN)).clamp(0, 1) * (there > 0)
    return Carried(look_up(picture(view, frame), x.nan_to_num(0), y.nan_to_num(0)), own.depth, trust)


def _not_behind(detail: Carried, own: Carried, reach: int) -> Float[Tensor, "height width"]:
    """How far detail lies before or on what the small generator sees: what it sees nearer, stored views may not know.

    By the farthest that it sees within `reach` pixels, since it places its edges no better.
    """
    side = 2 * (reach // 2) + 1
    farthest = max_pool2d(own.depth[None], side, 1, side // 2)[0]
    trust = ((BEHIND - detail.depth / farthest.clamp(min=1e-6)) / (BEHIND - HIDDEN)).clamp(0, 1)
    return torch.where((own.depth > 0) & (detail.depth > 0), trust, 1)


def _mean(a: Carried, b: Carried) -> Carried:
    """Two pictures of the same: the one that knows, or the mean by how far the second is trusted, where both agree."""
    sure = (a.weight > 0).to(a.colour)
    apart = avg_pool2d((a.colour - b.colour).abs().mean(0, keepdim=True), 5, 1, 2, count_include_pad=False)[0]
    trust = b.weight * torch.where(sure > 0, ((DOUBLE - apart) / (0.5 * DOUBLE)).clamp(0, 1), 1)
    share = trust / (sure + trust).clamp(min=1e-6)
    depth = torch.where(sure > 0, a.depth, b.depth)
    return Carried(torch.lerp(a.colour, b.colour, share), depth, torch.maximum(a.weight, b.weight))


def _scaled(own: Carried, seen: Carried | None) -> Carried:
    """The small generator's depth in the scale of the stored views', frame by frame, where both are known."""
    if seen is None:
        return own
    both = (seen.weight > 0) & (seen.depth > 0) & (own.depth > 0)
    if not bool(both.any()):
        return own
    return replace(own, depth=own.depth * (seen.depth / own.depth.clamp(min=1e-6))[both].median())


def _feathered(mask: Float[Tensor, "height width"], reach: int) -> Float[Tensor, "height width"]:
    """A mask that ends softly, on its own side of the border."""
    side = 2 * (reach // 2) + 1
    blurred = avg_pool2d(mask[None], side, 1, side // 2, count_include_pad=False)[0]
    return torch.minimum(mask, (2 * blurred - 1).clamp(0, 1))
