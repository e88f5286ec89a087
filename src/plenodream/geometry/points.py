"""Points of a scene that cameras came with: what they tell of the depth of every frame. Ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.geometry.cameras import project
from plenodream.types import Cameras

# Most points of a frame, of those that nobody says which frames show.
_MOST = 2000


@dataclass(frozen=True)
class ScenePoints:
    """Points that rest.

    Attributes:
        places: In the world of the cameras.
        seen: Number of a frame and of a point that it shows, in rows; None where that is not known.
    """

    places: Float[Tensor, "points 3"]
    seen: Int[Tensor, "observations 2"] | None = None

    def __len__(self) -> int:
        return len(self.places)


def depth_of_points(points: ScenePoints, cameras: Cameras) -> Float[Tensor, "observations 4"]:
    """Where frames show points, and how deep: number of the frame, x and y in 0..1 of its picture, z.

    Points that are not said to be seen by any frame in particular are taken to be seen by all whose picture they fall
    into, also where something stands before them: whoever uses them has to bear outliers.

    Args:
        points: In the cameras' world.
        cameras: Batch shape (frames,).
    """
    if points.seen is None:
        some = torch.linspace(0, len(points) - 1, min(len(points), _MOST)).round().long()
        pairs = torch.cartesian_prod(torch.arange(len(cameras)), some)
    else:
        pairs = points.seen[(points.seen[:, 0] >= 0) & (points.seen[:, 0] < len(cameras))]
    frame, point = pairs.unbind(1)
    pixels, z = project(points.places[point].to(cameras.camera_to_world)[:, None], cameras[frame])
    share = pixels[:, 0] / torch.tensor([cameras.width, cameras.height]).to(pixels)
    inside = (z[:, 0] > 0) & (share >= 0).all(-1) & (share < 1).all(-1)
    return torch.cat([frame[:, None].to(share), share, z], dim=1)[inside]
