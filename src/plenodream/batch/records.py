"""What became of every job, kept beside the results so that the next run knows: a small file each, in OUT/jobs."""

from __future__ import annotations

import hashlib
from typing import Any

from plenodream.files.documents import dump_document
from plenodream.files.places import Folder

DONE, FAILED = "done", "failed"


class Records:
    """The records of a folder of results. The list of their names says all: nothing else is read.

    Args:
        out: Where the results are.

    Attributes:
        results: What lies in `out`, by name, as it was when this was made.
    """

    def __init__(self, out: Folder) -> None:
        self._folder = Folder(f"{out.place}/jobs")
        self.results = out.names()
        self._names = self._folder.names()

    def state(self, name: str, content: Any) -> str | None:
        """`DONE` where just this was done and its result is there, `FAILED` where it was set aside; else None."""
        digest = digest_of(content)
        for state in (DONE, FAILED):
            if f"{name}.{digest}.{state}.json" in self._names and (state == FAILED or name in self.results):
                return state
        return None

    def write(self, name: str, content: Any, state: str, about: dict[str, Any]) -> None:
        """Keep what became of a job."""
        self._folder.write(f"{name}.{digest_of(content)}.{state}.json", dump_document(about | {"job": content}))


def digest_of(content: Any) -> str:
    """Short hash of a job: another one is another job."""
    return hashlib.sha256(dump_document(content)).hexdigest()[:12]
