"""The diffusion model as a generator: views through its codec, sampled from the context they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.generators.protocol import Workings
from plenodream.geometry.cameras import resize_cameras, scale_cameras, scale_poses, stack_cameras
from plenodream.media.fit import stretch_depth, stretch_frames
from plenodream.models.codecs.depth import depth_to_signal, signal_to_depth
from plenodream.models.codecs.protocol import to_frames, to_signal
from plenodream.models.context import Context
from plenodream.sampling.sampler import Sampler
from plenodream.types import Cameras, View


@dataclass(frozen=True)
class DiffusionGenerator:
    """A denoiser with its codec and scheduler behind the face of every generator.

    Views of another size than it works at are stretched to that, their cameras with them, and what it makes is
    stretched back: nothing is cropped, the rays say what each pixel looks at.

    Attributes:
        sampler: What samples.
        workings: What it works at; a size of None takes views as they are.
        device: Where its networks are.
        identity: Gives the hash of its networks, which takes a while.
        unit: Factor from lengths of the scene to those that the networks are told.
    """

    sampler: Sampler
    workings: Workings
    device: torch.device
    identity: Callable[[], str]
    unit: float = 1.0

    def encode(self, view: View, anchor: Float[Tensor, "4 4"]) -> Context:
        """See `Generator`."""
        return self.sampler.encode(self._signal(view)[None], self._told(view.cameras)[None], self._pose(anchor))

    def generate(
        self,
        targets: Sequence[Cameras],
        contexts: Sequence[Context],
        anchor: Float[Tensor, "4 4"],
        known: Sequence[View | None],
        noise: torch.Generator,
        fps: float,
        on_step: Callable[[int], None] | None = None,
    ) -> list[View]:
        """See `Generator`."""
        given = [view for view in known if view is not None]
        assert len(given) in (0, len(targets)), "some targets have an overlap, some have none"
        cameras = stack_cameras([self._told(target) for target in targets])
        start = torch.stack([self.sampler.noise(view, noise) for view in cameras]).to(self.device)
        signal = self.sampler.sample(
            Context.stack(contexts),
            cameras,
            self._pose(anchor),
            start,
            torch.stack([self._signal(view) for view in given]) if given else None,
            on_step,
            together=len(targets) if self.workings.targets > 1 else 1,
        )
        if not bool(signal.isfinite().all()):
            raise ValueError(
                "the model gave NaN or infinite numbers; expected finite ones: check its weights, "
                "the cameras (far off?) and the guidance"
            )
        return [self._view(*parts, fps) for parts in zip(signal, targets, known, strict=True)]

    def fingerprint(self) -> str:
        """See `Generator`."""
        return self.identity()

    def in_steps(self, steps: int) -> Self:
        """The same in so many steps."""
        sampler = replace(self.sampler, config=replace(self.sampler.config, steps=steps))
        return replace(self, sampler=sampler, workings=replace(self.workings, steps=steps))

    def _signal(self, view: View) -> Tensor:
        """A view as the codec takes it, at the size it works at; with depth where both have it."""
        size = self.workings.size or view.frames.shape[1:3]
        signal = to_signal(stretch_frames(view.frames, *size))
        if view.depth is not None and self.sampler.codec.depth_channels:
            depth = self.unit * stretch_depth(view.depth, *size)
            signal = torch.cat([signal, depth_to_signal(depth)[None]])
        return signal.to(self.device)

    def _told(self, cameras: Cameras) -> Cameras:
        """Cameras at the size and in the unit of the networks."""
        fitted = cameras if self.workings.size is None else resize_cameras(cameras, *self.workings.size)
        return scale_cameras(fitted, self.unit)

    def _pose(self, anchor: Tensor) -> Tensor:
        return anchor if self.unit == 1 else scale_poses(anchor, self.unit)

    def _view(self, signal: Tensor, cameras: Cameras, known: View | None, fps: float) -> View:
        """What was sampled at the size of its cameras; what was known is kept to the byte."""
        size, depth = (cameras.height, cameras.width), None
        frames = stretch_frames(to_frames(signal[:3]).cpu(), *size)
        if len(signal) > 3:
            depth = stretch_depth(signal_to_depth(signal[3]).cpu(), *size) / self.unit
        if known is not None:
            frames[: len(known)] = known.frames
            if depth is not None and known.depth is not None:
                depth[: len(known)] = known.depth
        return View(frames, cameras, fps, depth=depth)
