"""`<model>/{meta.json, videos/}`: the videos of one model in one folder, and a list of what they are.

    {"samples": [{"scene": "s0", "shot": "arc-left", "video": "s0_arc-left.mp4", "cameras": "s0_arc-left.json"}]}

The list may also stand alone. Videos are looked for in `videos/`, all other files beside `meta.json`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from plenodream.evaluation.layouts.manifest import Line, to_samples
from plenodream.evaluation.samples import Sample

META = "meta.json"


def read_meta(folder: Path) -> list[Sample]:
    """The samples of a model's folder.

    Raises:
        ValueError: A list that cannot be read.
    """
    path = folder / META
    try:
        content = msgspec.json.decode(path.read_bytes())
        listed = content.get("samples") if isinstance(content, dict) else content
        lines = msgspec.convert(listed, list[Line])
    except msgspec.MsgspecError as error:
        raise ValueError(
            f"{path}: {error}; expected a list of objects with scene, shot, video and cameras under samples"
        ) from None
    samples = to_samples(lines, folder)
    videos = folder / "videos"
    return [replace(sample, video=videos / line.video) for sample, line in zip(samples, lines, strict=True)]
