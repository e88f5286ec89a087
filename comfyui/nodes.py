"""The nodes: thin faces of what the package offers. ComfyUI's `IMAGE` is float32 (frames, height, width, 3), 0..1."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from plenodream import static_source
from plenodream.geometry.formats import load_cameras
from plenodream.geometry.keyframes import GLIDE, KEY_EASES, Keyframe, Keyframes, write_keyframes
from plenodream.geometry.presets import PRESETS
from plenodream.rendering.catalog import DEFAULT_MODEL
from plenodream.rendering.load import load_model
from plenodream.rendering.model import render_owed
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.preview import preview
from plenodream.rendering.request import make_request
from plenodream.types import View

from .cameras import Trajectories, joined, keyframe_from, load3d_camera, path_cameras, poses_from, poses_of
from .pictures import drawing, images, pixels

MODEL, SOURCE, TRAJECTORIES = "PLENODREAM_MODEL", "PLENODREAM_SOURCE", "PLENODREAM_TRAJECTORIES"
KEYS, SCENE = "PLENODREAM_KEYFRAMES", "PLENODREAM_SCENE"


def number(default: float, low: float, high: float, step: float = 0.1, tip: str = "") -> tuple:
    """A field for a number."""
    return "FLOAT", {"default": default, "min": low, "max": high, "step": step, "tooltip": tip}


def text(default: str, tip: str, **more: bool) -> tuple:
    """A field for words."""
    return "STRING", {"default": default, "tooltip": tip, **more}


DISTANCE = number(4, 0.01, 10_000, tip="metres from the source's first camera to what paths turn around")
FILE = "path of a file on the machine that ComfyUI runs on; any format that plenodream reads"


class Node:
    """What all nodes have in common."""

    FUNCTION = "run"
    CATEGORY = "plenodream"

    def __init_subclass__(cls) -> None:
        if "DESCRIPTION" not in vars(cls):
            cls.DESCRIPTION = cls.__doc__ or ""  # what ComfyUI shows of a node


class LoadModel(Node):
    """A model: bundled, a folder, owner/name on a hub, or `reprojection` (no network)."""

    RETURN_TYPES, RETURN_NAMES = (MODEL,), ("model",)

    @classmethod
    def INPUT_TYPES(cls):
        name = text(DEFAULT_MODEL, "a bundled model's name, a model's folder, owner/name on a hub, or reprojection")
        return {"required": {"model": name, "device": (["auto", "cpu", "cuda"],)}}

    def run(self, model, device):
        return (load_model(model, None if device == "auto" else device),)


class Source(Node):
    """The video and its cameras; without any, the camera is taken to stand still."""

    RETURN_TYPES, RETURN_NAMES = (SOURCE,), ("source",)

    @classmethod
    def INPUT_TYPES(cls):
        lens = number(60, 1, 170, tip="horizontal field of view in degrees, where no file of cameras says it")
        required = {"images": ("IMAGE",), "fps": number(24, 1, 240, tip="frames per second"), "fov": lens}
        optional = {"camera_poses": ("CAMERAPOSES",), "cameras_file": text("", FILE)}
        return {"required": required, "optional": optional}

    def run(self, images, fps, fov, camera_poses=None, cameras_file=""):
        source = static_source(pixels(images), float(fps), float(fov))
        if camera_poses is not None and cameras_file:
            raise ValueError("camera poses and a camera file: expected one of them")
        cameras = source.cameras
        if camera_poses is not None:
            cameras = path_cameras(poses_from(camera_poses), cameras)
        if cameras_file:
            size = cameras.height, cameras.width
            cameras = load_cameras(cameras_file, *size, len(source), cameras.intrinsics[0])
        return (View(source.frames, cameras, source.fps),)


class Chain(Node):
    """A node that adds to the trajectories before it."""

    RETURN_TYPES, RETURN_NAMES = (TRAJECTORIES,), ("trajectories",)
    FIELDS: ClassVar[dict] = {}

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": cls.FIELDS, "optional": {"before": (TRAJECTORIES,)}}


class Presets(Chain):
    """Presets, one a line, with parameters as on the command line."""

    DESCRIPTION = "One a line: " + ", ".join(PRESETS)
    FIELDS: ClassVar[dict] = {"presets": text("arc-left\narc-right:angle=40", DESCRIPTION, multiline=True)}

    def run(self, presets, before=None):
        lines = tuple(line.strip() for line in presets.splitlines() if line.strip())
        return (joined(before, Trajectories(presets=lines)),)


class CamerasFile(Chain):
    """A file of cameras, or of key frames; its name becomes the view's."""

    FIELDS: ClassVar[dict] = {"file": text("", FILE)}

    def run(self, file, before=None):
        if not file.strip():
            raise ValueError("no file yet; expected the path of a file of cameras or key frames")
        return (joined(before, Trajectories(files=(file,))),)


class CamerasFromPoses(Chain):
    """Poses of other nodes, relative to the source's first camera, spread over its frames."""

    FIELDS: ClassVar[dict] = {"name": text("poses", "of the view"), "camera_poses": ("CAMERAPOSES",)}

    def run(self, name, camera_poses, before=None):
        return (joined(before, Trajectories(paths={name: poses_from(camera_poses)})),)


class KeyframesTrajectory(Chain):
    """Key frames as a trajectory."""

    FIELDS: ClassVar[dict] = {
        "name": text("path", "of the view, or of the file"),
        "keyframes": (KEYS,),
        "subject_distance": DISTANCE,
    }

    def run(self, name, keyframes, subject_distance, before=None):
        return (joined(before, Trajectories(paths={name: _keyframes(keyframes, subject_distance)})),)


class SaveKeyframes(Node):
    """Key frames as a file, for `Cameras from file`, `plenodream render --trajectory-file`, the viewer and the app."""

    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("file",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": KeyframesTrajectory.FIELDS}

    def run(self, name, keyframes, subject_distance):
        file = _inside(Path(_output()), f"{name}.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_keyframes(file, _keyframes(keyframes, subject_distance))
        return (str(file),)


class Dials(Node):
    """Where the camera is at one moment; connect several for a path."""

    RETURN_TYPES, RETURN_NAMES = (KEYS, "LOAD3D_CAMERA"), ("keyframes", "camera_info")

    @classmethod
    def INPUT_TYPES(cls):
        required = {
            "time": number(0, 0, 1, 0.01, "share of the clip: 0 its first frame, 1 its last"),
            "azimuth": number(0, -3600, 3600, 1, "degrees around the subject, positive to the right"),
            "elevation": number(0, -89, 89, 1, "degrees above the subject"),
            "distance": number(4, 0.01, 10_000, tip="metres to the subject"),
            "roll": number(0, -3600, 3600, 1, "degrees"),
            "ease": ([GLIDE, *KEY_EASES],),
        }
        focal = number(0, 0, 10_000, 1, "focal length in mm on a sensor 36 mm wide; 0: the source's own")
        optional = {"before": (KEYS,), "focal_mm": focal, "camera_info": ("LOAD3D_CAMERA",)}
        return {"required": required, "optional": optional}

    def run(self, time, azimuth, elevation, distance, roll, ease, before=(), focal_mm=0, camera_info=None):
        key = Keyframe(time, azimuth, elevation, distance, roll, focal_mm or None, ease=ease)
        if camera_info is not None:  # in the place of these dials
            seen = keyframe_from(camera_info, time)
            key = replace(key, azimuth=seen.azimuth, elevation=seen.elevation, distance=seen.distance)
        return ((*before, key), load3d_camera(key))


class Scene(Node):
    """The memory: a folder in ComfyUI's output that every later run adds to."""

    RETURN_TYPES, RETURN_NAMES = (SCENE,), ("scene",)

    @classmethod
    def INPUT_TYPES(cls):
        folder = text("scene", "within ComfyUI's output; later runs add to what is there")
        required = {"model": (MODEL,), "trajectories": (TRAJECTORIES,), "folder": folder}
        return {"required": required, "optional": {"source": (SOURCE,), "seed": ("INT", {"default": 0, "min": 0})}}

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return float("nan")  # the folder may have changed since

    def run(self, model, trajectories, folder, source=None, seed=None):
        place = _inside(Path(_output()), folder)
        request = make_request(trajectories.presets, [Path(file) for file in trajectories.files], seed=seed)
        scene = prepare_scene(place, source, request, model)
        cameras = {name: path_cameras(path, scene.cameras("source")) for name, path in trajectories.paths.items()}
        return (prepare_scene(place, None, make_request(cameras), model) if cameras else scene,)


class Render(Node):
    """Renders what the scene is still missing."""

    RETURN_TYPES, RETURN_NAMES = (SCENE,), ("scene",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": (MODEL,), "scene": (SCENE,)}}

    def run(self, model, scene):
        from plenodream.rendering.outlook import Outlook, plan_work

        workings = model.generator.workings
        outlook, show = Outlook(plan_work(scene, workings.fewest, workings.targets)), _progress_bar()

        def report(step):
            ahead = outlook(step)
            show(ahead.done + step.step / step.steps % 1, ahead.total)

        render_owed(scene, model, report)
        return (scene,)


class ViewOut(Node):
    """One finished view of a scene, and its cameras."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "CAMERAPOSES", "FLOAT"), ("images", "camera_poses", "fps")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"scene": (SCENE,), "name": text("arc-left", "of a finished view, or source")}}

    def run(self, scene, name):
        return images(scene.frames(name)), poses_of(scene.cameras(name)), float(scene.manifest.fps)


class AllViews(Node):
    """All finished views of a scene as a list of batches, with their names."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "STRING"), ("images", "names")
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"scene": (SCENE,)}}

    def run(self, scene):
        names = [name for name in scene.names("view") if scene.complete(name)]
        return [images(scene.frames(name)) for name in names], names


class Preview(Node):
    """A drawing of the paths, before anything is rendered; and one of them as poses."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "CAMERAPOSES"), ("drawing", "camera_poses")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"source": (SOURCE,), "trajectories": (TRAJECTORIES,)}}

    def run(self, source, trajectories):
        cameras = trajectories.cameras(source.cameras)
        if not cameras:
            raise ValueError("no presets or key frames to draw; expected at least one (files are not drawn)")
        return drawing({"source": source.cameras} | cameras), poses_of(next(iter(cameras.values())))


class Warps(Node):
    """What the source shows of each view, before anything is rendered: a batch each, magenta where it shows nothing."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "STRING"), ("images", "words")
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def INPUT_TYPES(cls):
        required = {"source": (SOURCE,), "trajectories": (TRAJECTORIES,), "subject_distance": DISTANCE}
        return {"required": required}

    def run(self, source, trajectories, subject_distance):
        cameras = trajectories.cameras(source.cameras)
        if not cameras:
            raise ValueError("no presets or key frames to look at; expected at least one (files are not shown)")
        shown = [preview(name, path, source, subject_distance) for name, path in cameras.items()]
        words = [f"{one.name}: {max(one.unseen):.0%} unseen at most, depth {one.depth}" for one in shown]
        return [images(one.warps) for one in shown], words


def _keyframes(keys, subject_distance: float) -> Keyframes:
    return Keyframes(tuple(sorted(keys, key=lambda key: key.time)), subject_distance)


def _inside(root: Path, folder: str) -> Path:
    """A folder within another.

    Raises:
        ValueError: It lies elsewhere.
    """
    place = (root / folder).resolve()
    if root.resolve() not in place.parents:
        raise ValueError(f"folder {folder!r}: expected one within {root}")
    return place


def _output() -> str:
    import folder_paths  # ComfyUI's

    return folder_paths.get_output_directory()


def _progress_bar():
    import comfy.utils  # ComfyUI's

    bar = comfy.utils.ProgressBar(100)
    return lambda done, total: bar.update_absolute(round(100 * done / max(total, 1)), 100)


_NODES = {
    "PlenodreamLoadModel": (LoadModel, "Load model"),
    "PlenodreamSource": (Source, "Source video"),
    "PlenodreamPresets": (Presets, "Trajectory presets"),
    "PlenodreamCamerasFile": (CamerasFile, "Cameras from file"),
    "PlenodreamCamerasFromPoses": (CamerasFromPoses, "Cameras from poses"),
    "PlenodreamDials": (Dials, "Camera dials (key frame)"),
    "PlenodreamKeyframes": (KeyframesTrajectory, "Trajectory from key frames"),
    "PlenodreamSaveKeyframes": (SaveKeyframes, "Save key frames"),
    "PlenodreamPreview": (Preview, "Preview trajectories"),
    "PlenodreamWarps": (Warps, "Preview what the source shows"),
    "PlenodreamScene": (Scene, "Scene (memory)"),
    "PlenodreamRender": (Render, "Render"),
    "PlenodreamView": (ViewOut, "View"),
    "PlenodreamAllViews": (AllViews, "All views"),
}
NODE_CLASS_MAPPINGS = {name: node for name, (node, _) in _NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {name: f"{title} (plenodream)" for name, (_, title) in _NODES.items()}
