"""What a batch came to: views an hour, what was set aside and why, what took longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from plenodream.batch.pool import Outcome
from plenodream.words import printable

_SLOWEST = 3


@dataclass
class Summary:
    """Counts while the batch runs.

    Attributes:
        jobs: All that were asked for.
        skipped: Done before.
        views: Rendered now.
        outcomes: Of what was tried, without their contents.
        aside: Set aside in an earlier run, and left so.
    """

    jobs: int
    skipped: int = 0
    views: int = 0
    outcomes: list[tuple[str, float, str | None, str]] = field(default_factory=list)  # name, seconds, reason, worker
    aside: int = 0

    def add(self, outcome: Outcome, views: int) -> None:
        """Take note of an outcome."""
        self.views += views
        self.outcomes.append((outcome.task.name, outcome.seconds, outcome.reason, outcome.worker))

    @property
    def failures(self) -> dict[str, str]:
        """Why jobs were set aside now."""
        return {name: reason for name, _, reason, _ in self.outcomes if reason is not None}

    def to_json(self, seconds: float) -> dict[str, Any]:
        """All of it, for programs."""
        done = [(name, taken) for name, taken, reason, _ in self.outcomes if reason is None]
        slowest = sorted(done, key=lambda item: -item[1])[:_SLOWEST]
        workers: dict[str, list[float]] = {}
        for _, taken, _, worker in self.outcomes:
            if worker:  # what has room on none was given to none
                workers.setdefault(worker, []).append(taken)
        return {
            "jobs": self.jobs,
            "done": len(done),
            "skipped": self.skipped,
            "failed": self.failures,
            "set_aside_before": self.aside,
            "views": self.views,
            "seconds": round(seconds, 3),
            "views_per_hour": round(3600 * self.views / max(seconds, 1e-9), 1),
            "slowest": {name: round(taken, 3) for name, taken in slowest},
            "workers": {
                name: {"jobs": len(taken), "seconds": round(sum(taken), 3)} for name, taken in sorted(workers.items())
            },
        }


def summary_lines(about: dict[str, Any]) -> Sequence[str]:
    """The same for people."""
    lines = [f"{printable(name)}: set aside: {printable(reason)}" for name, reason in about["failed"].items()]
    before = f", {about['set_aside_before']} set aside by an earlier run (--retry tries them)"
    lines.append(
        f"{about['done']} of {about['jobs']} jobs done, {about['skipped']} were done before, {len(about['failed'])} "
        f"set aside{before if about['set_aside_before'] else ''}; {about['views']} views in {about['seconds']:.0f} s, "
        f"{about['views_per_hour']:.0f} an hour"
    )
    if about["slowest"]:
        lines.append("slowest: " + ", ".join(f"{printable(n)} {s:.1f} s" for n, s in about["slowest"].items()))
    return lines
