"""ViPE's output (nv-tlabs/vipe: vipe/utils/io.py): its folder, or one of the files `pose/NAME.npz` in it.

`pose/NAME.npz` has `data` (N, 4, 4) camera-to-world and `inds` (N,), the frames they are of;
`intrinsics/NAME.npz` has `data` (N, 4) fx fy cx cy in pixels of the video and its own `inds`;
`intrinsics/NAME_camera.txt` says the lens of every frame, `0: PINHOLE`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.formats.arrays import array_poses, arrays_refusal
from plenodream.geometry.formats.content import Content, open_content
from plenodream.geometry.formats.found import CameraFile, Format, Size, one_of, size_by_centre

_ARRAYS = {"data": ((None, 4, 4),), "inds": ((None,),)}


def _folder_refusal(content: Content) -> str | None:
    return None if any(content.path.glob("pose/*.npz")) else "no pose/*.npz"


def _read_folder(content: Content, asked: Size) -> CameraFile:
    files = {file.stem: file for file in sorted(content.path.glob("pose/*.npz"))}
    inner = open_content(files[one_of(list(files), content)])
    if reason := _refusal(inner):
        raise ValueError(f"{inner.path}: not what ViPE writes ({reason}); run ViPE again")
    return _read(inner, asked)


def _refusal(content: Content) -> str | None:
    return arrays_refusal(content, _ARRAYS)


def _read(content: Content, asked: Size) -> CameraFile:
    path = content.path
    poses = array_poses(content.array("data"), "data", path)
    frames = _frames(content, len(poses))
    lenses = path.parent.parent / "intrinsics" / path.name
    intrinsics = _intrinsics(lenses, frames) if lenses.is_file() else None
    return CameraFile(
        poses,
        "camera-to-world, OpenCV axes: taken as they are",
        "ViPE's (near metres, from its depth network)",
        intrinsics,
        size=None if intrinsics is None else size_by_centre(intrinsics, asked),
        size_said=False,
        numbers=frames,
        remarks=() if lenses.is_file() else (f"no {lenses.parent.name}/{lenses.name} beside its folder",),
    )


def _intrinsics(path: Path, frames: tuple[int, ...]) -> Float[Tensor, "cameras 4"]:
    """fx, fy, cx, cy of these frames, held from the last one known."""
    content = open_content(path)
    if reason := arrays_refusal(content, {"data": ((None, 4),), "inds": ((None,),)}):
        raise ValueError(f"{path}: no pinhole intrinsics ({reason}); run ViPE with pinhole cameras")
    kinds = path.with_name(f"{path.stem}_camera.txt")
    if kinds.is_file() and (other := set(kinds.read_text().split()[1::2]) - {"PINHOLE"}):
        raise ValueError(f"{kinds}: {sorted(other)[0]} cameras; expected PINHOLE: run ViPE with pinhole cameras")
    values = torch.from_numpy(content.array("data"))
    known = _frames(content, len(values))
    return values[np.searchsorted(known, frames, side="right").clip(min=1) - 1]


def _frames(content: Content, count: int) -> tuple[int, ...]:
    frames = content.array("inds")
    if len(frames) != count or not count or (frames < 0).any() or (np.diff(frames) <= 0).any():
        raise ValueError(f"{content.path}: 'inds' of {count} cameras are no ascending frames; run ViPE again")
    return tuple(int(frame) for frame in frames)


FOLDER = Format("ViPE folder", "folder", _folder_refusal, _read_folder)
FORMAT = Format("ViPE npz", "arrays", _refusal, _read)
