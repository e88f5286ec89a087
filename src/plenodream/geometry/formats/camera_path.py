"""nerfstudio's camera_path.json, which its viewer exports (layout: nerfstudio/cameras/camera_paths.py)."""

from __future__ import annotations

import math

import torch

from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Format, Size, square
from plenodream.geometry.formats.json_frames import check_last_row, image_side, stack
from plenodream.geometry.formats.transforms import OPENGL


def _refusal(content: Content) -> str | None:
    entries = content.data.get("camera_path") if isinstance(content.data, dict) else None
    fits = isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries)
    return None if fits else "no list 'camera_path'"


def _read(content: Content, asked: Size) -> CameraFile:
    data, path, entries = content.data, content.path, content.data["camera_path"]
    if (kind := data.get("camera_type", "perspective")) != "perspective":
        raise ValueError(f"{path}: a path of {kind} cameras; expected perspective ones")
    flat = stack(entries, "camera_to_world", path, lambda shape: shape in ((16,), (4, 4)), "16 numbers")
    poses = flat.unflatten(-1, (4, 4)) if flat.ndim == 2 else flat
    check_last_row(poses, "camera_to_world", path)
    height = image_side(data, "render_height", path) or asked[0]
    width = image_side(data, "render_width", path) or asked[1]
    fov = stack(entries, "fov", path, lambda shape: shape == (), "the vertical field of view in degrees")
    focal = 0.5 * height / torch.tan(torch.deg2rad(fov) / 2)
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64).expand(len(focal), 2)
    rate = data.get("fps")
    said = isinstance(rate, int | float) and math.isfinite(rate)
    return CameraFile(
        square(poses) * OPENGL,
        "camera-to-world with OpenGL axes: columns 2 and 3 negated",
        "nerfstudio's (its world is scaled and turned: poses of a transforms.json do not fit it)",
        torch.cat([focal[:, None], focal[:, None], centre], dim=-1),
        size=(height, width),
        size_said={"render_height", "render_width"} <= data.keys(),
        remarks=(f"made for {rate:g} frames/s",) if said else (),
    )


FORMAT = Format("nerfstudio camera_path.json", "JSON", _refusal, _read)
