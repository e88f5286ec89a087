"""How long a scene of many views takes to open, to read the cameras of, and to add a view to.

python benchmarks/scene.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from common import machine, seconds

from plenodream.memory.manifest import Manifest
from plenodream.memory.scene import Scene
from plenodream.memory.windows import Window
from plenodream.types import Cameras

FRAMES = 93


def main() -> None:
    """Print the times for scenes of 100 and of 1,000 views."""
    torch.set_num_threads(1)
    print(machine())
    cameras = Cameras(torch.eye(4).repeat(FRAMES, 1, 1), torch.tensor([40.0, 40, 24, 24]).repeat(FRAMES, 1), 48, 48)
    for views in (100, 1000):
        with tempfile.TemporaryDirectory() as folder:
            report(Path(folder) / "scene", cameras, views)


def report(folder: Path, cameras: Cameras, views: int) -> None:
    """Print one size."""
    scene = Scene.create(folder, Manifest("none", "0", 48, 48, 24.0, FRAMES, (Window(0, FRAMES, 0),), 0))
    began = time.process_time()
    with scene.lock():
        for number in range(views):
            kind = "view" if number else "source"
            scene.declare(f"view-{number}", kind, cameras, {"preset": "arc-left", "angle": number})
    added = (time.process_time() - began) / views
    opened = seconds(lambda: Scene.open(folder), 5)
    scene, began = Scene.open(folder), time.process_time()
    for name in scene.names():
        scene.cameras(name)
    read = time.process_time() - began
    print(
        f"{views:5d} views of {FRAMES} frames: open {1e3 * opened:6.1f} ms, all cameras {1e3 * read:7.1f} ms, "
        f"adding a view {1e3 * added:5.1f} ms"
    )


if __name__ == "__main__":
    main()
