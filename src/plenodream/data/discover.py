"""Find episodes of every known layout under a folder, and check them all before a run begins."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from plenodream.data.agibot import agibot_folders, is_agibot, open_agibot
from plenodream.data.episode import Episode, is_episode, open_episode, open_folder, videos_in
from plenodream.data.multicamvideo import is_multicamvideo, open_multicamvideo
from plenodream.data.shards import shard_scenes
from plenodream.files.atomic import TEMPORARY
from plenodream.files.tars import SUFFIX

_log = logging.getLogger(__name__)
_THREADS = 8
_LAYOUTS = (
    "ours, MultiCamVideo or its shards, SynCamVideo, AgiBot World, or *.mp4 each beside a camera file of its name"
)


def find_episodes(root: str | Path, skip_bad: bool = False) -> list[Episode]:
    """All episodes under a folder, in one order on every machine; headers and cameras checked, no frame decoded.

    Args:
        root: A data set, or any folder above several.
        skip_bad: Leave out folders that fail a check, with one warning line each, instead of raising.

    Returns:
        At least one episode, named by their folders.

    Raises:
        ValueError: No such folder, nothing in it, or (unless `skip_bad`) an episode without cameras, with videos of
            different lengths, with wrong cameras, or unreadable.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; expected a folder of episodes ({_LAYOUTS})")
    openers = sorted(_openers(root), key=lambda item: item[0].parts)
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(lambda item: _attempt(item[1]), openers))
    episodes = [result for result in results if isinstance(result, Episode)]
    errors = [str(result) for result in results if not isinstance(result, Episode)]
    if errors and not skip_bad:
        more = f" (and {len(errors) - 1} more like it)" if len(errors) > 1 else ""
        raise ValueError(f"{errors[0]}{more}")
    for error in errors:
        _log.warning("left out: %s", error)
    if not episodes:
        found = f"none of {len(errors)} episodes usable, first: {errors[0]}" if errors else "no episodes found"
        raise ValueError(f"{root}: {found}; expected {_LAYOUTS}")
    return episodes


def _attempt(opener: Callable[[], Episode]) -> Episode | Exception:
    try:
        return opener()
    except (ValueError, OSError) as error:
        return error


def _openers(root: Path) -> Iterator[tuple[Path, Callable[[], Episode]]]:
    """Every folder that is an episode, and how to open it."""
    walked: set[Path] = set()
    for path, children, files in os.walk(root, followlinks=True):
        folder = Path(path)
        if (place := folder.resolve()) in walked:  # links may lead round in a circle
            children.clear()
            continue
        walked.add(place)
        name = folder.relative_to(root).as_posix() if folder != root else folder.resolve().name
        for archive in sorted(name for name in files if name.endswith(SUFFIX) and not name.startswith(".")):
            yield from _archived(folder / archive)
        children[:] = [child for child in children if not child.startswith((".", TEMPORARY))]
        if is_agibot(folder):
            children.clear()
            for videos in agibot_folders(folder):
                yield videos, partial(open_agibot, videos)
        elif is_episode(folder):
            children.clear()
            yield folder, partial(open_episode, folder, name)
        elif is_multicamvideo(folder):
            children.clear()
            yield folder, partial(open_multicamvideo, folder, name)
        elif "videos" in children and "cameras" in children:
            children.clear()
            yield folder, partial(_missing_cameras, folder)
        elif videos_in(folder):
            children.clear()
            yield folder, partial(open_folder, folder, name)


def _archived(archive: Path) -> Iterator[tuple[Path, Callable[[], Episode]]]:
    try:
        yield from shard_scenes(archive)
    except ValueError as error:
        yield archive, partial(_refuse, error)


def _refuse(error: ValueError) -> Episode:
    raise error


def _missing_cameras(folder: Path) -> Episode:
    raise ValueError(
        f"{folder}: missing cameras; expected cameras/camera_extrinsics.json, or one camera file for every video"
    )
