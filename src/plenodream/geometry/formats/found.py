"""What an importer hands over: a camera file's content in our conventions, at the size the file means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from plenodream.geometry.formats.content import Content, Kind
from plenodream.geometry.points import ScenePoints

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Distortion:
    """What a lens does beside a pinhole, the same in all frames: `coefficients` of a camera model of COLMAP's."""

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class CameraFile:
    """The cameras of a file, not yet checked.

    Attributes:
        poses: Camera-to-world, OpenCV axes, float64.
        convention: How the file has its poses, and what was done to them.
        scale: What its unit of length is.
        intrinsics: fx, fy, cx, cy in pixels, float64; None where the file has none.
        size: Height and width of the images that `intrinsics` are for; None where the file does not say, which means
            the size that was asked for.
        size_said: Whether the file states its size; if not, a `size` is a conclusion from something else.
        numbers: Number of the frame behind each camera, ascending; None where each frame has its own.
        counted_from: Which number the first frame of a video has; None where that is not known (0 or 1).
        remarks: What else there is to say.
        warnings: What makes the cameras less than exact.
        points: Of the scene, where the file has them; `seen` counts its cameras.
        distortion: Of the lens, where the file has it and it is one for all.
    """

    poses: Float[Tensor, "cameras 4 4"]
    convention: str
    scale: str
    intrinsics: Float[Tensor, "cameras 4"] | None = None
    size: Size | None = None
    size_said: bool = True
    numbers: tuple[int, ...] | None = None
    counted_from: int | None = 0
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    points: ScenePoints | None = None
    distortion: Distortion | None = None


@dataclass(frozen=True)
class Format:
    """A camera format.

    Attributes:
        name: What people call it.
        kind: What its files are.
        refusal: Why a content is not of this format; None if it is.
        read: Its cameras, given height and width of the images they are wanted for, which intrinsics of no stated size
            are taken for; raises `ValueError` where the content is damaged.
    """

    name: str
    kind: Kind
    refusal: Callable[[Content], str | None]
    read: Callable[[Content, Size], CameraFile]


def square(poses: Float[Tensor, "cameras rows 4"]) -> Float[Tensor, "cameras 4 4"]:
    """3x4 or 4x4 matrices with 0 0 0 1 as their last row, float64."""
    whole = torch.eye(4, dtype=torch.float64).repeat(len(poses), 1, 1)
    whole[:, :3] = poses[:, :3]
    return whole


def pinhole(matrices: Float[Tensor, "*cameras 3 3"]) -> Float[Tensor, "*cameras 4"]:
    """fx, fy, cx, cy of intrinsic matrices; skew is dropped."""
    return torch.stack([matrices[..., 0, 0], matrices[..., 1, 1], matrices[..., 0, 2], matrices[..., 1, 2]], dim=-1)


def size_by_centre(intrinsics: Float[Tensor, "cameras 4"], asked: Size) -> Size | None:
    """The size of the images that intrinsics of a file without a size are for, or None for the asked one.

    A principal point lies near the middle of its image. Where that of the file does not (more than a twentieth of the
    asked side away), the images were of another size: twice the principal point. Ours.
    """
    centre = intrinsics[:, 2:].median(dim=0).values * 2
    if not bool(torch.isfinite(centre).all() and (centre >= 1).all()):
        return None
    off = (centre / torch.tensor([asked[1], asked[0]], dtype=centre.dtype) - 1).abs().max().item()
    return (round(centre[1].item()), round(centre[0].item())) if off > 0.1 else None


def one_of(names: Sequence[str], content: Content) -> str:
    """Which of several cameras in a file is meant.

    Raises:
        ValueError: There are several and none is chosen, or another one is.
    """
    chosen = content.part or ("" if len(names) > 1 else names[0])
    if chosen not in names:
        found = f"no camera {chosen!r}" if chosen else f"{len(names)} cameras"
        some = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
        raise ValueError(f"{content.path}: {found}; expected one of {some}: write {content.path.name}#{names[0]}")
    return chosen
