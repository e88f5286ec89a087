"""Whether the cameras of a file are in the source's world: what they can see of it. Ours.

Absolute cameras (a transforms.json, a COLMAP model) mean something beside source cameras of the same reconstruction
alone. Nothing in a file says which world it is of, but cameras of another one hardly ever look where the source does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from plenodream.geometry.cameras import project, rotation_vector, scale_cameras, unproject
from plenodream.geometry.formats import read_cameras, stated_size
from plenodream.geometry.frustum import scene_scale
from plenodream.geometry.keyframes import is_keyframes
from plenodream.rendering.source import DEFAULT_FOV, still_cameras
from plenodream.types import Cameras

_MOMENTS = 9  # of the source that are looked at for every camera of a view, evenly
_GRID = 6  # points along each side of a picture
_DEPTHS = (0.5, 1.0, 2.0, 4.0)  # of the subject's distance and of the scene's scale, where the points are
_LEAST = 0.01  # share of a picture: less than this is nothing
_MOST = 512  # cameras of a view that are looked at, evenly
# How far from the source's the first camera of a view begins that is likely to be of another world: in units of the
# subject's distance, and degrees.
_AWAY, _TURNED = 0.5, 30.0
_SIZE = (480, 640)  # of pictures whose size is not known yet


def check_same_world(name: str, target: Cameras, source: Cameras, subject_distance: float) -> tuple[str, ...]:
    """What to be told of a view's absolute cameras, one line each; nothing where they begin near the source's.

    Args:
        name: What to call them.
        target: Batch shape (frames,).
        source: The source's, batch shape (frames,).
        subject_distance: Metres.

    Raises:
        ValueError: They see nothing of the source at any time.
    """
    sees = sees_source(target, source, subject_distance)
    origin = source.camera_to_world[0].double()
    first = target.camera_to_world[0].double()
    away = (first[:3, 3] - origin[:3, 3]).norm().item()
    turned = torch.rad2deg(rotation_vector(origin[:3, :3].T @ first[:3, :3]).norm()).item()
    where = f"the first stands {away:.3g} m from the source's first and is turned by {turned:.0f} degrees"
    alone = torch.allclose(source.camera_to_world.double(), torch.eye(4, dtype=torch.float64), atol=1e-6)
    advice = (
        "the source's camera stands at the origin (no --cameras), absolute cameras need --cameras of the same world"
        if alone
        else "absolute cameras need --cameras of the same world, in the same unit (--scale, --subject-distance)"
    )
    if not bool(sees.any()):
        raise ValueError(
            f"{name}: its cameras see nothing of the source at any time ({where}); expected cameras of the source's "
            f"world: {advice}; presets and key frames need none"
        )
    if away <= _AWAY * subject_distance and turned <= _TURNED:
        return ()
    blind = len(sees) - int(sees.sum())
    if 2 * blind > len(sees):
        return (f"{name}: sees nothing of the source in {blind} of {len(sees)} frames ({where}): {advice}",)
    return (f"{name}: {where}: {advice}",) if alone else ()


def sees_source(target: Cameras, source: Cameras, subject_distance: float) -> Bool[Tensor, "cameras"]:
    """Whether each camera (`_MOST` of them, evenly) and some camera of the source can show the same.

    Points on a grid of each picture, at several depths about the subject's distance, count where they lie in the other
    picture and are not looked at from behind; what hides what is not known.
    """
    target = target[torch.linspace(0, len(target) - 1, min(_MOST, len(target))).round().long()].to(torch.float64)
    some = source[torch.linspace(0, len(source) - 1, min(_MOMENTS, len(source))).round().long()].to(torch.float64)
    scales = {subject_distance, scene_scale(some, subject_distance=subject_distance)}
    depths = torch.tensor([depth * scale for scale in scales for depth in _DEPTHS], dtype=torch.float64)
    found = torch.zeros(len(target), dtype=torch.bool)
    for moment in range(len(some)):
        here = some[[moment] * len(target)]
        found |= torch.maximum(_shown(here, target, depths), _shown(target, here, depths)) >= _LEAST
    return found


def check_files(
    files: Sequence[Path], cameras: Path | None, fov: float | None, scale: float, subject_distance: float
) -> None:
    """Refuse camera files that see nothing of the source, before a video or a model is opened.

    What is wrong with a file itself, or depends on the video, is for later.

    Raises:
        ValueError: As `check_same_world`.
    """
    still = still_cameras(1, *_SIZE, fov or DEFAULT_FOV)
    try:
        source = still if cameras is None else scale_cameras(_of_file(cameras, still), scale)
        targets = {path: scale_cameras(_of_file(path, still), scale) for path in files if not is_keyframes(path)}
    except (ValueError, OSError):
        return
    for path, target in targets.items():
        check_same_world(str(path), target, source, subject_distance)


def describe_files(files: Sequence[Path]) -> list[str]:
    """What camera files were found to be, one line each; key frames, and files that are none, are left out."""
    lines, lens = [], still_cameras(1, *_SIZE).intrinsics[0]
    for path in (path for path in files if not is_keyframes(path)):
        try:
            found = read_cameras(path, *(stated_size(path) or _SIZE), intrinsics=lens)
        except ValueError:
            continue
        lines.append(f"{path.name}: {found.lines()[0]}; poses: {found.convention}; unit of length: {found.scale}")
        lines += [f"{path.name}: {hint}" for hint in found.hints]
    return lines


def _of_file(path: Path, still: Cameras) -> Cameras:
    return read_cameras(path, *(stated_size(path) or _SIZE), intrinsics=still.intrinsics[0]).cameras


def _shown(cameras: Cameras, others: Cameras, depths: Tensor) -> Tensor:
    """Largest share of each camera's picture, over all depths, that the other one of its pair shows."""
    side = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / _GRID
    y, x = torch.meshgrid(side * cameras.height, side * cameras.width, indexing="ij")
    pixels = torch.stack([x.flatten(), y.flatten()], dim=-1)
    share = torch.zeros(len(cameras), dtype=torch.float64)
    for depth in depths:
        points = unproject(pixels, depth.expand(len(pixels)), cameras)
        seen, z = project(points, others)
        inside = (z > 0) & (seen >= 0).all(-1) & (seen <= torch.tensor([others.width, others.height])).all(-1)
        rays = (points - one.camera_to_world[:, None, :3, 3] for one in (cameras, others))
        before = torch.linalg.vecdot(*rays) > 0
        share = torch.maximum(share, (inside & before).double().mean(-1))
    return share
