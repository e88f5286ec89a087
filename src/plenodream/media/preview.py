"""Videos for people: H.264 previews, several side by side, and what a finished file holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from plenodream.files.atomic import write_file
from plenodream.media.opening import open_container
from plenodream.media.rate import exact_rate
from plenodream.media.video import encode

_PREVIEW_SIDE = 256
_GRID = (1080, 1920)  # most rows and columns of a grid, in pixels


def write_preview(path: str | Path, frames: UInt8[Tensor, "frames height width 3"], fps: float) -> None:
    """Encode frames for people: H.264 in mp4, playable before it is loaded whole, BT.709.

    Videos whose longer side is below 256 pixels are enlarged by a whole factor without smoothing, so that browsers
    show them crisp; odd sizes get their last row or column twice. The same frames give the same bytes.

    Raises:
        ValueError: Frame rate not positive.
        OSError: Disk full or folder not writable; nothing is left behind.
    """
    height, width = frames.shape[1:3]
    factor = -(-_PREVIEW_SIDE // max(height, width))
    # Row and column behind every row and column of the preview, an even number of each.
    rows, columns = (
        (torch.arange(-(-side * factor // 2) * 2) // factor).clamp(max=side - 1) for side in (height, width)
    )
    images = (frame[rows][:, columns].numpy() for frame in frames.cpu())
    write_file(path, _h264(images, len(frames), (len(rows), len(columns)), exact_rate(fps)))


def write_grid(path: str | Path, videos: Mapping[str, Path]) -> None:
    """Several previews side by side in one, with their names, as large as full HD at most.

    Args:
        path: The mp4 to write.
        videos: By name, previews of one size, length and rate.

    Raises:
        ValueError: No videos, or one that cannot be read.
        OSError: Disk full or folder not writable; nothing is left behind.
    """
    if not videos:
        raise ValueError(f"{path}: no videos for the grid; expected at least one")
    count, fps = min(video_timing(video) for video in videos.values())
    with ExitStack() as open_files:
        files = [open_files.enter_context(open_container(video)) for video in videos.values()]
        streams = [file.streams.video[0] for file in files]
        columns, height, width = _tiles(len(files), streams[0].height, streams[0].width)
        labels = np.stack([_label(name, height, width) for name in videos])
        decoded = zip(*(file.decode(video=0) for file in files), strict=False)
        images = (
            _tiled([frame.to_ndarray(format="rgb24", width=width, height=height) for frame in row], labels, columns)
            for row in decoded
        )
        size = (-(-len(files) // columns) * height, columns * width)
        write_file(path, _h264(images, count, size, exact_rate(fps)))


def video_timing(path: Path) -> tuple[int, float]:
    """Number of frames of a video and its frames per second, from its time stamps.

    Raises:
        ValueError: Missing or damaged.
    """
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            stamps = [packet.pts * packet.time_base for packet in container.demux(stream) if packet.pts is not None]
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as a video ({getattr(error, 'strerror', error)})") from None
    if not stamps:
        raise ValueError(f"{path}: a video without frames")
    span = max(stamps) - min(stamps)
    return len(stamps), float((len(stamps) - 1) / span) if span else 1.0


def is_whole(path: Path, frames: int) -> bool:
    """Whether a video is there and has all its frames."""
    try:
        return video_timing(path)[0] == frames
    except ValueError:
        return False


def _h264(images: Iterator[np.ndarray], count: int, size: tuple[int, int], rate: Fraction) -> bytes:
    """RGB images of even height and width, about `count` of them, as an mp4."""
    frames = (
        av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
        )
        for image in images
    )
    options = {"crf": "16", "preset": "fast", "g": "24"}
    index_size = 4096 + 40 * count  # room for the index in front: about 20 bytes a frame are used
    return encode(frames, size, rate, "mp4", "libx264", "yuv420p", options, {"moov_size": str(index_size)}, {})


def _tiles(count: int, height: int, width: int) -> tuple[int, int, int]:
    """Columns of the grid that shows its tiles largest within full HD, and the tiles' even height and width."""

    def scale(columns: int) -> float:
        return min(1.0, _GRID[0] / (-(-count // columns) * height), _GRID[1] / (columns * width))

    def looks(columns: int) -> float:
        """Of equally large ones: few empty places, a shape like that of a screen."""
        rows = -(-count // columns)
        shape = abs(math.log(columns * width * _GRID[0] / (rows * height * _GRID[1])))
        return -shape - 2 * (rows * columns - count) / (rows * columns)

    columns = max(range(1, count + 1), key=lambda n: (scale(n), looks(n)))
    tall, wide = (max(2, int(scale(columns) * side) // 2 * 2) for side in (height, width))
    return columns, tall, wide


def _label(name: str, height: int, width: int) -> UInt8[np.ndarray, "height width"]:
    """Where the name's letters are: 1 for the ground around them, 2 for the letters themselves."""
    font = ImageFont.load_default(size=max(9, height // 20))
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    box = draw.textbbox((6, 4), name, font=font)
    draw.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill=1)
    draw.text((6, 4), name, font=font, fill=2)
    return np.asarray(picture)


def _tiled(tiles: Sequence[np.ndarray], labels: np.ndarray, columns: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """One image of the grid, read row by row; places that are left over stay black."""
    marked = np.stack(tiles)
    marked[labels == 1] //= 3
    marked[labels == 2] = 255
    missing = -len(tiles) % columns
    marked = np.concatenate([marked, np.zeros((missing, *marked.shape[1:]), np.uint8)])
    rows = marked.reshape(-1, columns, *marked.shape[1:])
    return np.ascontiguousarray(rows.transpose(0, 2, 1, 3, 4).reshape(-1, columns * marked.shape[2], 3))
