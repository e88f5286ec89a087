"""A worker's process: the work it was given, and threads that do it while others are read and written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plenodream.batch.pool import Work
    from plenodream.batch.schedule import Task

AT_ONCE = 2  # one task on the device, one that is read or written beside it


class Hands:
    """An actor of Ray.

    Args:
        make: Gives the work.
    """

    def __init__(self, make: Callable[[], Work]) -> None:
        self._work = make()
        self._notes: dict[str, str] = {}

    def memory(self) -> int:
        """Bytes of its device: of the GPU where it was given one, else of the machine."""
        import ray

        if ray.get_gpu_ids():
            import torch

            return torch.cuda.get_device_properties(0).total_memory
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def do(self, task: Task) -> tuple[Any, str | None, bool, float]:
        """Do a task; returns its result, else why not and whether it is of no use to try again, and the seconds."""
        began = time.monotonic()
        try:
            result = self._work(task, lambda note: self._notes.update({task.name: note}))
            return result, None, True, time.monotonic() - began
        except Exception as error:  # what ends a task ends no worker
            reason = " ".join(str(error).split()) or type(error).__name__
            return None, reason, isinstance(error, ValueError), time.monotonic() - began
        finally:
            self._notes.pop(task.name, None)

    def notes(self) -> str:
        """What it does now."""
        return "; ".join(f"{name} {note}".strip() for name, note in list(self._notes.items())) or "idle"
