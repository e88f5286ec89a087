"""A multi-camera data set on disk from procedural scenes: MultiCamVideo's layout plus exact cameras and depth. Ours.

<folder>/synth.json                                     what the scenes are; the same command goes on where it stopped
<folder>/<split>/f<millimetres>_pinhole/scene00000/     an episode (data/episode.py)

As in MultiCamVideo the folder above a scene says the focal length on a film 23.76 mm wide: here that of the source
camera's first frame, rounded. Lenses differ between views and zoom; the exact intrinsics lie beside every video.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plenodream.data.episode import write_episode
from plenodream.data.multicamvideo import SENSOR_WIDTH
from plenodream.files.atomic import write_file
from plenodream.files.documents import read_document
from plenodream.files.folders import tidy
from plenodream.media.rate import exact_rate
from plenodream.types import Cameras, View
from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import scene_family
from plenodream.worlds.raycast import render
from plenodream.worlds.textures import load_textures, textures_fingerprint
from plenodream.worlds.world import Worlds, sample_worlds, world_generator

_MANIFEST = "synth.json"
_SEEDS = 1_000_003  # scenes of one seed


def synthesize(
    folder: str | Path,
    family: str = "mild",
    scenes: int = 200,
    views: int = 10,
    frames: int = 33,
    height: int = 96,
    width: int = 96,
    seed: int = 0,
    first: int = 0,
    split: str = "train",
    fps: float = 15.0,
    device: torch.device | str = "cpu",
    textures: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write scenes `first` to `first + scenes - 1`; those that are there already, whole, stay as they are.

    Scene n is a function of the seed, n, and the options but `scenes` and `first`: more scenes can join later, and
    several processes can write parts of one data set. The event takes the whole clip, however many frames it has.

    Args:
        folder: Where the data set is or is to be.
        family: `mild` or `full`.
        scenes: How many.
        views: Cameras of a scene; `cam01` is the source, whose first frame is the world's origin.
        frames: Frames of every video.
        height: Pixels.
        width: Pixels.
        seed: Of the data set; data sets of different seeds or splits share no scene.
        first: Number of the first scene.
        split: `train`, `validation` or `benchmark`.
        fps: Frames per second of the videos.
        device: Where to render.
        textures: Folder of images that a share of the surfaces shows.
        progress: Called with the number of scenes done so far, old ones included.

    Returns:
        The scenes' folders, in order.

    Raises:
        ValueError: Options that make no data set, no images, or others than those of the data set there, or a disk that
            is full or read-only (the finished scenes stay).
    """
    variety = scene_family(family)
    for name, value, least in (
        ("scenes", scenes, 1), ("views", views, 2), ("frames", frames, 1), ("height", height, 8), ("width", width, 8),
        ("seed", seed, 0), ("first", first, 0),
    ):  # fmt: skip
        if value < least:
            raise ValueError(f"{name}={value}: expected at least {least}")
    if first + scenes > _SEEDS:
        raise ValueError(f"scenes up to number {first + scenes - 1}: expected below {_SEEDS}; take another seed")
    world_generator(split, seed * _SEEDS + first + scenes - 1)
    exact_rate(fps)
    images = None if textures is None else load_textures(textures).to(device)
    folder = Path(folder)
    options = {
        "family": family, "views": views, "frames": frames, "height": height, "width": width, "seed": seed,
        "split": split, "fps": fps, "textures": None if images is None else textures_fingerprint(images),
    }  # fmt: skip
    paths: list[Path] = []
    try:
        _check_options(folder, options)
        for number in range(first, first + scenes):
            generator = world_generator(split, seed * _SEEDS + number)
            worlds = sample_worlds(variety, 1, generator, device, images)
            cameras = sample_cameras(variety, 1, views, frames, height, width, generator, device)
            focal = round(cameras.intrinsics[0, 0, 0, 0].item() / width * SENSOR_WIDTH)
            path = folder / split / f"f{focal}_pinhole" / f"scene{number:05d}"
            if not path.exists():
                tidy(path.parent, folders=[path.name])
                film = _film(worlds, cameras, fps)
                _write_options(folder, options)  # now that there is something to say it of
                path.parent.mkdir(parents=True, exist_ok=True)
                write_episode(path, *film)
            paths.append(path)
            if progress is not None:
                progress(len(paths))
    except OSError as error:
        raise ValueError(
            f"{folder}: cannot write ({error.strerror or error}), {len(paths)} of {scenes} scenes are there; make room "
            "or check the path, and give the same command again: it goes on from there"
        ) from error
    return paths


def _film(worlds: Worlds, cameras: Cameras, fps: float) -> tuple[dict[str, View], dict[str, Tensor]]:
    """Every view of one world and its depth, by name; one view is rendered at a time, so that long clips fit."""
    views, depth = {}, {}
    times = torch.linspace(0, 1, cameras.shape[2], device=cameras.camera_to_world.device)
    for index in range(cameras.shape[1]):
        rendered, name = render(worlds, cameras[:, index : index + 1], times), f"cam{index + 1:02d}"
        pixels = (rendered.rgb[0, 0] * 255).round().clamp(0, 255).to(torch.uint8)
        views[name] = View(pixels.cpu(), cameras[0, index].to("cpu"), fps)
        depth[name] = rendered.depth[0, 0].cpu()
    return views, depth


def _check_options(folder: Path, options: dict) -> None:
    """Compare the data set's options with those that are there, if any."""
    path = folder / _MANIFEST
    if path.exists():
        found = read_document(path, dict[str, Any], "expected the options of this data set: remove the file")
        if changed := [name for name in options if found.get(name) != options[name]]:
            name = changed[0]
            raise ValueError(
                f"{folder}: a data set of {name}={found.get(name)}, not {options[name]}; expected the same options "
                "(or another folder)"
            )


def _write_options(folder: Path, options: dict) -> None:
    path = folder / _MANIFEST
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    given = {name: value for name, value in options.items() if value is not None}
    write_file(path, json.dumps(given, indent=2).encode())
