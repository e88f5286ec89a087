import camera_writers as writers
import numpy as np
import pytest
import torch
from test_placed import arc, same

from plenodream.geometry.formats import load_cameras, read_cameras
from plenodream.geometry.formats.colmap import colmap_files

pycolmap = pytest.importorskip("pycolmap")


def written(folder, cameras, binary, **points):
    folder.mkdir()
    for name, data in colmap_files(
        cameras, [f"f{i}.png" for i in range(len(cameras))], binary=binary, **points
    ).items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("binary", [True, False])
def test_pycolmap_reads_what_is_written(tmp_path, binary):
    cameras = arc(4)
    cameras.intrinsics[3] *= 1.5
    points = torch.tensor([[1.0, 2, 3], [4, 5, 6]]) / 3
    colours = torch.tensor([[1, 2, 3], [255, 0, 7]], dtype=torch.uint8)
    folder = written(tmp_path / "model", cameras, binary, points=points, colours=colours)
    model = pycolmap.Reconstruction(folder)
    assert (len(model.images), len(model.cameras), len(model.points3D)) == (4, 2, 2)
    for number, image in enumerate(sorted(model.images.values(), key=lambda image: image.name)):
        pose = np.vstack([image.cam_from_world().inverse().matrix(), [0, 0, 0, 1]])
        np.testing.assert_allclose(pose, writers.poses(cameras)[number], atol=1e-9)
        np.testing.assert_allclose(image.camera.params, cameras.intrinsics[number], atol=1e-9)
    point = model.points3D[2]
    np.testing.assert_allclose(point.xyz, points[1], atol=1e-7)
    assert point.color.tolist() == [255, 0, 7]
    torch.testing.assert_close(read_cameras(folder, 48, 64).points.places, points.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_what_pycolmap_writes_is_read(tmp_path, binary):
    cameras = arc(4)
    model = pycolmap.Reconstruction(written(tmp_path / "model", cameras, True, points=torch.ones(1, 3),
                                            colours=torch.ones(1, 3, dtype=torch.uint8)))  # fmt: skip
    (tmp_path / "copy").mkdir()
    (model.write_binary if binary else model.write_text)(str(tmp_path / "copy"))
    found = read_cameras(tmp_path / "copy", 48, 64, frames=4, dtype=torch.float64)
    same(found.cameras, cameras)
    assert found.format == "COLMAP model" and "1 points" in found.remarks


def test_a_distorted_lens_is_said_and_a_fisheye_refused(tmp_path):
    for model, parameters in (("SIMPLE_RADIAL", "50 32 24 0.05"), ("OPENCV_FISHEYE", "50 50 32 24 0 0 0 0")):
        folder = written(tmp_path / model, arc(3), False)
        (folder / "cameras.txt").write_text(f"1 {model} 64 48 {parameters}\n")
    with pytest.warns(UserWarning, match=r"distortion \(SIMPLE_RADIAL\) is ignored"):
        assert load_cameras(tmp_path / "SIMPLE_RADIAL", 48, 64).intrinsics[0].tolist() == [50, 50, 32, 24]
    with pytest.raises(ValueError, match="OPENCV_FISHEYE; expected a pinhole camera: undistort"):
        load_cameras(tmp_path / "OPENCV_FISHEYE", 48, 64)


@pytest.mark.parametrize("name", ["cameras", "images"])
def test_damaged_models(tmp_path, name):
    folder = written(tmp_path / "binary", arc(3), True)
    (folder / f"{name}.bin").write_bytes((folder / f"{name}.bin").read_bytes()[:-9])
    text = written(tmp_path / "text", arc(3), False)
    (text / f"{name}.txt").write_text("1 PINHOLE wide\n")
    for path in (folder, text):
        with pytest.raises(ValueError, match=r"damaged or cut off .*; export the model again"):
            load_cameras(path, 48, 64)
    (folder / "cameras.bin").unlink()
    with pytest.raises(ValueError, match=r"cameras.bin: no such file"):
        load_cameras(folder, 48, 64)


@pytest.mark.parametrize("name", ["images.bin", "images.txt"])
def test_one_file_of_a_model_asks_for_its_folder(tmp_path, name):
    folder = written(tmp_path / "model", arc(3), name.endswith("bin"))
    with pytest.raises(ValueError, match=r"one file of a COLMAP model; expected its folder: .*model$"):
        load_cameras(folder / name, 48, 64)
