"""Draw docs/concepts/: memory, retrieval, merging, windows and depth, each by the program's own functions.

python docs/draw_concepts.py
"""

import io
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from PIL import Image

from plenodream.demo.clip import WORLD
from plenodream.geometry.cameras import intrinsics_from_fov, stack_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import GROUPS
from plenodream.geometry.trajectories import make_trajectory
from plenodream.memory.merge import merge_cameras
from plenodream.memory.retrieval import retrieve
from plenodream.memory.strategies import RetrievalConfig
from plenodream.memory.windows import plan_windows
from plenodream.rendering.preview import preview
from plenodream.rendering.source import still_cameras
from plenodream.types import Cameras, View
from plenodream.viewer.paths import draw_paths, path_colour
from plenodream.worlds.family import MILD
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds, world_generator

FOLDER = Path(__file__).parent / "concepts"
SOURCE = still_cameras(25, 54, 96)
matplotlib.rcParams.update({"font.size": 9, "svg.fonttype": "none"})


def keep(name: str, picture: Figure | Image.Image) -> None:
    """A picture as a small WebP."""
    FOLDER.mkdir(exist_ok=True)
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=130)
        picture = Image.open(buffer)
    picture.convert("RGB").save(FOLDER / f"{name}.webp", quality=88, method=6)


def along(*specs: str) -> dict[str, Cameras]:
    """Cameras of presets at their defaults."""
    return {name: trajectory_cameras(make_trajectory(name), SOURCE) for name in specs}


def memory() -> None:
    """A chain of twelve shots: which stored views each new one would be made from, four at most."""
    paths, config = {"source": SOURCE}, RetrievalConfig(k=4)
    names = GROUPS["basic12"]
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for row, (name, cameras) in enumerate(along(*names).items()):
        stored = list(paths)
        found = retrieve(cameras, stack_cameras(list(paths.values())), config, kept=[0])
        for place in range(len(stored)):
            read = place in found.chosen
            axes.plot(place, row, "s", ms=9, mfc=path_colour(place) if read else "none", mec=path_colour(place))
        paths[name] = cameras
    axes.set_xticks(range(len(names)), ["source", *names[:-1]], rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="stored view: filled where it is read, an outline where it is passed over", xlim=(-0.6, 11.6))
    axes.invert_yaxis()
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    keep("memory", figure)


def retrieval() -> None:
    """Scores of stored views for a new one, and their paths."""
    target, paths = along("arc-left")["arc-left"], {"source": SOURCE, **along("rotate-left", "zoom-out", "arc-right")}
    found = retrieve(target, stack_cameras(list(paths.values())), RetrievalConfig(k=2))
    figure = Figure(figsize=(5.4, 1.9), layout="constrained")
    axes = figure.subplots()
    for place in range(len(paths)):
        chosen = place in found.chosen
        axes.barh(place, found.scores[place], color=path_colour(place), alpha=1 if chosen else 0.3)
        axes.text(found.scores[place], place, f" {found.scores[place]:.2f}{' read' if chosen else ''}", va="center")
    axes.set_yticks(range(len(paths)), paths)
    axes.set(xlabel="overlap of fields of view with arc-left", xlim=(0, 1.35 * max(found.scores)))
    axes.invert_yaxis()
    keep("retrieval", figure)
    drawn("retrieval-paths", paths | {"arc-left (new)": target})


def merging() -> None:
    """Two paths and the one that sees what both see."""
    two = along("rotate-left", "rotate-right")
    merged = merge_cameras(stack_cameras(list(two.values())))
    drawn("merging", {"source": SOURCE, **two, "rotate-left+rotate-right": merged})


def drawn(name: str, paths: dict[str, Cameras]) -> None:
    """Paths from above and from the side."""
    file = FOLDER / f"{name}.png"
    FOLDER.mkdir(exist_ok=True)
    draw_paths(paths, file)
    keep(name, Image.open(file))
    file.unlink()


def windows() -> None:
    """A video of 81 frames in windows of 33."""
    figure = Figure(figsize=(6, 1.5), layout="constrained")
    axes = figure.subplots()
    for row, window in enumerate(plan_windows(81, 33, 9)):
        new = window.start + window.clean
        axes.barh(row, window.clean, left=window.start, color="#b9c7dd")
        axes.barh(row, window.stop - new, left=new, color="#3d7ede")
    axes.set(xlabel="frame; light: taken from the window before", yticks=range(row + 1), xlim=(0, 81))
    axes.set_yticklabels([f"window {number + 1}" for number in range(row + 1)])
    axes.invert_yaxis()
    keep("windows", figure)


def depth() -> None:
    """A frame, its depth, and what it shows of a view by that depth, and by a plane at the subject."""
    side, frames = 192, 3
    cameras = Cameras(
        torch.eye(4).repeat(frames, 1, 1), intrinsics_from_fov(60, side, side).repeat(frames, 1), side, side
    )
    worlds = sample_worlds(MILD, 1, world_generator("benchmark", WORLD))
    seen = render(worlds, cameras[None, None], torch.linspace(0, 1, frames), 2)
    source = View((seen.rgb[0, 0] * 255).round().byte(), cameras, 6.0, depth=seen.depth[0, 0])
    target = trajectory_cameras(make_trajectory("arc-left"), cameras)
    by_depth = preview("arc-left", target, source, 4.0)
    by_plane = preview("arc-left", target, View(source.frames, cameras, 6.0), 4.0)
    near = source.depth[-1].clamp(max=12)
    pictures = [source.frames[-1].numpy(), near.numpy(), by_depth.warps[-1].numpy(), by_plane.warps[-1].numpy()]
    titles = ("source, last frame", "its depth", "arc-left by depth", "arc-left by a plane")
    figure = Figure(figsize=(7.6, 2.2), layout="constrained")
    for axes, picture, title in zip(figure.subplots(1, 4), pictures, titles, strict=True):
        axes.imshow(picture, cmap="gray_r")
        axes.set_title(title)
        axes.set_axis_off()
    keep("depth", figure)


if __name__ == "__main__":
    for draw in (memory, retrieval, merging, windows, depth):
        draw()
