"""How fast pictures are carried to another camera, and a whole clip by the point cloud, with its memory.

chrt -f 50 taskset -c 0 python benchmarks/reprojection.py [frames]    (so that other programs do not disturb)
"""

from __future__ import annotations

import resource
import sys
import time

import torch
from common import machine, seconds

from plenodream.generators.reprojection import Reprojection
from plenodream.geometry.blend import fill_holes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.splat import carry, turn
from plenodream.geometry.surface import surface
from plenodream.geometry.trajectories import make_trajectory
from plenodream.types import Cameras, View
from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import scene_family
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds, world_generator

HEIGHT, WIDTH = 480, 832


def source(frames: int) -> View:
    """A clip of the full family, rendered a few frames at a time."""
    family, generator = scene_family("full"), world_generator("validation", 0)
    worlds = sample_worlds(family, 1, generator)
    cameras = sample_cameras(family, 1, 2, frames, HEIGHT, WIDTH, generator)[:, :1]
    times = torch.linspace(0, 1, frames)
    parts = [render(worlds, cameras[:, :, n : n + 1], times[n : n + 1]) for n in range(frames)]
    pixels = torch.cat([(part.rgb[0, 0] * 255).round().to(torch.uint8) for part in parts])
    return View(pixels, cameras[0, 0], 24.0, depth=torch.cat([part.depth[0, 0] for part in parts]))


def speed(view: View) -> None:
    """Mpixel/s of every step, of one frame."""
    frame = len(view) - 1
    colour, depth, camera = view.frames[frame].permute(2, 0, 1).float(), view.depth[frame], view.cameras[frame]
    for name in ("arc-left", "zoom-in", "zoom-out"):
        target = trajectory_cameras(make_trajectory(name), view.cameras)[frame]
        pieces = surface(colour, depth, camera)
        carried = carry(pieces, target)
        steps = {
            "surface": lambda c=colour: surface(c, depth, camera),
            "carry": lambda p=pieces, t=target: carry(p, t),
            "turn": lambda t=target: turn(colour, depth, camera, t),
            "fill": lambda c=carried: fill_holes(c.colour, c.depth, c.weight > 0),
        }
        rates = {step: HEIGHT * WIDTH / seconds(work, 5) / 1e6 for step, work in steps.items()}
        print(f"{name:9s}", ", ".join(f"{step} {rate:5.1f} Mpixel/s" for step, rate in rates.items()))


def clip(view: View, views: int) -> None:
    """Seconds and memory of one trajectory that reads so many stored views."""
    generator, anchor = Reprojection(), view.cameras.camera_to_world[0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    contexts = [generator.encode(view, anchor)] * views
    target: Cameras = trajectory_cameras(make_trajectory("arc-left"), view.cameras)
    generator.generate([target], contexts, anchor, [None], torch.Generator(), 24.0)
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    what = f"{len(view)} frames of {HEIGHT}x{WIDTH} from {views} views"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {taken:.1f} s ({cpu:.1f} CPU-s), peak memory {peak:.0f} MiB, {grown:.0f} MiB more than before")


def main() -> None:
    """Print it all."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 81
    print(machine())
    view = source(frames)
    speed(view)
    clip(view, 1)
    for views in (1, 4, 8):  # what one frame needs does not depend on their number
        clip(view[: min(frames, 9)], views)


if __name__ == "__main__":
    main()
