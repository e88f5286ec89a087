"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plenodream.evaluation.metrics.hidden import Sync
from plenodream.evaluation.metrics.metric import Metric
from plenodream.evaluation.metrics.truth import Fidelity

METRICS: dict[str, Callable[[], Metric]] = {"fidelity": Fidelity, "sync": Sync}
DEFAULT = ("fidelity", "sync")


def make_metrics(names: Sequence[str]) -> list[Metric]:
    """Metrics of given names.

    Raises:
        ValueError: A name that is none.
    """
    for name in names:
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}: expected one of {', '.join(METRICS)}")
    return [METRICS[name]() for name in dict.fromkeys(names)]
