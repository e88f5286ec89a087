"""Scores against the place of a shot in its chain, and of so many shots, a line a method."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plenodream.evaluation.aggregate import Number, Report
from plenodream.evaluation.shots import UNSEEN, VIDEO

_SEEN = ("psnr.seen", "PSNR on pixels that the source saw (dB)")
_HIDDEN = ("psnr.hidden", "PSNR on pixels that it did not see (dB)")
_PANELS = (("hsync all", "agreement where the source shows nothing (HSync, dB)"), _SEEN, _HIDDEN)
_SHOTS = (3, 6, 9, 12)  # the paper's numbers of shots
_LINES = ("-", "--", "-.", ":")


def draw_by_number(reports: Sequence[Report]) -> bytes:
    """A PNG of agreement and fidelity against the number of the shot: methods, and the first one's unseen history."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for label, style, number in _lines(reports, column):
            if number is not None and number.by_number:
                axes.plot(list(number.by_number), list(number.by_number.values()), label=label, marker=".", **style)
        axes.set(title=title, xlabel="number of the shot")
    _finish(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100, metadata={"Software": None})
    return out.getvalue()


def draw_by_shots(reports: Sequence[Report]) -> bytes:
    """An SVG of agreement (the paper's pairs, with intervals) and fidelity (means so far) against how many shots."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    agreement, *fidelity = figure.subplots(1, 3)
    _draw_pairs(agreement, reports)
    for axes, (column, title) in zip(fidelity, (_SEEN, _HIDDEN), strict=True):
        for label, style, number in _lines(reports, column):
            values = list(number.by_number.values()) if number is not None else []
            if values:
                sums = [sum(values[:count]) / count for count in range(1, len(values) + 1)]
                axes.plot(range(1, len(values) + 1), sums, label=label, **style)
        axes.set_title(f"{title},\nmean of the shots so far", fontsize=9)
        axes.set(xlabel="number of shots", xticks=_SHOTS)
    _finish(figure)
    out = io.BytesIO()
    with rc_context({"svg.hashsalt": "plenodream", "svg.fonttype": "none"}):  # the same bytes for the same numbers
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _draw_pairs(axes: Axes, reports: Sequence[Report]) -> None:
    """Agreement over the paper's pairs of so many shots; the lines a little apart, so that intervals can be told."""
    lines = [list(_lines(reports, f"hsync paper {count}")) for count in _SHOTS]
    for index, (label, style, _) in enumerate(lines[0]):
        found = [(count, line[index][2]) for count, line in zip(_SHOTS, lines, strict=True)]
        there = [(count, n.mean, *_ends(n)) for count, n in found if n and n.mean is not None]
        if there:
            counts, means, lows, highs = map(np.array, zip(*there, strict=True))
            spans = np.stack([means - lows, highs - means])
            axes.errorbar(counts + 0.12 * index, means, yerr=spans, label=label, marker=".", elinewidth=0.6, **style)
    axes.set_title("agreement where the source shows nothing\n(HSync, dB; the paper's pairs, 95 %)", fontsize=9)
    axes.set(xlabel="number of shots", xticks=_SHOTS)


def _ends(number: Number) -> tuple[float | None, float | None]:
    """Of an error bar; none is drawn without an interval."""
    return (number.mean, number.mean) if number.low is None or number.high is None else (number.low, number.high)


def _lines(reports: Sequence[Report], column: str) -> Iterator[tuple[str, dict, Number | None]]:
    """Label, style and number of every method, after the first that of its unseen history."""
    lines = [(report.name, report, VIDEO) for report in reports]
    lines.insert(1, (f"{UNSEEN} ({reports[0].name})", reports[0], UNSEEN))
    for index, (label, report, row) in enumerate(lines):
        style = {"linestyle": _LINES[index // 10 % len(_LINES)], "color": f"C{index % 10}"}
        yield label, style, report.number(column, row)


def _finish(figure: Figure) -> None:
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
