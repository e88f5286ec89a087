"""Cameras of your own: build them as tensors, save them, render along them.

python examples/02_own_cameras.py [OUT]
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

import torch

from plenodream import load_pipeline
from plenodream.demo.clip import clip_folder
from plenodream.geometry.cameras import look_at
from plenodream.geometry.formats import load_cameras, save_cameras

out = Path(sys.argv[1] if len(sys.argv) > 1 else "scene-own")
out.mkdir(parents=True, exist_ok=True)
pipe = load_pipeline("nano")
video = pipe.open(clip_folder() / "source.mp4")
source = video.cameras

# A figure of eight in front of the subject, 4 m ahead: OpenCV axes (y down), metres, camera-to-world.
turn = torch.linspace(0, 2 * math.pi, len(source))
centres = torch.stack([0.8 * turn.sin(), 0.3 * (2 * turn).sin(), torch.zeros_like(turn)], dim=-1)
subject = torch.tensor([0.0, 0.0, 4.0]).expand_as(centres)
eight = replace(source, camera_to_world=look_at(centres, subject))

# The same file serves `plenodream render --trajectory-file`; every importer checks what it reads.
save_cameras(out / "eight.json", eight, video.fps)
eight = load_cameras(out / "eight.json", source.height, source.width, frames=len(source))

scene = pipe(video, {"eight": eight}, out / "scene")
print(f"{scene.names('view')} in {scene.folder}")
