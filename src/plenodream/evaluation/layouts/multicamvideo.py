"""Results laid out as MultiCamVideo and SynCamVideo are: the first camera is the source, the others are the shots."""

from __future__ import annotations

from pathlib import Path

from plenodream.data.multicamvideo import is_multicamvideo, open_multicamvideo
from plenodream.evaluation.samples import Sample


def find_multicamvideo(folder: Path) -> list[Path]:
    """The folder itself if it is such a scene, or the scenes below it, at most three folders down."""
    if is_multicamvideo(folder):
        return [folder]
    found = {path.parent for depth in range(1, 4) for path in folder.glob("/".join(["*"] * depth) + "/videos")}
    return sorted(path for path in found if is_multicamvideo(path))


def read_multicamvideo(folder: Path) -> list[Sample]:
    """The views of every scene but the first, which counts as the source.

    Raises:
        ValueError: Videos or cameras are missing or ragged.
    """
    samples = []
    for path in find_multicamvideo(folder):
        episode = open_multicamvideo(path)
        cameras = episode.cameras()
        source, *shots = episode.names
        given = {"source": episode.videos[source].path, "source_cameras": cameras[source]}
        name = str(path.relative_to(folder)).replace("/", "-") if path != folder else path.name
        for number, shot in enumerate(shots, start=1):
            samples.append(Sample(name, shot, number, episode.videos[shot].path, cameras[shot], **given))
    return samples
