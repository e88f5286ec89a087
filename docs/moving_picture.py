"""Make docs/demo.webp, the README's picture: the bundled clip and the views that the default model made of it.

    python docs/moving_picture.py [SCENE]    # SCENE: what `make demo` wrote; rendered there first if it is not there

The scene plays to its end and back. Nothing is chosen or mended: all views of the demo, as they came.
"""

import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from plenodream.cli.demo import Demo, demo
from plenodream.memory.scene import Scene

SIDE, GAP, LABEL, MOST = 232, 6, 22, 1_500_000


def picture(tiles: dict[str, torch.Tensor], frame: int) -> Image.Image:
    """One frame of all videos side by side, each under its name."""
    whole = Image.new("RGB", (len(tiles) * (SIDE + GAP) - GAP, LABEL + SIDE), "#ffffff")
    draw = ImageDraw.Draw(whole)
    for number, (name, frames) in enumerate(tiles.items()):
        left = number * (SIDE + GAP)
        draw.text((left + 2, 3), name, fill="#1b1f26", font=ImageFont.load_default(size=14))
        whole.paste(
            Image.fromarray(frames[frame].numpy()).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, LABEL)
        )
    return whole


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
if not (folder / "scene.json").is_file():
    demo(Demo(folder))
scene = Scene.open(folder)
tiles = {name: scene.frames(name) for name in ("source", *scene.names("view"))}
there = list(range(scene.manifest.frames))
images = [picture(tiles, frame) for frame in there + there[-2:0:-1]]
file = Path(__file__).parent / "demo.webp"
milliseconds = round(1000 / scene.manifest.fps)
images[0].save(file, save_all=True, append_images=images[1:], duration=milliseconds, loop=0, quality=82, method=6)
size = file.stat().st_size
assert size < MOST, f"{file}: {size} bytes, expected less than {MOST}"
print(f"{file}: {len(images)} frames, {size / 1e3:.0f} kB, model {scene.manifest.model_name}")
