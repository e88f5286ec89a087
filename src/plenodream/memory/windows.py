"""How a long video is cut into windows that a model can take (Ours; the paper renders one window)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """One window of a video.

    Attributes:
        start: First frame.
        stop: One past the last frame. Beyond the video's end where the video is shorter than one window: the frames
            there are padding, see `window_index`.
        clean: Number of leading frames that the window before already has.
    """

    start: int
    stop: int
    clean: int

    def __len__(self) -> int:
        """Number of frames, padding included."""
        return self.stop - self.start


def plan_windows(frames: int, length: int, overlap: int) -> list[Window]:
    """Cover a video with windows of one length that overlap.

    The first window starts at frame 0, every later one adds `length - overlap` new frames. The last is shifted back so
    that it ends at the last frame (its overlap grows). A video shorter than a window becomes one, padded.

    Args:
        frames: Number of frames of the video, at least 1.
        length: Frames the model takes, at least 1.
        overlap: Frames shared by neighbouring windows, 0 <= overlap < length.

    Raises:
        ValueError: If a number is out of its range.
    """
    if frames < 1:
        raise ValueError(f"a video of {frames} frames: expected at least 1")
    if not 0 <= overlap < length:
        raise ValueError(f"window of {length}, overlap {overlap}: expected 0 <= overlap < length")
    windows = [Window(0, length, 0)]
    while windows[-1].stop < frames:
        last = windows[-1].stop
        stop = min(last + length - overlap, frames)
        windows.append(Window(stop - length, stop, last - (stop - length)))
    return windows


def window_index(window: Window, frames: int) -> list[int]:
    """The video's frame for each frame of a window; padding repeats the last frame.

    Serves frames and cameras alike: `video[index]`, `cameras[index]`.
    """
    return [min(frame, frames - 1) for frame in range(window.start, window.stop)]
