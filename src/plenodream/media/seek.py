"""Parts of videos: exact frame indices for any codec and frame rate, decoding only what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import torch
from av.container import InputContainer
from jaxtyping import UInt8
from torch import Tensor

from plenodream.media.decode import upright_rgb
from plenodream.media.opening import open_container


class UnreadableVideo(ValueError):
    """A video that cannot be opened or decoded; the message begins with its path."""


@dataclass(frozen=True)
class VideoFile:
    """What the header of a video says.

    Attributes:
        path: The file.
        frames: Number of frames.
        fps: Frames per second.
        height: Pixels.
        width: Pixels.
    """

    path: Path
    frames: int
    fps: float
    height: int
    width: int


def probe_video(path: Path) -> VideoFile:
    """Read the header of a video (and its packets, where the header does not say how many frames there are).

    Raises:
        UnreadableVideo: No video stream, no frames, or not a video.
    """
    try:
        with open_container(path) as container:
            if not container.streams.video:
                raise UnreadableVideo(f"{path}: no video stream found; expected a video file")
            stream = container.streams.video[0]
            frames = _listed_frames(container, stream) or len(_timestamps(container))
            rate = stream.average_rate or stream.base_rate
            height, width = stream.codec_context.height, stream.codec_context.width
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None
    if not frames or not rate:
        raise UnreadableVideo(f"{path}: {frames} frames at {rate} frames per second; expected a video with frames")
    return VideoFile(path, frames, float(rate), height, width)


def read_window(path: Path, start: int, stop: int) -> Iterator[UInt8[Tensor, "height width 3"]]:
    """Decode frames start <= index < stop as RGB, from the nearest keyframe on.

    Indices count frames in display order, by the packets' own timestamps, so variable frame rates and streams that
    do not begin at time 0 are exact too.

    Raises:
        UnreadableVideo: The file is damaged or holds fewer frames; raised where the frames run out.
    """
    assert 0 <= start < stop, (start, stop)
    try:
        with open_container(path) as container:
            if not container.streams.video:
                raise UnreadableVideo(f"{path}: no video stream found; expected a video file")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # frame threads decode far past the window before handing out its first frame
            wanted = _timestamps(container)[start:stop]
            done = 0
            # Some containers seek by decoding time and land behind the frame: then read from the beginning.
            for target in (wanted[0], None) if wanted else ():
                container.seek(0 if target is None else target, stream=stream, backward=True)
                for frame in container.decode(stream):
                    if done < len(wanted) and frame.pts == wanted[done]:
                        done += 1
                        yield torch.from_numpy(upright_rgb(frame, stream))
                    if done == len(wanted) or (done == 0 and frame.pts is not None and frame.pts > wanted[0]):
                        break
                if done:
                    break
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None
    if done < stop - start:
        raise UnreadableVideo(f"{path}: only {done} of the frames {start} to {stop - 1} could be decoded")


def _listed_frames(container: InputContainer, stream: av.VideoStream) -> int:
    """How many frames the header lists, less those that an edit list (a trim) hides; 0 where it says nothing."""
    if not stream.frames or "mov" not in container.format.name:
        return stream.frames
    return sum(not entry.is_discard for entry in stream.index_entries)


def _timestamps(container: InputContainer) -> list[int]:
    """Display times of all packets in order, without decoding."""
    packets = container.demux(video=0)
    return sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)


def _unreadable(path: Path, error: Exception) -> UnreadableVideo:
    reason = getattr(error, "strerror", None) or str(error)
    return UnreadableVideo(
        f"{path}: cannot be decoded ({reason}); expected a readable video: copy it again or remove it"
    )
