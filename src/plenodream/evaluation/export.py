"""A report as files: JSON, CSV, HTML, text, and YAML as model hubs read it (`.eval_results`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import jinja2
import msgspec
import yaml

from plenodream.evaluation.aggregate import Number, Report
from plenodream.evaluation.report import WIDTH, blocks
from plenodream.files.atomic import write_file

REPORT = "report.json"
# What the text shows, where it is there.
SHOWN = (
    "psnr.all", "psnr.seen", "psnr.hidden", "psnr.moving", "ssim.all", "sharpness.hidden",
    "hsync paper 3", "hsync paper 6", "hsync paper 9", "hsync paper 12", "hsync all", "vsync all",
    "homography all", "psnr.change.worst",
    "roterr", "transerr", "tsed all", "matches.xfeat.share all", "kd_stats_v1", "fvd_i3d_styleganv",
)  # fmt: skip


def write_report(folder: Path, report: Report) -> None:
    """Write all files of a report, each whole or not at all."""
    (folder / ".eval_results").mkdir(parents=True, exist_ok=True)
    write_file(folder / REPORT, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    write_file(folder / "report.csv", to_csv([report]).encode())
    write_file(folder / "report.html", to_html([report]).encode())
    write_file(folder / "report.txt", to_text(report).encode())
    write_file(folder / ".eval_results" / "plenodream.yaml", to_yaml(report).encode())


def read_report(path: Path) -> Report:
    """The report of a folder of results, of its `evaluation`, or of the file itself.

    Raises:
        ValueError: None there, or one that cannot be read.
    """
    found = next((p for p in (path / "evaluation" / REPORT, path / REPORT, path) if p.is_file()), None)
    if found is None:
        raise ValueError(f"{path}: no {REPORT}; run `plenodream eval run {path}` first")
    try:
        return msgspec.json.decode(found.read_bytes(), type=Report)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{found}: {error}; expected what `plenodream eval run` wrote") from None


def cell(number: Number | None) -> str:
    """A number with half of its interval."""
    if number is None or number.mean is None:
        return "-"
    if number.low is None or number.high is None:
        return _short(number.mean)
    return f"{_short(number.mean)} ±{_short((number.high - number.low) / 2)}"


def _short(value: float) -> str:
    """Two digits behind the point; what would be longer than a column as a power of ten."""
    return f"{value:.2f}" if abs(value) < 1e6 else f"{value:.2e}"


def to_text(report: Report) -> str:
    """The report for a terminal of 80 columns: the main columns, then what could not be scored."""
    head = f"{report.name}: {report.delivered} of {report.samples} videos of {report.scenes} scenes"
    columns = [column for column in SHOWN if any(number.column == column for number in report.numbers)]
    lines = [head, "Means over scenes ± half of their 95 % interval." if report.numbers else "Nothing could be scored."]
    rows = list(dict.fromkeys(number.row for number in report.numbers))
    cells = [["", *columns]] + [[row, *(cell(report.number(c, row)) for c in columns)] for row in rows]
    counts = [report.number(c) for c in columns]
    cells += [["scored", *(str(n.samples) if n else "-" for n in counts)]]
    cells += [["too little overlap", *(str(n.gated) if n else "-" for n in counts)]]
    lines += ["", *blocks(cells)] if columns else []
    for metric, lacks in report.unavailable.items():
        lines += wrap("; ".join(f"{metric}: n/a (needs {lack}), {n} videos" for lack, n in lacks.items()), WIDTH)
    for what, reasons in {"not delivered": report.faults, **report.failures}.items():
        lines += wrap(f"{what}: {len(reasons)} failed", WIDTH) if reasons else []
        lines += [f"  {reason}" for reason in reasons[:20]]
    return "\n".join(lines) + "\n"


def to_csv(reports: Sequence[Report]) -> str:
    """Every number of some reports, a line each."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "row", "column", "mean", "low", "high", "scenes", "samples", "gated", "share"])
    for report in reports:
        for n in report.numbers:
            ends = ["" if x is None else f"{x:.6g}" for x in (n.mean, n.low, n.high)]
            writer.writerow([report.name, n.row, n.column, *ends, len(n.scenes), n.samples, n.gated, f"{n.share:.4f}"])
    return out.getvalue()


def to_html(reports: Sequence[Report]) -> str:
    """Some reports as one page that needs nothing else."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((Path(__file__).parent / "report.html").read_text())
    tables = []
    for report in reports:
        columns = list(dict.fromkeys(number.column for number in report.numbers))
        rows = list(dict.fromkeys(number.row for number in report.numbers))
        tables.append({"report": report, "columns": columns, "rows": rows})
    return template.render(tables=tables, cell=cell)


def to_yaml(report: Report) -> str:
    """The main numbers as entries of `.eval_results`: data set, value, notes that say how it was made."""
    entries = [
        {
            "dataset": {"id": "plenodream/videos", "task_id": f"{number.column} ({number.row})"},
            "value": round(number.mean, 4),
            "notes": f"{report.name}; {report.program}; {number.samples} samples of {len(number.scenes)} scenes"
            + (f"; 95 % interval {number.low:.4f} to {number.high:.4f}" if number.low is not None else ""),
        }
        for number in report.numbers
        if number.mean is not None and number.column in SHOWN
    ]
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
