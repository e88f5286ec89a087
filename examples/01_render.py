"""Render a video along three trajectories from Python, then let a fourth join the same memory.

python examples/01_render.py [OUT]
"""

import sys
from pathlib import Path

from plenodream import load_pipeline
from plenodream.demo.clip import clip_folder
from plenodream.viewer.scene_page import write_scene_page

out = Path(sys.argv[1] if len(sys.argv) > 1 else "scene")
pipe = load_pipeline("nano")

# Any video file; with a camera file where there is one, else the camera is taken to stand still.
video = pipe.open(clip_folder() / "source.mp4", clip_folder() / "cameras.json")
scene = pipe(video, ["arc-left", "arc-right:angle=40", "zoom-out"], out)

# Later, in another process perhaps: the scene knows its video, and the new view is conditioned on all that is there.
scene = pipe.prepare(out, None, ["tilt-up"])
pipe.render(scene)

for name in scene.names("view"):
    frames = scene.frames(name)  # uint8 (frames, height, width, 3)
    print(f"{name}: {tuple(frames.shape)}, conditioned on {', '.join(scene.record(name, 0)['context'])}")
print(write_scene_page(scene))
