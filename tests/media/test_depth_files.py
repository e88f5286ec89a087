"""Depth files: what each is taken for, and one clear line for those that are none."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.media.depth import DISPARITY, METRIC, SCALED, RawDepth, load_depth, match_depth, save_depth

DEPTH = (1 + np.arange(3 * 4 * 6).reshape(3, 4, 6) / 16).astype(np.float32)


def exr(path, values) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": values}).write(str(path))


def test_our_own_comes_back_exactly(tmp_path):
    with open(tmp_path / "depth.npz", "wb") as file:
        save_depth(file, torch.from_numpy(DEPTH))
    for path in (tmp_path, tmp_path / "depth.npz"):
        raw = load_depth(path)
        assert raw.kind == METRIC and np.array_equal(raw.values.numpy(), DEPTH)


@pytest.mark.parametrize(
    ("arrays", "kind"),
    [
        ({"depth": DEPTH[..., None], "extrinsic": np.zeros((3, 3, 4)), "intrinsic": np.zeros((3, 3, 3))}, SCALED),
        ({"depths": DEPTH, "cam_c2w": np.zeros((3, 4, 4)), "images": np.zeros((3, 4, 6, 3))}, SCALED),
        ({"depth": (DEPTH - DEPTH.min()) / (DEPTH.max() - DEPTH.min())}, DISPARITY),
        ({"depths": DEPTH - DEPTH.min()}, DISPARITY),
    ],
    ids=["vggt", "megasam", "depthcrafter", "video-depth-anything"],
)
def test_arrays_of_other_programs(tmp_path, arrays, kind):
    np.savez(tmp_path / "file.npz", **arrays)
    raw = load_depth(tmp_path / "file.npz")
    assert raw.kind == kind and raw.values.shape == (3, 4, 6) and raw.found.endswith(load_depth(tmp_path).found[-5:])
    expected = next(value for name, value in arrays.items() if name.startswith("depth")).reshape(3, 4, 6)
    assert np.allclose(raw.values.numpy(), expected)


def test_metres_of_depth_anything_and_what_is_said(tmp_path):
    np.save(tmp_path / "a_raw_depth_meter.npy", DEPTH[0])
    np.save(tmp_path / "b_raw_depth_meter.npy", DEPTH[1])
    raw = load_depth(tmp_path)
    assert raw.kind == METRIC and np.array_equal(raw.values.numpy(), DEPTH[:2]) and "metres" in raw.found
    np.save(tmp_path / "plain.npy", DEPTH)
    with pytest.raises(
        ValueError, match=r"plain\.npy: an npy array, values from 1 to .* expected --depth-kind metric or"
    ):
        load_depth(tmp_path / "plain.npy")
    assert load_depth(tmp_path / "plain.npy", "scaled").kind == SCALED


def test_16_bit_pictures_are_millimetres_and_previews_are_refused(tmp_path):
    for number, values in enumerate(DEPTH):
        Image.fromarray((values * 1000).round().astype(np.uint16)).save(tmp_path / f"{number:03d}.png")
    raw = load_depth(tmp_path)
    assert raw.kind == METRIC and np.abs(raw.values.numpy() - DEPTH).max() < 5.1e-4
    Image.fromarray((DEPTH[0] * 20).astype(np.uint8)).save(tmp_path / "000.png")
    with pytest.raises(ValueError, match="a L picture, made to be looked at; expected 16-bit"):
        load_depth(tmp_path)


def test_exr_alone_in_a_folder_and_zipped_as_of_vipe(tmp_path):
    half = DEPTH.astype(np.float16)
    (tmp_path / "depth").mkdir()
    with zipfile.ZipFile(tmp_path / "depth" / "clip.zip", "w") as file:
        for number, values in enumerate(half):
            exr(tmp_path / f"{number}.exr", values)
            file.write(tmp_path / f"{number}.exr", f"{number:05d}.exr")
    folder = load_depth(tmp_path)
    for path in tmp_path.glob("*.exr"):
        path.unlink()
    for raw in (folder, load_depth(tmp_path), load_depth(tmp_path / "depth" / "clip.zip")):
        assert raw.kind == METRIC and np.array_equal(raw.values.numpy(), half.astype(np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(np.arange(DEPTH.size).reshape(DEPTH.shape) == 5, np.nan, DEPTH), r"NaN in 1\.4% of the pixels"),
        (DEPTH - 2, "values down to -1; expected none below 0"),
        (DEPTH * np.array([1, 0, 1])[:, None, None], "frame 1 is 0 or infinite everywhere"),
        (DEPTH * np.inf, "frame 0 is 0 or infinite everywhere"),
        ((DEPTH - DEPTH.min()) / (DEPTH.max() - DEPTH.min()), "values from 0 to 1 exactly, a normalised disparity"),
        (np.zeros((2, 3, 4, 6, 3)), "an array of shape"),
        (np.array(["a"]), "an array of shape"),
    ],
    ids=["nan", "negative", "zero", "infinite", "disparity", "dimensions", "text"],
)
def test_what_is_no_depth_is_said_in_one_line(tmp_path, values, message):
    np.save(tmp_path / "depth.npy", values)
    with pytest.raises(ValueError, match=message) as caught:
        load_depth(tmp_path / "depth.npy", METRIC)
    assert "\n" not in str(caught.value) and "depth.npy" in str(caught.value)


def test_unknown_pixels_stay_unknown(tmp_path):
    values = DEPTH.copy()
    values[0, 0, 0], values[0, 0, 1] = np.inf, 0
    np.save(tmp_path / "depth.npy", values)
    assert load_depth(tmp_path / "depth.npy", METRIC).values[0, 0, :3].tolist() == [0, 0, values[0, 0, 2]]


def test_files_that_are_missing_damaged_or_of_another_clip(tmp_path):
    for name in ("none.npz", "none"):
        with pytest.raises(ValueError, match="no such file or folder"):
            load_depth(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no depth maps; expected"):
        load_depth(tmp_path / "empty")
    for name in ("a.npz", "a.npy", "a.png", "a.zip", "a.exr"):
        (tmp_path / name).write_bytes(b"no depth at all")
        with pytest.raises(ValueError, match=f"a{name[1:]}"):
            load_depth(tmp_path / name)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="unknown format"):
        load_depth(tmp_path / "a.mp4")
    np.savez(tmp_path / "b.npz", colour=DEPTH)
    with pytest.raises(ValueError, match="arrays colour; expected one called depth or depths"):
        load_depth(tmp_path / "b.npz")
    raw = RawDepth(torch.from_numpy(DEPTH), METRIC, "")
    match_depth(raw, 3, 80, 121, "d")
    with pytest.raises(ValueError, match="d: depth of 3 frames for a video of 9"):
        match_depth(raw, 9, 80, 120, "d")
    with pytest.raises(ValueError, match="d: depth maps of 6x4 for frames of 80x80"):
        match_depth(raw, 3, 80, 80, "d")
