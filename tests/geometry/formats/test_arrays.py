import camera_writers as writers
import numpy as np
import pytest
from test_placed import arc

from plenodream.geometry.formats import load_cameras


def refused(path, match):
    with pytest.raises(ValueError, match=match) as error:
        load_cameras(path, 48, 64)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_arrays_of_no_known_format_say_why_for_each(tmp_path):
    np.savez(tmp_path / "a.npz", cam_c2w=np.eye(4)[None], other=np.ones(3))
    line = refused(tmp_path / "a.npz", "arrays of no known camera format; tried")
    assert "MegaSaM npz (no 'intrinsic')" in line and "Lyra npz (no 'w2c')" in line and "COLMAP" not in line
    np.savez(tmp_path / "b.npz", w2c=np.ones((3, 5)), intrinsics=np.ones((3, 3)))
    assert "Lyra npz ('w2c' is 3x5, not Nx4x4)" in refused(tmp_path / "b.npz", "tried")
    np.save(tmp_path / "c.npy", np.ones((3, 5)))
    assert "poses.npy (an array 3x5, not Nx4x4" in refused(tmp_path / "c.npy", "no known camera format")
    (tmp_path / "folder").mkdir()
    line = refused(tmp_path / "folder", "folder of no known camera format")
    assert all(text in line for text in ("COLMAP model (no images.bin", "no poses.npy", "no pose/*.npz"))


def test_poses_alone_lack_their_intrinsics_or_find_them_beside(tmp_path):
    cameras = arc(3)
    np.save(tmp_path / "path.npy", writers.poses(cameras))
    refused(tmp_path / "path.npy", r"without focal lengths \(no intrinsics.npy beside it\); expected them .*--fov")
    found = load_cameras(tmp_path / "path.npy", 48, 64, intrinsics=cameras.intrinsics[0]).camera_to_world
    np.testing.assert_allclose(found, cameras.camera_to_world, atol=1e-6)
    folder = writers.pose_arrays(tmp_path, cameras)
    beside, whole = (load_cameras(path, 48, 64) for path in (folder / "poses.npy", folder))
    assert beside.intrinsics.tolist() == whole.intrinsics.tolist()


def test_damaged_arrays(tmp_path):
    path = writers.vista4d(tmp_path, arc(3))
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, "damaged, or no file of NumPy arrays")
    np.savez(tmp_path / "pickled.npz", cam_c2w=np.array([None]), intrinsics=np.ones((1, 4)))
    refused(tmp_path / "pickled.npz", "no known camera format")
    poses = np.full((2, 4, 4), None)
    np.savez(tmp_path / "objects.npz", cam_c2w=poses, intrinsics=np.ones((2, 4)))
    refused(tmp_path / "objects.npz", "cam_c2w cannot be read as numbers")


def test_arrays_that_do_not_belong_together(tmp_path):
    cameras = arc(3)
    np.savez(tmp_path / "a.npz", cam_c2w=writers.poses(cameras), intrinsics=np.ones((5, 4)))
    refused(tmp_path / "a.npz", r"intrinsics of shape \(5, 4\) for 3 poses")
    np.savez(tmp_path / "b.npz", cam_c2w=np.full((3, 4, 4), np.nan), intrinsics=np.ones((3, 4)))
    refused(tmp_path / "b.npz", "last row|NaN")
    np.savez(tmp_path / "c.npz", cam_c2w=writers.poses(cameras).transpose(0, 2, 1), intrinsics=np.ones((3, 4)))
    refused(tmp_path / "c.npz", "transpose the matrices")
    np.savez(tmp_path / "d.npz", cam_c2w=np.ones((0, 4, 4)), intrinsics=np.ones((0, 4)))
    refused(tmp_path / "d.npz", "no cameras")


@pytest.mark.parametrize(("write", "name"), [(writers.lyra, "image_height"), (writers.our_npz, "height")])
@pytest.mark.parametrize("value", [np.nan, 0.5, 0, -48])
def test_sizes_that_are_none(tmp_path, write, name, value):
    path = write(tmp_path, arc(3))
    np.savez(path, **dict(np.load(path)) | {name: np.array(value)})
    refused(path, f"size 64x{value:g}; expected the images' size in pixels")


def test_vipe_of_another_lens_or_without_one(tmp_path):
    folder = writers.vipe(tmp_path, arc(3))
    (folder / "intrinsics/clip_camera.txt").write_text("0: MEI\n1: MEI\n2: MEI\n")
    refused(folder, "MEI cameras; expected PINHOLE")
    (folder / "intrinsics/clip.npz").unlink()
    refused(folder, "poses without focal lengths")
    np.savez(folder / "pose/other.npz", data=writers.poses(arc(3)), inds=[0, 1, 2])
    refused(folder, "2 cameras; expected one of clip, other")
    np.savez(folder / "pose/other.npz", data=writers.poses(arc(3)), inds=[0, 2, 1])
    refused(f"{folder}#other", "no ascending frames")
