"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plenodream.evaluation.metrics.change import Change
from plenodream.evaluation.metrics.distribution import Distribution, Fvd
from plenodream.evaluation.metrics.epipolar import Tsed
from plenodream.evaluation.metrics.hidden import Sync
from plenodream.evaluation.metrics.learned import Cvvdp, ImagingQuality, Met3r
from plenodream.evaluation.metrics.matchers import AlikedLightGlue, Roma
from plenodream.evaluation.metrics.matches import Matches
from plenodream.evaluation.metrics.metric import Metric
from plenodream.evaluation.metrics.path import CameraPath, EstimatedPath
from plenodream.evaluation.metrics.shared_centre import SharedCentre
from plenodream.evaluation.metrics.truth import Fidelity

METRICS: dict[str, Callable[..., Metric]] = {
    "fidelity": Fidelity,
    "sync": Sync,
    "change": Change,
    "homography": SharedCentre,
    "camera": CameraPath,
    "pycolmap": EstimatedPath,
    "tsed": Tsed,
    "matches": Matches,
    "matches-aliked": lambda: Matches(AlikedLightGlue()),
    "matches-roma": lambda weights=None: Matches(Roma(weights)),
    "met3r": Met3r,
    "distribution": Distribution,
    "fvd": Fvd,
    "cvvdp": Cvvdp,
    "iq": ImagingQuality,
}
# Those that take weights: a file, or a folder of some.
WEIGHTED = ("fvd", "iq", "matches-roma")


def make_metrics(names: Sequence[str], weights: Mapping[str, Path] | None = None) -> list[Metric]:
    """Metrics of given names.

    Args:
        names: Which.
        weights: Files of weights, by the name of the metric that takes them.

    Raises:
        ValueError: A name that is none, weights for what takes none, or no such file.
    """
    weights = weights or {}
    for name in (*names, *weights):
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}: expected one of {', '.join(METRICS)}")
    for name, path in weights.items():
        if name not in WEIGHTED:
            raise ValueError(f"metric {name} takes no weights; expected weights for {', '.join(WEIGHTED)}")
        if not path.exists():
            raise ValueError(f"{path}: no such file; expected the weights of {name}")
    return [METRICS[name](weights[name]) if name in weights else METRICS[name]() for name in dict.fromkeys(names)]
