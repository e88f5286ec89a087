"""Trajectories as key frames: a short JSON file that a person, the viewer or another program writes. Ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from plenodream.files.atomic import write_file
from plenodream.files.documents import dump_document, parse_document
from plenodream.geometry.presets import EASES

FORMAT = "plenodream-keyframes"
VERSION = 1
TODO = "see docs/trajectories.md"

GLIDE = "glide"
"""The ease of a key frame that is passed without a stop; the others say how time runs between two key frames."""

KEY_EASES: dict[str, Callable[[Any], Any]] = EASES | {
    "in": lambda u: u * u,  # starts at rest
    "out": lambda u: u * (2 - u),  # ends at rest
    "hold": lambda u: 0 * u,  # stays until the key frame, then jumps
}


class Keyframe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the camera is at one moment, as dials around a target that it is aimed at.

    Attributes:
        time: Share of the clip: 0 is the first frame, 1 the last.
        azimuth: Degrees around the target; positive goes to the right. Not wrapped: from 0 to 360 is a whole turn.
        elevation: Degrees around the target; positive goes up. -89 to 89.
        distance: Metres from the target; None: as far as the subject is from the anchor.
        roll: Degrees around the optical axis; positive turns the camera clockwise.
        focal: Focal length in mm of a camera whose image is 36 mm wide; None: the source's own.
        target: Metres right, up and forward of the subject (in the anchor's directions) that the camera is aimed at.
        ease: How the camera comes here from the key frame before: `glide` (through all key frames without a stop),
            `linear`, `smooth` (from rest to rest), `in`, `out`, `hold`.
    """

    time: float
    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float | None = None
    roll: float = 0.0
    focal: float | None = None
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ease: str = GLIDE

    def __post_init__(self) -> None:
        _within("time", self.time, 0, 1)
        _within("azimuth", self.azimuth, -3600, 3600)
        _within("elevation", self.elevation, -89, 89)
        _within("distance", 1.0 if self.distance is None else self.distance, 0.01, 10_000)
        _within("roll", self.roll, -3600, 3600)
        _within("focal", 50.0 if self.focal is None else self.focal, 1, 10_000)
        for value in self.target:
            _within("target", value, -10_000, 10_000)
        if self.ease not in (known := (GLIDE, *KEY_EASES)):
            raise ValueError(f"ease {self.ease!r}; expected one of {', '.join(known)}")


class Keyframes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trajectory by its key frames, relative to the source: good for any clip, of any length.

    Attributes:
        keyframes: In the order of their times; before the first and after the last the camera stands still.
        subject_distance: Metres from the anchor straight ahead to the subject; None: what holds for presets.
        of: The anchor: the source's first camera (`start`), or its camera of the same frame (`source`), so that its
            own motion is kept.
        format: Says what the file is.
        version: Of the format.
    """

    keyframes: tuple[Keyframe, ...]
    subject_distance: float | None = None
    of: str = "start"
    format: str = FORMAT
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.format != FORMAT or self.version != VERSION:
            raise ValueError(f"{self.format} of version {self.version}; expected {FORMAT} of version {VERSION}")
        _within("subject_distance", 1.0 if self.subject_distance is None else self.subject_distance, 0.01, 10_000)
        if self.of not in ("start", "source"):
            raise ValueError(f"of {self.of!r}; expected start or source")
        times = [key.time for key in self.keyframes]
        if not times or any(a >= b for a, b in pairwise(times)):
            raise ValueError(f"key frames at the times {times}; expected at least one, each later than the one before")

    def to_json(self) -> dict[str, Any]:
        """As a file holds it; what is at its default is left out of the key frames."""
        whole, at_rest = msgspec.to_builtins(self), msgspec.to_builtins(Keyframe(0.0))
        whole["keyframes"] = [
            {name: value for name, value in key.items() if name == "time" or value != at_rest[name]}
            for key in whole["keyframes"]
        ]
        return {name: value for name, value in whole.items() if value is not None}


def read_keyframes(path: str | Path) -> Keyframes:
    """Read a key-frame file.

    Raises:
        ValueError: In one line: no such file, no JSON, an unknown field, a value out of its range, times that do not
            rise.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or 'cannot be read').lower()}; check the path") from None
    return parse_document(data, Keyframes, str(path), TODO)


def is_keyframes(path: str | Path) -> bool:
    """Whether a file is meant to be one of key frames: JSON with a list of that name, whatever is wrong in it."""
    try:
        content = msgspec.json.decode(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "keyframes" in content


def write_keyframes(path: str | Path, keyframes: Keyframes) -> None:
    """Write a key-frame file; reading it gives the same back."""
    write_file(path, dump_document(keyframes.to_json()))


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} {value:g}; expected from {low:g} to {high:g}")
