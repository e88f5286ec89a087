"""Workers on Ray, started here or on a cluster: a dead one is replaced, its tasks are done elsewhere."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from plenodream.batch.hands import AT_ONCE, Hands
from plenodream.batch.schedule import ATTEMPTS, Attempt, Place, Schedule, Task

if TYPE_CHECKING:
    from ray.actor import ActorHandle

_TICK = 0.5  # seconds between two looks at what the workers do
_A_CORE = 16  # workers, processes of half a GiB each, that Ray is made to start here
_STORE = 96 * 2**20  # bytes of Ray's own store: what goes through it is small
# Nothing is sent anywhere, workers run as other programs do, and what Ray says of dead ones is not printed.
_CALM = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}


class Work(Protocol):
    """What a worker does; made once in each, on its device, and kept there."""

    def __call__(self, task: Task, note: Callable[[str], None]) -> Any:
        """Do a task, several at a time in threads, and say how far it is.

        Raises:
            ValueError: The task can never be done: it is set aside at once. Any other error: it is tried again.
        """


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: The task.
        result: What the work returned.
        reason: Why it was set aside; None where it was done.
        seconds: That the last attempt took; 0 where there was none.
        worker: Who made it.
    """

    task: Task
    result: Any = None
    reason: str | None = None
    seconds: float = 0.0
    worker: str = ""


@contextmanager
def connected(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Ray, started on this machine for the time being, or a cluster's; that to which this process is connected already.

    Args:
        address: `auto` or `ray://HOST:PORT`; None: started here.
        workers: Of which there is room at least, where it is started here.

    Raises:
        ValueError: Ray is not installed, nothing answers at the address, fewer than one worker, or too many for here.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: expected at least 1")
    cores = os.cpu_count() or 1
    if address is None and workers is not None and workers > _A_CORE * cores:
        raise ValueError(f"--workers {workers}: expected at most {_A_CORE * cores} on this machine of {cores} cores")
    os.environ.update({name: os.environ.get(name, value) for name, value in _CALM.items()})
    ray = _import_ray()
    if ray.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    here = {"num_cpus": max(workers or 1, cores), "object_store_memory": _STORE}
    try:
        with _silence():
            ray.init(**quiet, **here) if address is None else ray.init(address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(
            f"--address {address}: no Ray cluster to be reached ({reason}); expected `auto` on one of its machines, "
            "ray://HOST:10001, or nothing to start workers here"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing of what Ray tells while it starts: of addresses, and of a token for which nobody has asked."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def has_gpus() -> bool:
    """Whether the connected Ray has GPUs."""
    return _import_ray().cluster_resources().get("GPU", 0) >= 1


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ValueError("Ray is not installed: expected it for many jobs: pip install 'plenodream[batch]'") from None
    return ray


@contextmanager
def sharing(address: str | None = None, workers: int | None = None) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` whose calls are shared among workers; results come in any order. Without arguments `map` itself.

    Args:
        address: As for `connected`.
        workers: How many.

    Raises:
        ValueError: A call failed for good; or as `connected`.
    """
    if address is None and workers is None:
        yield map
        return
    with connected(address, workers):
        yield partial(_shared, workers)


def _shared(workers: int | None, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    tasks = [Task(f"part {number}", item) for number, item in enumerate(items)]
    for outcome in Pool(partial(_Each, function), workers, at_once=1).run(tasks):
        if outcome.reason is not None:
            raise ValueError(f"{outcome.task.name}: {outcome.reason}")
        yield outcome.result


class _Each:
    """A function as `Work`; it lives as long as its worker, with what it keeps."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, task: Task, note: Callable[[str], None]) -> Any:
        note("")
        return self._function(task.content)


class Pool:
    """Workers of a connected Ray that do tasks.

    Args:
        make: Gives the work, in each worker.
        workers: How many; None: one for each GPU or, where there is none, for each core that has the memory.
        watch: Called now and then with what every worker does, by its name.
        at_once: Tasks of a worker at a time.
    """

    def __init__(
        self,
        make: Callable[[], Work],
        workers: int | None = None,
        watch: Callable[[dict[str, str]], None] | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        self._ray, self._make, self._watch = _import_ray(), make, watch or (lambda notes: None)
        self._at_once = at_once
        self._count, self._asked, self._stillborn, self._needs = workers, 0, 0, 0
        self._hands: dict[str, ActorHandle] = {}
        self._places: dict[str, Place] = {}
        self._begun: dict[Any, tuple[str, Attempt | None]] = {}  # by the promise of its end; None: of a worker's start

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do tasks, in no particular order; each has one outcome.

        Raises:
            ValueError: A worker cannot begin (no such model, say), for that would be so for all tasks.
        """
        tasks = list(tasks)
        schedule, self._needs = Schedule(tasks), max((task.memory for task in tasks), default=0)
        try:
            for _ in range(min(self._count or self._fitting(), len(tasks))):
                self._start()
            while schedule.waiting or any(place.running for place in self._places.values()):
                self._submit(schedule)
                yield from self._unfit(schedule)
                yield from self._landed(schedule)
                self._look()
        finally:
            for hands in self._hands.values():
                self._ray.kill(hands)

    def _fitting(self) -> int:
        """How many workers there is room for."""
        has = self._ray.cluster_resources()
        if has_gpus():
            return int(has["GPU"])
        return max(1, min(int(has.get("CPU", 1)), int(has.get("memory", 0) // self._needs) if self._needs else 10**6))

    def _start(self) -> None:
        self._asked += 1
        name = f"worker {self._asked}"
        gpus = int(has_gpus())
        groups = {"tasks": self._at_once, "talk": 1}
        options = {"num_cpus": 1, "num_gpus": gpus, "memory": 0 if gpus else self._needs, "concurrency_groups": groups}
        actor = self._ray.remote(**options)(Hands)
        self._hands[name] = actor.remote(self._make)
        self._begun[self._hands[name].memory.options(concurrency_group="talk").remote()] = name, None

    def _submit(self, schedule: Schedule) -> None:
        places = list(self._places.values())
        for place in places:
            while len(place.running) < self._at_once and (attempt := schedule.take(place, places)) is not None:
                do = self._hands[place.name].do.options(concurrency_group="tasks")
                self._begun[do.remote(attempt.task)] = place.name, attempt

    def _unfit(self, schedule: Schedule) -> Iterator[Outcome]:
        """Tasks for which no device is large enough, once all are known."""
        if not self._places or len(self._places) < len(self._hands):
            return
        most = max(place.memory for place in self._places.values())
        for task in schedule.unfit(most):
            reason = f"needs {task.memory / 2**30:.1f} GiB; the largest device has {most / 2**30:.1f}"
            yield Outcome(task, reason=reason)

    def _landed(self, schedule: Schedule) -> Iterator[Outcome]:
        """What has ended since the last look."""
        ended, _ = self._ray.wait(list(self._begun), num_returns=1, timeout=_TICK)
        for promise in ended:
            if promise not in self._begun:  # of a worker whose death was noticed a moment ago
                continue
            name, attempt = self._begun.pop(promise)
            try:
                value = self._ray.get(promise)
            except self._ray.exceptions.RayError as error:
                # A result that cannot be sent, say, ends a task alone; all else is a worker's death.
                if attempt is None or not isinstance(error, self._ray.exceptions.RayTaskError):
                    yield from self._died(name, attempt, schedule, error)
                else:
                    yield from self._judge(name, attempt, schedule, None, _cause(error), False, 0.0)
                continue
            if attempt is None:
                self._places[name], self._stillborn = Place(name, value), 0
            else:
                yield from self._judge(name, attempt, schedule, *value)

    def _judge(
        self, name: str, attempt: Attempt, schedule: Schedule, result: Any, reason: str | None, final: bool, time: float
    ) -> Iterator[Outcome]:
        place = self._places[name]
        place.running.remove(attempt)
        if reason is None or final or not schedule.failed(attempt, place, crashed=False):
            yield Outcome(attempt.task, result, reason, time, name)

    def _died(self, name: str, attempt: Attempt | None, schedule: Schedule, error: Exception) -> Iterator[Outcome]:
        """A worker died: all that it did is done elsewhere, and another takes its place."""
        self._ray.kill(self._hands.pop(name))
        if attempt is None:
            self._stillborn += 1
            if self._stillborn >= ATTEMPTS:
                raise ValueError(
                    f"{self._stillborn} workers could not begin ({_cause(error)}); expected plenodream there"
                )
            return self._start()
        place = self._places.pop(name)
        for promise in [promise for promise, (owner, _) in self._begun.items() if owner == name]:
            del self._begun[promise]
        for other in place.running:
            if not schedule.failed(other, place, crashed=True):
                yield Outcome(other.task, reason=f"its worker died, as others before: {_cause(error)}", worker=name)
        self._start()

    def _look(self) -> None:
        asked = {
            hands.notes.options(concurrency_group="talk").remote(): name
            for name, hands in self._hands.items()
            if name in self._places
        }
        ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=_TICK) if asked else ([], [])
        notes = {name: "starts" for name in self._hands if name not in self._places}
        for promise in ready:
            with contextlib.suppress(self._ray.exceptions.RayError):
                notes[asked[promise]] = self._ray.get(promise)
        self._watch(notes)


def _cause(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:200]
