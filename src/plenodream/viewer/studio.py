"""What the live viewer knows and does, without a browser: key frames, previews, a render that can be stopped. Ours."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from plenodream.geometry.cameras import invert_pose
from plenodream.geometry.keyframe_paths import SUBJECT_DISTANCE, keyframe_cameras, keyframe_of
from plenodream.geometry.keyframes import Keyframe, Keyframes, read_keyframes, write_keyframes
from plenodream.memory.manifest import Entry
from plenodream.memory.scene import Scene
from plenodream.rendering.model import Model, render_owed
from plenodream.rendering.outlook import Ahead, Outlook, plan_work
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.renderer import Progress
from plenodream.rendering.request import make_request
from plenodream.rendering.source import SOURCE
from plenodream.types import Cameras, View
from plenodream.viewer.preview import preview, small_view

FOLDER = "trajectories"  # of a scene: where the viewer keeps key frames
SIDE = 192  # pixels of the pictures that are shown in the scene


class Stopped(Exception):
    """The user stopped a render."""


class Studio:
    """A scene that is looked at and added to.

    Args:
        scene: The memory.
        subject_distance: Metres from the source's first camera to what new paths turn around.

    Attributes:
        keys: Key frames of the path that is being made, in the order of their times.
    """

    def __init__(self, scene: Scene, subject_distance: float = SUBJECT_DISTANCE) -> None:
        self.scene, self.subject_distance = scene, subject_distance
        self.keys: tuple[Keyframe, ...] = ()
        self._views: dict[str, View] = {}

    @property
    def source(self) -> Cameras:
        """Cameras of the source."""
        return self.scene.cameras(SOURCE)

    def views(self) -> dict[str, View]:
        """The finished views, small, the source first; new ones are read when they have appeared."""
        for name in self.scene.names():
            if self.scene.entry(name).kind != "helper" and name not in self._views and self.scene.complete(name):
                self._views[name] = small_view(self.scene, name, SIDE)
        return self._views

    # The path

    def put(self, key: Keyframe) -> None:
        """Add a key frame, in the place of one at the same time."""
        others = [other for other in self.keys if other.time != key.time]
        self.keys = tuple(sorted([*others, key], key=lambda one: one.time))

    def drop(self, time: float) -> None:
        """Take away the key frame that is nearest to a time."""
        if self.keys:
            nearest = min(self.keys, key=lambda key: abs(key.time - time))
            self.keys = tuple(key for key in self.keys if key is not nearest)

    def key_at(self, pose: Float[Tensor, "4 4"], aimed: Float[Tensor, "3"], time: float, **options: Any) -> Keyframe:
        """The key frame of a camera in the world that turns around a point straight ahead of it.

        Args:
            pose: Camera-to-world, OpenCV.
            aimed: The point.
            time: Of the key frame.
            options: `focal` and `ease` of `Keyframe`.
        """
        distance = max(0.01, (aimed.double() - pose[:3, 3].double()).norm().item())
        local = invert_pose(self.source.camera_to_world[0].double()) @ pose.double()
        return keyframe_of(local, time, distance, self.subject_distance, **options)

    def path(self, keys: tuple[Keyframe, ...] | None = None) -> Cameras:
        """The camera of every frame along the key frames; the source's first where there are none."""
        whole = Keyframes(keys or self.keys or (Keyframe(0.0),), self.subject_distance)
        return keyframe_cameras(whole, self.source)

    def picture(self, camera: Cameras, frame: int) -> UInt8[Tensor, "height width 3"]:
        """What a camera (batch shape ()) would see in a frame, by reprojection."""
        return preview(self.views(), frame, camera, self.subject_distance)

    def within(self, camera: Cameras, reach: float | None) -> bool | None:
        """Whether a camera stays as near to the source's first as in a model's training; None: not known.

        Args:
            camera: Of batch shape ().
            reach: How far its training went, as a share of the subject's distance.
        """
        if reach is None:
            return None
        away = (camera.camera_to_world[:3, 3] - self.source.camera_to_world[0, :3, 3]).norm().item()
        return away <= reach * self.subject_distance

    def load(self, name: str) -> None:
        """Take the key frames of a file that lies in the scene's folder `trajectories`.

        Raises:
            ValueError: No such file, not one of key frames, or of another distance to the subject.
        """
        Entry(name, "view")
        path = self.scene.folder / FOLDER / f"{name}.json"
        if not path.is_file():
            raise ValueError(f"no {FOLDER}/{name}.json in {self.scene.folder}; expected a file of key frames there")
        whole = read_keyframes(path)
        if whole.subject_distance != self.subject_distance:
            raise ValueError(f"{path.name} is for a subject at {whole.subject_distance:g} m: open with that distance")
        self.keys = whole.keyframes

    def save(self, name: str) -> Path:
        """Write the key frames into the scene's folder.

        Raises:
            ValueError: No key frames, a name that no view can have, or that of a view with another path.
        """
        if not self.keys:
            raise ValueError("no key frames yet: put at least one")
        Entry(name, "view")
        path, whole = self.scene.folder / FOLDER / f"{name}.json", Keyframes(self.keys, self.subject_distance)
        if name in self.scene.names():
            if path.is_file() and read_keyframes(path) == whole:  # what was stopped goes on
                return path
            raise ValueError(f"{name!r} is in the scene already; expected a new name")
        path.parent.mkdir(exist_ok=True)
        write_keyframes(path, whole)
        return path


@dataclass(frozen=True)
class State:
    """Where a render in the background stands.

    Attributes:
        view: What is being rendered.
        ahead: How much is left; None before the first step.
        error: Why it ended, where it did not finish.
        running: Whether it goes on.
    """

    view: str = ""
    ahead: Ahead | None = None
    error: str = ""
    running: bool = False


class BackgroundRender:
    """Renders a scene in a thread of its own; what was finished stays when it is stopped.

    Args:
        load: Gives the model; called in the thread, once.
        changed: Called with every new state.
    """

    def __init__(self, load: Callable[[], Model], changed: Callable[[State], None]) -> None:
        self._load, self._changed = load, changed
        self._model: Model | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = State()

    def start(self, folder: Path, path: Path) -> None:
        """Add a trajectory file's view to a scene and render it, unless a render is under way."""
        if self.state.running:
            raise ValueError("a render is under way: stop it first, or wait")
        self._stop.clear()
        self._set(State(running=True))
        self._thread = threading.Thread(target=self._run, args=(folder, path), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is under way."""
        self._stop.set()

    def wait(self) -> None:
        """Until it has ended."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, folder: Path, path: Path) -> None:
        try:
            self._model = self._model or self._load()
            scene = prepare_scene(folder, None, make_request((), [path]), self._model)
            workings = self._model.generator.workings
            outlook = Outlook(plan_work(scene, workings.fewest, workings.targets))
            render_owed(scene, self._model, lambda step: self._step(step, outlook(step)))
            self._set(State(self.state.view, self.state.ahead))
        except Stopped:
            self._set(State(error="stopped: what is finished stays, rendering again goes on"))
        except Exception as error:  # nobody else would hear of it, and no other render could begin
            self._set(State(error=str(error) or type(error).__name__))

    def _step(self, step: Progress, ahead: Ahead) -> None:
        self._set(State(step.view, ahead, running=True))
        if self._stop.is_set():
            raise Stopped

    def _set(self, state: State) -> None:
        self.state = state
        self._changed(state)


def frustum(camera: Cameras) -> tuple[float, float, Float[Tensor, "4 4"]]:
    """Vertical field of view in radians, width over height, and pose of a camera (batch shape ())."""
    half = math.atan(camera.height / (2 * camera.intrinsics[1].item()))
    return 2 * half, camera.width / camera.height, camera.camera_to_world
