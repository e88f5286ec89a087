"""Families of procedural scenes: how varied their worlds and cameras are. Ours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Range = tuple[float, float]


@dataclass(frozen=True)
class SceneFamily:
    """How varied worlds and cameras are; ranges are (low, high), lengths in metres, angles in degrees.

    Attributes:
        things: Kinds of the things that may be present: sphere (an ellipsoid), box, cylinder, figure (six parts).
        present: How many of them are, as (least, most).
        movers: How many of those present move, as (least, most).
        thing_size: Half extents of things.
        travel: Amplitude of the movers' sway.
        spread: Distance of the things from the subject point along the floor.
        side: Distance of the side walls from the room's middle.
        back: Distance of the wall behind the anchor from the room's origin.
        front: Distance of the wall ahead of the anchor from the room's origin.
        floor: Height of the anchor above the floor.
        ceiling: Height of the ceiling above the anchor.
        open_share: Share of worlds without walls: a floor under a sky.
        anchor_turn: Turn of the anchor camera around the subject, to either side.
        look_down: How far below the subject the anchor camera aims.
        anchor_shift: Largest displacement of the anchor camera and of its aim, along every axis.
        thing_wave: Wavelengths of the things' textures.
        wall_wave: Wavelengths of the walls' textures.
        hardness: Steepness of the textures' edges: 1 is a sine, 4 nearly flat colours with edges.
        light_turn: Angle of the light from straight above.
        lens: Focal length in millimetres on a 36 mm wide film.
        zoom: Largest factor on the focal length of the base lens; two views differ by up to its square.
        reach: Factor on the extent of the camera paths.
        subject: Distance of the subject around which cameras turn.
        source_static: Share of samples whose source camera is made to stand still; others may draw a path that goes
            nowhere.
    """

    things: tuple[str, ...]
    present: tuple[int, int]
    movers: tuple[int, int]
    thing_size: Range
    travel: Range
    spread: Range
    side: Range
    back: Range
    front: Range
    floor: Range
    ceiling: Range
    open_share: float
    anchor_turn: float
    look_down: Range
    anchor_shift: float
    thing_wave: Range
    wall_wave: Range
    hardness: Range
    light_turn: Range
    lens: Range
    zoom: float
    reach: Range
    subject: Range
    source_static: float


MILD = SceneFamily(
    things=("sphere", "sphere", "box", "box", "cylinder"),
    present=(3, 4),
    movers=(1, 2),
    thing_size=(0.4, 0.72),
    travel=(0.5, 0.8),
    spread=(0.9, 1.8),
    side=(4.5, 4.5),
    back=(3.0, 3.0),
    front=(8.5, 8.5),
    floor=(1.4, 1.4),
    ceiling=(2.6, 2.6),
    open_share=0.0,
    anchor_turn=4.0,
    look_down=(0.0, 0.0),
    anchor_shift=0.15,
    thing_wave=(1.0, 2.4),
    wall_wave=(2.6, 7.0),
    hardness=(0.9, 1.3),
    light_turn=(20.0, 40.0),
    lens=(25.7, 38.6),
    zoom=1.15,
    reach=(0.6, 1.0),
    subject=(4.0, 4.0),
    source_static=0.5,
)
FULL = SceneFamily(
    things=("sphere", "sphere", "box", "box", "box", "cylinder", "cylinder", "figure"),
    present=(3, 8),
    movers=(1, 4),
    thing_size=(0.25, 0.85),
    travel=(0.4, 0.9),
    spread=(0.7, 2.3),
    side=(3.5, 7.0),
    back=(2.0, 5.0),
    front=(6.5, 11.0),
    floor=(1.1, 1.7),
    ceiling=(1.3, 3.2),
    open_share=0.3,
    anchor_turn=30.0,
    look_down=(0.0, 0.9),
    anchor_shift=0.4,
    thing_wave=(0.3, 2.4),
    wall_wave=(0.7, 7.0),
    hardness=(0.9, 4.0),
    light_turn=(5.0, 60.0),
    lens=(18.0, 100.0),
    zoom=1.6,
    reach=(0.4, 1.0),
    subject=(3.2, 5.2),
    source_static=0.4,
)
FAMILIES = {"mild": MILD, "full": FULL}


def scene_family(name: str) -> SceneFamily:
    """The family of a name.

    Raises:
        ValueError: Unknown name.
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}: expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def uniform(shape: Sequence[int], bounds: Range, generator: torch.Generator) -> Tensor:
    """Uniform random numbers between two bounds (CPU, float32)."""
    return torch.rand(tuple(shape), generator=generator) * (bounds[1] - bounds[0]) + bounds[0]


def log_uniform(shape: Sequence[int], bounds: Range, generator: torch.Generator) -> Tensor:
    """Random numbers between two bounds whose logarithms are uniform."""
    return uniform(shape, (math.log(bounds[0]), math.log(bounds[1])), generator).exp()
