"""How true the time left is: when the first view of a render is finished, and at 25, 50 and 75 % of what follows it.

    python benchmarks/outlook.py [MODEL ...]

In seconds of this process's work, so that other programs on the machine do not matter. Every model renders twice: a
view that only turns comes first, then one that moves. The point cloud is given waves for depth.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import machine

from plenodream.demo.clip import clip_folder
from plenodream.media.depth import load_depth
from plenodream.rendering.inputs import open_video
from plenodream.rendering.load import load_model
from plenodream.rendering.model import render_owed
from plenodream.rendering.outlook import Outlook, plan_work
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.request import make_request

VIEWS = ("rotate-left", "arc-left:angle=10", "tilt-up", "zoom-out", "truck-left", "zoom-in", "tilt-down")
ORDERS = {"turns first": VIEWS, "moves first": (*VIEWS[1::2], *VIEWS[::2])}
SIDE, FRAMES = 160, 9


def waves(file: Path) -> Path:
    """A depth file, metres."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    depth = (4 + np.sin(9 * x) + np.cos(7 * y)).astype(np.float32)
    np.savez(file, depth=np.repeat(depth[None], FRAMES, 0), unit="metres")
    return file


def errors(name: str, views: tuple[str, ...], folder: Path) -> list[float]:
    """Time left as told over the true one, less 1: after the first view, and at three moments later."""
    folder.mkdir()
    model = load_model(name, "cpu")
    size = model.generator.workings.size or (SIDE, SIDE)
    depth = load_depth(waves(folder / "depth.npz")) if name == "reprojection" else None
    video = open_video(clip_folder() / "source.mp4", *size, clip_folder() / "cameras.json", depth=depth)
    scene = prepare_scene(folder / "scene", video, make_request(views), model)
    outlook = Outlook(plan_work(scene, model.generator.workings.fewest), time.process_time)
    told = []

    def report(step) -> None:
        ahead = outlook(step)
        if ahead.done:
            told.append((time.process_time(), ahead.seconds))

    render_owed(scene, model, report)
    began, end = told[0][0], told[-1][0]
    moments = [
        min(told, key=lambda one: abs((one[0] - began) / (end - began) - share)) for share in (0, 0.25, 0.5, 0.75)
    ]
    return [left / (end - now) - 1 for now, left in moments]


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        for model in sys.argv[1:] or ("nano-depth", "nano", "reprojection"):
            for order, views in ORDERS.items():
                first, *later = errors(model, views, Path(place) / f"{model}-{order}")
                print(
                    f"{model}, {order}: after the first view {first:+.0%}; then",
                    *(f"{e:+.0%}" for e in later),
                    flush=True,
                )
