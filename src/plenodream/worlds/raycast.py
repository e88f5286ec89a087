"""The batched ray caster: colour, exact depth and motion mask of worlds seen by cameras. Ours.

Each part is cut by the rays in its own frame, where a ray's direction is affine in the pixel's position: one product
and one sum per axis. Textures and light are computed once, for the surface that won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plenodream.geometry.cameras import invert_pose, resize_cameras
from plenodream.types import Cameras
from plenodream.worlds.patterns import FACES, FLOOR
from plenodream.worlds.texels import Pictures, image_table, image_texels
from plenodream.worlds.world import Worlds

NEAR = 0.05
# Depth of rays that meet no wall, from a camera outside of the room.
FAR = 200.0
# Rays traced at once on a CPU.
_RAYS = {"cpu": 2**16}
# How dark surfaces turned away from the light are, and at what distance open floors have lost half of their contrast.
_WALL_RELIEF, _PART_RELIEF, _FADE = 0.2, 0.65, 9.0
# Which axes of a shape have flat faces.
_FLAT = {"sphere": (0.0, 0.0, 0.0), "box": (1.0, 1.0, 1.0), "cylinder": (0.0, 1.0, 0.0)}


@dataclass(frozen=True)
class Rendered:
    """What the cameras saw.

    Attributes:
        rgb: Colours, 0..1.
        depth: z along the camera's axis at the pixels' centres, metres.
        moving: Whether the pixel shows a part that moves.
    """

    rgb: Float[Tensor, "batch views frames height width 3"]
    depth: Float[Tensor, "batch views frames height width"]
    moving: Bool[Tensor, "batch views frames height width"]


def render(
    worlds: Worlds,
    cameras: Cameras,
    times: Float[Tensor, "#batch #views frames"] | Float[Tensor, "frames"],
    supersample: int = 1,
) -> Rendered:
    """Render worlds at given times.

    Args:
        worlds: B worlds.
        cameras: Cameras of batch shape (B, V, F) in the world frame, on the same device.
        times: Moments in 0..1, (F,) or broadcastable to (B, V, F).
        supersample: Colours are means over this many rays per pixel along both axes; depth and mask stay one ray.

    Raises:
        ValueError: Cameras that are not (B, V, F) for these worlds.
    """
    if len(cameras.shape) != 3 or cameras.shape[0] != len(worlds):
        raise ValueError(
            f"cameras of shape {tuple(cameras.shape)} for {len(worlds)} worlds: expected (worlds, views, frames)"
        )
    if supersample > 1:
        fine = render(worlds, resize_cameras(cameras, cameras.height * supersample, cameras.width * supersample), times)
        rgb = fine.rgb.unflatten(4, (-1, supersample)).unflatten(3, (-1, supersample)).mean(dim=(4, 6))
        return replace(render(worlds, cameras, times), rgb=rgb)

    frames_per_world = cameras.shape[1] * cameras.shape[2]
    # Poses are composed in double precision, which neither autocast nor TF32 rounds.
    times = times.to(worlds.centre.device, torch.float64).expand(cameras.shape).flatten(1)
    rotation, centre = (value.flatten(0, 1) for value in worlds.part_poses(times))
    to_room = (invert_pose(worlds.room_pose.double())[:, None, None] @ cameras.camera_to_world.double()).flatten(0, 2)
    intrinsics = cameras.intrinsics.to(worlds.extent).flatten(0, 2)
    surfaces = _surface_table(worlds)
    texels = None if worlds.images is None else image_texels(worlds.images)
    world = torch.arange(len(worlds), device=to_room.device).repeat_interleave(frames_per_world)
    # Eager operations take some images at a time, so that their results stay in the CPU's cache; a compiled graph has
    # no such results to keep.
    some = _RAYS.get(to_room.device.type, 2**24) // (cameras.height * cameras.width)
    step = len(world) if torch.compiler.is_compiling() else max(1, some)
    pieces = [
        _trace(worlds, surfaces, texels, cameras.height, cameras.width, *piece)
        for piece in zip(*(v.split(step) for v in (world, rotation, centre, to_room, intrinsics)), strict=True)
    ]
    rgb, depth, moving = (torch.cat(images) for images in zip(*pieces, strict=True))
    return Rendered(*(value.unflatten(0, cameras.shape) for value in (rgb, depth, moving)))


def _trace(
    worlds: Worlds,
    surfaces: Float[Tensor, "batch surfaces numbers"],
    texels: Float[Tensor, "texels 3"] | None,
    height: int,
    width: int,
    world: Int[Tensor, "images"],
    rotation: Float[Tensor, "images parts 3 3"],
    centre: Float[Tensor, "images parts 3"],
    to_room: Float[Tensor, "images 4 4"],
    intrinsics: Float[Tensor, "images 4"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, depth and motion mask of some images, each with its world, its parts' poses and its camera."""
    fx, fy, cx, cy = intrinsics.unbind(-1)
    columns = torch.arange(width, dtype=fx.dtype, device=fx.device) + 0.5
    rows = torch.arange(height, dtype=fx.dtype, device=fx.device) + 0.5
    x, y = ((columns - cx[:, None]) / fx[:, None])[:, None, :], ((rows - cy[:, None]) / fy[:, None])[:, :, None]

    # Unit shape of a part: (rotation / extent)^T (point - centre).
    extent = worlds.extent[world]
    to_unit = rotation.transpose(-1, -2) / extent[..., None]
    unit_centre = (to_unit @ centre[..., None])[..., 0]
    unit_axes = to_unit @ to_room[:, None, :3, :3]
    unit_origin = (to_unit @ to_room[:, None, :3, 3:])[..., 0] - unit_centre
    to_unit, unit_centre, unit_axes, unit_origin, centre, to_room = (
        value.to(extent) for value in (to_unit, unit_centre, unit_axes, unit_origin, centre, to_room)
    )

    room_rays = _directions(to_room[:, :3, :3], x, y)
    origin = to_room[:, :3, 3, None, None].unbind(1)
    depth, surface = _exit_room(worlds.room_low[world], worlds.room_high[world], origin, room_rays)
    for part, shape in enumerate(worlds.shapes):
        hit = _enter(shape, unit_origin[:, part, :, None, None].unbind(1), _directions(unit_axes[:, part], x, y))
        surface = torch.where(hit < depth, part + FACES, surface)
        depth = torch.minimum(depth, hit)

    points = [o + depth * d for o, d in zip(origin, room_rays, strict=True)]
    table = torch.cat([_surface_axes(to_unit, unit_centre), surfaces[world]], dim=-1)
    row = (surface + table.shape[1] * torch.arange(len(table), device=table.device)[:, None, None]).flatten()
    values = table.flatten(0, 1).t().contiguous().index_select(1, row).unflatten(1, surface.shape)
    darkening = torch.where(surface == FLOOR, _contact_shadow(extent, centre, worlds.room_high[world, 1], points), 1.0)
    moving = torch.nn.functional.pad(worlds.moving, (FACES, 0))[world].flatten().index_select(0, row)
    pictures = None
    if texels is not None and worlds.images is not None:
        number = surface + table.shape[1] * world[:, None, None]
        pictures = Pictures(texels, worlds.images.shape[-1], number, room_rays, depth / fx[:, None, None])
    return _shade(values, points, darkening, pictures), depth, moving.view_as(surface)


def _directions(axes: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
    """The three coordinates of every pixel's ray after the linear map `axes` (N, 3, 3); one step is one metre deep."""
    a, b, c = axes[:, None, None].unbind(-1)
    return [a[..., i] * x + (b[..., i] * y + c[..., i]) for i in range(3)]


def _inverse(direction: Tensor) -> Tensor:
    """1 / direction, kept finite so that rays along a wall give no NaN."""
    return direction.reciprocal().clamp(-1e8, 1e8)


def _exit_room(
    low: Tensor, high: Tensor, origin: Sequence[Tensor], directions: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Where rays leave the room, and through which wall: from outside, they see the far wall through the near one."""
    depth: Any = None
    entry: Any = None
    surface: Any = None
    for axis, (o, d) in enumerate(zip(origin, directions, strict=True)):
        inverse = _inverse(d)
        middle, half = (0.5 * (low + high))[:, axis, None, None], (0.5 * (high - low))[:, axis, None, None]
        towards, reach = (middle - o) * inverse, half * inverse.abs()
        leave, enter = towards + reach, towards - reach
        side = 2 * axis + (d > 0).long()
        surface = side if surface is None else torch.where(leave < depth, side, surface)
        depth = leave if depth is None else torch.minimum(depth, leave)
        entry = enter if entry is None else torch.maximum(entry, enter)
    return torch.where((depth > entry) & (depth > NEAR), depth, FAR), surface


def _enter(shape: str, origin: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    """Depth at which rays enter a unit shape from outside; infinite where they do not."""
    (ox, oy, oz), (dx, dy, dz) = origin, directions
    if shape == "box":
        near, far = _slab(ox, dx)
        for o, d in ((oy, dy), (oz, dz)):
            enter, leave = _slab(o, d)
            near, far = torch.maximum(near, enter), torch.minimum(far, leave)
    elif shape == "sphere":
        near, far = _quadric(dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1)
    else:
        assert shape == "cylinder", shape
        near, far = _quadric(dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - 1)
        enter, leave = _slab(oy, dy)
        near, far = torch.maximum(near, enter), torch.minimum(far, leave)
    return torch.where((near < far) & (near > NEAR), near, torch.inf)


def _slab(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Depths at which rays are between -1 and 1 along one axis."""
    inverse = _inverse(d)
    middle, half = -o * inverse, inverse.abs()
    return middle - half, middle + half


def _quadric(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Depths between which a t^2 + 2 b t + c < 0; near = far = middle where there are none."""
    a = a.clamp(min=1e-12)
    inverse = a.reciprocal()
    middle = -b * inverse
    half = (b * b - a * c).clamp(min=0).sqrt() * inverse
    return middle - half, middle + half


def _contact_shadow(extent: Tensor, centre: Tensor, floor: Tensor, points: list[Tensor]) -> Tensor:
    """Darkening of the floor below parts, as from a wide light above: 1 far from them; wider below what is high up."""
    height = floor[:, None] - centre[..., 1]
    scale = 1 / (1.3 * extent[..., ::2].mean(-1) + 0.4 * height.clamp(min=0))
    # Absent parts wait below the floor and darken nothing.
    x, z = torch.where(height < 0, 1e3, scale * centre[..., 0]), scale * centre[..., 2]
    nearest: Any = None
    for part in range(centre.shape[1]):
        k, a, b = (value[:, part, None, None] for value in (scale, x, z))
        square = (k * points[0] - a).square() + (k * points[2] - b).square()
        nearest = square if nearest is None else torch.minimum(nearest, square)
    return 1 - 0.55 * (1 - nearest).clamp(min=0).square()


def _surface_axes(to_unit: Tensor, unit_centre: Tensor) -> Float[Tensor, "images surfaces 12"]:
    """Room frame to texture coordinates, per surface: those of walls are the room's own."""
    axes = torch.eye(3, dtype=to_unit.dtype, device=to_unit.device).expand(len(to_unit), FACES, 3, 3)
    shift = torch.nn.functional.pad(-unit_centre, (0, 0, FACES, 0))
    return torch.cat([torch.cat([axes, to_unit], dim=1).flatten(2), shift], dim=-1)


def _surface_table(worlds: Worlds) -> Float[Tensor, "batch surfaces numbers"]:
    """What shading needs of every surface whatever the time; `_shade` has the order of the numbers."""
    like, parts = worlds.extent, len(worlds.shapes)
    axis = torch.eye(3).repeat_interleave(2, dim=0) * torch.tensor([[1.0], [-1.0]] * 3)
    inward = torch.cat([axis, torch.zeros(parts, 3)])
    flat = torch.tensor([_FLAT["sphere"]] * FACES + [_FLAT[shape] for shape in worlds.shapes])
    round_share = torch.tensor([[0.0]] * FACES + [[1.0]] * parts)
    fixed = torch.cat([inward, flat, round_share], dim=-1).to(like).expand(len(worlds), -1, -1)
    relief = torch.tensor([_WALL_RELIEF] * FACES + [_PART_RELIEF] * parts).to(like)
    is_wall = torch.arange(FACES + parts, device=like.device) < FACES
    relief = torch.where(worlds.is_open[:, None] & is_wall, 0.0, relief)
    fade = torch.where(worlds.is_open, _FADE**-2, 0.0)[:, None].expand_as(relief)
    light = worlds.light[:, None].expand(-1, FACES + parts, -1)
    images = [] if worlds.images is None else [image_table(worlds)]
    return torch.cat(
        [worlds.frequency, worlds.offset, worlds.grain, worlds.colours[:, :, 0],
         worlds.colours[:, :, 1] - worlds.colours[:, :, 0], fixed, light,
         torch.stack([worlds.warp, worlds.checker, worlds.hardness, relief, fade], dim=-1), *images],
        dim=-1,
    )  # fmt: skip


def _shade(
    values: Float[Tensor, "numbers *images"],
    points: list[Tensor],
    darkening: Float[Tensor, "*images"],
    pictures: Pictures | None,
) -> Float[Tensor, "*images 3"]:
    """Colour of points (room frame) on surfaces: two colours mixed by a pattern, or an image, lit from far away."""
    sizes = (9, 3, 3, 3, 3, 3, 3, 3, 3, 1, 3, 5)
    *numbers, image = values.split((*sizes, len(values) - sum(sizes)))
    axes, shift, frequency, offset, grain, first, change, inward, flat, (is_part,), light, scalars = numbers
    warp, checker, hardness, relief, fade = scalars
    px, py, pz = points
    unit = [axes[3 * i] * px + axes[3 * i + 1] * py + axes[3 * i + 2] * pz + shift[i] for i in range(3)]

    waves = [(frequency[i] * unit[i] + offset[i]).sin() for i in range(3)]
    along = grain[0] * unit[0] + grain[1] * unit[1] + grain[2] * unit[2] + offset[0]
    stripes = (along + warp * (waves[1] + waves[2])).sin()
    pattern = torch.lerp(stripes, waves[0] * waves[1] * waves[2], checker)
    contrast = 1 / (1 + fade * (px * px + py * py + pz * pz))
    mix = 0.5 + 0.5 * (hardness * pattern).clamp(-1, 1) * contrast

    # Normals: the position itself on round axes; on flat ones a high power of it, which is a narrow bevel at the edges.
    local = []
    for i in range(3):
        square = unit[i] * unit[i] * is_part
        power = square * square
        power = power * power
        power = power * power * unit[i] * 4
        local.append(torch.lerp(unit[i] * is_part, power, flat[i]))
    normal = [axes[i] * local[0] + axes[3 + i] * local[1] + axes[6 + i] * local[2] + inward[i] for i in range(3)]
    length = (normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]).clamp(min=1e-12).rsqrt()
    facing = (normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]) * length
    shade = (1 - relief * (0.5 - 0.5 * facing)) * darkening
    colour = [first[i] + change[i] * mix for i in range(3)]
    if pictures is not None:
        shown = pictures.colours(image, unit, [n * length for n in normal], inward, flat[1] - flat[0]).unbind(-1)
        colour = [torch.where(image[-1] > 0, shown[i], colour[i]) for i in range(3)]
    return torch.stack([c * shade for c in colour], dim=-1)
