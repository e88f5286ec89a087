"""Video files opened as files: FFmpeg takes a colon in a name for a protocol, some of which reach for the network.

A video may lie inside of a plain tar archive (`files.tars`): FFmpeg then reads that part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from plenodream.files.tars import span_of


def open_container(path: str | Path) -> Any:
    """A file's container for reading, whatever its name looks like.

    Raises:
        FFmpegError: Not a file that FFmpeg can read.
        OSError: Not in the archive that its path goes through.
    """
    if (span := span_of(Path(path))) is not None:
        archive, start, length = span
        return av.open(f"subfile,,start,{start},end,{start + length},,:file:{archive.absolute()}")
    return av.open(f"file:{Path(path).absolute()}")
