"""How fast the renderer is: rays and images a second, per family of scenes and size, on one device.

    python benchmarks/renderer.py [--device cuda] [--compile] [--threads 1]

Times are the best of several rounds: process time on a CPU (so that other programs disturb less), wall time on a GPU.
"""

import argparse
import platform
import time

import torch

from plenodream.data.family import FULL, MILD
from plenodream.data.paths import sample_cameras
from plenodream.data.render import render
from plenodream.data.synthetic import sample_worlds, world_generator


def machine(device: str) -> str:
    """The name of the processor or GPU that does the work."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as info:
            names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--worlds", type=int, default=None, help="worlds a batch; default 4, or 128 on a GPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    on_gpu = arguments.device.startswith("cuda")
    count = arguments.worlds or (128 if on_gpu else 4)
    function = torch.compile(render) if arguments.compile else render
    where = machine(arguments.device) + ("" if on_gpu else f", {arguments.threads} thread(s)")
    mode = "compiled" if arguments.compile else "eager"
    print(f"{where}; torch {torch.__version__}; {mode}; best of {arguments.rounds}")
    print(f"{'family':8}{'images':>8}{'pixels':>9}{'Mray/s':>9}{'images/s':>10}")
    for name, family in (("mild", MILD), ("full", FULL)):
        for size, views, frames in ((48, 4, 1), (48, 4, 9), (64, 4, 1), (64, 4, 9)):
            generator = world_generator("train", 0)
            worlds = sample_worlds(family, count, generator, arguments.device)
            cameras = sample_cameras(family, count, views, frames, size, size, generator, arguments.device)
            times = torch.linspace(0, 1, frames, device=arguments.device)
            function(worlds, cameras, times)
            best = float("inf")
            for _ in range(arguments.rounds):
                if on_gpu:
                    torch.cuda.synchronize()
                clock = time.perf_counter if on_gpu else time.process_time
                start = clock()
                function(worlds, cameras, times)
                if on_gpu:
                    torch.cuda.synchronize()
                best = min(best, clock() - start)
            images = count * views * frames
            print(f"{name:8}{images:8}{size:6}²  {images * size * size / best / 1e6:9.2f}{images / best:10.0f}")


if __name__ == "__main__":
    main()
