"""How true the time left is: after the first view of a render, and from then on, in seconds of this process's work.

    python benchmarks/outlook.py [MODEL ...]

Work and not wall time is counted, so that other programs on the machine do not matter.
"""

import sys
import tempfile
import time
from pathlib import Path

from common import machine

from plenodream.demo.clip import clip_folder
from plenodream.rendering.inputs import open_video
from plenodream.rendering.load import load_model
from plenodream.rendering.model import render_owed
from plenodream.rendering.outlook import Outlook, plan_work
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.request import make_request

VIEWS = ("rotate-left", "tilt-up", "zoom-in", "rotate-right", "tilt-down", "arc-left:angle=10", "zoom-out")
SIDE = 96


def errors(name: str, folder: Path) -> list[float]:
    """Foreseen over true work left, less 1, whenever a view is finished but for the last."""
    model = load_model(name, "cpu")
    size = model.generator.workings.size or (SIDE, SIDE)
    video = open_video(clip_folder() / "source.mp4", *size, clip_folder() / "cameras.json")
    still = [view for view in VIEWS if view.startswith(("rotate", "tilt"))]
    views = still if name == "reprojection" else VIEWS  # it has no depth here
    scene = prepare_scene(folder / name, video, make_request(views), model)
    outlook = Outlook(plan_work(scene, model.generator.workings.fewest), time.process_time)
    foreseen = []

    def report(step) -> None:
        ahead = outlook(step)
        if step.step == step.steps:
            foreseen.append((time.process_time(), ahead.seconds))

    render_owed(scene, model, report)
    end = foreseen[-1][0]
    return [left / (end - now) - 1 for now, left in foreseen[:-1]]


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        for model in sys.argv[1:] or ("nano-depth", "nano", "reprojection"):
            first, *later = errors(model, Path(place))
            print(
                f"{model}: after the first view {first:+.0%}, later {min(later):+.0%} to {max(later):+.0%}", flush=True
            )
