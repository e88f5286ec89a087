"""What each retrieval strategy would give a new view as context, without rendering anything.

python examples/03_retrieval.py
"""

import torch

from plenodream import Cameras, RetrievalConfig, parse_trajectories
from plenodream.geometry.cameras import intrinsics_from_fov, stack_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.memory.retrieval import STRATEGIES, retrieve

frames = 9
still = torch.eye(4).repeat(frames, 1, 1)
source = Cameras(still, intrinsics_from_fov(60, 48, 48).repeat(frames, 1), 48, 48)
memory = {"source": source} | {t.name: trajectory_cameras(t, source) for t in parse_trajectories(["basic12"])}
(target,) = parse_trajectories(["arc-left:angle=45"])

for strategy in STRATEGIES:
    config = RetrievalConfig(strategy=strategy, k=3)
    result = retrieve(trajectory_cameras(target, source), stack_cameras(list(memory.values())), config)
    names = list(memory)
    print(f"{strategy:10s}", ", ".join(f"{names[n]} {result.scores[n]:.2f}" for n in result.chosen))
