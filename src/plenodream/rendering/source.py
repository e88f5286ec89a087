"""A source video from files: frames at the model's size, the camera of every frame, and what a scene keeps of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from plenodream.estimate.depth import with_depth
from plenodream.estimate.undistort import undistort
from plenodream.geometry.cameras import intrinsics_from_fov, scale_cameras
from plenodream.geometry.formats import FoundCameras, read_cameras
from plenodream.geometry.metres import FEWEST
from plenodream.geometry.points import depth_of_points
from plenodream.media.cuts import cut_note, find_cuts
from plenodream.media.depth import METRIC, RawDepth
from plenodream.media.fit import fit_cameras, fit_depth, fit_frames
from plenodream.media.video import read_video
from plenodream.memory.scene import Scene
from plenodream.memory.windows import window_index
from plenodream.rendering.request import SOURCE
from plenodream.rendering.travel import scale_caution
from plenodream.types import Cameras, View

DEFAULT_FOV = 60.0  # horizontal, in degrees, where nothing is known of the lens
WHOLE = slice(None)


@dataclass(frozen=True, repr=False)
class SourceVideo(View):
    """A source at a model's size, and what is known of the video it was made from.

    Attributes:
        size: Height and width of that video.
        notes: What was assumed and done, one line each; a scene keeps them and its page shows them.
        scale: Factor from the lengths of its camera file to metres; further files of the scene are taken likewise.
    """

    size: tuple[int, int]
    notes: tuple[str, ...] = ()
    scale: float = 1.0


def still_cameras(frames: int, height: int, width: int, fov: float = DEFAULT_FOV) -> Cameras:
    """A camera that stands still at the origin, with a horizontal field of view in degrees."""
    intrinsics = intrinsics_from_fov(fov, height, width)
    return Cameras(torch.eye(4).repeat(frames, 1, 1), intrinsics.repeat(frames, 1), height, width)


def static_source(frames: UInt8[Tensor, "frames height width 3"], fps: float, fov: float = DEFAULT_FOV) -> View:
    """A source video whose camera stands still at the origin.

    Args:
        frames: RGB bytes.
        fps: Frames per second.
        fov: Horizontal, in degrees, 0 to 180.
    """
    count, height, width = frames.shape[:3]
    return View(frames, still_cameras(count, height, width, fov), fps)


def open_source(
    video: str | Path,
    height: int,
    width: int,
    cameras: str | Path | None = None,
    fov: float | None = None,
    scale: float = 1.0,
    part: slice = WHOLE,
    depth: RawDepth | None = None,
    subject_distance: float = 4.0,
) -> SourceVideo:
    """Read a video at a scene's size, with its cameras.

    Args:
        video: File of any size and frame rate.
        height: Of the scene, pixels.
        width: Of the scene, pixels.
        cameras: Camera file of the video, one camera per frame of the file (docs/conventions.md). Without one the
            camera is taken to stand still.
        fov: Horizontal field of view of the whole video in degrees, where no file gives a focal length; `DEFAULT_FOV`
            if None.
        scale: Factor from the lengths of the camera file to metres.
        part: Which of the frames to take.
        depth: A map for each frame of the file.
        subject_distance: Metres to what the picture's middle shows, where the maps have no scale of their own.

    Raises:
        ValueError: Not a usable video, depth or cameras that do not fit it, or a field of view beside a focal length.
    """
    clip = read_video(video, None if part.stop is None else max(2, part.stop), size=(height, width))
    whole = clip.source_size or (height, width)
    found, path, notes = _cameras_of(cameras, len(clip.frames), whole, fov, part)
    points = None if found is None or found.points is None else depth_of_points(found.points, path)
    # The file has a camera for each frame of the video, the resampled clip shows some of them.
    path = path if clip.index is None else path[list(clip.index)]
    shown = (clip.index or range(len(path)))[part]
    frames, path, fps = clip.frames[part], path[part], clip.fps / (part.step or 1)
    if len(frames) < 2:
        raise ValueError(f"{video}: {len(frames)} frames are left of {len(clip.frames)}; expected at least 2")
    if part != WHOLE:
        step = part.step or 1
        every = f", one of every {step}" if step > 1 else ""
        asked = 0 if part.stop is None else len(range(part.start or 0, part.stop, step))
        short = f", of {asked} asked for: the video ends there" if len(frames) < asked else ""
        notes.append(f"a part of the video: {len(frames)} frames from frame {part.start or 0}{every}{short}")
    if cuts := find_cuts(frames):
        notes.append(f"{cut_note(cuts)} (--split-cuts, or --start and --frames)")
    if points is not None:
        notes += scale_caution(points, scale, subject_distance)
    if scale != 1:
        notes.append(f"lengths of the cameras times {scale:g}")
    if whole != (height, width):
        kept = abs(whole[0] * width - whole[1] * height) <= max(whole)  # but for rounding
        notes.append(f"{whole[1]}x{whole[0]} resized to {width}x{height}" + ("" if kept else ", its centre cropped"))
    fitted = fit_cameras(scale_cameras(path, scale), height, width)
    if depth is not None and depth.kind == METRIC and points is None and found is not None:
        notes += _unlike_metres(found.scale)
    source = SourceVideo(frames, fitted, fps, whole, (*clip.notes, *notes), scale)
    if depth is not None:
        source = _with_depth(source, depth, subject_distance, shown, points)
    return source if found is None or not found.warnings else _without_distortion(source, found)


def _unlike_metres(unit: str) -> list[str]:
    """What to be told where depth is in metres and a camera file's unit is something else."""
    if unit.startswith("metres") or "near metres" in unit:
        return []
    return [f"depth is in metres, lengths of the cameras are {unit}: where they differ, --scale makes them one"]


def _with_depth(
    video: SourceVideo, depth: RawDepth, subject_distance: float, shown: Sequence[int], points: Tensor | None
) -> SourceVideo:
    """A video with the maps of its frames (`shown`: their numbers in the file), in the scale of points of the file."""
    height, width = video.size
    if abs(height * video.cameras.width - width * video.cameras.height) > max(height, width):
        raise ValueError(
            f"depth beside views of {video.cameras.width}x{video.cameras.height}, which crop the video's "
            f"{width}x{height}; expected views of its aspect: choose a model that keeps it, or --height"
        )
    if points is not None:
        number = {frame: row for row, frame in reversed(list(enumerate(shown)))}
        row = torch.tensor([number.get(int(frame), -1) for frame in points[:, 0]], dtype=torch.long)
        points = torch.cat([row[:, None].to(points), points[:, 1:3], points[:, 3:] * video.scale], dim=1)[row >= 0]
        few = len(points) == 0 or torch.bincount(points[:, 0].long()).max() < FEWEST
        points = None if few else points
    view, note = with_depth(video, depth, subject_distance, points, index=shown)
    return replace(video, depth=view.depth, notes=(*video.notes, note))


def _without_distortion(video: SourceVideo, found: FoundCameras) -> SourceVideo:
    """A video as a pinhole camera would have filmed it, where its cameras' lens distorts, which is said."""
    if found.distortion is None:
        return replace(video, notes=(*video.notes, *found.warnings))
    try:
        straight = undistort(video, found.distortion)
    except ValueError as error:  # without pycolmap the rest goes on
        return replace(video, notes=(*video.notes, *found.warnings, str(error)))
    zoom = (straight.cameras.intrinsics[0, 0] / video.cameras.intrinsics[0, 0]).item()
    said = f"lens distortion ({found.distortion.model}): undistorted, at {zoom:.2f} times the focal length"
    return replace(straight, notes=(*video.notes, said))


def _cameras_of(
    file: str | Path | None, count: int, size: tuple[int, int], fov: float | None, part: slice
) -> tuple[FoundCameras | None, Cameras, list[str]]:
    """What a file holds, cameras of every frame of a video of `count` frames, and what was assumed of them."""
    assumed = DEFAULT_FOV if fov is None else fov
    still = still_cameras(count, *size, assumed)
    down = 2 * math.degrees(math.atan(math.tan(math.radians(assumed) / 2) * size[0] / size[1]))
    upright = f", {down:.0f} from top to bottom" if size[0] > size[1] else ""
    said = f"a horizontal field of view of {assumed:g} degrees{upright} (--source-fov changes it)"
    if file is None:
        return None, still, [f"no --cameras: the source camera is taken to stand still, with {said}"]
    # Of a video that was not read to its end the file may have more.
    expected = count if part.stop is None else None
    try:
        found, notes = read_cameras(file, *size, expected), []
    except ValueError:  # no focal length in it, or no fit file: the same call says so
        found = read_cameras(file, *size, expected, still.intrinsics[0])
        notes = [f"no focal length in {Path(file).name}: taken from {said}"]
    else:
        if fov is not None:
            raise ValueError(
                f"a field of view of {fov:g} degrees beside {file}, which gives focal lengths; expected one of "
                "them: leave --source-fov out"
            )
    # Warnings are said where they are dealt with.
    lines = replace(found, warnings=(), hints=()).lines()
    hints = [f"{Path(file).name}: {hint}" for hint in found.hints]
    path, notes = found.cameras, [f"{Path(file).name}: {'; '.join(lines)}", *hints, *notes]
    if len(path) < count:
        raise ValueError(f"{file}: {len(path)} cameras for {count} frames; expected one camera per frame")
    return found, path[:count], notes


def fit_source(video: View, height: int, width: int) -> SourceVideo:
    """A video at a scene's size, its cameras (float32) with it."""
    frames, _ = fit_frames(video.frames, height, width)
    cameras = fit_cameras(video.cameras, height, width).to("cpu", torch.float32)
    depth = None if video.depth is None else fit_depth(video.depth, height, width)
    if isinstance(video, SourceVideo):
        return replace(video, frames=frames, cameras=cameras, depth=depth)
    return SourceVideo(frames, cameras, video.fps, (video.cameras.height, video.cameras.width), depth=depth)


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
    record |= {} if given.scale == 1 else {"scale": given.scale}
    scene.declare(SOURCE, "source", given.cameras)
    for number, window in enumerate(scene.manifest.windows):
        if number in damaged or not scene.has(SOURCE, number):
            index = window_index(window, len(given))
            depth = None if given.depth is None else given.depth[index]
            scene.write(SOURCE, number, given.frames[index], record, {}, depth)


def source_size(scene: Scene) -> tuple[int, int]:
    """Height and width that a scene's source had before it was fitted."""
    height, width = scene.record(SOURCE, 0).get("size", (scene.manifest.height, scene.manifest.width))
    return height, width


def source_scale(scene: Scene) -> float:
    """Factor from the lengths of a scene's camera files to metres."""
    return scene.record(SOURCE, 0).get("scale", 1.0)


def source_notes(scene: Scene) -> tuple[str, ...]:
    """What was assumed and done to make a scene's source, one line each."""
    return tuple(scene.record(SOURCE, 0).get("notes", ()))
