"""Camera JSON of ReCamMaster, MultiCamVideo and SynCamVideo: from Unreal axes and centimetres, and back.

`frameN -> camXX -> "[4] [4] [4] [4]"` (KwaiVGI/ReCamMaster: inference_recammaster.py). Focal lengths are elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.files.documents import read_document
from plenodream.geometry.cameras import relative_poses
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, one_of

CENTIMETRES = 100.0


def load_unreal_poses(path: Path) -> dict[str, Float[Tensor, "frames 4 4"]]:
    """Poses of every camera of a `camera_extrinsics.json`, in one right-handed world.

    The file holds `frameN -> camXX -> "[4] [4] [4] [4]"`: row-vector camera-to-world matrices with the translation in
    the last row, camera axes x forward, y right, z up, in centimetres, in Unreal's left-handed world. A file of static
    cameras may hold one frame only, or the cameras without a frame level.

    Args:
        path: The JSON file.

    Returns:
        Camera-to-world poses, OpenCV axes, metres, float64, relative to the first frame of the first camera by name
        (absolute poses would keep the left-handed world: determinant -1).

    Raises:
        ValueError: The file is not of this format, or its frames do not name the same cameras.
    """
    return _poses(read_document(path, dict[str, Any], "expected frameN -> camXX -> four bracketed rows"), path)


def _poses(data: Any, path: Path) -> dict[str, Float[Tensor, "frames 4 4"]]:
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{path}: no cameras found; expected frameN -> camXX -> four bracketed rows")
    if all(isinstance(value, str) for value in data.values()):
        data = {"frame0": data}
    numbers = {key: int(found.group(1)) for key in data if (found := re.fullmatch(r"frame(\d+)", key))}
    if len(numbers) < len(data) or not all(isinstance(value, dict) for value in data.values()):
        raise ValueError(f"{path}: top level keys {list(data)[:3]}; expected frame0, frame1, ... each with its cameras")
    frames = sorted(data, key=lambda key: numbers[key])
    names = sorted(data[frames[0]])
    for number, frame in enumerate(frames):
        if numbers[frame] != number:
            raise ValueError(f"{path}: frame{number} is missing; expected frame0 ... frame{len(frames) - 1}")
        if sorted(data[frame]) != names or not names:
            raise ValueError(f"{path}: {frame} has cameras {sorted(data[frame])}; expected {names} as in {frames[0]}")
    text = " ".join(str(data[frame][name]) for name in names for frame in frames)
    try:
        values = np.array(text.replace("[", " ").replace("]", " ").split(), dtype=np.float64)
        matrices = torch.from_numpy(values.reshape(len(names), len(frames), 4, 4))
    except ValueError:
        raise ValueError(f"{path}: a camera is not 16 numbers; expected four bracketed rows of four") from None
    poses = unreal_to_opencv(matrices)
    return dict(zip(names, relative_poses(poses, poses[0, 0]), strict=True))


def save_unreal_poses(path: Path, poses: Mapping[str, Float[Tensor, "frames 4 4"]]) -> None:
    """Write poses (camera-to-world, OpenCV axes, metres) as `load_unreal_poses` reads them; 9 significant digits."""
    lengths = {name: len(pose) for name, pose in poses.items()}
    assert len(set(lengths.values())) == 1, lengths
    matrices = {name: opencv_to_unreal(pose.double()).tolist() for name, pose in poses.items()}
    data = {
        f"frame{index}": {
            name: "".join("[" + " ".join(f"{value:.9g}" for value in row) + "] " for row in matrices[name][index])
            for name in sorted(poses)
        }
        for index in range(next(iter(lengths.values())))
    }
    path.write_text(json.dumps(data, indent=1))


def unreal_to_opencv(matrices: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Row-vector Unreal matrices (centimetres) to camera-to-world with OpenCV camera axes (metres).

    The world stays Unreal's left-handed one, so determinants are -1 until poses are taken relative to one of them.
    """
    columns = matrices.transpose(-1, -2)[..., [1, 2, 0, 3]]  # right, up, forward, centre
    flip = torch.tensor([1, -1, 1, 1 / CENTIMETRES], dtype=matrices.dtype, device=matrices.device)
    poses = columns * flip
    poses[..., 3, 3] = 1
    return poses


def opencv_to_unreal(poses: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Camera-to-world OpenCV poses (metres, any right-handed world read as right, down, forward) to Unreal's matrices.

    The inverse of `unreal_to_opencv` up to the choice of the world.
    """
    world = torch.zeros(4, 4, dtype=poses.dtype, device=poses.device)
    world[0, 2] = world[1, 0] = world[3, 3] = 1
    world[2, 1] = -1  # forward, right, up of a world given as right, down, forward
    matrices = world @ poses @ world.transpose(-1, -2)
    matrices[..., :3, 3] *= CENTIMETRES
    return matrices.transpose(-1, -2)


def _refusal(content: Content) -> str | None:
    data = content.data
    inner = next(iter(data.values()), None) if isinstance(data, dict) else None
    row = next(iter(inner.values()), None) if isinstance(inner, dict) else inner
    return None if isinstance(row, str) and row.lstrip().startswith("[") else "no frame0 with cameras in it"


def _read(content: Content, asked: Size) -> CameraFile:
    poses = _poses(content.data, content.path)
    return CameraFile(
        poses[one_of(list(poses), content)],
        "row-vector camera-to-world of Unreal, left-handed: axes exchanged, relative to the file's first camera",
        "metres (centimetres in the file)",
    )


FORMAT = Format("ReCamMaster JSON", "JSON", _refusal, _read)
