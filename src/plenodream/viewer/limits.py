"""What a visitor of the app may ask for: options of the command, and what the app holds to."""

from __future__ import annotations

from dataclasses import astuple, dataclass

VISITS = 50  # folders at once
WAITING = 20  # jobs in the queue
UNPACKED = 10  # times what may be uploaded: as large may be what a file unpacks to


@dataclass(frozen=True)
class Limits:
    """Of one visitor."""

    max_megabytes: int = 200
    """Of an uploaded file; it may unpack to ten times as much."""
    max_frames: int = 300
    """Of a video."""
    max_height: int = 480
    """Of the views, in pixels."""
    max_views: int = 12
    """Of a visitor's scene."""
    max_minutes: float = 60
    """Of one render."""
    keep_minutes: float = 60
    """A visitor's files are removed so long after the last thing they asked for, or when they close the page."""

    def check(self) -> None:
        """Refuse limits that are none.

        Raises:
            ValueError: Such limits.
        """
        if not all(0 < limit < float("inf") for limit in astuple(self)):
            raise ValueError(f"limits {', '.join(map(str, astuple(self)))}: expected numbers above 0")
