import camera_writers as writers
import pytest
import torch

from plenodream.geometry.cameras import make_pose, relative_poses, rotation_matrix
from plenodream.geometry.formats import load_cameras, read_cameras, stated_size
from plenodream.types import Cameras

LENS = torch.tensor([50.0, 50.0, 32.0, 24.0])


def path_of(frames=5):
    """Square pixels and a centred lens of one focal length, which every format can hold; any poses."""
    generator = torch.Generator().manual_seed(3)
    vector, centre = (torch.randn(frames, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    return Cameras(make_pose(rotation_matrix(vector), centre), LENS.double().repeat(frames, 1), 48, 64)


@pytest.mark.parametrize("write", writers.WRITERS, ids=lambda write: write.__name__)
def test_every_format_comes_back(tmp_path, write):
    cameras = path_of()
    path = write(tmp_path, cameras)
    lens = LENS if write in writers.WITHOUT_LENS else None
    found = read_cameras(path, 48, 64, frames=5, intrinsics=lens, dtype=torch.float64)
    expected = cameras.camera_to_world
    if write is writers.recammaster:  # its world is the file's first camera
        expected = relative_poses(expected, expected[0])
    torch.testing.assert_close(found.cameras.camera_to_world, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.cameras.intrinsics, cameras.intrinsics, rtol=0, atol=1e-5)
    assert (found.cameras.height, found.cameras.width, found.count) == (48, 64, 5)
    assert found.format and found.convention and found.scale
    assert ("caller" in found.intrinsics) == (lens is not None)
    assert found.lines()[0] == f"{found.format}: 5 cameras"


@pytest.mark.parametrize("write", writers.WRITERS, ids=lambda write: write.__name__)
def test_every_format_refuses_another_clip_and_half_a_size_is_half_the_focal_length(tmp_path, write):
    path = write(tmp_path, path_of())
    with pytest.raises(ValueError, match=r"5 cameras for 7 frames; expected one camera per frame"):
        load_cameras(path, 48, 64, frames=7, intrinsics=LENS)
    halved = load_cameras(path, 24, 32, frames=5, intrinsics=LENS / 2)
    torch.testing.assert_close(halved.intrinsics[0], LENS / 2)


def mirrored(cameras):
    pose = cameras.camera_to_world.clone()
    pose[:, :3, 0] *= -1
    return Cameras(pose, cameras.intrinsics, 48, 64)


def scaled(cameras):
    pose = cameras.camera_to_world.clone()
    pose[:, :3, :3] *= 2
    return Cameras(pose, cameras.intrinsics, 48, 64)


MATRICES = [w for w in writers.WRITERS if w.__name__ in ("transforms", "camera_path", "worldplay", "matrix_lines",
            "vipe", "vggt", "megasam", "vista4d", "lyra", "pose_arrays", "realestate10k")]  # fmt: skip


@pytest.mark.parametrize("write", MATRICES, ids=lambda write: write.__name__)
def test_left_handed_and_scaled_rotations_are_refused(tmp_path, write):
    for name, spoil, message in (("a", mirrored, "determinant -1"), ("b", scaled, "not a rotation")):
        folder = tmp_path / name
        folder.mkdir()
        path = write(folder, spoil(path_of()))
        with pytest.raises(ValueError, match=message) as error:
            load_cameras(path, 48, 64, intrinsics=LENS)
        assert "\n" not in str(error.value)


def test_sizes_are_stated_or_concluded(tmp_path):
    cameras = path_of()
    for write, size in (
        (writers.lyra, (48, 64)),
        (writers.colmap, (48, 64)),
        (writers.camera_path, (48, 64)),
        (writers.vista4d, None),
        (writers.tum, None),
    ):
        folder = tmp_path / write.__name__
        folder.mkdir()
        path = write(folder, cameras)
        assert stated_size(path) == size, write
    path = tmp_path / "camera_path" / "camera_path.json"
    path.write_text(path.read_text().replace("render_", "another_"))
    assert stated_size(path) is None
    torch.testing.assert_close(load_cameras(path, 48, 64).intrinsics[0], LENS)
    found = read_cameras(tmp_path / "vista4d/cameras.npz", 480, 640)  # for images ten times as large as it can mean
    torch.testing.assert_close(found.cameras.intrinsics[0], LENS * 10)
    assert "64x48 images (concluded from the principal point)" in found.intrinsics
    found = read_cameras(tmp_path / "colmap", 48, 48)
    assert "resized from 64x48 images, which have another shape" in found.intrinsics
