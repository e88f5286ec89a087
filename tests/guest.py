"""Another program: it makes videos of a card before a wall and writes them with cameras of its own convention.

Nothing of plenodream is used. The wall stands at z = 6, the card (1.6 m wide and high) at z = 3 in front of the source.
Cameras slide sideways and look ahead; the picture is 40 x 32 pixels.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, FOCAL, FRAMES = 32, 40, 30.0, 4
SHOTS = {"near": 1.0, "far": 1.4, "left": -1.0}


def centres(end: float) -> np.ndarray:
    return np.linspace(0.9 * end, end, FRAMES)


def see(x: np.ndarray, time: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(RGB 0..1, depth, is the card) per frame from cameras at (x, 0, 0)."""
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    right, down = (u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL
    at_card = np.stack([x[:, None, None] + 3 * right, np.broadcast_to(3 * down, (len(x), HEIGHT, WIDTH))])
    card = np.abs(at_card).max(0) < 0.8
    depth = np.where(card, 3.0, 6.0)
    point = np.stack([x[:, None, None] + depth * right, depth * down])
    phase = np.array([[1.1, 0.7], [0.6, 1.3], [0.9, 0.5]])
    wave = np.einsum("ck,kfhw->fhwc", phase, point) + np.where(card, 2.0 + time, 0.0)[..., None]
    return 0.5 + 0.4 * np.sin(1.5 * wave), depth, card


def write_video(path: Path, rgb: np.ndarray, fps: int = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(fps))
        stream.height, stream.width, stream.pix_fmt = *rgb.shape[1:3], "bgr0"
        for image in (rgb * 255).round().clip(0, 255).astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def write_cameras(path: Path, x: np.ndarray) -> None:
    """As nerfstudio does: camera-to-world with y up and z backwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [{"transform_matrix": [[1, 0, 0, float(c)], [0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]]} for c in x]
    lens = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    path.write_text(json.dumps(lens | {"frames": frames}))


def deliver(folder: Path, scenes: int = 2, spoil=lambda scene, shot, rgb: rgb) -> Path:
    """A folder of results with truth; `spoil` makes what the method shows of the truth."""
    lines = []
    for number in range(scenes):
        scene = f"scene{number}"
        root = folder / scene
        still = np.zeros(FRAMES)
        rgb, depth, _ = see(still, number)
        write_video(root / "source.mkv", rgb)
        write_cameras(root / "source.json", still)
        np.save(root / "source_depth.npy", depth)
        for shot, end in SHOTS.items():
            rgb, depth, card = see(centres(end), number)
            write_video(root / f"{shot}_truth.mkv", rgb)
            write_video(root / f"{shot}.mkv", spoil(scene, shot, rgb))
            write_cameras(root / f"{shot}.json", centres(end))
            np.save(root / f"{shot}_depth.npy", depth)
            np.savez(root / f"{shot}_moving.npz", moving=card)
            names = {"video": ".mkv", "truth": "_truth.mkv", "cameras": ".json", "depth": "_depth.npy"}
            names |= {"moving": "_moving.npz"}
            line = {"scene": scene, "shot": shot} | {key: f"{scene}/{shot}{end}" for key, end in names.items()}
            source = {"source": "source.mkv", "source_cameras": "source.json", "source_depth": "source_depth.npy"}
            lines.append(line | {key: f"{scene}/{name}" for key, name in source.items()})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder
