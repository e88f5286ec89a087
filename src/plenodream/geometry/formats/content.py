"""What lies at a path that is said to hold cameras: text, JSON, arrays or a folder; nothing is known of formats."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from plenodream.files.documents import parse_document

Kind = Literal["text", "JSON", "arrays", "folder"]
_MOST = 2**26  # numbers read at once: cameras of a million frames; images and depth in the same file are not read
_ACTIONS = re.compile(r"\s*[a-z]+-\d+(\.\d+)?\s*(,\s*[a-z]+-\d+(\.\d+)?\s*)*,?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Content:
    """What lies at a path.

    Attributes:
        path: The file or folder.
        part: Which of several cameras in it is meant, as in `cameras.json#cam03`.
        kind: What it is.
        text: Content of text and JSON files.
        data: What the JSON says.
        shapes: Shape of every array of a .npz file, by name; a .npy file's only one has the name "".
    """

    path: Path
    part: str | None
    kind: Kind
    text: str = ""
    data: Any = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def array(self, name: str) -> np.ndarray:
        """An array of numbers, as float64.

        Raises:
            ValueError: It is too large for cameras, no numbers, or damaged.
        """
        if np.prod(self.shapes[name], dtype=float) > _MOST:
            raise ValueError(f"{self.path}: {name or 'the array'} has shape {self.shapes[name]}; too large for cameras")
        return read_array(self.path, name or None)

    def rows(self) -> list[tuple[int, list[str]]]:
        """Words of every line of a text that has any, `#` starting a comment, each with its line number."""
        split = (line.partition("#")[0].replace(",", " ").split() for line in self.text.splitlines())
        return [(number, words) for number, words in enumerate(split, start=1) if words]


def open_content(path: str | Path) -> Content:
    """Look at a path; `file#part` names one of several cameras, and a string of actions stands for a text file of it.

    Raises:
        ValueError: Nothing there, empty, damaged, or of a kind that holds no cameras.
    """
    name, mark, part = str(path).rpartition("#")
    if mark and not Path(path).exists():
        return open_content(name) if not part else _open(Path(name), part)
    if not Path(path).exists() and is_actions(str(path)):
        return Content(Path(path), None, "text", str(path))
    return _open(Path(path), None)


def is_actions(text: str) -> bool:
    """Whether a text is written as a string of actions is: `w-40,j-20`."""
    return bool(_ACTIONS.fullmatch(text))


def in_colmap_model(path: Path) -> bool:
    """Whether a path is one of the files of a COLMAP model, which are read together."""
    beside = (path.with_name(f"{name}{path.suffix}") for name in ("images", "cameras"))
    return path.stem in ("images", "cameras", "points3D") and all(file.is_file() for file in beside)


def _open(path: Path, part: str | None) -> Content:
    if path.is_dir():
        return Content(path, part, "folder")
    if path.suffix in (".txt", ".bin") and in_colmap_model(path):
        raise ValueError(f"{path}: one file of a COLMAP model; expected its folder: {path.parent}")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
        if start.startswith(b"PK\x03\x04") or start.startswith(b"\x93NUMPY"):
            return Content(path, part, "arrays", shapes=array_shapes(path))
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}: neither text nor arrays; expected a camera file (JSON, lines of numbers, .npz)"
        ) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ValueError(f"{path}: cannot read the camera file: {reason}; check the path") from None
    if not text.strip():
        raise ValueError(f"{path}: empty file; expected one camera per frame")
    if not text.lstrip().startswith(("{", "[")):
        return Content(path, part, "text", text)
    data = parse_document(text, object, str(path), "restore or export the file again")
    return Content(path, part, "JSON", text, data)


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in a .npz file, or of a .npy file's (by the name ""), without reading their numbers.

    Raises:
        ValueError: Damaged, or no NumPy file.
    """
    try:
        if path.suffix != ".npy" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".npy")]
                return {name.removesuffix(".npy"): _header(archive.open(name)) for name in names}
        with open(path, "rb") as file:
            return {"": _header(file)}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: damaged, or no file of NumPy arrays ({error}); write it again") from None


def _header(file) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)[0]


def read_array(path: Path, name: str | None = None) -> np.ndarray:
    """The numbers of a .npy file, or of one array of a .npz file, as float64; pickles are refused.

    Raises:
        ValueError: Missing, damaged, or no numbers.
    """
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return np.asarray(loaded if name is None else loaded[name], dtype=np.float64)
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or 'cannot be read').lower()}; check the path") from None
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {name or 'the array'} cannot be read as numbers ({error}); write it again") from None
