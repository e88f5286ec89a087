"""Image surfaces: the colour of a point on a surface that shows an image. Ours.

An image is laid on a surface by hard triplanar mapping: along the axis of the surface's own frame that is nearest to
its normal, in metres along the two others, repeated by mirroring, upright where the surface is. A pixel far away or at
a slant covers many texels: it takes its colour from the two halved images between whose texels its own size lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plenodream.worlds.patterns import FACES
from plenodream.worlds.world import Worlds

# Factor on the texels that a pixel covers: looking up between texels blurs too. Of 0.6 to 1.7, this comes nearest to
# the mean of 36 rays a pixel.
_SHARPEN = 0.8


def image_table(worlds: Worlds) -> Float[Tensor, "batch surfaces 10"]:
    """What `Pictures.colours` needs of every surface: images per unit of the texture's coordinates, offset, weight of
    these coordinates when the nearest axis is sought, texels per metre (0 where the surface shows its pattern)."""
    assert worlds.images is not None and worlds.image_width is not None and worlds.image_offset is not None
    density = worlds.image_width[..., None].reciprocal()
    metres = torch.nn.functional.pad(worlds.extent, (0, 0, FACES, 0), value=1.0)
    is_sphere = torch.tensor([[shape == "sphere"] for shape in worlds.shapes], device=metres.device)
    weight = torch.where(is_sphere, 1 / worlds.extent, 1.0)  # an ellipsoid's normal is its position over its extents
    weight = torch.nn.functional.pad(weight, (0, 0, FACES, 0))
    return torch.cat([metres * density, worlds.image_offset, weight, worlds.images.shape[-1] * density], dim=-1)


def image_texels(images: Float[Tensor, "batch surfaces 3 size size"]) -> Float[Tensor, "texels 3"]:
    """The texels of all surfaces in a row, of each those of its image and of the image halved again and again."""
    levels = [images.flatten(0, 1)]
    for _ in range(_halvings(images.shape[-1])):
        levels.append(torch.nn.functional.avg_pool2d(levels[-1], 2))
    return torch.cat([level.flatten(2) for level in levels], dim=2).movedim(1, 2).flatten(0, 1)


@dataclass(frozen=True)
class Pictures:
    """Images and how some points are seen that lie on them.

    Attributes:
        texels: As of `image_texels`.
        size: Pixels along a side of the whole images.
        surface: Number of every point's surface in the batch of worlds.
        rays: The three coordinates of the rays to the points, one metre deep.
        spacing: Metres between neighbouring rays at the points' depth.
    """

    texels: Float[Tensor, "texels 3"]
    size: int
    surface: Int[Tensor, "*images"]
    rays: list[Tensor]
    spacing: Float[Tensor, "*images"]

    def colours(
        self,
        numbers: Float[Tensor, "10 *images"],
        unit: list[Tensor],
        normal: list[Tensor],
        inward: Float[Tensor, "3 *images"],
        is_cylinder: Float[Tensor, "*images"],
    ) -> Float[Tensor, "*images 3"]:
        """Colours of the points.

        Args:
            numbers: Rows of `image_table`.
            unit: Points in the texture's coordinates.
            normal: Unit normals, in the rays' frame.
            inward: Normals of walls, zero for parts.
            is_cylinder: Whether the part is one: 0 or 1.
        """
        scale, offset, weight, (density,) = numbers.split((3, 3, 3, 1))
        x, y, z = (scale[i] * unit[i] + offset[i] for i in range(3))
        across, up, along = ((weight[i] * unit[i]).square() + inward[i].square() for i in range(3))
        most, least = torch.maximum(across, along), torch.minimum(across, along)
        flat = up > most + is_cylinder * least  # on a cylinder's side x^2 + z^2 is 1, at its ends y^2
        u, v = torch.where(~flat & (across > along), z, x), torch.where(flat, z, y)

        slant = _dot(normal, self.rays).abs()
        slant = slant * _dot(self.rays, self.rays).rsqrt()
        # The side of a square as large as what the pixel covers: across the slant it is blurred, along it aliased.
        covered = _SHARPEN * density * self.spacing * slant.clamp(min=1e-3).rsqrt()
        level = covered.clamp(min=1e-6).log2().clamp(0, _halvings(self.size))
        fine = level.floor()
        coarse = (fine + 1).clamp(max=_halvings(self.size))
        u, v = (1 - (1 - c.remainder(2)).abs() for c in (u, v))
        near, far = self._blend(u, v, fine.long()), self._blend(u, v, coarse.long())
        return torch.lerp(near, far, (level - fine)[..., None])

    def _blend(self, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
        """Colours at places (0..1) of images halved `level` times, bilinear between the centres of their texels."""
        side = torch.full_like(level, self.size) >> level
        each = sum((self.size >> n) ** 2 for n in range(_halvings(self.size) + 1))
        before = (self.size**2 - side**2) * 4 // 3  # texels of the larger ones: size^2 (1 + 1/4 + ...)
        first = self.surface * each + before
        (left, right, a), (top, bottom, b) = (_neighbours(c, side) for c in (u, v))
        corners = [[self._texel(first + row * side + column) for column in (left, right)] for row in (top, bottom)]
        rows = [torch.lerp(start, end, a[..., None]) for start, end in corners]
        return torch.lerp(rows[0], rows[1], b[..., None])

    def _texel(self, index: Tensor) -> Tensor:
        return self.texels.index_select(0, index.flatten()).unflatten(0, index.shape)


def _neighbours(place: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The texels before and behind a place in 0..1, and how far between them it is; a mirrored edge meets itself."""
    position = (place * side - 0.5).clamp(min=0)
    first = torch.minimum(position.long(), side - 1)
    return first, torch.minimum(first + 1, side - 1), position - first


def _halvings(size: int) -> int:
    """How often a number can be halved."""
    return (size & -size).bit_length() - 1


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Scalar products of vectors given by their coordinates."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
