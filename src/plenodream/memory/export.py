"""A scene as what other programs read: images with cameras and times, arrays, or videos. Ours."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from plenodream.files.atomic import write_file
from plenodream.files.folders import check_new_folder, new_folder
from plenodream.geometry.cameras import pixel_centres, unproject
from plenodream.geometry.formats.colmap import colmap_files
from plenodream.geometry.formats.npz import npz_bytes
from plenodream.geometry.formats.realestate10k import realestate10k_text
from plenodream.geometry.formats.transforms import transforms_json
from plenodream.media.depth import METRES
from plenodream.media.preview import write_grid, write_preview
from plenodream.memory.scene import Scene
from plenodream.types import Cameras

_POINTS = 100_000  # of a COLMAP model, at most
_GIF = (640, 480)  # most columns and rows of a gif, in pixels


def export_scene(scene: Scene, out: str | Path, to: str, names: Sequence[str] = ()) -> list[str]:
    """Write views of a scene for another program, into a new folder that appears whole or not at all.

    Args:
        scene: With at least one complete view.
        out: Folder to make; it does not exist yet or is empty.
        to: One of `EXPORTS`.
        names: Views to write; the source and all complete views if none are named.

    Returns:
        The names of the views that were written.

    Raises:
        ValueError: Unknown target, unknown or unfinished view, damaged windows, or a folder that holds something.
    """
    out = Path(out)
    if to not in EXPORTS:
        raise ValueError(f"--to {to}: expected one of {', '.join(EXPORTS)}")
    check_new_folder(out, "the export")
    chosen = list(dict.fromkeys(names)) or [
        name for name in (*scene.names("source"), *scene.names("view")) if scene.complete(name)
    ]
    if unfinished := [name for name in chosen if scene.entry(name) and not scene.complete(name)]:
        raise ValueError(f"{scene.folder}: view {unfinished[0]} is not rendered yet; render it first")
    if to == "mp4-grid" and "grid" in (name.lower() for name in chosen):
        raise ValueError("--to mp4-grid: a view is called grid, as the file of all would be; expected --to mp4")
    if not chosen:
        raise ValueError(f"{scene.folder}: no finished view to export; render one first")
    out.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(out) as folder:
        EXPORTS[to](scene, chosen, folder)
    return chosen


def _images(scene: Scene, names: Sequence[str], folder: Path) -> tuple[Cameras, list[str], list[float]]:
    """PNGs in `images/VIEW/`; cameras, names and times (0 to 1) of all of them."""
    cameras, files, times = [], [], []
    for name in names:
        (folder / "images" / name).mkdir(parents=True)
        for index, frame in enumerate(scene.frames(name).numpy()):
            files.append(f"{name}/{index:05d}.png")
            times.append(index / max(1, scene.manifest.frames - 1))
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, format="PNG")
            write_file(folder / "images" / files[-1], buffer.getvalue())
        cameras.append(scene.cameras(name))
    poses, lenses = (torch.cat([getattr(one, key) for one in cameras]) for key in ("camera_to_world", "intrinsics"))
    return Cameras(poses, lenses, scene.manifest.height, scene.manifest.width), files, times


def _nerfstudio(scene: Scene, names: Sequence[str], folder: Path) -> None:
    cameras, files, times = _images(scene, names, folder)
    text = transforms_json(cameras, [f"images/{file}" for file in files], times, scene.manifest.fps)
    write_file(folder / "transforms.json", text.encode())


def _colmap(scene: Scene, names: Sequence[str], folder: Path, binary: bool) -> None:
    cameras, files, _ = _images(scene, names, folder)
    points, colours = _points(scene, names)
    (folder / "sparse" / "0").mkdir(parents=True)
    for name, data in colmap_files(cameras, files, points, colours, binary).items():
        write_file(folder / "sparse" / "0" / name, data)


def _points(scene: Scene, names: Sequence[str]) -> tuple[Float[Tensor, "points 3"], UInt8[Tensor, "points 3"]]:
    """Points behind pixels of known depth, evenly chosen over views and frames, and their colours."""
    each = max(1, _POINTS // (len(names) * scene.manifest.frames))
    step = max(1, round((scene.manifest.height * scene.manifest.width / each) ** 0.5))
    points, colours = [torch.zeros(0, 3)], [torch.zeros(0, 3, dtype=torch.uint8)]
    for name in names:
        view = scene.view(name)
        if view.depth is None:
            continue
        pixels = pixel_centres(*view.depth.shape[1:], like=view.cameras.intrinsics)[::step, ::step].flatten(0, 1)
        depth = view.depth[:, ::step, ::step].flatten(1)
        known = depth > 0
        points.append(unproject(pixels, depth, view.cameras)[known])
        colours.append(view.frames[:, ::step, ::step].flatten(1, 2)[known])
    return torch.cat(points), torch.cat(colours)


def _realestate10k(scene: Scene, names: Sequence[str], folder: Path) -> None:
    for name in names:
        text = realestate10k_text(scene.cameras(name), scene.manifest.fps, f"{name}.mp4")
        write_file(folder / f"{name}.txt", text.encode())
    _videos(scene, names, folder)


def _npz(scene: Scene, names: Sequence[str], folder: Path) -> None:
    for name in names:
        view = scene.view(name)
        deep = {} if view.depth is None else {"depth": view.depth.numpy(), "unit": METRES}
        more = {"frames": view.frames.numpy()} | deep
        write_file(folder / f"{name}.npz", npz_bytes(view.cameras, view.fps, more))


def _videos(scene: Scene, names: Sequence[str], folder: Path) -> None:
    for name in names:
        write_preview(folder / f"{name}.mp4", scene.frames(name), scene.manifest.fps)


def _grid(scene: Scene, names: Sequence[str], folder: Path) -> None:
    _videos(scene, names, folder)
    write_grid(folder / "grid.mp4", {name: folder / f"{name}.mp4" for name in names})


def _gifs(scene: Scene, names: Sequence[str], folder: Path) -> None:
    # Times are hundredths of a second there, and browsers slow down what lasts less than two of them.
    step = math.ceil(scene.manifest.fps / 50)
    for name in names:
        frames = [Image.fromarray(frame) for frame in scene.frames(name)[::step].numpy()]
        for frame in frames:
            frame.thumbnail(_GIF)
        ends = [10 * round(100 * step * number / scene.manifest.fps) for number in range(len(frames) + 1)]
        durations, buffer = [end - start for start, end in pairwise(ends)], io.BytesIO()
        frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
        write_file(folder / f"{name}.gif", buffer.getvalue())


EXPORTS: dict[str, Callable[[Scene, Sequence[str], Path], None]] = {
    "nerfstudio": _nerfstudio,
    "colmap": lambda scene, names, folder: _colmap(scene, names, folder, True),
    "colmap-text": lambda scene, names, folder: _colmap(scene, names, folder, False),
    "realestate10k": _realestate10k,
    "npz": _npz,
    "mp4": _videos,
    "mp4-grid": _grid,
    "gif": _gifs,
}
