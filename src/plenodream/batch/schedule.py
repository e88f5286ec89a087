"""Which worker does which task next, and what becomes of a task that fails. Ours; knows nothing of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ATTEMPTS = 3


@dataclass(frozen=True)
class Task:
    """One thing to do.

    Attributes:
        name: Unique.
        content: What the worker is given; anything that can be pickled.
        kind: What a worker keeps from one task to the next (a model's name): tasks of one kind go to one worker while
            there are enough of them.
        memory: Bytes that it needs on a worker's device.
    """

    name: str
    content: Any
    kind: str = ""
    memory: int = 0


@dataclass
class Place:
    """A worker as the schedule sees it.

    Attributes:
        name: Unique; a worker that took the place of a dead one has another.
        memory: Bytes of its device.
        kind: Of the task that it did last.
        running: What it does now.
    """

    name: str
    memory: int
    kind: str | None = None
    running: list[Attempt] = field(default_factory=list)


@dataclass
class Attempt:
    """A task and how it has gone so far.

    Attributes:
        task: The task.
        failures: How often it failed.
        alone: Whether it may have killed a worker: it gets one without company, so that it takes nobody along again.
        avoid: Workers that it failed on.
    """

    task: Task
    failures: int = 0
    alone: bool = False
    avoid: set[str] = field(default_factory=set)


class Schedule:
    """Tasks that wait.

    Args:
        tasks: All of them.
        attempts: How often a task is tried.
    """

    def __init__(self, tasks: Iterable[Task], attempts: int = ATTEMPTS) -> None:
        self._attempts = attempts
        self._fresh: dict[tuple[str, int], deque[Task]] = {}
        self._again: list[Attempt] = []
        for task in tasks:
            self._fresh.setdefault((task.kind, task.memory), deque()).append(task)

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return sum(map(len, self._fresh.values())) + len(self._again)

    def take(self, place: Place, others: Iterable[Place] = ()) -> Attempt | None:
        """What a worker shall do next; None where there is nothing for it.

        Args:
            place: The worker.
            others: The other workers: a task goes back to one where it failed only if there is no other.
        """
        if any(attempt.alone for attempt in place.running):
            return None
        names = {other.name for other in others}
        for number, attempt in enumerate(self._again):
            shunned = place.name in attempt.avoid and not names <= attempt.avoid
            if attempt.task.memory <= place.memory and not shunned and not (attempt.alone and place.running):
                return self._give(self._again.pop(number), place)
        fitting = [key for key in self._fresh if key[1] <= place.memory]
        if not fitting:
            return None
        key = max(fitting, key=lambda key: (key[0] == place.kind, len(self._fresh[key])))
        task = self._fresh[key].popleft()
        if not self._fresh[key]:
            del self._fresh[key]
        return self._give(Attempt(task), place)

    @staticmethod
    def _give(attempt: Attempt, place: Place) -> Attempt:
        place.running.append(attempt)
        place.kind = attempt.task.kind
        return attempt

    def failed(self, attempt: Attempt, place: Place, crashed: bool) -> bool:
        """Take a failed task back; False where it has been tried often enough and is to be set aside.

        Args:
            attempt: What failed.
            place: Where.
            crashed: Whether the worker died of it, or of what ran beside it.
        """
        attempt.failures += not crashed or len(place.running) == 1  # who died in company may be innocent
        attempt.alone = attempt.alone or crashed
        attempt.avoid.add(place.name)
        if attempt.failures >= self._attempts:
            return False
        self._again.append(attempt)
        return True

    def unfit(self, most: int) -> list[Task]:
        """Remove and return the tasks that need more memory than any worker has."""
        found = [task for key in list(self._fresh) if key[1] > most for task in self._fresh.pop(key)]
        too_big = [attempt for attempt in self._again if attempt.task.memory > most]
        self._again = [attempt for attempt in self._again if attempt.task.memory <= most]
        return found + [attempt.task for attempt in too_big]
