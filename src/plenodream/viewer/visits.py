"""The app's visitors: each has a folder that nobody else can read, and that is gone when they are. Ours."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from plenodream.geometry.keyframes import Keyframe
from plenodream.viewer.limits import VISITS, WAITING, Limits


@dataclass(frozen=True)
class Wish:
    """What is asked for on the app's page.

    Attributes:
        video: The clip.
        cameras: Its camera file; None: it stands still.
        depth: Its depth file; None: none.
        fov: Its horizontal field of view in degrees where no file gives a focal length; None: 60.
        subject_distance: Metres.
        presets: Trajectories as on the command line.
        name: Of the view of the dials.
        dials: Where its path ends, from the source's first camera; None: no such view.
        path: A file of key frames or cameras, whose name becomes a view's; None: none.
    """

    video: Path | None
    cameras: Path | None = None
    depth: Path | None = None
    fov: float | None = None
    subject_distance: float = 4.0
    presets: tuple[str, ...] = ()
    name: str = "dials"
    dials: Keyframe | None = None
    path: Path | None = None

    @property
    def source(self) -> tuple:
        """What makes the scene: another one, another scene."""
        return self.video, self.cameras, self.depth, self.fov, self.subject_distance


@dataclass
class Visit:
    """One visitor.

    Attributes:
        folder: Their files, removed with them.
        key: By which their files can be asked for; nobody can guess it.
        stop: Set when what is rendered is wanted no more.
        source: What their scene was made from.
        waiting: How many of their jobs are in the queue.
        used: When they last asked for something.
        gone: Whether their page was closed.
    """

    folder: Path
    key: str
    stop: threading.Event = field(default_factory=threading.Event)
    source: tuple | None = None
    waiting: int = 0
    used: float = field(default_factory=time.monotonic)
    gone: bool = False

    @property
    def scene(self) -> Path:
        """Their scene's folder."""
        return self.folder / "scene"

    def file(self, name: str) -> Path | None:
        """A file of theirs by its relative path; None: there is none, or it lies elsewhere."""
        place = (self.folder / name).resolve()
        inside = place.is_relative_to(self.folder.resolve()) and not any(p.startswith(".") for p in Path(name).parts)
        return place if inside and place.is_file() else None

    def given(self, upload: Path) -> Path:
        """What was uploaded, as it stays while the visitor does: a link of their own, made when it is first asked for.

        Raises:
            FileNotFoundError: It is gone, and there was no link yet.
        """
        place = self.folder / ".given" / upload.parent.name / upload.name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(upload, place)
        return place

    def close(self) -> None:
        """Stop what is rendered and remove the files; what a job still writes goes when it ends."""
        self.gone = True
        self.stop.set()
        shutil.rmtree(self.folder, ignore_errors=True)


class Visits:
    """All visitors, by the name that the browser's page has in the server.

    Args:
        root: Where the folders go.
        limits: For how long.
        most: How many.
    """

    def __init__(self, root: Path, limits: Limits, most: int = VISITS) -> None:
        self._root, self.limits, self._most = root, limits, most
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def of(self, session: str) -> Visit:
        """The visit of a page; a new one where there is none.

        Raises:
            ValueError: There are too many.
        """
        self.sweep()
        with self._lock:
            if session not in self._visits:
                if len(self._visits) >= self._most:
                    raise ValueError(f"{len(self._visits)} visitors are here already; expected fewer: try again later")
                key = secrets.token_urlsafe(24)
                folder = self._root / key
                folder.mkdir(mode=0o700)
                self._visits[session] = Visit(folder, key)
            visit = self._visits[session]
            visit.used = time.monotonic()
            return visit

    def by_key(self, key: str) -> Visit | None:
        """The visit whose files are asked for."""
        with self._lock:
            return next(
                (v for v in self._visits.values() if secrets.compare_digest(v.key.encode(), key.encode())), None
            )

    def leave(self, session: str) -> None:
        """A page was closed: nothing of it stays."""
        with self._lock:
            visit = self._visits.pop(session, None)
        if visit is not None:
            visit.close()

    def sweep(self) -> None:
        """Remove what is too old; who waits in the queue stays as long as the queue can last."""
        keep, queue = self.limits.keep_minutes, WAITING * self.limits.max_minutes
        with self._lock:
            ends = {name: v.used + 60 * (keep + queue * (v.waiting > 0)) for name, v in self._visits.items()}
            for session in [name for name, end in ends.items() if end < time.monotonic()]:
                self._visits.pop(session).close()
