"""The live viewer: what the studio knows, in viser's scene and panel. Nothing is decided here."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, NoReturn

import torch
import viser

from plenodream.geometry.formats.rotations import quaternion_rotation, rotation_quaternion
from plenodream.geometry.keyframes import GLIDE, KEY_EASES, Keyframe
from plenodream.geometry.presets import SENSOR_WIDTH_MM
from plenodream.rendering.model import Model
from plenodream.types import Cameras
from plenodream.viewer.inner import answering
from plenodream.viewer.paths import path_colour
from plenodream.viewer.studio import BackgroundRender, State, Studio, frustum

Colour = tuple[int, int, int]
_DRAFT = (240, 240, 240)
_INSIDE, _OUTSIDE = (60, 180, 90), (230, 190, 30)  # of the trained range


class Live:
    """The viewer of one scene.

    Args:
        studio: What it shows and changes.
        load: Gives the model for renders.
        port: viser's, on this machine.
        reach: As for `Studio.within`.

    Attributes:
        server: viser's; it answers only who knows `key`.
        key: For the front.
    """

    def __init__(self, studio: Studio, load: Callable[[], Model], port: int = 0, reach: float | None = None) -> None:
        self.studio, self._reach = studio, reach
        self.key = secrets.token_urlsafe(24)
        with answering(self.key), redirect_stdout(StringIO()):  # it prints the address that answers the front alone
            self.server = viser.ViserServer(host="127.0.0.1", port=port, label="plenodream", verbose=False)
        self.server.scene.set_up_direction("-y")
        start = studio.source[0]
        right, down, ahead, centre = start.camera_to_world[:3].unbind(-1)
        # From behind, above and beside: no camera's path runs through where one looks from.
        aside = centre + studio.subject_distance * (0.45 * right - 0.4 * down - 0.75 * ahead)
        self.server.initial_camera.position = aside.numpy()
        self.server.initial_camera.look_at = (centre + 0.3 * studio.subject_distance * ahead).numpy()
        self.server.initial_camera.up = (-down).numpy()
        self.render = BackgroundRender(load, self._progressed)
        self._panel()
        self.show()

    def stop(self) -> None:
        """Close the viewer; a render ends after its step."""
        self.render.stop()
        with redirect_stdout(StringIO()):
            self.server.stop()

    def play(self) -> NoReturn:
        """Step through the frames while the box is ticked; returns never."""
        while True:
            time.sleep(1 / self.studio.scene.manifest.fps)
            if self.playing.value:
                self.frame.value = (self.frame.value + 1) % len(self.studio.source)

    # The panel

    def _panel(self) -> None:
        gui, last = self.server.gui, len(self.studio.source) - 1
        self.frame = gui.add_slider("frame", 0, max(last, 1), 1, 0)
        self.playing = gui.add_checkbox("play", False)
        self.picture = gui.add_image(self.studio.views()["source"].frames[0].numpy(), label="preview (holes magenta)")
        self.status = gui.add_markdown("")
        with gui.add_folder("camera"):
            away = self.studio.subject_distance
            self.azimuth = gui.add_slider("azimuth", -180.0, 180.0, 1.0, 0.0)
            self.elevation = gui.add_slider("elevation", -89.0, 89.0, 1.0, 0.0)
            self.distance = gui.add_slider("distance", 0.1 * away, 4 * away, 0.01 * away, away)
            self.roll = gui.add_slider("roll", -180.0, 180.0, 1.0, 0.0)
            self.focal = gui.add_slider("focal (mm)", 10.0, 200.0, 1.0, round(self._own_focal()))
            self.ease = gui.add_dropdown("ease", (GLIDE, *KEY_EASES))
            put = gui.add_button("put a key frame at this frame")
            here = gui.add_button("put one where I look")
            drop = gui.add_button("take the nearest away")
        with gui.add_folder("path"):
            self.name = gui.add_text("name", "path")
            save, start = gui.add_button("save"), gui.add_button("save and render")
            load, stop = gui.add_button("load"), gui.add_button("stop")
            self.bar = gui.add_progress_bar(0)
        for dial in (self.azimuth, self.elevation, self.distance, self.roll, self.focal):
            dial.on_update(lambda _: self._preview(self._dialled()))
        self.frame.on_update(lambda _: self.show())
        put.on_click(lambda _: self._tried(self._put))
        here.on_click(lambda event: self._tried(lambda: self._put_here(event.client)))
        drop.on_click(lambda _: self._tried(self._drop))
        save.on_click(lambda _: self._tried(lambda: self.studio.save(self.name.value)))
        start.on_click(lambda _: self._tried(self._render))
        load.on_click(lambda _: self._tried(self._load))
        stop.on_click(lambda _: self.render.stop())

    def _tried(self, action: Callable[[], Any]) -> None:
        """Do what was asked for, and say what is wrong with it."""
        try:
            done = action()
        except (ValueError, OSError) as error:
            self.status.content = f"**{error}**"
        else:
            self.status.content = f"wrote `{done}`" if done is not None else ""

    def _own_focal(self) -> float:
        source = self.studio.source
        return source.intrinsics[0, 0].item() / source.width * SENSOR_WIDTH_MM

    def _moment(self) -> float:
        return self.frame.value / max(len(self.studio.source) - 1, 1)

    def _dialled(self) -> Keyframe:
        focal = None if abs(self.focal.value - self._own_focal()) < 0.6 else self.focal.value
        dials = self.azimuth.value, self.elevation.value, self.distance.value, self.roll.value
        return Keyframe(self._moment(), *dials, focal, ease=self.ease.value)

    def _put(self) -> None:
        self.studio.put(self._dialled())
        self.show()

    def _put_here(self, client: Any) -> None:
        """The browser's own camera as a key frame that turns around what it looks at."""
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = quaternion_rotation(torch.as_tensor(client.camera.wxyz))
        pose[:3, 3] = torch.as_tensor(client.camera.position)
        source, height = self.studio.source, self.studio.source.height
        vertical = height / (2 * math.tan(client.camera.fov / 2))
        focal = vertical / source.width * SENSOR_WIDTH_MM
        aimed = torch.as_tensor(client.camera.look_at)
        self.studio.put(self.studio.key_at(pose, aimed, self._moment(), focal=focal, ease=self.ease.value))
        self.show()

    def _drop(self) -> None:
        self.studio.drop(self._moment())
        self.show()

    def _load(self) -> None:
        self.studio.load(self.name.value)
        self.show()

    def _render(self) -> Any:
        path = self.studio.save(self.name.value)
        self.render.start(self.studio.scene.folder, path)
        return path

    def _progressed(self, state: State) -> None:
        if state.ahead is not None:
            self.bar.value = 100 * state.ahead.done / max(state.ahead.total, 1)
            left = "" if state.ahead.seconds is None else f", {state.ahead.seconds:.0f} s left"
            self.status.content = f"{state.view}: {state.ahead.done} of {state.ahead.total} windows{left}"
        if state.error:
            self.status.content = f"**{state.error}**"
        if not state.running:
            self.studio.scene = type(self.studio.scene).open(self.studio.scene.folder)
            self.show()

    # The scene

    def show(self) -> None:
        """Frusta of all views at the current frame with their pictures, paths, the path that is being made."""
        frame = self.frame.value
        for number, (name, view) in enumerate(self.studio.views().items()):
            colour = _rgb(path_colour(number))
            self._camera(name, self.studio.scene.cameras(name), frame, colour, view.frames[frame].numpy())
        draft = self.studio.path()
        inside = self.studio.within(draft[frame], self._reach)
        colour = _DRAFT if inside is None else _INSIDE if inside else _OUTSIDE
        self._camera("(new path)", draft, frame, colour, self._preview(None))

    def _preview(self, key: Keyframe | None) -> Any:
        """The picture of the dials, or of the path at the current frame."""
        frame = self.frame.value
        camera = self.studio.path(None if key is None else (key,))[frame]
        picture = self.studio.picture(camera, frame).numpy()
        self.picture.image = picture
        return picture

    def _camera(self, name: str, cameras: Cameras, frame: int, colour: Colour, picture: Any) -> None:
        fov, aspect, pose = frustum(cameras[frame])
        centres = cameras.camera_to_world[:, :3, 3]
        turned = rotation_quaternion(pose[:3, :3].double()).numpy()
        scale = 0.12 * self.studio.subject_distance
        self.server.scene.add_camera_frustum(
            f"/cameras/{name}",
            fov,
            aspect,
            scale=scale,
            thickness=0.01 * scale,
            color=colour,
            image=picture,
            wxyz=turned,
            position=pose[:3, 3].numpy(),
        )
        if len(centres) > 1:
            lines = torch.stack([centres[:-1], centres[1:]], dim=1).numpy()
            self.server.scene.add_line_segments(f"/paths/{name}", lines, colour, thickness=0.02 * scale)


def _rgb(colour: str) -> Colour:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
