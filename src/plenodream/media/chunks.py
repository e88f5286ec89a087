"""How a long video is cut into windows that a model can take (Ours; the paper renders one window)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """One window of a video.

    Attributes:
        start: First frame.
        stop: One past the last frame. Beyond the video's end where the video is shorter than one window: the frames
            there are padding, see `chunk_index`.
        clean: Number of leading frames that the chunk before already has.
    """

    start: int
    stop: int
    clean: int

    def __len__(self) -> int:
        """Number of frames, padding included."""
        return self.stop - self.start


def plan_chunks(frames: int, window: int, overlap: int) -> list[Chunk]:
    """Cover a video with windows of one length that overlap.

    The first window starts at frame 0, every later one adds `window - overlap` new frames. The last is shifted back so
    that it ends at the last frame (its overlap grows). A video shorter than a window becomes one padded chunk.

    Args:
        frames: Number of frames of the video, at least 1.
        window: Frames the model takes, at least 1.
        overlap: Frames shared by neighbouring windows, 0 <= overlap < window.

    Raises:
        ValueError: If a number is out of its range.
    """
    if frames < 1:
        raise ValueError(f"a video of {frames} frames: expected at least 1")
    if not 0 <= overlap < window:
        raise ValueError(f"window {window}, overlap {overlap}: expected 0 <= overlap < window")
    chunks = [Chunk(0, window, 0)]
    while chunks[-1].stop < frames:
        last = chunks[-1].stop
        stop = min(last + window - overlap, frames)
        chunks.append(Chunk(stop - window, stop, last - (stop - window)))
    return chunks


def chunk_index(chunk: Chunk, frames: int) -> Int64[Tensor, "window"]:
    """The video's frame for each frame of a chunk; padding repeats the last frame.

    Serves frames and cameras alike: `video[index]`, `cameras[index]`.
    """
    return torch.arange(chunk.start, chunk.stop).clamp(max=frames - 1)
