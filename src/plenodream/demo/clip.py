"""The clip in the package: one of our own rendered scenes, with the true videos of the demo's trajectories. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.geometry.formats import save_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.geometry.visibility import seen_by_source
from plenodream.media.fit import fit_frames
from plenodream.media.preview import write_preview
from plenodream.media.video import read_video
from plenodream.types import Cameras
from plenodream.worlds.family import MILD
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds, world_generator

TRAJECTORIES = ("arc-left", "arc-right:angle=40", "zoom-out", "tilt-up")
WORLD = 7
SIZE, FRAMES, FPS, FOV = 288, 9, 6.0, 60.0


def clip_folder() -> Path:
    """Where the clip lies: source.mp4, cameras.json, truth/NAME.mp4, seen.npz."""
    return Path(str(files("plenodream"))) / "bundled" / "clip"


@dataclass(frozen=True)
class TrueView:
    """How a view of the bundled clip should look, at a model's size.

    Attributes:
        video: File of the true video.
        frames: The same, decoded and fitted.
        seen: Pixels that the source sees at the same time, whole.
    """

    video: Path
    frames: UInt8[Tensor, "frames height width 3"]
    seen: Bool[Tensor, "frames height width"]


def true_view(name: str, height: int, width: int) -> TrueView | None:
    """The truth of one of the demo's trajectories, by the view's name; None for any other."""
    video = clip_folder() / "truth" / f"{name}.mp4"
    if not video.is_file():
        return None
    frames, _ = fit_frames(read_video(video).frames, height, width)
    with np.load(clip_folder() / "seen.npz") as masks:
        seen = torch.from_numpy(np.unpackbits(masks[name], axis=-1).astype(bool))
    white = seen[..., None].expand(*seen.shape, 3).byte() * 255
    return TrueView(video, frames, fit_frames(white, height, width)[0][..., 0] >= 250)


def make_clip(folder: Path, world: int, trajectories: Sequence[str] = TRAJECTORIES, supersample: int = 3) -> None:
    """Render the clip anew from a benchmark world, which no training run can draw.

    Args:
        folder: Where to write.
        world: Number of the world.
        trajectories: Those to render the truth of.
        supersample: Rays per pixel along both axes.
    """
    generator = world_generator("benchmark", world)
    worlds = sample_worlds(MILD, 1, generator)
    intrinsics = intrinsics_from_fov(FOV, SIZE, SIZE)
    source = Cameras(torch.eye(4).repeat(FRAMES, 1, 1), intrinsics.repeat(FRAMES, 1), SIZE, SIZE)
    times = torch.linspace(0, 1, FRAMES)
    (folder / "truth").mkdir(parents=True, exist_ok=True)

    def shoot(cameras: Cameras) -> tuple[Tensor, Tensor]:
        seen = render(worlds, cameras[None, None], times, supersample)
        return (seen.rgb[0, 0] * 255).round().byte(), seen.depth[0, 0]

    frames, source_depth = shoot(source)
    write_preview(folder / "source.mp4", frames, FPS)
    save_cameras(folder / "cameras.json", source, FPS)
    masks = {}
    for trajectory in parse_trajectories(trajectories):
        cameras = trajectory_cameras(trajectory, source)
        frames, depth = shoot(cameras)
        write_preview(folder / "truth" / f"{trajectory.name}.mp4", frames, FPS)
        seen = seen_by_source(depth, cameras, source_depth, source)
        masks[trajectory.name] = np.packbits(seen.numpy(), axis=-1)
    np.savez_compressed(folder / "seen.npz", **masks)
