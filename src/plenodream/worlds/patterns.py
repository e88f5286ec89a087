"""What the surfaces of procedural worlds show: random patterns in two colours, and images on some of them. Ours."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plenodream.worlds.family import Range, SceneFamily, log_uniform, uniform

# Surfaces are numbered: walls -x +x -y(ceiling) +y(floor) -z +z, then the parts.
FACES = 6
FLOOR = 3
# Share of the surfaces (but the sky) that show an image where there are any.
IMAGE_SHARE = 0.5


def sample_patterns(
    family: SceneFamily, extent: Tensor, is_open: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Gradients, stripes, checkers and marble in two colours for every wall and part."""
    count, parts = extent.shape[:2]
    shape = (count, FACES + parts)

    def draw(bounds: Range, *more: int) -> Tensor:
        return uniform((*shape, *more), bounds, generator)

    wave = _draw_waves(family, count, parts, generator)
    unit = torch.cat([torch.ones(count, FACES, 3), extent], dim=1)
    stretch = draw((0.75, 1.3), 3)
    frequency = 2 * math.pi / (wave[..., None] * stretch) * unit
    checker = draw((0, 1)) < 0.3
    # A checker on a wall has no third axis: its factor along the wall's normal is one.
    normal_axis = torch.nn.functional.pad(torch.eye(3).repeat_interleave(2, dim=0), (0, 0, 0, parts)).bool()
    frequency = torch.where(normal_axis, 0.0, frequency)
    offset = torch.where(normal_axis, math.pi / 2, draw((0, 2 * math.pi), 3))
    direction = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator), dim=-1)
    direction = torch.where(normal_axis, 0.0, direction)
    direction = direction / direction.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    grain = 2 * math.pi / wave[..., None] * direction * unit
    warp = draw((-1.2, 1.4)).clamp(min=0)

    # Pale walls, strong things, no hue twice among each; the second colour is a darker or paler neighbour.
    rank = torch.rand(shape, generator=generator)
    rank = torch.cat([rank[:, :FACES].argsort(1) / FACES, rank[:, FACES:].argsort(1) / parts], dim=1)
    hue = torch.rand(count, 1, generator=generator) + rank + draw((-0.04, 0.04))
    is_wall = torch.arange(shape[1]) < FACES
    saturation = torch.where(is_wall, draw((0.2, 0.55)), draw((0.55, 0.95)))
    value = torch.where(is_wall, draw((0.75, 1.0)), draw((0.7, 1.0)))
    first = _hsv(hue, saturation, value)
    second = _hsv(hue + draw((-0.1, 0.1)), saturation * draw((0.5, 1.3)).clamp(max=1), value * draw((0.5, 0.8)))
    colours = torch.stack([first, second], dim=-2)

    # Without walls, all faces but the floor are one sky, paler toward the horizon.
    sky = _is_sky(is_open, parts)
    zenith = _hsv(
        uniform((count, 1), (0.52, 0.66), generator), uniform((count, 1), (0.3, 0.6), generator), torch.ones(1)
    )
    colours[:, :, 0] = torch.where(sky[..., None], 1 - (1 - zenith) * 0.25, colours[:, :, 0])
    colours[:, :, 1] = torch.where(sky[..., None], zenith, colours[:, :, 1])
    grain = torch.where(sky[..., None], torch.tensor([0.0, -math.pi / 40, 0.0]), grain)
    offset = torch.where(sky[..., None], -math.pi / 2, offset)
    checker, warp = checker & ~sky, torch.where(sky, 0.0, warp)
    hardness = torch.where(sky, 1.0, log_uniform(shape, family.hardness, generator))
    return {
        "frequency": frequency, "offset": offset, "grain": grain, "warp": warp, "checker": checker.float(),
        "hardness": hardness, "colours": colours,
    }  # fmt: skip


def sample_images(
    family: SceneFamily,
    textures: Float[Tensor, "images 3 size size"],
    is_open: Bool[Tensor, "batch"],
    parts: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Which surfaces show an image, which one, how wide and where; the fields of `Worlds` of these names.

    Draws from a generator of its own, seeded by the next number of the given one, which stays as it is: what is drawn
    from that later, cameras for instance, is the same with and without images.

    Args:
        family: Wavelengths of the patterns are widths of the images.
        textures: Images to take, as of `load_textures`, on any device.
        is_open: Worlds without walls.
        parts: Parts of every world.
        generator: CPU generator.
    """
    seed = torch.randint(2**31, (), generator=generator.clone_state())
    own = torch.Generator().manual_seed(int(seed))
    shape = (len(is_open), FACES + parts)
    shown = (torch.rand(shape, generator=own) < IMAGE_SHARE) & ~_is_sky(is_open, parts)
    index = torch.randint(len(textures), shape, generator=own)
    width = _draw_waves(family, len(is_open), parts, own)
    offset = uniform((*shape, 3), (0, 2), own)
    return {
        "images": textures[index.to(textures.device)],
        "image_width": torch.where(shown, width, torch.inf),
        "image_offset": offset,
    }


def _draw_waves(family: SceneFamily, count: int, parts: int, generator: torch.Generator) -> Tensor:
    """Wavelengths of all surfaces, metres."""
    walls = log_uniform((count, FACES), family.wall_wave, generator)
    return torch.cat([walls, log_uniform((count, parts), family.thing_wave, generator)], dim=1)


def _is_sky(is_open: Tensor, parts: int) -> Tensor:
    """Without walls, all faces but the floor are the sky."""
    number = torch.arange(FACES + parts)
    return is_open[:, None] & (number < FACES) & (number != FLOOR)


def _hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Colours from hue (in turns), saturation and value, as (..., 3)."""
    k = (torch.tensor([5.0, 3.0, 1.0]) + hue[..., None] * 6) % 6
    return value[..., None] * (1 - saturation[..., None] * torch.minimum(k, 4 - k).clamp(0, 1))
