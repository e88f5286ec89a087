"""Pictures carried by depth: against a plain reference, and where the answer is known."""

from __future__ import annotations

import math

import pytest
import torch

from plenodream.geometry import zbuffer
from plenodream.geometry.cameras import intrinsics_from_fov, look_at, pixel_centres, unproject
from plenodream.geometry.splat import carry, turn
from plenodream.geometry.surface import surface
from plenodream.geometry.visibility import apply_homography, homography, lookup
from plenodream.geometry.zbuffer import MARGIN
from plenodream.types import Cameras


def camera(at=(0.0, 0.0, 0.0), towards=(0.0, 0.0, 4.0), size=(24, 32), fov=60.0) -> Cameras:
    pose = look_at(torch.tensor(at, dtype=torch.float64), torch.tensor(towards, dtype=torch.float64))
    return Cameras(pose, intrinsics_from_fov(fov, *size, dtype=torch.float64), *size)


def plane_depth(camera: Cameras, normal=(0.3, 0.2, 1.0), offset=5.0) -> torch.Tensor:
    """Depth of the plane normal . X = offset (world)."""
    centres = pixel_centres(camera.height, camera.width, camera.intrinsics).flatten(0, 1)
    one = unproject(centres, torch.ones(len(centres), dtype=torch.float64), camera)
    origin, n = camera.camera_to_world[:3, 3], torch.tensor(normal, dtype=torch.float64)
    return ((offset - n @ origin) / ((one - origin) @ n)).view(camera.height, camera.width)


def waves(camera: Cameras, depth: torch.Tensor) -> torch.Tensor:
    """A smooth colour of every world point, (3, height, width)."""
    centres = pixel_centres(camera.height, camera.width, camera.intrinsics).flatten(0, 1)
    points = unproject(centres, depth.flatten(), camera)
    return (points * 1.5).sin().t().reshape(3, *depth.shape)


def two_surfaces(size=(24, 32)) -> tuple[Cameras, torch.Tensor, torch.Tensor]:
    """A square 2 m away before a wall 4 m away, each of one colour."""
    source = camera(size=size)
    depth = torch.full(size, 4.0, dtype=torch.float64)
    depth[8:16, 12:20] = 2.0
    colour = torch.where(depth == 2, 1.0, 0.0).expand(3, -1, -1).double()
    return source, depth, colour


def reference_owner(view, target: Cameras) -> torch.Tensor:
    """The nearest pixel that covers each target pixel's centre, one pixel at a time; -1 where none does."""
    height, width = view.inverse.shape
    best = torch.full((target.height, target.width), math.inf, dtype=torch.float64)
    owner = torch.full((target.height, target.width), -1)
    fx, fy, cx, cy = view.camera.intrinsics.tolist()
    tfx, tfy, tcx, tcy = target.intrinsics.tolist()
    to_target = torch.linalg.inv(target.camera_to_world) @ view.camera.camera_to_world

    def place(x, y, w):
        local = torch.tensor([(x - cx) / fx / w, (y - cy) / fy / w, 1 / w, 1.0], dtype=torch.float64)
        px, py, pz, _ = (to_target @ local).tolist()
        return tfx * px / pz + tcx, tfy * py / pz + tcy, pz

    for row in range(height):
        for column in range(width):
            w, (gx, gy) = view.inverse[row, column].item(), view.slope[:, row, column].tolist()
            if w <= 0:
                continue
            x, y, z = place(column + 0.5, row + 0.5, w)
            step = 1e-5
            ax, ay, _ = place(column + 0.5 + step, row + 0.5, w + gx * step)
            bx, by, _ = place(column + 0.5, row + 0.5 + step, w + gy * step)
            jacobian = torch.tensor([[ax - x, bx - x], [ay - y, by - y]], dtype=torch.float64) / step
            inverse = torch.linalg.inv(jacobian)
            edge = (0.5 + MARGIN * inverse.abs().sum(1)).tolist()  # of the outline and a margin in target pixels
            for i in range(target.height):
                for j in range(target.width):
                    across, down = (inverse @ torch.tensor([j + 0.5 - x, i + 0.5 - y], dtype=torch.float64)).tolist()
                    if abs(across) <= edge[0] and abs(down) <= edge[1] and z < best[i, j]:
                        best[i, j], owner[i, j] = z, row * width + column
    return owner


@pytest.mark.parametrize("band", [16 * 5, 1 << 17])
@pytest.mark.parametrize("at", [(0.4, -0.2, -0.3), (0.5, -0.3, 1.0)], ids=["beside", "nearer"])
def test_the_z_buffer_is_the_reference_s(at, band, monkeypatch):
    monkeypatch.setattr(zbuffer, "BAND", band)
    source, depth, _ = two_surfaces((12, 16))
    depth = depth[:12, :16] * 0.5 + 0.5 * plane_depth(source)
    number = torch.arange(12 * 16, dtype=torch.float64).view(1, 12, 16).expand(3, -1, -1)
    target = camera(at=at, size=(12, 16))
    view = surface(number, depth, source)
    # Owners are told from colours where those are looked up at the nearest pixel: at edges. So make all of them edges.
    view = type(view)(**{**vars(view), "edge": torch.ones_like(view.edge)})
    carried = carry(view, target)
    owner = reference_owner(view, target)
    known = carried.weight > 0
    assert torch.equal(carried.colour[0][owner >= 0].round().long(), owner[owner >= 0])
    assert bool(known[owner >= 0].all())
    closed = known & (owner < 0)
    assert closed.sum() < 0.1 * known.numel() and 0.5 < known.double().mean() < 1


@pytest.mark.parametrize("at", [(0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (-0.3, 0.4, 1.5), (0.2, 0.1, -1.0)])
def test_a_plane_is_carried_exactly(at):
    source, target = camera(), camera(at=at, size=(20, 28))
    depth = plane_depth(source)
    carried = carry(surface(waves(source, depth), depth, source), target)
    known, truth = carried.weight > 0, plane_depth(target)
    assert known.double().mean() > 0.7
    assert torch.allclose(carried.depth[known], truth[known], rtol=1e-6)
    assert (carried.colour - waves(target, truth))[:, known].abs().mean() < 0.01


def test_the_same_camera_gives_the_picture_back():
    source, depth, _ = two_surfaces()
    noise = torch.rand(3, *depth.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for carried in (carry(surface(noise, depth, source), source), turn(noise, depth, source, source)):
        assert torch.allclose(carried.colour, noise, atol=1e-6)
        assert torch.allclose(carried.depth, depth)
        assert torch.allclose(carried.weight, torch.ones_like(depth))


def test_nothing_is_stretched_over_a_depth_step_and_the_nearest_wins():
    source, depth, colour = two_surfaces()
    target = camera(at=(0.5, 0.0, 0.0), towards=(0.5, 0.0, 4.0))
    carried = carry(surface(colour, depth, source), target)
    known = carried.weight > 0
    # Only the two depths and the two colours come out; the square has moved to the left and left a hole on its right.
    on_square, on_wall = (carried.depth - 2).abs() < 1e-6, (carried.depth - 4).abs() < 1e-6
    assert torch.equal(known, on_square | on_wall)
    assert (carried.colour[0] - on_square.double())[known].abs().max() < 0.1  # the reach of a bicubic look-up
    shift = 0.5 * source.intrinsics[0].item() / 2
    columns = on_square.any(0).nonzero()[:, 0]
    assert abs(columns.min().item() - (12 - shift)) < 1 and abs(columns.max().item() - (19 - shift)) < 1
    rows = slice(9, 15)
    hole = (~known[rows]).double().mean(0).nonzero()[:, 0]
    hole = hole[hole < 22]  # beyond that the picture ends
    assert len(hole) == round(shift / 2) and hole.min() > columns.max()


def test_going_near_opens_no_cracks_in_what_is_near():
    source, depth, colour = two_surfaces()
    target = camera(at=(0.0, 0.0, 1.4), towards=(0.0, 0.0, 4.0))
    carried = carry(surface(colour, depth, source), target)
    square = carried.colour[0] > 0.5
    rows, columns = (square.any(axis).nonzero()[:, 0] for axis in (1, 0))
    assert rows.max() - rows.min() > 20
    assert bool(square[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all())


def test_turning_needs_no_depth_and_is_the_homography():
    source = camera()
    target = camera(towards=(0.8, -0.5, 4.0), fov=45.0)
    colour = waves(source, plane_depth(source))
    turned = turn(colour, None, source, target)
    pixels = apply_homography(homography(target, source), 24, 32)
    known = turned.weight > 0
    inside = (pixels >= 0).all(-1) & (pixels[..., 0] <= 32) & (pixels[..., 1] <= 24)
    assert torch.equal(known, inside) and 0.5 < known.double().mean() < 1
    expected = lookup(colour.movedim(0, -1), pixels).movedim(-1, 0)
    assert (turned.colour - expected)[:, known].abs().max() < 0.05
    with_depth = turn(colour, plane_depth(source), source, target)
    truth = plane_depth(target)
    assert (with_depth.depth / truth - 1)[known].abs().max() < 0.05


def test_pixels_without_depth_or_left_out_are_not_carried():
    source, depth, colour = two_surfaces()
    depth[:, :4] = 0
    depth[:, 4] = math.nan
    keep = torch.ones_like(depth, dtype=torch.bool)
    keep[:, -3:] = False
    carried = carry(surface(colour, depth, source, keep), source)
    assert torch.equal(carried.weight > 0, (depth > 0) & keep)
    assert torch.equal(turn(colour, None, source, source, keep).weight > 0, keep)


def test_a_surface_seen_from_behind_is_not_shown():
    source = camera()
    depth = plane_depth(source, normal=(1.0, 0.0, 0.35), offset=2.0)
    assert bool((depth[:, 8:] > 0).all())
    behind = camera(at=(7.0, 0.0, 4.0), towards=(0.0, 0.0, 4.0))
    assert (carry(surface(waves(source, depth), depth, source), behind).weight > 0).double().mean() < 0.01
