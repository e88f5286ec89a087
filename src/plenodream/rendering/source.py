"""A source video from files: frames at the model's size, the camera of every frame, and what a scene keeps of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.geometry.formats import load_cameras
from plenodream.media.fit import fit_cameras
from plenodream.media.video import read_video
from plenodream.memory.scene import Scene
from plenodream.memory.windows import window_index
from plenodream.types import Cameras, View

SOURCE = "source"  # the source's name in every scene
DEFAULT_FOV = 60.0  # horizontal, in degrees, where nothing is known of the lens


@dataclass(frozen=True)
class SourceVideo(View):
    """A source at a model's size, and what is known of the video it was made from.

    Attributes:
        size: Height and width of that video.
        notes: What was assumed and done, one line each; a scene keeps them and its page shows them.
    """

    size: tuple[int, int]
    notes: tuple[str, ...] = ()


def still_cameras(frames: int, height: int, width: int, fov: float = DEFAULT_FOV) -> Cameras:
    """A camera that stands still at the origin, with a horizontal field of view in degrees."""
    intrinsics = intrinsics_from_fov(fov, height, width)
    return Cameras(torch.eye(4).repeat(frames, 1, 1), intrinsics.repeat(frames, 1), height, width)


def open_source(
    video: str | Path, height: int, width: int, cameras: str | Path | None = None, fov: float | None = None
) -> tuple[SourceVideo, tuple[str, ...]]:
    """Read a video at a model's size, with its cameras.

    Args:
        video: File of any size and frame rate.
        height: Of the model, pixels.
        width: Of the model, pixels.
        cameras: Camera file of the video, one camera per frame of the file (docs/conventions.md). Without one the
            camera is taken to stand still.
        fov: Horizontal field of view of the whole video in degrees, where no file gives a focal length; `DEFAULT_FOV`
            if None.

    Returns:
        The view, and notes on what was assumed and done.

    Raises:
        ValueError: Not a usable video, cameras that do not fit it, or a field of view beside a focal length.
    """
    clip = read_video(video, size=(height, width))
    whole_height, whole_width = clip.source_size or (height, width)
    count, notes = len(clip.frames), list(clip.notes)
    assumed = DEFAULT_FOV if fov is None else fov
    still = still_cameras(count, whole_height, whole_width, assumed)
    said = f"a horizontal field of view of {assumed:g} degrees (--source-fov changes it)"
    if cameras is None:
        path = still
        notes.append(f"no --cameras: the source camera is taken to stand still, with {said}")
    else:
        try:
            path = load_cameras(cameras, whole_height, whole_width, count)
        except ValueError:  # no focal length in it, or no fit file: the same call says so
            path = load_cameras(cameras, whole_height, whole_width, count, still.intrinsics[0])
            notes.append(f"no focal length in {Path(cameras).name}: taken from {said}")
        else:
            if fov is not None:
                raise ValueError(
                    f"a field of view of {fov:g} degrees beside {cameras}, which gives focal lengths; expected one of "
                    "them: leave --source-fov out"
                )
        # The file has a camera for each frame of the video, the resampled clip shows some of them.
        path = path if clip.index is None else path[list(clip.index)]
    if (whole_height, whole_width) != (height, width):
        notes.append(f"{whole_width}x{whole_height} fitted to the model's {width}x{height} (resized, centre-cropped)")
    fitted = fit_cameras(path, height, width)
    return SourceVideo(clip.frames, fitted, clip.fps, (whole_height, whole_width), tuple(notes)), tuple(notes)


def check_source(scene: Scene, given: SourceVideo) -> set[int]:
    """Refuse a video that is not the one a scene was started from.

    Returns:
        The windows of the scene's source that are damaged on disk, which the video can mend (`write_source`).

    Raises:
        ValueError: Other cameras, or other frames where the scene's can be read.
    """
    if SOURCE not in scene.names():  # a run was cut off before it
        return set()
    stored, damaged = scene.cameras(SOURCE), set()
    same = torch.equal(given.cameras.camera_to_world, stored.camera_to_world)
    same = same and torch.equal(given.cameras.intrinsics, stored.intrinsics)
    for number, window in enumerate(scene.manifest.windows):
        if not same or not scene.has(SOURCE, number):
            continue
        try:
            frames = scene.read(SOURCE, number).frames
            _ = scene.record(SOURCE, number), scene.timing(SOURCE, number)
        except ValueError:
            damaged.add(number)
        else:
            same = torch.equal(given.frames[window_index(window, len(given))], frames)
    if not same:
        raise ValueError(
            f"{scene.folder}: the scene has another source video or source cameras; "
            "leave the video out to add to it, or use another folder"
        )
    return damaged


def write_source(scene: Scene, given: SourceVideo, damaged: Collection[int], notes: tuple[str, ...]) -> None:
    """Write what a scene lacks of its source, and its damaged windows anew; `notes` are kept beside the video's own."""
    if scene.complete(SOURCE) and not damaged:
        return
    record = {"given": True, "size": list(given.size), "notes": [*given.notes, *notes]}
    scene.declare(SOURCE, "source", given.cameras)
    for number, window in enumerate(scene.manifest.windows):
        if number in damaged or not scene.has(SOURCE, number):
            scene.write(SOURCE, number, given.frames[window_index(window, len(given))], record, {})


def source_size(scene: Scene) -> tuple[int, int]:
    """Height and width that a scene's source had before it was fitted."""
    height, width = scene.record(SOURCE, 0).get("size", (scene.manifest.height, scene.manifest.width))
    return height, width


def source_notes(scene: Scene) -> tuple[str, ...]:
    """What was assumed and done to make a scene's source, one line each."""
    return tuple(scene.record(SOURCE, 0).get("notes", ()))
