"""`plenodream cameras`: a clip or another program's file in, our JSON or a COLMAP model out."""

import json

import numpy as np
import pytest
from PIL import Image

from plenodream.geometry.formats import load_cameras, read_cameras


def noise_clip(folder, frames=4):
    """A noise picture that the camera slides along."""
    generator = np.random.default_rng(0)
    picture = np.asarray(Image.fromarray(generator.integers(0, 255, (48, 80, 3), dtype=np.uint8)).resize((320, 192)))
    folder.mkdir()
    for index in range(frames):
        Image.fromarray(picture[16:176, 8 + 4 * index : 248 + 4 * index]).save(folder / f"{index:03d}.png")
    return folder


def test_a_folder_of_images_is_estimated(run, tmp_path, monkeypatch):
    pytest.importorskip("pycolmap")
    clip = noise_clip(tmp_path / "clip")
    code, out, err = run("cameras", clip / "%03d.png", "--fov", 60, "--out", tmp_path / "c.json")
    assert (code, err) == (0, "") and "the camera moves: 4 of 4 frames" in out and "60.0 degrees: given" in out
    cameras = load_cameras(tmp_path / "c.json", 160, 240, 4)
    assert cameras.camera_to_world[3, 0, 3] > 0.1  # to the right
    assert "warning" not in out and read_cameras(tmp_path / "c.json", 160, 240).scale.endswith("sees is 4 m away")
    monkeypatch.setattr("plenodream.estimate.cameras._FEW_POINTS", 10**6)
    code, out, _ = run("cameras", clip / "%03d.png", "--fov", 60, "--out", tmp_path / "d.json")
    assert code == 0 and "points (1000000 and more can be trusted): do not rely on these cameras" in out
    monkeypatch.setattr("plenodream.estimate.cameras.map_frames", lambda *_: None)
    code, out, err = run("cameras", clip / "%03d.png", "--fov", 60, "--out", tmp_path / "e.json")
    assert code == 2 and err.count("\n") == 1 and "cameras for only 0 of 4 frames (0%); expected 70%" in err
    assert out == "" and not (tmp_path / "e.json").exists()


def test_another_programs_file_is_converted(run, tmp_path):
    text = "".join(f"1 0 0 {index} 0 1 0 0 0 0 1 0\n" for index in range(4))
    (tmp_path / "lines.txt").write_text(text)
    clip = noise_clip(tmp_path / "clip")
    words = ("cameras", tmp_path / "lines.txt", "--clip", clip, "--fov", 60)
    code, out, _ = run(*words, "--out", tmp_path / "model")
    assert code == 0 and "12 numbers a line: 4 cameras" in out and "the caller" in out
    code, out, _ = run("cameras", tmp_path / "model", "--out", tmp_path / "c.json", "--json")
    assert code == 0 and json.loads(out)["frames"] == 4 and "COLMAP" in json.loads(out)["notes"][0]
    assert load_cameras(tmp_path / "c.json", 160, 240, 4).camera_to_world[:, 0, 3].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{}/lines.txt",), "says no image size; expected --clip"),
        (("{}/nothing.json",), "no such file"),
        (("{}/prose.txt",), "text of no known camera format; tried"),
        (("{}/lines.txt", "--fov", "200"), "--fov 200: expected"),
        (("{}/clip", "--clip", "{}/clip"), "is a clip itself"),
        (("{}/clip", "--start", "3"), "1 frames from --start 3 on"),
        (("{}/lines.txt", "--start", "1", "--split-cuts"), "lines.txt is a camera file, taken whole"),
        (("{}/lines.txt", "--clip", "{}/clip", "--fov", "60"), "2 cameras for 4 frames"),
        (("{}/lines.txt", "--clip", "{}/clip"), "poses without focal lengths"),
        (("{}/poses.npy", "--clip", "{}/clip"), "poses.npy: poses without focal lengths (no intrinsics.npy beside it)"),
        (("{}/nothing",), "nothing: folder of no known camera format; tried COLMAP model (no images.bin"),
        (("{}/sized.json", "--fov", "60"), "--fov 60 beside"),
        (("{}/sized.json", "--out", "{}/act.txt"), ".txt files are not written; expected NAME.json, or a folder"),
        (("{}/sized.json", "--out", "{}/clip"), "holds something already; expected a new or empty folder for a COLMAP"),
    ],
)
def test_bad_input_gets_one_line_and_nothing_is_written(run, tmp_path, words, message):
    (tmp_path / "lines.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 2)
    (tmp_path / "prose.txt").write_text("hello")
    noise_clip(tmp_path / "clip")
    (tmp_path / "nothing").mkdir()
    np.save(tmp_path / "poses.npy", np.eye(4)[None].repeat(4, 0))
    frames = [{"transform_matrix": np.eye(4).tolist()}] * 2
    (tmp_path / "sized.json").write_text(json.dumps({"fl_x": 50.0, "w": 64, "h": 48, "frames": frames}))
    where = () if "--out" in words else ("--out", tmp_path / "out.json")
    code, out, err = run("cameras", *(word.format(tmp_path) for word in words), *where)
    assert code == 2 and message in err and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "out.json").exists() and not (tmp_path / "act.txt").exists()
