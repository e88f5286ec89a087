"""Draw docs/trajectories/: every preset's path, and the path of the key frames on the page, by the program itself."""

import re
from pathlib import Path

from PIL import Image

from plenodream.files.documents import parse_document
from plenodream.geometry.keyframe_paths import keyframe_cameras
from plenodream.geometry.keyframes import Keyframes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.presets import PRESETS
from plenodream.geometry.trajectories import make_trajectory
from plenodream.rendering.source import still_cameras
from plenodream.viewer.paths import draw_paths

docs = Path(__file__).parent


def draw(name, paths):
    """A drawing as a small WebP."""
    file = docs / "trajectories" / f"{name}.png"
    draw_paths(paths, file)
    Image.open(file).convert("RGB").save(file.with_suffix(".webp"), lossless=True, method=6)
    file.unlink()


source = still_cameras(25, 54, 96)
names = [name for name in PRESETS if name != "static"]
for number, start in enumerate(range(0, len(names), 8)):
    paths = {name: trajectory_cameras(make_trajectory(name), source) for name in names[start : start + 8]}
    draw(f"presets-{number + 1}", {"source": source} | paths)
example = re.search(r"```json\n(.*?)```", (docs / "trajectories.md").read_text(), flags=re.DOTALL).group(1)
keyframes = parse_document(example, Keyframes, "trajectories.md")
draw("rise", {"source": source, "rise": keyframe_cameras(keyframes, source)})
