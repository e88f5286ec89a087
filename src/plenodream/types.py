"""What every part of plenodream speaks: cameras along a video, and a video with its cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Cameras:
    """Pinhole cameras, one per frame (docs/conventions.md).

    Attributes:
        camera_to_world: Poses, OpenCV axes (x right, y down, z forward), metres; the last row is 0 0 0 1.
        intrinsics: fx, fy, cx, cy in pixels of an image of `height` x `width`; pixel centres lie at +0.5.
        height: Image height in pixels.
        width: Image width in pixels.
    """

    camera_to_world: Float[Tensor, "*batch 4 4"]
    intrinsics: Float[Tensor, "*batch 4"]
    height: int
    width: int

    def __post_init__(self) -> None:
        assert self.camera_to_world.shape[-2:] == (4, 4), self.camera_to_world.shape
        assert self.intrinsics.shape == (*self.camera_to_world.shape[:-2], 4), self.intrinsics.shape

    @property
    def shape(self) -> torch.Size:
        """The batch dimensions, frames last."""
        return self.camera_to_world.shape[:-2]

    def __len__(self) -> int:
        """Number of entries along the first batch dimension (frames, for the cameras of one video)."""
        return self.camera_to_world.shape[0]

    def __getitem__(self, index) -> Cameras:
        """Cameras of the chosen entries of the batch dimensions."""
        return replace(self, camera_to_world=self.camera_to_world[index], intrinsics=self.intrinsics[index])

    def to(self, *args, **kwargs) -> Cameras:
        """As `Tensor.to`, for poses and intrinsics together."""
        return replace(
            self,
            camera_to_world=self.camera_to_world.to(*args, **kwargs),
            intrinsics=self.intrinsics.to(*args, **kwargs),
        )


@dataclass(frozen=True, repr=False)
class View:
    """A video together with the camera of every frame.

    Attributes:
        frames: RGB, 0..255.
        cameras: One camera per frame, of the frames' size.
        fps: Frames per second.
        depth: Metres along the optical axis (z, not distance along the ray); 0 where not known. None where nothing
            is known of it.
    """

    frames: UInt8[Tensor, "frames height width 3"]
    cameras: Cameras
    fps: float
    depth: Float[Tensor, "frames height width"] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        assert self.frames.shape[:3] == (len(self.cameras), self.cameras.height, self.cameras.width), (
            f"{tuple(self.frames.shape)} frames for {len(self.cameras)} cameras of "
            f"{self.cameras.height}x{self.cameras.width}"
        )
        assert self.depth is None or self.depth.shape == self.frames.shape[:3], self.depth.shape

    def __len__(self) -> int:
        return self.frames.shape[0]

    def __repr__(self) -> str:
        size = f"{self.cameras.width}x{self.cameras.height} at {self.fps:g} frames/s"
        return f"{type(self).__name__}({len(self)} frames of {size}{'' if self.depth is None else ', with depth'})"

    def __getitem__(self, index: slice) -> View:
        """The view of some of its frames."""
        depth = None if self.depth is None else self.depth[index]
        return replace(self, frames=self.frames[index], cameras=self.cameras[index], depth=depth)


def join_views(parts: Sequence[View], cameras: Cameras) -> View:
    """Parts of one video, one after another, with the cameras of all frames; with depth where every part has it."""
    depths = [part.depth for part in parts if part.depth is not None]
    depth = torch.cat(depths) if len(depths) == len(parts) else None
    return View(torch.cat([part.frames for part in parts]), cameras, parts[0].fps, depth=depth)
