"""Procedural worlds: a room or an open place with things that rest and move, as tensors that render on any device.

Everything is laid out in the room's frame (metres, OpenCV axes, y down along gravity); `Worlds.room_pose` takes it to
the world frame, in which the source's first camera is the identity. Ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.geometry.cameras import axis_rotation, invert_pose, look_at
from plenodream.worlds.family import Range, SceneFamily, uniform
from plenodream.worlds.patterns import sample_images, sample_patterns

# Where the anchor camera looks in the room's frame, and how far it stands from there.
SUBJECT = (0.0, 0.0, 4.0)
# Low and high seeds of every split. CPU generators keep the low 32 bits of a seed only, so the ranges lie within them.
SPLITS = {"train": (0, 2**31), "validation": (2**31, 3 * 2**30), "benchmark": (3 * 2**30, 2**32)}


# A thing's parts: shape, joint, limb from joint to the part's centre, half extents (in units of the thing's half
# extents, y down), and the swing of the limb about the joint (1 and -1: in and out of step).
_PARTS: dict[str, tuple[tuple[str, tuple, tuple, tuple, float], ...]] = {
    kind: ((kind, (0, 0, 0), (0, 0, 0), (1, 1, 1), 0.0),) for kind in ("sphere", "box", "cylinder")
} | {
    "figure": (
        ("box", (0, -0.28, 0), (0, 0, 0), (0.23, 0.33, 0.15), 0.0),
        ("sphere", (0, -0.81, 0), (0, 0, 0), (0.17, 0.19, 0.17), 0.0),
        ("sphere", (-0.31, -0.54, 0), (0, 0.30, 0), (0.09, 0.34, 0.09), 1.0),
        ("sphere", (0.31, -0.54, 0), (0, 0.30, 0), (0.09, 0.34, 0.09), -1.0),
        ("cylinder", (-0.13, 0.02, 0), (0, 0.49, 0), (0.10, 0.49, 0.10), -1.0),
        ("cylinder", (0.13, 0.02, 0), (0, 0.49, 0), (0.10, 0.49, 0.10), 1.0),
    )
}


@dataclass(frozen=True)
class Worlds:
    """A batch of worlds: a room whose six walls and P parts have a texture each. Lengths in metres, angles in degrees.

    A part is a unit sphere, box (-1..1) or cylinder (axis y) scaled by its half extents, turned and moved.

    Attributes:
        shapes: Shape of every part, the same for the whole batch.
        room_pose: Room frame to world frame.
        room_low: Lowest corner of the room, in its frame.
        room_high: Highest corner.
        is_open: Whether all walls but the floor are a sky.
        light: Unit vector toward the light, room frame.
        extent: Half extents of the parts.
        centre: Centres of the parts' things, room frame.
        joint: From the thing's centre to the joint, in the thing's axes.
        limb: From the joint to the part's centre.
        swing: Largest turn of the limb about the joint's x axis.
        sway_sine: Displacement of the thing times the sine of its phase.
        sway_cosine: Displacement times the cosine of its phase.
        rate: Periods per unit of time.
        phase: Phase at time zero, radians.
        yaw: Turn about y at time zero.
        spin: Turn about y per unit of time.
        moving: Whether the part moves.
        frequency: Radians per unit of the texture's coordinates (room frame for walls, unit shape for parts).
        offset: Phases of the texture, radians.
        grain: Direction of the texture's waves, radians per unit of the texture's coordinates.
        warp: Strength with which waves are bent.
        checker: Share of the checker pattern, 0 or 1.
        hardness: Steepness of the pattern's edges.
        colours: Two colours per surface, 0..1.
        images: An image for every surface, RGB in 0..1; None: all show their pattern.
        image_width: Metres that the image is wide; infinite where the surface shows its pattern.
        image_offset: Where in the image the origin of the texture's coordinates lies, in images.
    """

    shapes: tuple[str, ...]
    room_pose: Float[Tensor, "batch 4 4"]
    room_low: Float[Tensor, "batch 3"]
    room_high: Float[Tensor, "batch 3"]
    is_open: Bool[Tensor, "batch"]
    light: Float[Tensor, "batch 3"]
    extent: Float[Tensor, "batch parts 3"]
    centre: Float[Tensor, "batch parts 3"]
    joint: Float[Tensor, "batch parts 3"]
    limb: Float[Tensor, "batch parts 3"]
    swing: Float[Tensor, "batch parts"]
    sway_sine: Float[Tensor, "batch parts 3"]
    sway_cosine: Float[Tensor, "batch parts 3"]
    rate: Float[Tensor, "batch parts"]
    phase: Float[Tensor, "batch parts"]
    yaw: Float[Tensor, "batch parts"]
    spin: Float[Tensor, "batch parts"]
    moving: Bool[Tensor, "batch parts"]
    frequency: Float[Tensor, "batch surfaces 3"]
    offset: Float[Tensor, "batch surfaces 3"]
    grain: Float[Tensor, "batch surfaces 3"]
    warp: Float[Tensor, "batch surfaces"]
    checker: Float[Tensor, "batch surfaces"]
    hardness: Float[Tensor, "batch surfaces"]
    colours: Float[Tensor, "batch surfaces 2 3"]
    images: Float[Tensor, "batch surfaces 3 size size"] | None = None
    image_width: Float[Tensor, "batch surfaces"] | None = None
    image_offset: Float[Tensor, "batch surfaces 3"] | None = None

    def __len__(self) -> int:
        return self.room_pose.shape[0]

    def _map(self, function) -> Worlds:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: function(value) for name, value in values.items() if isinstance(value, Tensor)})

    def __getitem__(self, index: slice | Tensor) -> Worlds:
        """Some of the worlds."""
        return self._map(lambda value: value[index])

    def to(self, device: torch.device | str) -> Worlds:
        """The same worlds on another device."""
        return self._map(lambda value: value.to(device))

    def part_poses(
        self, times: Float[Tensor, "batch frames"]
    ) -> tuple[Float[Tensor, "batch frames parts 3 3"], Float[Tensor, "batch frames parts 3"]]:
        """Rotations (shape to room) and centres (room frame) of the parts at times in 0..1, in the times' dtype."""
        times = times[..., None]
        angle = 2 * math.pi * self.rate[:, None] * times + self.phase[:, None]
        sine, cosine = angle.sin()[..., None], angle.cos()[..., None]
        turn = axis_rotation("y", self.yaw[:, None] + self.spin[:, None] * times)
        # Limbs go through two swings in the time of one sway, as legs do in a short walk to and fro.
        bend = axis_rotation("x", self.swing[:, None] * (2 * angle).sin())
        limb = self.joint[:, None] + (bend @ self.limb[:, None, :, :, None].to(times))[..., 0]
        sway = self.sway_sine[:, None] * sine + self.sway_cosine[:, None] * cosine
        return turn @ bend, self.centre[:, None] + sway + (turn @ limb[..., None])[..., 0]


def world_generator(split: str, index: int) -> torch.Generator:
    """The generator from which world (or batch) number `index` of a split is drawn; splits never share a seed.

    Raises:
        ValueError: Unknown split, or an index outside of it.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    low, high = SPLITS[split]
    if not 0 <= index < high - low:
        raise ValueError(f"world {index} of split {split}: expected 0 to {high - low - 1}")
    return torch.Generator().manual_seed(low + index)


def sample_worlds(
    family: SceneFamily,
    count: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    textures: Float[Tensor, "images 3 size size"] | None = None,
) -> Worlds:
    """Random worlds of a family; the same generator state gives the same worlds on every device.

    Args:
        family: Which variety.
        count: How many worlds.
        generator: CPU generator, for instance of `world_generator`.
        device: Where the worlds go.
        textures: Images that a share of the surfaces shows; all else is the same with and without them.
    """
    room = _sample_room(family, count, generator)
    things = _sample_things(family, count, room["room_high"][:, 1], generator)
    parts = [part for kind in family.things for part in _PARTS[kind]]
    owner = torch.tensor([i for i, kind in enumerate(family.things) for _ in _PARTS[kind]])
    joint, limb, extent = (torch.tensor([part[i] for part in parts], dtype=torch.float32) for i in (1, 2, 3))
    swing = torch.tensor([part[4] for part in parts])
    per_part = {name: value[:, owner] for name, value in things.items()}
    size = per_part.pop("size")
    per_part["swing"] = per_part["swing"] * swing
    per_part |= {"extent": size * extent, "joint": size * joint, "limb": size * limb}
    surfaces = sample_patterns(family, per_part["extent"], room["is_open"], generator)
    if textures is not None:
        surfaces |= sample_images(family, textures, room["is_open"], len(parts), generator)
    return Worlds(shapes=tuple(part[0] for part in parts), **room, **per_part, **surfaces).to(device)


def _sample_room(family: SceneFamily, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    def draw(bounds: Range) -> Tensor:
        return uniform((count,), bounds, generator)

    is_open = torch.rand(count, generator=generator) < family.open_share
    side = torch.where(is_open, 60.0, draw(family.side))
    low = torch.stack([-side, -torch.where(is_open, 40.0, draw(family.ceiling)), -draw(family.back)], dim=-1)
    high = torch.stack([side, draw(family.floor), draw(family.front)], dim=-1)
    low[:, 2], high[:, 2] = torch.where(is_open, -60.0, low[:, 2]), torch.where(is_open, 60.0, high[:, 2])
    subject = torch.tensor(SUBJECT)
    turn = axis_rotation("y", draw((-family.anchor_turn, family.anchor_turn)))
    shift = uniform((2, count, 3), (-family.anchor_shift, family.anchor_shift), generator)
    shift[1, :, 1] += draw(family.look_down)
    anchor = look_at(subject - (turn @ subject) + shift[0], subject + shift[1])
    tilt, around = torch.deg2rad(draw(family.light_turn)), draw((0, 2 * math.pi))
    light = torch.stack([tilt.sin() * around.cos(), -tilt.cos(), tilt.sin() * around.sin()], dim=-1)
    return {
        "room_pose": invert_pose(anchor), "room_low": low, "room_high": high, "light": light,
        "is_open": is_open,
    }  # fmt: skip


def _sample_things(family: SceneFamily, count: int, floor: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Things around the subject: standing on the floor at random places, one sector each, some of them moving."""
    slots = len(family.things)
    shape = (count, slots)

    def draw(bounds: Range) -> Tensor:
        return uniform(shape, bounds, generator)

    def some(limits: tuple[int, int], most: Tensor) -> Tensor:
        number = torch.randint(limits[0], limits[1] + 1, (count, 1), generator=generator)
        return number.clamp(max=most)

    order = torch.rand(shape, generator=generator).argsort(dim=1)
    number = some(family.present, torch.tensor(slots))
    present, moving = order < number, order < some(family.movers, number)
    figure = torch.tensor([kind == "figure" for kind in family.things])
    is_box = torch.tensor([kind == "box" for kind in family.things])

    size = uniform((*shape, 3), family.thing_size, generator)
    # Round things are nearly round; a figure has one size, of a child or an adult.
    size = torch.where(
        is_box[:, None], size, size.mean(-1, keepdim=True) * uniform((*shape, 3), (0.85, 1.15), generator)
    )
    size = torch.where(figure[:, None], draw((0.65, 0.95))[..., None], size)

    angle = 2 * math.pi * (order + draw((-0.3, 0.3))) / number
    angle = angle + uniform((count, 1), (0, 2 * math.pi), generator)
    distance = draw(family.spread)
    amplitude, heading = draw(family.travel) * moving, torch.deg2rad(draw((-45, 45)))
    ellipse, lift = draw((0, 0.4)) * amplitude, draw((-0.5, 0.4)).clamp(min=0) * moving * ~figure
    zero = torch.zeros(shape)
    sine = torch.stack([amplitude * heading.cos(), zero, amplitude * heading.sin()], dim=-1)
    cosine = torch.stack([-ellipse * heading.sin(), lift, ellipse * heading.cos()], dim=-1)
    # Nearer things stand closer together, so that they do not fill the anchor's view.
    ahead = SUBJECT[2] + 0.3 + 0.75 * distance * angle.sin()
    centre = torch.stack([distance * angle.cos(), floor[:, None] - size[..., 1] - lift, ahead], dim=-1)
    # An absent thing waits far below the floor: no ray that ends at a wall gets there.
    centre[..., 1] = torch.where(present, centre[..., 1], 1e3)
    spin = draw((-120, 120)) * moving * ~figure
    yaw = torch.where(figure, torch.rad2deg(math.pi / 2 - heading), draw((0, 360)))
    return {
        "size": size, "centre": centre, "sway_sine": sine, "sway_cosine": cosine, "rate": draw((0.5, 1.0)),
        "phase": draw((0, 2 * math.pi)), "yaw": yaw, "spin": spin, "swing": draw((25, 45)) * moving, "moving": moving,
    }  # fmt: skip
