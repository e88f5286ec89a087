"""What an evaluation found: numbers per scene, their means and intervals, as JSON, as a table and as a sheet."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from textwrap import wrap

import torch
from torch import Tensor

from plenodream.evaluation.statistics import Interval, bootstrap_interval
from plenodream.files.atomic import write_file
from plenodream.media.sheet import save_sheet

FORMAT = 2
WIDTH = 80  # columns of a terminal
# The row of a table that holds the share of pixels compared.
COVERAGE = "coverage"
# Differences worth a line of their own, all paired scene by scene: table, column, row, minus row.
DIFFERENCES = (
    ("fidelity", "seen", "sampled", "copy of source"),
    ("fidelity", "seen", "sampled", "wrong camera"),
    ("fidelity", "moving", "sampled", "no motion"),
    ("agreement", "hsync", "retrieved history", "independent"),
    ("agreement", "hsync", "retrieved history", "source twice"),
    ("agreement", "hsync", "retrieved history", "wrong history"),
    ("agreement", "hsync", "retrieved history", "unseen history"),
)
_TITLES = {
    "fidelity": "Target views against the truth: PSNR in dB; variance and sharpness as parts of the truth's",
    "agreement": "Two generated views of a scene against each other where the source shows nothing (HSync): PSNR in dB",
}
_NOTES = {
    "fidelity": """
        seen, hidden: by the source at the same time. static, moving: of the seen pixels. warped source: by true depth.
        wrong camera: the neighbouring scene's. no motion: the same model shown a source in which nothing moves. copy,
        mean colour: floors. truth: through the codec (ceiling).""",
    "agreement": """
        Rows say what view b was given besides the source. unseen history: b with retrieved history against a view a
        that it was not shown (cancels b's blur). truth: both true (ceiling). copy, mean colour: instead of b, the
        floors. vsync: where the source shows it too. Shown is what is shown at the same time. tolerant: best shift by
        up to 1 pixel. b to truth, variance, sharpness: of b on those pixels, the latter as parts of the truth's: below
        1 is blur, which agrees easily.""",
}


@dataclass(frozen=True)
class EvalReport:
    """Scores of one model on one family, scene by scene; nothing in it depends on the machine.

    Attributes:
        model: Its name.
        fingerprint: Hash of its weights and configs.
        family: Scene family.
        split: Split of the scenes, numbers 0 to `scenes` - 1.
        seed: Of the sampling noise.
        scenes: How many.
        frames: Frames of a video.
        height: Pixels.
        width: Pixels.
        steps: Sampling steps.
        guidance: Guidance; 0 is none.
        values: By table (`fidelity`, `agreement`), row and column: a number per scene, None where too few pixels were
            compared. The row `coverage` holds the share of pixels compared.
        gallery: By column of the sheet: videos (scenes, frames, height, width, 3), 0..1, of the first scenes. Kept in
            the PNG alone.
    """

    model: str
    fingerprint: str
    family: str
    split: str
    seed: int
    scenes: int
    frames: int
    height: int
    width: int
    steps: int
    guidance: float
    values: dict[str, dict[str, dict[str, tuple[float | None, ...]]]]
    gallery: dict[str, Tensor] = field(default_factory=dict, compare=False, repr=False)

    def interval(self, table: str, row: str, column: str) -> Interval:
        """Mean over scenes with its 95 % bootstrap interval; NaN if no scene counts."""
        return _interval(self._scores(table, row, column))

    def difference(self, table: str, column: str, row: str, minus: str) -> Interval:
        """Mean paired difference of two rows, over scenes where both count, with its 95 % bootstrap interval."""
        return _interval(self._scores(table, row, column) - self._scores(table, minus, column))

    def counted(self, table: str, column: str, *rows: str) -> int:
        """Number of scenes with enough pixels to compare in all of the rows."""
        each = zip(*(self.values[table][row][column] for row in rows), strict=True)
        return sum(None not in values for values in each)

    def to_json(self) -> str:
        """Settings, means with intervals, paired differences, and the numbers of every scene."""
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("values", "gallery")}
        summary = {
            table: {
                row: {column: self._entry(self.interval(table, row, column), table, column, row) for column in columns}
                for row, columns in rows.items()
            }
            for table, rows in self.values.items()
        }
        differences = [
            {"table": table, "column": column, "row": row, "minus": minus}
            | self._entry(self.difference(table, column, row, minus), table, column, row, minus)
            for table, column, row, minus in DIFFERENCES
        ]
        content = {"format": FORMAT, **settings, "summary": summary, "differences": differences, "values": self.values}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def _scores(self, table: str, row: str, column: str) -> Tensor:
        scores = self.values[table][row][column]
        return torch.tensor([float("nan") if score is None else score for score in scores], dtype=torch.float64)

    def _entry(self, interval: Interval, table: str, column: str, *rows: str) -> dict[str, float | int | None]:
        rounded = {name: None if x != x else round(x, 4) for name, x in interval._asdict().items()}
        return rounded | {"scenes": self.counted(table, column, *rows)}


def format_report(report: EvalReport) -> str:
    """The report as plain text of 80 columns: two tables with intervals, coverage and counts, then the differences."""
    head = (
        f"{report.model} ({report.fingerprint}) on {report.scenes} {report.family} scenes of split {report.split}, "
        f"{report.frames} frames of {report.height}x{report.width}, {report.steps} sampling steps, guidance "
        f"{report.guidance:g}, seed {report.seed}. Means over scenes, ± half of their 95 % bootstrap interval."
    )
    lines = wrap(head, WIDTH)
    for table in report.values:
        notes = " ".join(_NOTES[table].split())
        lines += ["", *wrap(_TITLES[table], WIDTH), *blocks(_cells(report, table)), *wrap(notes, WIDTH)]
    rows = []
    for table, column, row, minus in DIFFERENCES:
        difference = report.difference(table, column, row, minus)
        mean = f"{difference.mean:+.2f}" if difference.mean == difference.mean else "-"
        rows.append([f"{column}: {row} - {minus}", mean, ends_of(difference)])
    return "\n".join([*lines, "", "Differences in dB, paired by scene, with their 95 % interval", *_align(rows)]) + "\n"


def _cells(report: EvalReport, table: str) -> list[list[str]]:
    """A table of the report as text: a header, its rows, the share of pixels compared, the scenes that count."""
    rows = report.values[table]
    names = list(rows[COVERAGE])
    cells = [["", *names]]
    for row in rows:
        if row != COVERAGE:
            cells.append([row, *(_cell(report.interval(table, row, column)) for column in names)])
    cells.append(["pixels compared", *(f"{100 * report.interval(table, COVERAGE, c).mean:.1f} %" for c in names)])
    counts = [max(report.counted(table, c, row) for row in rows if row != COVERAGE) for c in names]
    cells.append(["scenes that count", *map(str, counts)])
    return cells


def write_report(folder: Path, report: EvalReport) -> None:
    """Write `report.json`, `report.txt` and, if there are pictures, `sheet.png` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "report.json", report.to_json().encode())
    write_file(folder / "report.txt", format_report(report).encode())
    if report.gallery:
        save_sheet(folder / "sheet.png", report.gallery)


def _interval(values: Tensor) -> Interval:
    return bootstrap_interval(values, generator=torch.Generator().manual_seed(0))


def _cell(interval: Interval) -> str:
    if interval.mean != interval.mean:
        return "-"
    return f"{interval.mean:.2f}" + (f" ±{(interval.high - interval.low) / 2:.2f}" if interval.bounded else "")


def ends_of(interval: Interval) -> str:
    """The ends of a difference's interval; `[n/a]` of a single scene."""
    return f"[{interval.low:+.2f} {interval.high:+.2f}]" if interval.bounded else "[n/a]"


def _align(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def blocks(cells: list[list[str]]) -> list[str]:
    """A table that is too wide for a terminal as several below each other, each with the names of the rows."""
    columns = [[row[i] for row in cells] for i in range(len(cells[0]))]
    widths = [max(map(len, column)) + 2 for column in columns]
    parts: list[list[int]] = []
    for index in range(1, len(columns)):
        if not parts or widths[0] + sum(widths[i] for i in parts[-1]) + widths[index] - 2 > WIDTH:
            parts.append([])
        parts[-1].append(index)
    tables = [_align([[row[0], *(row[i] for i in part)] for row in cells]) for part in parts]
    return [line for number, table in enumerate(tables) for line in ([""] if number else []) + table]
