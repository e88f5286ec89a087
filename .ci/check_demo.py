"""The demo's outputs: playable videos of the stated size and length, better than copying the source."""

import json
import sys
from pathlib import Path

import av

from plenodream.demo.score import score_demo
from plenodream.memory.scene import Scene

scene = Scene.open(Path(sys.argv[1]))
manifest = scene.manifest
views = scene.names("view")
assert len(views) == 4, views
for name in views:
    frames = scene.frames(name)
    assert tuple(frames.shape) == (manifest.frames, manifest.height, manifest.width, 3), (name, frames.shape)
    with av.open(str(scene.preview_path(name))) as container:
        assert sum(1 for _ in container.decode(video=0)) == manifest.frames, name
assert (scene.folder / "index.html").stat().st_size > 10_000
gains = {name: score.psnr - score.psnr_copy for name, score in score_demo(scene).items()}
seconds = sum(scene.timing(name, 0)["seconds"] for name in views + scene.names("helper"))
print(json.dumps({"gain_db": gains, "seconds": seconds}))
assert len(gains) == 4 and min(gains.values()) >= 3, gains
assert seconds <= 90, seconds
