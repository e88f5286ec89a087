"""Recordings of an event by several cameras, in the layouts of other people's data sets."""

from __future__ import annotations

from pathlib import Path

from plenodream.evaluation.recordings.dycheck import dycheck_recordings
from plenodream.evaluation.recordings.episodes import episode_recordings
from plenodream.evaluation.recordings.kubric4d import kubric_recordings
from plenodream.evaluation.recordings.recording import RecordingFile


def find_recordings(folder: Path) -> list[RecordingFile]:
    """What a folder holds, by the first layout that fits: DyCheck, Kubric-4D, or whatever training data may be.

    Raises:
        ValueError: Nothing with two views or more.
    """
    for find in (dycheck_recordings, kubric_recordings, episode_recordings):
        if found := find(folder):
            return found
    raise ValueError(f"{folder}: no recordings of two views or more; expected another folder")
