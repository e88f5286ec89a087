"""How long a retrieval takes, per strategy, from few and from many stored views.

python benchmarks/retrieval.py
"""

from __future__ import annotations

import torch
from common import machine, seconds

from plenodream.geometry.cameras import intrinsics_from_fov, stack_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.memory.retrieval import STRATEGIES, RetrievalConfig, retrieve
from plenodream.types import Cameras

FRAMES = 24  # latent frames of a 93-frame video


def main() -> None:
    """Print the time of every strategy for two sizes of the memory."""
    print(machine())
    intrinsics = intrinsics_from_fov(60, 432, 768).repeat(FRAMES, 1)
    source = Cameras(torch.eye(4).repeat(FRAMES, 1, 1), intrinsics, 432, 768)
    target = trajectory_cameras(make_trajectory("arc-left"), source)
    for views in (4, 100):
        angles = torch.linspace(-180, 180, views + 1)[1:].tolist()
        orbits = [trajectory_cameras(make_trajectory("orbit", {"angle": angle}), source) for angle in angles]
        stored = stack_cameras(orbits)
        for strategy in STRATEGIES:
            config = RetrievalConfig(strategy=strategy, k=4)
            taken = seconds(lambda c=config, s=stored: retrieve(target, s, c), 3)
            print(f"{views:3d} views x {FRAMES} frames, {strategy:9s} {1e3 * taken:9.2f} ms")


if __name__ == "__main__":
    main()
