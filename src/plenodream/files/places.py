"""Files on this machine or in an object store (`s3://bucket/name`, all that fsspec knows), by one set of calls."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from plenodream.files.atomic import write_file
from plenodream.files.documents import dump_document, parse_document


def is_remote(place: str) -> bool:
    """Whether it is a URL, not a path of this machine."""
    return "://" in place


def beside(base: str, place: str) -> str:
    """A place as it is meant in a file that lies in `base`: URLs and absolute paths stand for themselves."""
    return place if is_remote(place) or place.startswith("/") else f"{base.rstrip('/')}/{place}" if base else place


class Folder:
    """A folder on this machine or in an object store.

    Args:
        place: Path or URL.

    Raises:
        ValueError: A protocol that is not known, or whose package is not installed.
    """

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/") or "/"
        self.remote = is_remote(place)
        self._system, self._root = _system(self.place)

    def names(self) -> set[str]:
        """What is in it, by name; nothing where there is no such folder."""
        try:
            found = self._system.ls(self._root, detail=False)
        except FileNotFoundError:
            return set()
        except Exception as error:  # of whatever library reads there
            raise _unreachable(self.place, error) from None
        own = PurePosixPath(self._root)  # of a file, or the object that stands for a folder in some stores
        return {path.name for path in map(PurePosixPath, found) if path != own} - {""}

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            OSError: There is none.
        """
        return self._system.cat_file(f"{self._root}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all; the folders on the way are made.

        Raises:
            OSError: Disk full, nobody there.
        """
        if self.remote:
            return self._system.pipe_file(f"{self._root}/{name}", data)
        path = Path(self._root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file, or a folder with all that is in it, to this machine.

        Raises:
            ValueError: Nothing of that name.
        """
        source = f"{self._root}/{name}"
        if not self._system.exists(source):
            raise ValueError(f"{self.place}/{name}: no such file")
        to.parent.mkdir(parents=True, exist_ok=True)
        self._system.get(source, str(to), recursive=self._system.isdir(source))


class Mirror:
    """A folder on this machine that is copied to an object store as it grows, and back to go on with it elsewhere.

    A list of files with their hashes is written last: a copy that was broken off is as if it had not been begun.

    Args:
        here: The folder.
        there: In which folder its copy is.
        name: What the copy is called there.
        listed: Name of the list there.
    """

    def __init__(self, here: Path, there: Folder, name: str, listed: str) -> None:
        self.here, self._there, self._name, self._listed = here, there, name, listed
        self._known = dict[str, str]()
        # Size, time of change, hash: what is as it was is not read again.
        self._marks = dict[str, tuple[int, int, str]]()

    def pull(self) -> bool:
        """Fetch what is there; False where that is nothing, or not whole."""
        try:
            listed = parse_document(self._there.read(self._listed), dict[str, str], self._listed)
            for name, digest in listed.items():
                data = self._there.read(f"{self._name}/{name}")
                if _digest(data) != digest:
                    raise ValueError(f"{name}: another file than is listed")
                path = self.here / name
                if not path.resolve().is_relative_to(self.here.resolve()):
                    raise ValueError(f"{name}: not within the folder")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except (OSError, ValueError):
            shutil.rmtree(self.here, ignore_errors=True)
            return False
        self._known = listed
        return True

    def push(self) -> None:
        """Copy what is new, then the list; what is gone here is gone from the list."""
        listed = {}
        for path in sorted(path for path in self.here.rglob("*") if path.is_file()):
            name = path.relative_to(self.here).as_posix()
            if any(part.startswith(".") for part in Path(name).parts):  # unfinished, or a lock
                continue
            mark = path.stat().st_size, path.stat().st_mtime_ns
            if self._marks.get(name, ())[:2] != mark:
                self._marks[name] = (*mark, _digest(path.read_bytes()))
            listed[name] = self._marks[name][2]
            if self._known.get(name) != listed[name]:
                self._there.write(f"{self._name}/{name}", path.read_bytes())
        if listed != self._known:
            self._there.write(self._listed, dump_document(listed))
        self._known = listed


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _system(place: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{place}: {' '.join(str(error).split())}; expected a path, or a URL that fsspec knows"
        ) from None


def _unreachable(place: str, error: Exception) -> ValueError:
    return ValueError(
        f"{place}: cannot be listed ({' '.join(str(error).split())[:160]}); check address and permissions"
    )
