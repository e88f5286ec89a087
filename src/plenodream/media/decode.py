"""Any video file to upright RGB frames with their times."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.stream import Disposition
from av.video.reformatter import Colorspace, ColorTrc

from plenodream.media.fit import fit_frames
from plenodream.media.opening import open_container

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED, which PyAV does not name


@dataclass
class Decoded:
    """What a file holds, as decoded.

    Attributes:
        frames: (H, W, 3) uint8 each.
        times: Presentation time of each in seconds; None where the file has none.
        declared: Frame rate that the file states, if it does.
        last_duration: How long the last frame is shown, in seconds; 0 if unknown.
        size: Height and width before fitting, if the frames were fitted.
        notes: What was done to the content, one line each.
    """

    frames: list[np.ndarray] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    declared: Fraction | None = None
    last_duration: float = 0.0
    size: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)


def decode(path: Path, max_frames: int | None, size: tuple[int, int] | None) -> Decoded:
    """Decode a file to its end or to `max_frames`, fitting each frame to `size` on the way.

    Raises:
        ValueError: Not a video, without a video stream, changing in size, damaged or cut off.
    """
    try:
        container = open_container(path)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror}); expected mp4, mov, mkv, ...") from None
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams or container.format.name == "tty":  # FFmpeg reads any .txt as a film of a terminal
            raise ValueError(f"{path}: has no video stream (format {container.format.name}); expected a video")
        decoded = Decoded(declared=streams[0].average_rate or streams[0].guessed_rate)
        try:
            _decode(path, container, streams[0], max_frames, size, decoded)
        except av.FFmpegError as error:
            raise ValueError(f"{_damaged(path, decoded)} ({error.strerror})") from None
    return decoded


def _decode(path: Path, container, stream, max_frames: int | None, size, decoded: Decoded) -> None:
    packets, listed, first = 0, _listed_packets(container, stream), None
    stream.thread_type = "AUTO"
    for packet in container.demux(stream):
        packets += packet.size > 0
        if packet.is_corrupt:
            raise ValueError(_damaged(path, decoded))
        for frame in packet.decode():
            if first is None:
                first = frame
                decoded.notes += _describe(frame, stream)
            elif (frame.width, frame.height) != (first.width, first.height):
                raise ValueError(
                    f"{path}: frame {len(decoded.frames)} is {frame.width}x{frame.height} after frames of "
                    f"{first.width}x{first.height}; expected one size: re-encode it"
                )
            image = upright_rgb(frame, stream)
            if size is not None:
                decoded.size = image.shape[:2]
                image = fit_frames(torch.from_numpy(image)[None], *size)[0][0].numpy()
            decoded.frames.append(image)
            decoded.times.append(frame.time)
            decoded.last_duration = float((frame.duration or 0) * (frame.time_base or 0))
            if len(decoded.frames) == max_frames:
                return
    if packets < listed or _ends_early(decoded, stream):
        raise ValueError(_damaged(path, decoded))


def _damaged(path: Path, decoded: Decoded) -> str:
    return f"{path}: cut off or damaged after {len(decoded.frames)} frames; copy or export the file again"


def _listed_packets(container, stream) -> int:
    """How many packets the file's index promises; 0 where it says nothing.

    An edit list (a trim that keeps the samples, as phones and editors make) hides some of the samples of an mp4 or mov
    file: they still count in `frames`, but FFmpeg takes them out of the index that it reads by.
    """
    read = len(stream.index_entries) if "mov" in container.format.name else 0
    return min(read, stream.frames) if read else stream.frames


def _ends_early(decoded: Decoded, stream) -> bool:
    """Whether the last frame ends before the end that Matroska files state."""
    stated = stream.metadata.get("DURATION", "").split(":")
    if len(stated) != 3 or not decoded.times or decoded.times[-1] is None:
        return False
    hours, minutes, seconds = (float(part) for part in stated)
    step = float(1 / stream.average_rate) if stream.average_rate else 0.5
    return decoded.times[-1] + 2 * max(step, decoded.last_duration) < hours * 3600 + minutes * 60 + seconds


def _describe(frame, stream) -> list[str]:
    """What `upright_rgb` changes."""
    notes = []
    if _display_matrix(frame) is not None:
        notes.append("turned upright by its display matrix (rotated or mirrored phone video)")
    if _pixel_aspect(stream) != 1:
        notes.append(f"pixels of {_pixel_aspect(stream)} made square")
    components = frame.format.components
    if any(component.is_alpha for component in components):
        notes.append("alpha channel dropped")
    if len(components) - any(component.is_alpha for component in components) == 1 and not frame.format.has_palette:
        notes.append("grey converted to RGB")
    if frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67):
        notes.append("HDR colours taken as they are, without tone mapping")
    return notes


def _pixel_aspect(stream) -> Fraction:
    return stream.sample_aspect_ratio or Fraction(1)


def _display_matrix(frame) -> tuple[int, int, int, int] | None:
    """Signs of the 2x2 part (a b / c d) of a display matrix that is not the identity: x' = ax + cy, y' = bx + dy."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), dtype="<i4")[:5].astype(np.int64)
            if abs(b) > abs(a):
                return 0, int(np.sign(b)), int(np.sign(c)), 0
            if a < 0 or d < 0:
                return int(np.sign(a)), 0, 0, int(np.sign(d))
    return None


def upright_rgb(frame, stream) -> np.ndarray:
    """One decoded frame of a stream as it is meant to be seen: RGB, upright, square pixels; (H, W, 3) uint8."""
    width = max(1, round(frame.width * _pixel_aspect(stream)))
    # Players take video without a stated matrix as BT.709 above standard definition.
    untagged = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb and frame.height > 576
    matrix = Colorspace.ITU709 if untagged else None
    image = frame.reformat(format="rgb24", width=width, height=frame.height, src_colorspace=matrix).to_ndarray()
    turn = _display_matrix(frame)
    if turn is not None:
        a, b, c, d = turn
        if a == 0:
            image = image.transpose(1, 0, 2)
        image = image[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1]
    return np.ascontiguousarray(image)
