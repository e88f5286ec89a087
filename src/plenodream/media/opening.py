"""Video files opened as files: FFmpeg takes a colon in a name for a protocol, some of which reach for the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av


def open_container(path: str | Path) -> Any:
    """A file's container for reading, whatever its name looks like.

    Raises:
        FFmpegError: Not a file that FFmpeg can read.
    """
    return av.open(f"file:{Path(path).absolute()}")
