"""The picture in the README: the demo's source and views beside the true views, at three moments.

python examples/04_picture.py [OUT]     writes OUT/demo.png
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from plenodream import load_pipeline
from plenodream.demo.clip import TRAJECTORIES, clip_folder, true_view

out = Path(sys.argv[1] if len(sys.argv) > 1 else "picture")
pipe = load_pipeline("nano-depth")

video = pipe.open(clip_folder() / "source.mp4", clip_folder() / "cameras.json")
scene = pipe(video, TRAJECTORIES, out / "scene")

columns = [("source", scene.frames("source"))]
for name in scene.names("view"):
    truth = true_view(name, video.cameras.height, video.cameras.width)
    columns += [(name, scene.frames(name))] + ([("truth", truth.frames)] if truth else [])

moments = [0, len(video) // 2, len(video) - 1]
figure = Figure(figsize=(1.5 * len(columns), 1.6 * len(moments)), layout="constrained")
for row, frame in enumerate(moments):
    for column, (name, frames) in enumerate(columns):
        axes = figure.add_subplot(len(moments), len(columns), row * len(columns) + column + 1)
        axes.imshow(frames[frame].numpy(), interpolation="bicubic")
        axes.set_axis_off()
        if row == 0:
            axes.set_title(name, fontsize=8)
figure.savefig(out / "demo.png", dpi=110)
print(out / "demo.png")
