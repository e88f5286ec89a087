"""Scores against the place of a shot in its chain, a line a method."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from plenodream.evaluation.aggregate import Report
from plenodream.evaluation.shots import UNSEEN, VIDEO

_PANELS = (
    ("hsync all", "agreement where the source shows nothing (HSync, dB)"),
    ("psnr.seen", "PSNR on pixels that the source saw (dB)"),
    ("psnr.hidden", "PSNR on pixels that it did not see (dB)"),
)
_LINES = ("-", "--", "-.", ":")


def draw_by_number(reports: Sequence[Report]) -> bytes:
    """A PNG of agreement and fidelity against the number of the shot: methods, and the first one's unseen history."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    lines = [(report.name, report, VIDEO) for report in reports]
    lines.insert(1, (f"{UNSEEN} ({reports[0].name})", reports[0], UNSEEN))
    for axes, (column, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for index, (label, report, row) in enumerate(lines):
            number = report.number(column, row)
            if number is not None and number.by_number:
                style = {"linestyle": _LINES[index // 10 % len(_LINES)], "color": f"C{index % 10}"}
                axes.plot(list(number.by_number), list(number.by_number.values()), label=label, marker=".", **style)
        axes.set(title=title, xlabel="number of the shot")
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, metadata={"Software": None})
    return out.getvalue()
