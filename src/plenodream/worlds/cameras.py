"""Random cameras of training samples: a source and targets that see what it does not, yet overlap with it. Ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from plenodream.geometry.rig import Rig, rig_poses
from plenodream.types import Cameras
from plenodream.worlds.family import Range, SceneFamily, log_uniform, uniform

# Fields of the rig as columns; radius in parts of the subject's distance, focal as a power of the family's zoom.
_FIELDS = ("azimuth", "elevation", "radius", "right", "up", "forward", "pan", "tilt", "focal")
# Every kind of path: the share of target paths, where it stands from its first frame on, and how far it then goes.
# "rise" is `up` re-aimed at the subject.
_KINDS: tuple[tuple[float, dict, dict], ...] = (
    (0.5, {}, {}),
    (2.0, {}, {"pan": (-35, 35)}),
    (5.0, {}, {"azimuth": (-75, 75)}),
    (5.0, {"azimuth": (-75, 75)}, {}),
    (1.0, {}, {"tilt": (-18, 18)}),
    (1.5, {}, {"rise": (-0.9, 2.0)}),
    (1.5, {"elevation": (-12, 30)}, {}),
    (1.5, {}, {"forward": (-2.0, 1.3)}),
    (1.5, {"radius": (-0.35, 0.5)}, {}),
    (2.0, {}, {"right": (-2.0, 2.0)}),
    (1.0, {}, {"up": (-0.8, 1.6)}),
    (1.0, {}, {"focal": (-1, 1)}),
    (
        12.0,
        {"azimuth": (-45, 45), "elevation": (-6, 16), "radius": (-0.2, 0.3), "pan": (-12, 12), "focal": (-0.6, 0.6)},
        {
            "azimuth": (-45, 45), "elevation": (-5, 12), "radius": (-0.25, 0.25), "right": (-0.8, 0.8),
            "pan": (-16, 16), "tilt": (-6, 6), "focal": (-0.4, 0.4),
        },
    ),
)  # fmt: skip
_COLUMNS = (*_FIELDS, "rise")
# Kinds of the table above that leave the camera where it is: it rests, turns or zooms.
_RESTING = (0, 1, 4, 11)


@dataclass(frozen=True)
class Footage:
    """Cameras as of videos that people bring, in place of a family's own.

    Attributes:
        aspect: Width to height of the pictures, which are squeezed into the size that is rendered.
        lens: Focal length in millimetres, as `SceneFamily.lens`; the picture's longer side is 36 mm on the film.
        merged: Focal lengths of views merged from several (`memory.merge`), up to 110 degrees wide.
        merged_share: Share of the targets that are such views.
        resting: Factor on the share of paths that rest, only turn or only zoom.
    """

    aspect: Range = (0.5, 2.0)
    lens: Range = (18.0, 100.0)
    merged: Range = (12.6, 20.0)
    merged_share: float = 0.1
    resting: float = 2.5


def sample_cameras(
    family: SceneFamily,
    count: int,
    views: int,
    frames: int,
    height: int,
    width: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    footage: Footage | None = None,
) -> Cameras:
    """Random smooth camera paths of batch shape (count, views, frames) in the world frame of `Worlds`.

    View 0 is the source: its first camera is the identity, and it stands still or moves a little. The other views are
    targets, of every preset family and of random mixtures. With one frame, they stand at a random place of their path.
    With `footage`, lenses, aspects and the mixture of paths are its own.

    Raises:
        ValueError: No views or frames.
    """
    if count < 1 or views < 1 or frames < 1:
        raise ValueError(f"{count} samples of {views} views and {frames} frames: expected at least 1 of each")
    shape = (count, views)
    share = torch.tensor([kind[0] for kind in _KINDS])
    if footage is not None:
        share[list(_RESTING)] *= footage.resting
    kind = torch.multinomial(share.expand(count, -1), views, replacement=True, generator=generator)
    start, travel = (_draw(part, kind, generator) for part in (0, 1))
    size = uniform((count, 1, 1), family.reach, generator)
    start, travel = start * size, travel * size
    # The source starts at the identity and goes a third as far, or nowhere.
    still = torch.rand(count, 1, generator=generator) < family.source_static
    start[:, 0], travel[:, 0] = 0, torch.where(still, 0.0, travel[:, 0] / 3)

    # Half of the paths are eased, half of constant speed.
    moment = torch.linspace(0, 1, frames).expand(*shape, frames)
    if frames == 1:
        moment = torch.rand(*shape, 1, generator=generator)
        moment[:, 0] = 0
    eased = 0.5 - 0.5 * (math.pi * moment).cos()
    smooth = torch.rand(*shape, 1, generator=generator) < 0.5
    moment = torch.where(smooth, eased, moment)

    lens = log_uniform((count, 1, 1), family.lens if footage is None else footage.lens, generator)
    # A long lens sees little: turning and shifting it as far as a wide one would leave no overlap.
    narrow = (30 / lens).clamp(max=1)
    value = dict(
        zip(_COLUMNS, (start[..., None, :] + travel[..., None, :] * moment[..., None]).unbind(-1), strict=True)
    )
    for name in ("pan", "tilt", "right", "up"):
        value[name] = value[name] * narrow
    distance = uniform((count, 1, 1), family.subject, generator)
    rise = value.pop("rise")
    value["radius"] = distance * (1 + value["radius"])
    value["up"] = value["up"] + rise
    value["tilt"] = value["tilt"] - torch.rad2deg(torch.atan2(rise, value["radius"]))
    value["focal"] = family.zoom ** value["focal"]
    poses = rig_poses(Rig(**value), distance)
    focal = focal_y = lens / 36 * width * value["focal"]
    if footage is not None:
        focal, focal_y = _squeezed(footage, lens * value["focal"], height, width, generator)
    centre = torch.ones_like(focal)
    intrinsics = torch.stack([focal, focal_y, centre * width / 2, centre * height / 2], dim=-1)
    return Cameras(poses, intrinsics, height, width).to(device)


def _squeezed(
    footage: Footage, lens: Tensor, height: int, width: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Focal lengths in pixels, along x and y, of pictures of random aspects squeezed into one size."""
    samples, views, _ = lens.shape
    merged = torch.rand(samples, views, 1, generator=generator) < footage.merged_share
    merged[:, 0] = False
    lens = torch.where(merged, log_uniform((samples, views, 1), footage.merged, generator), lens)
    aspect = log_uniform((samples, 1, 1), footage.aspect, generator)
    focal = lens / (36 * aspect.clamp(max=1))
    return focal * width, focal * aspect * height


def _draw(part: int, kind: Tensor, generator: torch.Generator) -> Tensor:
    """Random values of the rig's columns for every path, between the bounds of its kind: (count, views, columns)."""
    bounds = torch.tensor([[row[1:][part].get(name, (0.0, 0.0)) for name in _COLUMNS] for row in _KINDS])
    low, high = bounds[kind].unbind(-1)
    # Away from the middle of the range: a path that goes nowhere teaches nothing about cameras.
    place = uniform(low.shape, (-1, 1), generator)
    place = place.sign() * (0.3 + 0.7 * place.abs())
    return torch.lerp(low, high, 0.5 + 0.5 * place)
