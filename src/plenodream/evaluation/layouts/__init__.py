"""Results of any program, found on disk: a manifest, our scenes, or what others write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plenodream.evaluation.layouts.manifest import MANIFEST, read_manifest
from plenodream.evaluation.layouts.meta import META, read_meta
from plenodream.evaluation.layouts.multicamvideo import find_multicamvideo, read_multicamvideo
from plenodream.evaluation.layouts.scenes import find_scenes, read_scenes
from plenodream.evaluation.samples import Sample, check_names

Layout = tuple[str, Callable[[Path], bool], Callable[[Path], list[Sample]]]

LAYOUTS: tuple[Layout, ...] = (
    (MANIFEST, lambda folder: (folder / MANIFEST).is_file(), lambda folder: read_manifest(folder / MANIFEST)),
    (META, lambda folder: (folder / META).is_file(), read_meta),
    ("scene.json in the folder or one below", lambda folder: bool(find_scenes(folder)), read_scenes),
    ("MultiCamVideo's scenes", lambda folder: bool(find_multicamvideo(folder)), read_multicamvideo),
)


def find_samples(folder: Path) -> list[Sample]:
    """What a folder of results holds, by the first layout that fits.

    Raises:
        ValueError: No folder, no known layout, or a file of it that cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected a folder of results")
    for _, fits, read in LAYOUTS:
        if fits(folder):
            samples = read(folder)
            check_names(samples, folder)
            return samples
    known = ", or ".join(name for name, _, _ in LAYOUTS)
    raise ValueError(f"{folder}: nothing to score; expected {known}")
