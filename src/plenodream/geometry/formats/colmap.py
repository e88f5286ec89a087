"""COLMAP's sparse folder, read and written: world-to-camera quaternions, OpenCV axes, pixel centres at +0.5.

Images are put in the order of their names; where some of a clip's frames are missing, the numbers in the names say
which (frame_00012.png).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from plenodream.geometry.cameras import invert_pose, make_pose
from plenodream.geometry.formats.colmap_files import Image, Lens, Model, model_files, read_model
from plenodream.geometry.formats.content import Content
from plenodream.geometry.formats.found import CameraFile, Distortion, Format, Size
from plenodream.geometry.formats.frame_names import by_name, frame_numbers
from plenodream.geometry.formats.rotations import quaternion_rotation, rotation_quaternion, unit_quaternions
from plenodream.geometry.points import ScenePoints
from plenodream.types import Cameras

_ONE_FOCAL = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"}  # f cx cy instead of fx fy cx cy
_LENSES = _ONE_FOCAL | {"PINHOLE", "OPENCV", "FULL_OPENCV"}


def colmap_files(
    cameras: Cameras,
    names: Sequence[str],
    points: Float[Tensor, "points 3"] | None = None,
    colours: UInt8[Tensor, "points 3"] | None = None,
    binary: bool = True,
) -> dict[str, bytes]:
    """A model of one path, as the files of its folder by name; frames of equal intrinsics share a lens.

    Args:
        cameras: Batch shape (frames,).
        names: Name of every frame's image.
        points: Points in the world of the cameras.
        colours: Of those points; grey where not given.
        binary: Or text.
    """
    rows = [tuple(row) for row in cameras.intrinsics.double().cpu().tolist()]
    number = {row: index for index, row in enumerate(dict.fromkeys(rows), start=1)}
    lenses = {index: Lens("PINHOLE", cameras.width, cameras.height, row) for row, index in number.items()}
    matrices = invert_pose(cameras.camera_to_world.double().cpu())
    quaternions, centres = rotation_quaternion(matrices[:, :3, :3]).tolist(), matrices[:, :3, 3].tolist()
    images = [
        Image(name, number[row], tuple(quaternion), tuple(centre))
        for name, row, quaternion, centre in zip(names, rows, quaternions, centres, strict=True)
    ]
    if points is None:
        return model_files(Model(lenses, images), binary)
    colours = torch.full(points.shape, 128, dtype=torch.uint8) if colours is None else colours
    places, numbers = list(map(tuple, points.double().tolist())), list(range(1, len(points) + 1))
    model = Model(lenses, images, places, numbers, list(map(tuple, colours.tolist())))
    return model_files(model, binary)


def _model_folder(path: Path) -> Path | None:
    """The folder of the model in a path: itself, or below it as COLMAP's own projects are laid out."""
    for folder in (path, path / "sparse" / "0", path / "sparse", path / "0"):
        if any((folder / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
            return folder
    return None


def _refusal(content: Content) -> str | None:
    return "no images.bin or images.txt" if _model_folder(content.path) is None else None


def _read(content: Content, asked: Size) -> CameraFile:
    folder = _model_folder(content.path)
    assert folder is not None
    model = read_model(folder)
    if not model.images:
        raise ValueError(f"{folder}: no images in the model; expected at least one")
    images = [model.images[index] for index in by_name([image.name for image in model.images])]
    if missing := [image for image in images if image.lens not in model.lenses]:
        raise ValueError(f"{folder}: image {missing[0].name} is of camera {missing[0].lens}, which is not there")
    lenses = [model.lenses[image.lens] for image in images]
    sizes = sorted({(lens.height, lens.width) for lens in lenses})
    if len(sizes) > 1:
        raise ValueError(f"{folder}: images of different sizes (height, width) {sizes}; expected one size in all")
    rows = [_pinhole(lens, folder) for lens in lenses]
    quaternions = unit_quaternions(torch.tensor([image.quaternion for image in images], dtype=torch.float64), folder)
    translations = torch.tensor([image.translation for image in images], dtype=torch.float64)
    bends = {Distortion(lens.model, lens.parameters[3 if lens.model in _ONE_FOCAL else 4 :]) for lens in lenses}
    distorted = sorted({bend.model for bend in bends if any(bend.coefficients)})
    advice = "undistort the images (colmap image_undistorter) for exact cameras"
    return CameraFile(
        invert_pose(make_pose(quaternion_rotation(quaternions), translations)),
        "world-to-camera quaternions, OpenCV axes: inverted",
        "COLMAP's own (a reconstruction has no metres)",
        torch.tensor(rows, dtype=torch.float64),
        size=sizes[0],
        numbers=frame_numbers([image.name for image in images]),
        counted_from=None,
        remarks=(f"{len(model.points)} points",),
        warnings=(f"lens distortion ({distorted[0]}) is ignored; {advice}",) if distorted else (),
        points=_points(model, images),
        distortion=bends.pop() if distorted and len(bends) == 1 else None,
    )


def _points(model: Model, images: Sequence[Image]) -> ScenePoints | None:
    """The points of a model, and which images show them, where it says so."""
    if not model.points:
        return None
    row = {number: index for index, number in enumerate(model.numbers)}
    seen = [(frame, row[number]) for frame, image in enumerate(images) for number in image.seen if number in row]
    return ScenePoints(torch.tensor(model.points, dtype=torch.float64), torch.tensor(seen) if seen else None)


def _pinhole(lens: Lens, folder: Path) -> tuple[float, ...]:
    if lens.model not in _LENSES:
        raise ValueError(f"{folder}: camera model {lens.model}; expected a pinhole camera: undistort the images first")
    first = lens.parameters[:1] if lens.model in _ONE_FOCAL else ()
    values = (*first, *lens.parameters)[:4]
    if len(values) < 4:
        raise ValueError(
            f"{folder}: a {lens.model} camera of {len(lens.parameters)} parameters; export the model again"
        )
    return values


FORMAT = Format("COLMAP model", "folder", _refusal, _read)
