"""The manifest of a folder of results: a JSON object a line, paths relative to the file.

    {"scene": "s0", "shot": "arc-left", "video": "s0/arc-left.mp4", "cameras": "s0/arc-left.json"}

The other fields of `Sample` may follow; a shot's number is its place among the lines of its scene unless it is given.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import msgspec

from plenodream.evaluation.samples import Sample
from plenodream.files.atomic import write_file

MANIFEST = "manifest.jsonl"


class Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line, as it is written."""

    scene: str
    shot: str
    video: str
    cameras: str
    number: int | None = None
    truth: str | None = None
    depth: str | None = None
    moving: str | None = None
    seen: str | None = None
    source: str | None = None
    source_cameras: str | None = None
    source_depth: str | None = None
    estimated: str | None = None
    truth_estimated: str | None = None
    other: str | None = None


def to_samples(lines: list[Line], root: Path) -> list[Sample]:
    """Samples of lines whose paths are relative to `root`."""
    places: Counter[str] = Counter()
    samples = []
    for line in lines:
        places[line.scene] += 1
        fields = msgspec.structs.asdict(line)
        names = {name: fields.pop(name) for name in ("scene", "shot", "number")}
        paths = {name: root / text for name, text in fields.items() if text is not None}
        samples.append(Sample(**names | {"number": names["number"] or places[line.scene]}, **paths))
    return samples


def read_manifest(path: Path) -> list[Sample]:
    """The samples of a manifest.

    Raises:
        ValueError: A line that is none; the message names it, what was found and what was expected.
    """
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if text.strip():
            try:
                lines.append(msgspec.json.decode(text, type=Line))
            except msgspec.MsgspecError as error:
                raise ValueError(
                    f"{path}, line {number}: {error}; expected an object with scene, shot, video and cameras"
                ) from None
    return to_samples(lines, path.parent)


def write_manifest(path: Path, samples: list[Sample]) -> None:
    """Write a manifest whose paths are relative to it, so that the folder can be moved."""
    lines = []
    for sample in samples:
        fields = {
            name: os.path.relpath(value, path.parent) if isinstance(value, Path) else value
            for name, value in asdict(sample).items()
            if value is not None
        }
        lines.append(msgspec.json.encode(msgspec.convert(fields, Line)))
    write_file(path, b"\n".join(lines) + b"\n")
