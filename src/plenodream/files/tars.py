"""Files inside of plain tar archives, by paths that go through them: `shard-000000.tar/scene1/videos/cam01.mp4`.

An archive's list of members is read once from its headers; a member is then a range of bytes of it, read without
unpacking anything, from any place, by any number of processes.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

SUFFIX = ".tar"


def archive_of(path: Path) -> Path | None:
    """The archive that a path goes through; None for one that goes through none."""
    return next((parent for parent in Path(path).parents if parent.suffix == SUFFIX and parent.is_file()), None)


def members(archive: Path) -> Mapping[str, tuple[int, int]]:
    """First byte and length of every file in an archive, by its name.

    Raises:
        ValueError: Not a plain tar archive, or one that is cut off.
    """
    status = archive.stat()
    return _members(archive, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _members(archive: Path, size: int, changed: int) -> Mapping[str, tuple[int, int]]:
    try:
        with tarfile.open(archive, "r:") as tar:
            found = {member.name: (member.offset_data, member.size) for member in tar if member.isfile()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{archive}: cannot be read ({error}); expected a plain tar archive, not compressed") from None
    if any(start + length > size for start, length in found.values()):
        raise ValueError(f"{archive}: cut off; expected a whole tar archive: copy or write it again")
    return found


def span_of(path: Path) -> tuple[Path, int, int] | None:
    """Archive, first byte and length of a file inside of one; None for a path that goes through no archive.

    Raises:
        FileNotFoundError: No such member.
    """
    archive = archive_of(path)
    if archive is None:
        return None
    name = Path(path).relative_to(archive).as_posix()
    if name not in (known := members(archive)):
        raise FileNotFoundError(2, "No such file in the archive", str(path))
    return archive, *known[name]


def read_bytes(path: Path) -> bytes:
    """A file's content, wherever it is.

    Raises:
        OSError: It cannot be read.
    """
    span = span_of(path)
    if span is None:
        return Path(path).read_bytes()
    archive, start, length = span
    with open(archive, "rb") as file:
        file.seek(start)
        return file.read(length)
