"""A writer for every camera format, after the layout of the tool that makes it: each returns the path to read."""

from __future__ import annotations

import json

import numpy as np
import torch

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.formats import save_cameras
from plenodream.geometry.formats.colmap import colmap_files
from plenodream.geometry.formats.npz import npz_bytes
from plenodream.geometry.formats.realestate10k import realestate10k_text
from plenodream.geometry.formats.recammaster import save_unreal_poses
from plenodream.geometry.formats.rotations import rotation_quaternion
from plenodream.geometry.formats.transforms import transforms_json

GL = np.diag([1.0, -1.0, -1.0, 1.0])


def names(cameras):
    return [f"images/frame_{index:05d}.png" for index in range(len(cameras))]


def matrices(cameras):
    found = np.zeros((len(cameras), 3, 3))
    fx, fy, cx, cy = cameras.intrinsics.double().unbind(-1)
    found[:, 0, 0], found[:, 1, 1], found[:, 0, 2], found[:, 1, 2], found[:, 2, 2] = fx, fy, cx, cy, 1
    return found


def poses(cameras):
    return cameras.camera_to_world.double().numpy()


def world_to_camera(cameras):
    return invert_pose(cameras.camera_to_world.double()).numpy()


def images(cameras):
    return np.zeros((len(cameras), cameras.height, cameras.width, 3), np.uint8)


def ours(folder, cameras):
    save_cameras(folder / "c.json", cameras)
    return folder / "c.json"


def transforms(folder, cameras):
    (folder / "transforms.json").write_text(transforms_json(cameras, names(cameras)))
    return folder / "transforms.json"


def camera_path(folder, cameras):
    entries = []
    for pose, (_, fy, _, _) in zip(poses(cameras), cameras.intrinsics.tolist(), strict=True):
        fov = np.rad2deg(2 * np.arctan(cameras.height / 2 / fy))
        entries.append({"camera_to_world": (pose @ GL).flatten().tolist(), "fov": fov, "aspect": 1.0})
    data = {"render_height": cameras.height, "render_width": cameras.width, "fps": 24, "camera_path": entries}
    (folder / "camera_path.json").write_text(json.dumps(data | {"camera_type": "perspective"}))
    return folder / "camera_path.json"


def recammaster(folder, cameras):
    save_unreal_poses(folder / "camera_extrinsics.json", {"cam01": cameras.camera_to_world})
    return folder / "camera_extrinsics.json"


def worldplay(folder, cameras):
    entries = zip(poses(cameras), matrices(cameras), strict=True)
    data = {str(i): {"extrinsic": pose.tolist(), "K": k.tolist()} for i, (pose, k) in enumerate(entries)}
    (folder / "pose.json").write_text(json.dumps(data))
    return folder / "pose.json"


def realestate10k(folder, cameras):
    (folder / "c.txt").write_text(realestate10k_text(cameras, 24, "https://example.org/watch?v=1"))
    return folder / "c.txt"


def tum(folder, cameras):
    w, x, y, z = rotation_quaternion(cameras.camera_to_world[:, :3, :3].double()).unbind(-1)
    rows = torch.cat([cameras.camera_to_world[:, :3, 3].double(), torch.stack([x, y, z, w], -1)], -1).tolist()
    lines = [" ".join(f"{value:.9f}" for value in [i / 30, *row]) for i, row in enumerate(rows)]
    (folder / "t.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(lines))
    return folder / "t.txt"


def matrix_lines(folder, cameras):
    np.savetxt(folder / "c.txt", poses(cameras)[:, :3].reshape(-1, 12))
    return folder / "c.txt"


def our_npz(folder, cameras):
    (folder / "c.npz").write_bytes(npz_bytes(cameras, 24))
    return folder / "c.npz"


def vipe(folder, cameras):
    for name, data in (("pose", poses(cameras)), ("intrinsics", cameras.intrinsics.double().numpy())):
        (folder / name).mkdir()
        np.savez(folder / name / "clip.npz", data=data, inds=np.arange(len(cameras)))
    (folder / "intrinsics/clip_camera.txt").write_text("".join(f"{i}: PINHOLE\n" for i in range(len(cameras))))
    return folder


def vipe_file(folder, cameras):
    return vipe(folder, cameras) / "pose/clip.npz"


def vggt(folder, cameras):
    shown = images(cameras).transpose(0, 3, 1, 2)
    extrinsic = world_to_camera(cameras)[:, :3].astype(np.float32)
    np.savez(folder / "predictions.npz", extrinsic=extrinsic, intrinsic=matrices(cameras), images=shown)
    return folder / "predictions.npz"


def megasam(folder, cameras):
    arrays = {"images": images(cameras), "intrinsic": matrices(cameras)[0], "cam_c2w": poses(cameras)}
    np.savez(folder / "clip_sgd_cvd_hr.npz", **arrays)
    return folder / "clip_sgd_cvd_hr.npz"


def vista4d(folder, cameras):
    np.savez(folder / "cameras.npz", cam_c2w=poses(cameras), intrinsics=cameras.intrinsics.double().numpy())
    return folder / "cameras.npz"


def lyra(folder, cameras):
    size = {"image_height": cameras.height, "image_width": cameras.width}
    np.savez(folder / "trajectory.npz", w2c=world_to_camera(cameras), intrinsics=matrices(cameras), **size)
    return folder / "trajectory.npz"


def pose_arrays(folder, cameras):
    np.save(folder / "poses.npy", poses(cameras))
    np.save(folder / "intrinsics.npy", cameras.intrinsics.double().numpy())
    return folder


def droid_arrays(folder, cameras):
    inverse = torch.from_numpy(world_to_camera(cameras))
    w, x, y, z = rotation_quaternion(inverse[:, :3, :3]).unbind(-1)
    np.save(folder / "poses.npy", torch.cat([inverse[:, :3, 3], torch.stack([x, y, z, w], -1)], -1).numpy())
    np.save(folder / "intrinsics.npy", cameras.intrinsics.double().numpy())
    np.save(folder / "images.npy", images(cameras).transpose(0, 3, 1, 2))
    return folder


def colmap(folder, cameras, binary=True, model="sparse/0"):
    (folder / model).mkdir(parents=True)
    for name, data in colmap_files(cameras, names(cameras), binary=binary).items():
        (folder / model / name).write_bytes(data)
    return folder


def colmap_text(folder, cameras):
    return colmap(folder, cameras, binary=False, model="sparse")


WRITERS = (
    ours, transforms, camera_path, recammaster, worldplay, realestate10k, tum, matrix_lines, our_npz, vipe, vipe_file,
    vggt, megasam, vista4d, lyra, pose_arrays, droid_arrays, colmap, colmap_text,
)  # fmt: skip
WITHOUT_LENS = (recammaster, tum, matrix_lines)
