"""Small episodes for the tests of plenodream.data."""

from __future__ import annotations

import json
from pathlib import Path

import av
import torch

from plenodream.geometry.cameras import axis_rotation, make_pose
from plenodream.types import Cameras, View


def make_cameras(frames: int, height: int, width: int, seed: int = 0) -> Cameras:
    """A moving, turning camera with its own intrinsics in every frame."""
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(3, 1, generator=generator, dtype=torch.float64) * torch.linspace(5, 40, frames)
    rotation = axis_rotation("y", angles[0]) @ axis_rotation("x", angles[1]) @ axis_rotation("z", angles[2])
    centre = torch.randn(frames, 3, generator=generator, dtype=torch.float64)
    focal = 1.1 * width + torch.rand(frames, generator=generator, dtype=torch.float64)
    half = torch.tensor([width / 2, height / 2], dtype=torch.float64).expand(frames, 2)
    return Cameras(make_pose(rotation, centre), torch.cat([focal[:, None], focal[:, None], half], -1), height, width)


def make_view(frames: int = 6, height: int = 16, width: int = 24, seed: int = 0, fps: float = 15.0) -> View:
    """Random pixels: nothing that a lossy codec could keep."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (frames, height, width, 3), generator=generator, dtype=torch.uint8)
    return View(pixels, make_cameras(frames, height, width, seed), fps)


def write_video(path: Path, frames: int = 6, height: int = 16, width: int = 24, fps: int = 15, **options: str) -> None:
    """A lossy video, B-frames and all; frame i is grey of level 10 + 5 i."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "1", **options})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(frames):
            image = torch.full((height, width, 3), 10 + 5 * index, dtype=torch.uint8).numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def grey_levels(frames: torch.Tensor) -> list[int]:
    """Which frames of `write_video` these are."""
    return ((frames.float().mean((1, 2, 3)) - 10) / 5).round().int().tolist()


def write_agibot(root: Path, task: str, episode: str, cameras: dict[str, Cameras]) -> Path:
    """One episode in AgiBot World's layout; returns its folder of videos."""
    videos = root / "observations" / task / episode / "videos"
    parameters = root / "parameters" / task / episode / "parameters" / "camera"
    parameters.mkdir(parents=True)
    for name, path in cameras.items():
        write_video(videos / f"{name}_color.mp4", len(path), path.height, path.width, fps=30)
        fx, fy, cx, cy = path.intrinsics[0].tolist()
        intrinsic = {"fx": fx, "fy": fy, "ppx": cx - 0.5, "ppy": cy - 0.5, "k1": 0.0}
        (parameters / f"{name}_intrinsic_params.json").write_text(json.dumps({"intrinsic": intrinsic}))
        poses = [
            {"extrinsic": {"rotation_matrix": p[:3, :3].tolist(), "translation_vector": p[:3, 3].tolist()}}
            for p in path.camera_to_world
        ]
        (parameters / f"{name}_extrinsic_params_aligned.json").write_text(json.dumps(poses))
    return videos
