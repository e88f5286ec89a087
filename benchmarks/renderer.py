"""How fast the renderer is: rays and images a second, per family of scenes and size, on one device.

python benchmarks/renderer.py [--device cuda] [--compile] [--threads 1]
"""

import argparse

import torch
from common import machine, seconds

from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import FULL, MILD
from plenodream.worlds.raycast import render
from plenodream.worlds.world import sample_worlds, world_generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--worlds", type=int, default=None, help="worlds a batch; default 4, or 128 on a GPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    count = arguments.worlds or (128 if device.startswith("cuda") else 4)
    function = torch.compile(render) if arguments.compile else render
    mode = "compiled" if arguments.compile else "eager"
    print(f"{machine(device)}; {mode}; best of {arguments.rounds}")
    print(f"{'family':8}{'images':>8}{'pixels':>9}{'Mray/s':>9}{'images/s':>10}")
    for name, family in (("mild", MILD), ("full", FULL)):
        for size, views, frames in ((48, 4, 1), (48, 4, 9), (64, 4, 1), (64, 4, 9)):
            generator = world_generator("train", 0)
            worlds = sample_worlds(family, count, generator, device)
            cameras = sample_cameras(family, count, views, frames, size, size, generator, device)
            times = torch.linspace(0, 1, frames, device=device)
            best = seconds(lambda scene=(worlds, cameras, times): function(*scene), arguments.rounds, device)
            images = count * views * frames
            print(f"{name:8}{images:8}{size:6}²  {images * size * size / best / 1e6:9.2f}{images / best:10.0f}")


if __name__ == "__main__":
    main()
