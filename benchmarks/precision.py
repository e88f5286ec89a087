"""A bundled model's view on the CPU in float32 and in bfloat16: time, and how far the pictures differ.

python benchmarks/precision.py mini nano-depth
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext

import torch
from common import machine, seconds

from plenodream.demo.clip import clip_folder
from plenodream.generators.composite import Composite
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.rendering.load import load_pipeline
from plenodream.types import View


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="bundled models or model folders")
    torch.set_num_threads(1)
    print(machine())
    for name in parser.parse_args().models:
        pipeline = load_pipeline(name)
        generator = pipeline.generator()
        if isinstance(generator, Composite):
            generator = generator.small
        video = pipeline.open(clip_folder() / "source.mp4")
        view = View(video.frames, video.cameras, video.fps)
        target = trajectory_cameras(make_trajectory("arc-left"), view.cameras)
        anchor = view.cameras.camera_to_world[0]

        def make(generator=generator, view=view, target=target, anchor=anchor) -> torch.Tensor:
            context, noise = generator.encode(view, anchor), torch.Generator().manual_seed(0)
            (made,) = generator.generate([target], [context, context], anchor, [None], noise, view.fps)
            return made.frames.float()

        times, pictures = [], []
        for precision in (nullcontext(), torch.autocast("cpu", torch.bfloat16)):
            with precision:
                times.append(seconds(make, 2))
                pictures.append(make())
        error = (pictures[0] - pictures[1]).square().mean().sqrt()
        print(
            f"{name}: encoding and a view in float32 {times[0]:.2f} s, in bfloat16 {times[1]:.2f} s, "
            f"{times[0] / times[1]:.2f} times as fast; one against the other {20 * (255 / error).log10():.1f} dB"
        )


if __name__ == "__main__":
    main()
