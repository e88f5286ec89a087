"""Episodes: several synchronized views of one event on disk, in MultiCamVideo's layout plus exact cameras and depth.

<episode>/videos/cam01.mp4                      RGB without loss (H.264, readable by any FFmpeg)
<episode>/cameras/cam01.json                    exact cameras, our format (geometry/formats.py)
<episode>/cameras/camera_extrinsics.json        the same poses as MultiCamVideo writes them, for other readers
<episode>/caption.txt                           optional: what it shows, in words
<episode>/depth/cam01.safetensors               optional: depth along z in metres, float16 (frames, height, width)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import av
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from plenodream.files.atomic import sync_folder, temporary_name, write_file
from plenodream.geometry.cameras import check_cameras
from plenodream.geometry.formats import load_cameras, save_cameras
from plenodream.geometry.formats.recammaster import save_unreal_poses
from plenodream.media.fit import fit_cameras, fit_frames
from plenodream.media.rate import exact_rate
from plenodream.media.seek import UnreadableVideo, VideoFile, probe_video, read_window
from plenodream.media.video import encode
from plenodream.types import Cameras, View

_FRAMES_AT_ONCE = 8
_KEYFRAMES = 16  # a window is decoded from the keyframe before it on


@dataclass(frozen=True)
class Episode:
    """Synchronized videos of one event with their cameras; nothing is decoded before it is asked for.

    Attributes:
        name: Unique within its data set.
        folder: Where it lies; caches may be put there.
        videos: Name of every view to its video; all of one length and frame rate.
        load_cameras: Reads the cameras of given views, at their videos' sizes, all in one world.
        depth_files: Name of a view to its depth, where there is depth.
    """

    name: str
    folder: Path
    videos: Mapping[str, VideoFile]
    load_cameras: Callable[[Mapping[str, VideoFile]], Mapping[str, Cameras]]
    depth_files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the views, sorted."""
        return tuple(sorted(self.videos))

    @property
    def caption(self) -> str:
        """What it shows, in words, from `caption.txt` in its folder; empty without."""
        file = self.folder / "caption.txt"
        return file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""

    @property
    def frames(self) -> int:
        """Number of frames of every view."""
        return next(iter(self.videos.values())).frames

    @property
    def fps(self) -> float:
        """Frames per second of every view."""
        return next(iter(self.videos.values())).fps

    def cameras(self) -> dict[str, Cameras]:
        """Checked cameras (frames,) of every view, at its video's size, float64 unless the file holds less.

        Raises:
            ValueError: Cameras are missing, impossible, or not as many as frames.
        """
        cameras = self.load_cameras(self.videos)
        for name, video in self.videos.items():
            check_cameras(cameras[name], f"{self.name}: cameras of {name}")
            if len(cameras[name]) not in (1, video.frames):
                raise ValueError(
                    f"{self.folder}: {len(cameras[name])} cameras but {video.frames} frames in {name}; "
                    "expected one camera for every frame, or one for all"
                )
        return {name: _for_all_frames(cameras[name], video.frames) for name, video in self.videos.items()}

    def view(self, name: str, start: int, stop: int, height: int | None = None, width: int | None = None) -> View:
        """Decode frames start <= index < stop of one view.

        Args:
            name: A view.
            start: First frame.
            stop: One past the last frame, at most `frames`.
            height: Height to fit the frames to (scaled to cover, centre cropped); the video's own if not given.
            width: Width likewise.

        Returns:
            Frames and their cameras (float32), the principal point following the crop.

        Raises:
            UnreadableVideo: The file is damaged.
            ValueError: No such view or frames.
        """
        if name not in self.videos:
            raise ValueError(f"{self.name}: no view {name!r}; found {', '.join(self.names)}")
        video = self.videos[name]
        if not 0 <= start < stop <= video.frames:
            raise ValueError(
                f"{video.path}: frames {start} to {stop} wanted; expected 0 <= start < stop <= {video.frames}"
            )
        height, width = height or video.height, width or video.width
        cameras = fit_cameras(self.cameras()[name][start:stop], height, width)
        return View(decode_fitted(video, start, stop, height, width), cameras.to(torch.float32), video.fps)

    def depth(self, name: str, start: int, stop: int) -> Float[Tensor, "frames height width"]:
        """Depth along z in metres, float32, at the video's own size; infinite where there is nothing.

        Raises:
            ValueError: This view has no depth, or not these frames, or the file is damaged.
        """
        if name not in self.depth_files:
            raise ValueError(f"{self.name}: no depth for {name!r}; found depth of {sorted(self.depth_files) or 'none'}")
        path = self.depth_files[name]
        try:
            with safe_open(path, framework="pt") as file:
                stored = file.get_slice("depth")
                frames = stored.get_shape()[0]
                depth = stored[start:stop].float() if 0 <= start < stop <= frames else None
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: cannot be read ({error}); expected depth: write the episode again") from None
        if depth is None:
            raise ValueError(f"{path}: frames {start} to {stop} wanted; expected 0 <= start < stop <= {frames}")
        return depth


def decode_fitted(video: VideoFile, start: int, stop: int, height: int, width: int) -> Tensor:
    """Frames of a window, uint8 (frames, height, width, 3), fitted while decoding: big videos need little memory."""
    fitted, chunk = [], []
    for frame in read_window(video.path, start, stop):
        if frame.shape[:2] != (video.height, video.width):
            raise UnreadableVideo(
                f"{video.path}: a frame of {frame.shape[1]}x{frame.shape[0]} in a video stated as "
                f"{video.width}x{video.height} (turned, or pixels not square); expected plain frames: re-encode it"
            )
        chunk.append(frame)
        if len(chunk) == _FRAMES_AT_ONCE:
            fitted.append(fit_frames(torch.stack(chunk), height, width)[0])
            chunk = []
    if chunk:
        fitted.append(fit_frames(torch.stack(chunk), height, width)[0])
    return torch.cat(fitted)


def write_episode(folder: Path, views: Mapping[str, View], depth: Mapping[str, Tensor] | None = None) -> None:
    """Write an episode so that it appears whole or not at all.

    Args:
        folder: Where to put it; must not exist.
        views: At least one, all of one length and frame rate, cameras in one world.
        depth: Depth along z in metres (frames, height, width) of some of the views; kept to 3 decimal digits (float16).

    Raises:
        ValueError: The folder exists, there are no views, or they differ in length or frame rate.
        OSError: The disk is full or read-only; nothing is left behind.
    """
    folder, depth = Path(folder), depth or {}
    if folder.exists():
        raise ValueError(f"{folder}: exists already; expected a new folder: remove it or choose another name")
    if not views:
        raise ValueError(f"{folder}: no views to write; expected at least one")
    if len({(len(view), exact_rate(view.fps)) for view in views.values()}) > 1:
        found = ", ".join(f"{name} {len(view)} at {view.fps:g}/s" for name, view in views.items())
        raise ValueError(f"{folder}: views of different lengths or rates ({found}); expected synchronized views")
    for name, values in depth.items():
        assert name in views and values.shape == views[name].frames.shape[:3], (name, tuple(values.shape))
    temporary = temporary_name(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for part in ("videos", "cameras", *(["depth"] if depth else [])):
            (temporary / part).mkdir(parents=True)
        for name, view in views.items():
            write_file(temporary / "videos" / f"{name}.mp4", _encode_exactly(view))
            save_cameras(temporary / "cameras" / f"{name}.json", view.cameras, fps=view.fps)
        poses = {name: view.cameras.camera_to_world.cpu() for name, view in views.items()}
        save_unreal_poses(temporary / "cameras" / "camera_extrinsics.json", poses)
        for name, values in depth.items():
            write_file(temporary / "depth" / f"{name}.safetensors", save({"depth": values.cpu().half().contiguous()}))
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def is_episode(folder: Path) -> bool:
    """Whether a folder looks like one of `write_episode`: some video has cameras of its name."""
    return any((folder / "cameras" / f"{name}.json").is_file() for name in videos_in(folder / "videos"))


def videos_in(folder: Path) -> dict[str, Path]:
    """The videos of a folder by name; hidden files, which some systems put beside others, are none."""
    return {video.stem: video for video in sorted(folder.glob("*.mp4")) if not video.name.startswith(".")}


def open_episode(folder: Path, name: str | None = None) -> Episode:
    """Open what `write_episode` wrote.

    Raises:
        ValueError: Videos or cameras are missing, ragged or unreadable.
    """
    depth = {path.stem: path for path in sorted((folder / "depth").glob("*.safetensors"))}
    readers = partial(load_camera_files, folder / "cameras")
    return open_views(name or folder.name, folder, videos_in(folder / "videos"), readers, depth)


def open_folder(folder: Path, name: str | None = None) -> Episode:
    """Open a folder of videos (`*.mp4`), each beside a camera file of the same name (`.json` or `.txt`).

    All cameras must be of one world, one camera per frame (any format of geometry/formats.py that has focal lengths).

    Raises:
        ValueError: Videos or cameras are missing, ragged or unreadable.
    """
    return open_views(name or folder.name, folder, videos_in(folder), partial(load_camera_files, folder))


def load_camera_files(folder: Path, videos: Mapping[str, VideoFile]) -> dict[str, Cameras]:
    """Cameras of the given views from files named like them in `folder`.

    Raises:
        ValueError: A file is missing or wrong.
    """
    cameras = {}
    for name, video in videos.items():
        found = [path for suffix in (".json", ".txt") if (path := folder / f"{name}{suffix}").is_file()]
        if not found:
            raise ValueError(f"{video.path}: missing cameras; expected {folder / name}.json or .txt: add one per video")
        cameras[name] = load_cameras(found[0], video.height, video.width, dtype=torch.float64)
    return cameras


def open_views(
    name: str,
    folder: Path,
    videos: Mapping[str, Path],
    load_cameras: Callable[[Mapping[str, VideoFile]], Mapping[str, Cameras]],
    depth_files: Mapping[str, Path] | None = None,
) -> Episode:
    """An episode of these videos, after checking headers and cameras (no frame is decoded).

    Raises:
        ValueError: No videos; different lengths or frame rates; cameras missing, wrong, or not one per frame.
    """
    if not videos:
        raise ValueError(f"{folder}: no videos found; expected at least one mp4")
    files = {view: probe_video(path) for view, path in videos.items()}
    if len({video.frames for video in files.values()}) > 1:
        found = ", ".join(f"{view} {video.frames}" for view, video in sorted(files.items()))
        raise ValueError(f"{folder}: videos of different lengths ({found} frames); expected one: cut or remove some")
    if len({round(video.fps, 2) for video in files.values()}) > 1:
        found = ", ".join(f"{view} {video.fps:g}" for view, video in sorted(files.items()))
        raise ValueError(f"{folder}: videos of different frame rates ({found}); expected one: re-encode or remove some")
    episode = Episode(name, folder, files, load_cameras, depth_files or {})
    episode.cameras()
    return episode


def _for_all_frames(cameras: Cameras, frames: int) -> Cameras:
    if len(cameras) == frames:
        return cameras
    poses, intrinsics = cameras.camera_to_world.expand(frames, 4, 4), cameras.intrinsics.expand(frames, 4)
    return replace(cameras, camera_to_world=poses, intrinsics=intrinsics)


def _encode_exactly(view: View) -> bytes:
    """An mp4 whose decoded RGB equals the frames: H.264 in RGB without quantisation."""
    options = {"qp": "0", "preset": "veryfast", "g": str(_KEYFRAMES), "bf": "0"}
    images = (av.VideoFrame.from_ndarray(image, format="rgb24") for image in view.frames.cpu().numpy())
    size = view.cameras.height, view.cameras.width
    return encode(images, size, exact_rate(view.fps), "mp4", "libx264rgb", "rgb24", options, {}, {})
