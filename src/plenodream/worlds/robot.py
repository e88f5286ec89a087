"""A two-armed robot at a table, filmed by its head and by both grippers (MuJoCo, arms of `gym-aloha`). Ours.

The arms reach for things on a table, one of which slides; all surfaces have patterns. It is AgiBot World in miniature:
the head stands still and sees table and arms, the grippers' cameras move with the arms and see little of what it sees.
The world is the head's camera (OpenCV axes), its lengths five times the robot's: the table is then about as far away as
the subjects of the models that ship.
"""

from __future__ import annotations

import ctypes.util
import importlib
import io
import math
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from plenodream.geometry.cameras import relative_poses, scale_poses
from plenodream.types import Cameras
from plenodream.worlds.world import world_generator

VIEWS = ("head", "hand_left", "hand_right")
SCALE = 5.0
_FOVS = {"head": 60.0, "hand_left": 65.0, "hand_right": 65.0}  # vertical, degrees
_CAMERAS = {"head": "head", "hand_left": "left_wrist", "hand_right": "right_wrist"}
_ARMS = ("left", "right")
_JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_REST, _REACH = (0.0, -0.7, 0.95, 0.0, -0.2, 0.0), (0.35, 0.3, 0.25, 0.3, 0.4, 0.8)  # radians
_FINGERS = (0.024, 0.055)  # metres: closed and open
_THINGS, _TEXTURES, _TEXELS = 6, 5, 128
_KINDS = ("box", "cylinder", "ellipsoid")


@dataclass(frozen=True)
class Filmed:
    """One camera of an episode.

    Attributes:
        frames: RGB, 0..255.
        depth: Metres along z (times `SCALE`); 0 where there is nothing.
        moving: What is of the arms, or of a thing that slides.
        cameras: One a frame.
    """

    frames: UInt8[Tensor, "frames height width 3"]
    depth: Float[Tensor, "frames height width"]
    moving: Bool[Tensor, "frames height width"]
    cameras: Cameras


def film_robot(split: str, number: int, frames: int, height: int, width: int, motion: bool = True) -> dict[str, Filmed]:
    """An episode by its number; those of different splits share nothing.

    Args:
        split: `train`, `validation` or `benchmark`.
        number: From 0.
        frames: Of every video; the event takes all of them, however many.
        height: Pixels.
        width: Pixels.
        motion: Whether it moves; all frames are the first if not.

    Raises:
        ValueError: MuJoCo, the arms, or a way to draw without a screen is missing.
    """
    mujoco = _mujoco()
    draw = _Draw(world_generator(split, number))
    model = mujoco.MjModel.from_xml_string(_scene(draw), _assets(draw))
    for name, camera in _CAMERAS.items():
        model.cam_fovy[model.camera(camera).id] = _FOVS[name]
    _paint_arms(model)
    paths = _joint_paths(draw)
    slide = np.array([draw.between(-0.12, 0.12), draw.between(-0.12, 0.12)])
    data = mujoco.MjData(model)
    camera_of = {name: model.camera(camera).id for name, camera in _CAMERAS.items()}
    shots: dict[str, list[tuple]] = {name: [] for name in VIEWS}
    renderer = _renderer(mujoco, model, height, width)
    try:
        for time in np.linspace(0, 1, frames) * float(motion):
            _pose(model, data, paths, slide, float(time))
            mujoco.mj_forward(model, data)
            for name in VIEWS:
                shots[name].append(_shoot(renderer, model, data, camera_of[name]))
    finally:
        renderer.close()
    anchor = shots["head"][0][-1]
    return {name: _filmed(name, parts, anchor, height, width) for name, parts in shots.items()}


class _Draw:
    """Numbers from one generator, in order."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def numbers(self, *shape: int) -> np.ndarray:
        """Uniform, 0 to 1."""
        return torch.rand(shape, generator=self.generator, dtype=torch.float64).numpy()

    def between(self, low: float, high: float) -> float:
        """One uniform number."""
        return low + (high - low) * float(self.numbers(1)[0])


def _mujoco() -> Any:
    if find_spec("mujoco") is None or find_spec("gym_aloha") is None:
        raise ValueError("the robot: needs MuJoCo and gym-aloha; pip install 'plenodream[robot]'")
    if "MUJOCO_GL" not in os.environ and "DISPLAY" not in os.environ:  # it asks once, when it is imported
        os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "osmesa"
    try:
        return importlib.import_module("mujoco")
    except Exception as error:  # whatever PyOpenGL finds missing
        raise ValueError(_screenless(error)) from None


def _renderer(mujoco: Any, model: Any, height: int, width: int) -> Any:
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # whatever EGL or OSMesa finds missing
        raise ValueError(_screenless(error)) from None


def _screenless(error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"the robot cannot be drawn without a screen ({reason}); expected EGL or OSMesa: apt-get install libosmesa6"


def _assets(draw: _Draw) -> dict[str, bytes]:
    """The arms' files, and patterns."""
    (root,) = find_spec("gym_aloha").submodule_search_locations  # type: ignore[union-attr]
    assets = {path.name: path.read_bytes() for path in (Path(root) / "assets").iterdir()}
    return assets | {f"pattern{number}.png": _pattern(draw) for number in range(_TEXTURES)}


def _pattern(draw: _Draw) -> bytes:
    """A picture of waves and cells in two colours and their mixture."""
    grid = np.stack(np.meshgrid(*[np.arange(_TEXELS) / _TEXELS] * 2), axis=-1)
    waves = np.sin(2 * np.pi * (grid @ draw.numbers(2, 5) * 12 + draw.numbers(5))).mean(-1)
    count = 3 + int(6 * draw.numbers(1)[0])
    cells = np.kron(draw.numbers(count, count), np.ones((_TEXELS, _TEXELS)))[::count, ::count]
    share = np.clip(0.5 + 0.6 * waves + (cells - 0.5), 0, 1)[..., None]
    low, high = 0.6 * draw.numbers(3), 0.35 + 0.65 * draw.numbers(3)
    picture = (255 * (share * high + (1 - share) * low)).round().astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    return out.getvalue()


def _scene(draw: _Draw) -> str:
    """MuJoCo's XML: table, floor, walls, things, lights, the head's camera, both arms."""
    textures = "".join(
        f'<texture name="flat{n}" type="2d" file="pattern{n}.png"/><texture name="cube{n}" type="cube" '
        f'file="pattern{n}.png"/><material name="flat{n}" texture="flat{n}" texrepeat="2 2"/>'
        f'<material name="cube{n}" texture="cube{n}"/>'
        for n in range(_TEXTURES)
    )
    things = "".join(_thing(number, draw) for number in range(_THINGS))
    return f"""<mujoco>
  <include file="vx300s_dependencies.xml"/>
  <statistic extent="1" center="0 0.5 0.2"/>
  <visual><map znear="0.02" zfar="8"/><quality shadowsize="0" offsamples="0"/>
    <headlight ambient="0.5 0.5 0.5" diffuse="0 0 0" specular="0 0 0"/></visual>
  <asset>{textures}</asset>
  <worldbody>
    <light castshadow="false" directional="true" diffuse=".5 .5 .5" specular="0 0 0" pos="0 0 2" dir="0.3 0.5 -1"/>
    <camera name="head" pos="{draw.between(-0.05, 0.05)} -0.1 0.75" xyaxes="1 0 0 0 0.72 0.69"/>
    <geom type="box" size="0.65 0.45 0.02" pos="0 0.5 -0.021" material="flat0"/>
    <geom type="plane" size="3 3 0.1" pos="0 0 -0.75" material="flat1"/>
    <geom type="box" size="3 0.05 2" pos="0 2 0.5" material="flat2"/>
    <geom type="box" size="3 0.05 2" pos="0 -1.5 0.5" material="flat3"/>
    <geom type="box" size="0.05 2 2" pos="-2 0.3 0.5" material="flat4"/>
    <geom type="box" size="0.05 2 2" pos="2 0.3 0.5" material="flat3"/>
    {things}
    <include file="vx300s_left.xml"/><include file="vx300s_right.xml"/>
  </worldbody>
</mujoco>"""


def _thing(number: int, draw: _Draw) -> str:
    """Something on the table; the first one can slide."""
    kind, material = _KINDS[number % len(_KINDS)], f"cube{number % _TEXTURES}"
    size = [draw.between(0.025, 0.06) for _ in range(3)]
    rise = size[1] if kind == "cylinder" else size[2]
    place = f"{draw.between(-0.3, 0.3)} {draw.between(0.3, 0.7)} {rise}"
    joints = '<joint name="slide_x" type="slide" axis="1 0 0"/><joint name="slide_y" type="slide" axis="0 1 0"/>'
    joints += '<inertial pos="0 0 0" mass="0.1" diaginertia="1e-4 1e-4 1e-4"/>'
    geom = f'<geom type="{kind}" size="{" ".join(map(str, size))}" material="{material}"/>'
    return f'<body name="thing{number}" pos="{place}">{joints if number == 0 else ""}{geom}</body>'


def _paint_arms(model: Any) -> None:
    """Patterns on the arms' meshes, which come without."""
    for geom in range(model.ngeom):
        name = model.body(model.geom_bodyid[geom]).name
        if name.startswith("vx300s"):
            model.geom_matid[geom] = model.material(f"cube{geom % _TEXTURES}").id
            model.geom_rgba[geom] = 1


def _joint_paths(draw: _Draw) -> dict[str, np.ndarray]:
    """Three postures of every joint, between which it moves."""
    paths = {}
    for arm in _ARMS:
        for joint, rest, reach in zip(_JOINTS, _REST, _REACH, strict=True):
            paths[f"vx300s_{arm}/{joint}"] = rest + reach * (2 * draw.numbers(3) - 1)
        opening = _FINGERS[0] + (_FINGERS[1] - _FINGERS[0]) * draw.numbers(3)
        paths[f"vx300s_{arm}/left_finger"], paths[f"vx300s_{arm}/right_finger"] = opening, -opening
    return paths


def _pose(model: Any, data: Any, paths: dict[str, np.ndarray], slide: np.ndarray, time: float) -> None:
    """Set all joints to where they are at a time, 0 to 1."""
    part, rest = divmod(min(2 * time, 2 - 1e-9), 1)
    eased = rest**3 * (10 - 15 * rest + 6 * rest**2)
    for name, postures in paths.items():
        first, second = postures[int(part)], postures[int(part) + 1]
        data.qpos[model.joint(name).qposadr[0]] = first + (second - first) * eased
    for axis, name in enumerate(("slide_x", "slide_y")):
        data.qpos[model.joint(name).qposadr[0]] = slide[axis] * time


def _shoot(renderer: Any, model: Any, data: Any, camera: int) -> tuple[Any, ...]:
    """Picture, depth, what moves, where there is nothing, and the camera's pose (OpenCV axes, MuJoCo's world)."""
    renderer.update_scene(data, camera)
    picture = renderer.render().copy()
    renderer.enable_depth_rendering()
    depth = renderer.render().copy()
    renderer.disable_depth_rendering()
    renderer.enable_segmentation_rendering()
    geoms = renderer.render()[..., 0].copy()
    renderer.disable_segmentation_rendering()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(data.cam_xmat[camera].reshape(3, 3).copy()) * torch.tensor([1.0, -1.0, -1.0])
    pose[:3, 3] = torch.from_numpy(data.cam_xpos[camera].copy())
    bodies = np.where(geoms >= 0, model.geom_bodyid[np.maximum(geoms, 0)], 0)
    return picture, depth, model.body_weldid[bodies] != 0, geoms < 0, pose


def _filmed(name: str, parts: list[tuple], anchor: Tensor, height: int, width: int) -> Filmed:
    pictures, depth, moving, background, poses = (list(column) for column in zip(*parts, strict=True))
    focal = height / 2 / math.tan(math.radians(_FOVS[name]) / 2)
    lens = torch.tensor([focal, focal, width / 2, height / 2], dtype=torch.float64)
    metres = torch.from_numpy(np.stack(depth)).float()
    far = torch.from_numpy(np.stack(background))
    world = scale_poses(relative_poses(torch.stack(poses), anchor), SCALE)
    return Filmed(
        torch.from_numpy(np.stack(pictures)),
        SCALE * torch.where(far, 0, metres),
        torch.from_numpy(np.stack(moving)),
        Cameras(world, lens.repeat(len(parts), 1), height, width),
    )
