"""HY-WorldPlay's pose JSON: `{"0": {"extrinsic": 4x4, "K": 3x3}, ...}` (hyvideo/generate.py of Tencent-Hunyuan).

`extrinsic` is camera-to-world whatever its name says. There is an entry for every latent frame: frames 0, 4, 8 ... of
the video. Images are twice as large as the principal point is far from their corner.
"""

from __future__ import annotations

from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, pinhole
from plenodream.geometry.formats.json_frames import stack, stack_poses

_FRAMES = 4  # of the video, a latent frame


def _refusal(content: Content) -> str | None:
    data = content.data
    if not isinstance(data, dict) or not data or not all(key.isdigit() for key in data):
        return "keys that are no numbers"
    fits = all(isinstance(entry, dict) and {"extrinsic", "K"} <= entry.keys() for entry in data.values())
    return None if fits else "entries without 'extrinsic' and 'K'"


def _read(content: Content, asked: Size) -> CameraFile:
    entries = [content.data[key] for key in sorted(content.data, key=int)]
    poses = stack_poses(entries, "extrinsic", content.path)
    intrinsics = pinhole(stack(entries, "K", content.path, lambda shape: shape == (3, 3), "a 3x3 matrix"))
    width, height = (2 * intrinsics[0, 2:]).round().tolist()
    if not (width >= 1 and height >= 1):
        raise ValueError(f"{content.path}: principal point {intrinsics[0, 2:].tolist()}; expected the image's middle")
    return CameraFile(
        poses,
        "camera-to-world, OpenCV axes: taken as they are",
        "HY-WorldPlay's own",
        intrinsics,
        size=(int(height), int(width)),
        numbers=tuple(_FRAMES * index for index in range(len(poses))),
        remarks=(f"a camera is for {_FRAMES} frames, or for one of a clip with {len(poses)} of them",),
    )


FORMAT = Format("HY-WorldPlay JSON", "JSON", _refusal, _read)
