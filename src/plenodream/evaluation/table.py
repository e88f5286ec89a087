"""Methods side by side: their numbers, and differences to the first that are paired scene by scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from plenodream.evaluation.aggregate import Number, Report
from plenodream.evaluation.export import SHOWN, cell, to_csv, to_html
from plenodream.evaluation.plot import draw_by_number, draw_by_shots
from plenodream.evaluation.report import blocks, ends_of
from plenodream.evaluation.shots import COPY, TRUTH, VIDEO
from plenodream.evaluation.statistics import Interval, bootstrap_interval
from plenodream.files.atomic import write_file

# Columns shown against the number of the shot: errors that grow along a chain.
BY_NUMBER = ("psnr.seen", "psnr.hidden", "hsync all")


@dataclass(frozen=True)
class Line:
    """A method, or a control of it, in a table.

    Attributes:
        label: What it is called.
        report: Where its numbers come from.
        row: Which of the report's rows.
    """

    label: str
    report: Report
    row: str

    def number(self, column: str) -> Number | None:
        """A number of it."""
        return self.report.number(column, self.row)


def check_alike(reports: Sequence[Report]) -> None:
    """Refuse reports whose numbers mean different things.

    Raises:
        ValueError: Other protocols, or two of one name.
    """
    names = [report.name for report in reports]
    if len(set(names)) < len(names):
        raise ValueError(f"methods named {', '.join(names)}: expected different names; score them with --name")
    for report in reports[1:]:
        for metric in report.protocols.keys() & reports[0].protocols.keys():
            if report.protocols[metric] != reports[0].protocols[metric]:
                raise ValueError(
                    f"{report.name} and {reports[0].name}: {metric} was scored in two ways; expected one: "
                    "run `plenodream eval run` on both again"
                )


def lines_of(reports: Sequence[Report]) -> list[Line]:
    """Every method, then the controls: those of the truth once, those of a method with its name."""
    methods = [Line(report.name, report, VIDEO) for report in reports]
    controls = [
        Line(row if row in (TRUTH, COPY) else f"{row} ({report.name})", report, row)
        for report in reports
        for row in dict.fromkeys(number.row for number in report.numbers)
        if row != VIDEO
    ]
    seen: dict[str, Line] = {}
    for line in controls:
        seen.setdefault(line.label, line)
    return methods + list(seen.values())


def difference(number: Number | None, minus: Number | None) -> tuple[Interval, int] | None:
    """Mean difference over the scenes where both count, with its paired interval, and how many they are."""
    if number is None or minus is None:
        return None
    scenes = [scene for scene in number.scenes if scene in minus.scenes]
    if not scenes:
        return None
    values = torch.tensor([number.scenes[s] - minus.scenes[s] for s in scenes], dtype=torch.float64)
    return bootstrap_interval(values, generator=torch.Generator().manual_seed(0)), len(scenes)


def columns_of(reports: Sequence[Report]) -> list[str]:
    """The main columns that any of them has."""
    return [name for name in SHOWN if any(report.number(name) for report in reports)]


def table_text(reports: Sequence[Report]) -> str:
    """Two tables of 80 columns: the numbers, and the paired differences to the first method."""
    columns, lines = columns_of(reports), lines_of(reports)
    cells = [["", *columns]] + [[line.label, *(cell(line.number(c)) for c in columns)] for line in lines]
    text = ["Means over scenes ± half of their 95 % interval", *blocks(cells)]
    rows = _differences(reports, columns)
    if len(rows) > 1:
        text += ["", f"Differences to {reports[0].name}, paired by scene [95 % interval]", *blocks(rows)]
    for column in BY_NUMBER:
        rows = _by_number(reports, column)
        text += ["", f"{column} by the place of the (later) shot in its chain", *blocks(rows)] if len(rows) > 1 else []
    return "\n".join(text) + "\n"


def _differences(reports: Sequence[Report], columns: Sequence[str]) -> list[list[str]]:
    rows = [["", *columns]]
    for line in _compared(reports)[1:]:
        found = [difference(line.number(c), reports[0].number(c)) for c in columns]
        rows.append([line.label, *("-" if each is None else _signed(each[0]) for each in found)])
    return rows


def _compared(reports: Sequence[Report]) -> list[Line]:
    """Methods and their own controls, the first method first; not what is the same for all of them."""
    return [line for line in lines_of(reports) if line.row not in (TRUTH, COPY)]


def _by_number(reports: Sequence[Report], column: str) -> list[list[str]]:
    """What is left of a score after so many shots."""
    found = {line.label: number for line in _compared(reports) if (number := line.number(column)) and number.by_number}
    places = sorted({place for number in found.values() for place in number.by_number})
    rows = [["", *map(str, places)]] if len(places) > 1 else []
    for label, number in found.items() if rows else ():
        rows.append([label, *(f"{number.by_number[p]:.1f}" if p in number.by_number else "-" for p in places)])
    return rows


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.2f} {ends_of(interval)}"


def table_latex(reports: Sequence[Report]) -> str:
    """The numbers as a LaTeX table (booktabs)."""
    columns = columns_of(reports)
    rows = [" & ".join(["", *map(_latex, columns)])]
    rows += [" & ".join([_latex(line.label), *(_pm(line.number(c)) for c in columns)]) for line in lines_of(reports)]
    body = [f"{row} \\\\" for row in rows]
    head = [f"\\begin{{tabular}}{{l{'r' * len(columns)}}}", "\\toprule", body[0], "\\midrule"]
    return "\n".join([*head, *body[1:], "\\bottomrule", "\\end{tabular}"]) + "\n"


def write_tables(folder: Path, reports: Sequence[Report]) -> None:
    """The table of some reports as text, CSV, LaTeX and HTML, and scores along a chain and by the number of shots as
    pictures."""
    forms = {"txt": table_text, "csv": to_csv, "tex": table_latex, "html": to_html}
    for ending, form in forms.items():
        write_file(folder / f"table.{ending}", form(reports).encode())
    write_file(folder / "by_number.png", draw_by_number(reports))
    write_file(folder / "by_shots.svg", draw_by_shots(reports))


def _pm(number: Number | None) -> str:
    mean, _, half = cell(number).partition(" ±")
    return "--" if mean == "-" else f"${mean} \\pm {half}$" if half else f"${mean}$"


def _latex(text: str) -> str:
    for letter in "\\&%$#_{}":
        text = text.replace(letter, f"\\{letter}")
    return text
