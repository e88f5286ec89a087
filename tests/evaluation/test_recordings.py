"""Recordings in other people's layouts, written by hand from one scene: what is read of them is that scene."""

from __future__ import annotations

import json
from shutil import copytree

import guest
import numpy as np
import pytest
import torch
from PIL import Image

from plenodream.data.synth import synthesize
from plenodream.evaluation.bench import Plan, run_benchmark, with_controls
from plenodream.evaluation.benchmarks import get_benchmark
from plenodream.evaluation.methods.method import parse_method
from plenodream.evaluation.recordings import find_recordings
from plenodream.geometry.cameras import axis_rotation
from plenodream.geometry.formats.rotations import rotation_quaternion
from plenodream.geometry.visibility import covisible, warp

PATHS = {"v0": 0.0, "v4": 1.0}  # where the cameras end that start at 0.9 of it


def pictures(end):
    rgb, depth, _ = guest.see(guest.centres(end))
    return (rgb * 255).round().clip(0, 255).astype(np.uint8), depth


def write_kubric(root):
    """Distances from the centre, Blender's axes in a world that is turned, pictures of size 1."""
    turn = axis_rotation("z", torch.tensor(40.0)).double() @ axis_rotation("x", torch.tensor(-90.0)).double()
    u, v = np.meshgrid(np.arange(guest.WIDTH) + 0.5, np.arange(guest.HEIGHT) + 0.5)
    rays = np.sqrt(1 + ((u - guest.WIDTH / 2) ** 2 + (v - guest.HEIGHT / 2) ** 2) / guest.FOCAL**2)
    for view, end in PATHS.items():
        rgb, depth = pictures(end)
        frames = root / f"frames_p0_{view}"
        frames.mkdir(parents=True)
        for number, (image, z) in enumerate(zip(rgb, depth, strict=True)):
            Image.fromarray(np.dstack([image, np.full_like(image[..., :1], 255)])).save(
                frames / f"rgba_{number:05d}.png"
            )
            Image.fromarray((z * rays).astype(np.float32)).save(frames / f"depth_{number:05d}.tiff")
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
        quaternion = rotation_quaternion(turn @ flip).tolist()
        positions = [(turn @ torch.tensor([x, 0, 0], dtype=torch.float64)).tolist() for x in guest.centres(end)]
        focal = [guest.FOCAL / guest.WIDTH, guest.FOCAL / guest.HEIGHT]
        camera = {
            "quaternions": [quaternion] * guest.FRAMES,
            "positions": positions,
            "K": [[focal[0], 0, -0.5], [0, -focal[1], -0.5], [0, 0, -1]],
        }
        scene = {"num_frames": guest.FRAMES, "resolution": [guest.WIDTH, guest.HEIGHT]}
        (root / f"{root.name}_p0_{view}.json").write_text(json.dumps({"camera": camera, "scene": scene}))


def write_dycheck(root):
    """The second phone misses one moment and has no depth; its mask hides the left half."""
    for part in ("camera", "rgb/1x", "rgb/2x", "depth/1x", "covisible/1x/val", "splits"):
        (root / part).mkdir(parents=True)
    for camera, (split, end) in enumerate((("train", 0.5), ("val", 1.0))):
        rgb, depth = pictures(end)
        times = [time for time in range(guest.FRAMES) if (camera, time) != (1, 1)]
        names = [f"{camera}_{time:05d}" for time in times]
        for time, name in zip(times, names, strict=True):
            Image.fromarray(rgb[time]).save(root / "rgb/1x" / f"{name}.png")
            content = {
                "orientation": np.eye(3).tolist(), "position": [float(guest.centres(end)[time]), 0, 0],
                "focal_length": guest.FOCAL, "principal_point": [guest.WIDTH / 2, guest.HEIGHT / 2],
                "image_size": [guest.WIDTH, guest.HEIGHT], "pixel_aspect_ratio": 1.0, "skew": 0.0,
            }  # fmt: skip
            (root / "camera" / f"{name}.json").write_text(json.dumps(content))
            if split == "train":
                np.save(root / "depth/1x" / f"{name}.npy", depth[time][..., None].astype(np.float32))
            else:
                mask = np.zeros((guest.HEIGHT, guest.WIDTH), np.uint8)
                mask[:, guest.WIDTH // 2 :] = 255
                Image.fromarray(mask).save(root / "covisible/1x/val" / f"{name}.png")
        ids = {"frame_names": names, "camera_ids": [camera] * len(names), "time_ids": times}
        (root / "splits" / f"{split}.json").write_text(json.dumps(ids))
    (root / "extra.json").write_text(json.dumps({"factor": 1, "fps": 15}))


def test_kubric_4d(tmp_path):
    write_kubric(tmp_path / "scn00007")
    (file,) = find_recordings(tmp_path)
    assert (file.layout, file.name, file.source, file.views) == ("Kubric-4D", "scn00007", "v0", ("v0", "v4"))
    views = file.read(("v0", "v4"), None, None).views
    rgb, depth = pictures(PATHS["v4"])
    assert views["v4"].frames.numpy().tolist() == rgb.tolist() and views["v4"].fps == 24
    torch.testing.assert_close(views["v4"].depth, torch.from_numpy(depth).float(), rtol=1e-5, atol=1e-5)
    # Cameras and depth of both agree: what one shows, carried over, is what the other shows.
    a, b = views["v4"], views["v0"]
    both = covisible(a.depth, a.cameras, b.depth, b.cameras)
    carried = warp(b.frames.float(), a.depth, a.cameras, b.cameras)
    assert both.float().mean() > 0.5 and (carried - a.frames.float())[both].abs().max() < 8
    half = file.read(("v0",), 2, guest.HEIGHT // 2).views["v0"]
    assert half.frames.shape == (2, guest.HEIGHT // 2, guest.WIDTH // 2, 3) and half.cameras.height == guest.HEIGHT // 2
    for text, words in (
        (
            '{"camera": {"positions": [[1, 2]]}}',
            r"v4\.json: camera.positions\[0\]: .*length 3.*; expected camera",
        ),
        ('{"camera": 4}', r"_v4\.json: camera: found 4, expected object"),
    ):
        (tmp_path / "scn00007" / "scn00007_p0_v4.json").write_text(text)
        with pytest.raises(ValueError, match=words):
            find_recordings(tmp_path)[0].read(("v4",), None, None)


def test_kubric_4d_of_two_passes(tmp_path):
    write_kubric(tmp_path / "scn00007")
    for path in sorted((tmp_path / "scn00007").iterdir()):
        if path.suffix == ".json":
            path.with_name(path.name.replace("_p0_", "_p1_")).write_text(path.read_text())
        else:
            copytree(path, path.with_name(path.name.replace("_p0_", "_p1_")))
    first, second = find_recordings(tmp_path)
    assert (first.name, second.name, second.views) == ("scn00007_p0", "scn00007_p1", ("v0", "v4"))
    assert second.read(("v0",), 2, None).views["v0"].frames.shape[0] == 2


def test_dycheck(tmp_path):
    write_dycheck(tmp_path / "windmill")
    (file,) = find_recordings(tmp_path)
    assert (file.layout, file.name, file.source, file.views) == ("DyCheck", "windmill", "phone0", ("phone0", "phone1"))
    recording = file.read(("phone0", "phone1"), None, None)
    source, still = recording.views["phone0"], recording.views["phone1"]
    moments = [0, 2, 3]  # those that both have
    assert source.frames.numpy().tolist() == pictures(0.5)[0][moments].tolist()
    assert still.frames.numpy().tolist() == pictures(1.0)[0][moments].tolist()
    assert source.fps == pytest.approx(15 / 1.5)
    assert source.depth is not None and still.depth is None
    np.testing.assert_allclose(source.depth.numpy(), pictures(0.5)[1][moments], rtol=1e-6)
    np.testing.assert_allclose(still.cameras.camera_to_world[:, 0, 3].numpy(), guest.centres(1.0)[moments], rtol=1e-6)
    assert recording.seen["phone1"].float().mean() == 0.5 and "phone0" not in recording.seen
    camera = tmp_path / "windmill" / "camera" / "1_00002.json"
    camera.write_text(camera.read_text().replace('"focal_length": ', '"focal_length": "long", "before": '))
    with pytest.raises(ValueError, match=r'1_00002\.json: focal_length: found "long", expected float; expected a file'):
        file.read(("phone1",), None, None)
    camera.unlink()
    with pytest.raises(ValueError, match=r"1_00002\.json: no such file"):
        file.read(("phone1",), None, None)
    (tmp_path / "windmill" / "extra.json").write_text('{"fps": [15]}')
    with pytest.raises(ValueError, match=r"extra\.json: fps: found \[15\], expected float"):
        file.read(("phone1",), None, None)


def test_a_wider_phone_s_mask_is_cropped_as_its_pictures_are(tmp_path):
    write_dycheck(tmp_path)
    for path in (tmp_path / "rgb/1x").glob("1_*.png"):
        Image.fromarray(np.pad(np.asarray(Image.open(path)), ((0, 0), (guest.WIDTH // 2,) * 2, (0, 0)))).save(path)
        mask = np.zeros((guest.HEIGHT, 2 * guest.WIDTH), np.uint8)
        mask[:, guest.WIDTH // 2 : guest.WIDTH * 3 // 2] = 255
        Image.fromarray(mask).save(tmp_path / "covisible/1x/val" / path.name)
    (file,) = find_recordings(tmp_path)
    recording = file.read(("phone0", "phone1"), None, None)
    assert recording.views["phone1"].frames.numpy().tolist() == pictures(1.0)[0][[0, 2, 3]].tolist()
    assert recording.seen["phone1"].all()


def test_multicamvideo_and_agibot_world_are_read_as_training_data_is(tmp_path):
    synthesize(tmp_path / "data", "mild", scenes=1, views=3, frames=3, height=32, width=32)
    (file,) = find_recordings(tmp_path / "data")
    recording = file.read(file.views, None, None)
    assert len(file.views) == 3 and file.source == file.views[0]
    assert all(view.depth is not None for view in recording.views.values())
    a, b = (recording.views[name] for name in file.views[:2])
    assert covisible(a.depth, a.cameras, b.depth, b.cameras).float().mean() > 0.2
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match="no episodes found"):
        find_recordings(tmp_path / "nothing")


def test_a_folder_of_recordings_is_a_benchmark(tmp_path):
    write_dycheck(tmp_path / "data" / "windmill")
    write_kubric(tmp_path / "data" / "scn00007")  # of two layouts the first is taken
    benchmark = get_benchmark(str(tmp_path / "data"))
    assert (benchmark.name, benchmark.scenes, benchmark.most_shots) == ("data", 1, 1)
    assert get_benchmark(str(tmp_path / "data"), frames=2).digest() != benchmark.digest()
    method = parse_method("reprojection")
    (report,) = run_benchmark(Plan(benchmark, 1, other=False), [method], tmp_path / "out")
    # The card hides little of the wall, and depth is true: on what the recording calls seen it is near.
    seen, copy = (report.number("psnr.seen", row) for row in ("video", "copy"))
    assert seen is not None and copy is not None and seen.share == 0.5
    assert seen.mean is not None and copy.mean is not None and seen.mean > copy.mean + 5
    assert report.number("hsync all") is None and report.unavailable["sync"] == {
        "depth, source_cameras and source_depth": 1
    }
    texts = [m.text for m in with_controls([method], benchmark.stills)]
    assert texts == ["reprojection", "reprojection:memory=source", "reprojection:memory=source-twice"]
    with pytest.raises(ValueError, match="recordings cannot stand still"):
        run_benchmark(Plan(benchmark, 1, other=False), [method.with_options(motion="off")], tmp_path / "out")
    with pytest.raises(ValueError, match="expected them for a folder of recordings"):
        get_benchmark("basic-mini", frames=2)
