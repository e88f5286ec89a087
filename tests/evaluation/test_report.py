from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from plenodream.evaluation.report import DIFFERENCES, EvalReport, format_report, write_report
from plenodream.media.sheet import draw_sheet

FIDELITY = ("sampled", "copy of source", "wrong camera", "no motion", "coverage")
AGREEMENT = ("retrieved history", "independent", "source twice", "wrong history", "unseen history", "coverage")


def make(**changes) -> EvalReport:
    generator = torch.Generator().manual_seed(0)

    def rows(names, columns):
        return {name: {c: tuple(torch.rand(6, generator=generator).tolist()) for c in columns} for name in names}

    fidelity = rows(FIDELITY, ("seen", "moving"))
    fidelity["sampled"]["moving"] = (21.0, None, 23.0, 22.0, None, 20.0)
    fidelity["no motion"]["moving"] = (20.0, 5.0, 21.0, None, None, 17.0)
    settings = {"model": "nano", "fingerprint": "abc", "family": "mild", "split": "benchmark", "seed": 3, "scenes": 6}
    settings |= {"frames": 3, "height": 16, "width": 20, "steps": 8, "guidance": 0.0}
    return EvalReport(
        **settings | {"values": {"fidelity": fidelity, "agreement": rows(AGREEMENT, ["hsync"])}} | changes
    )


def test_json_holds_all_numbers():
    report = make()
    content = json.loads(report.to_json())
    assert content["format"] == 2 and content["model"] == "nano" and content["seed"] == 3
    assert tuple(content["values"]["fidelity"]["sampled"]["moving"]) == report.values["fidelity"]["sampled"]["moving"]
    assert content["summary"]["fidelity"]["sampled"]["moving"]["mean"] == 21.5
    assert content["summary"]["fidelity"]["sampled"]["moving"]["scenes"] == 4
    (stopped,) = [d for d in content["differences"] if d["minus"] == "no motion"]
    assert stopped["scenes"] == 3  # those that count in both rows


def test_intervals_hold_their_means_and_differences_are_paired():
    report = make()
    for table, rows in report.values.items():
        for row, columns in rows.items():
            for column in columns:
                interval = report.interval(table, row, column)
                assert interval.low <= interval.mean <= interval.high
    # Scenes 0, 2 and 5 count in both rows: differences 1, 2 and 3.
    difference = report.difference("fidelity", "moving", "sampled", "no motion")
    assert difference.mean == pytest.approx(2) and 1 <= difference.low < 2 < difference.high <= 3
    # A difference that is the same in all scenes is certain, however much the scenes differ.
    fidelity = report.values["fidelity"]
    shifted = {"moving": tuple(None if x is None else x - 4 for x in fidelity["sampled"]["moving"])}
    values = report.values | {"fidelity": fidelity | {"no motion": fidelity["no motion"] | shifted}}
    assert make(values=values).difference("fidelity", "moving", "sampled", "no motion") == (4, 4, 4)


def test_nothing_to_compare_is_a_dash_and_null():
    report = make()
    report.values["agreement"]["independent"]["hsync"] = (None,) * 6
    entry = json.loads(report.to_json())["summary"]["agreement"]["independent"]["hsync"]
    assert entry == {"mean": None, "low": None, "high": None, "scenes": 0}
    line = next(line for line in format_report(report).splitlines() if line.startswith("independent"))
    assert line.split() == ["independent", "-"]


def test_one_scene_has_no_interval():
    report = make()
    report.values["agreement"]["independent"]["hsync"] = (21.0, *(None,) * 5)
    entry = json.loads(report.to_json())["summary"]["agreement"]["independent"]["hsync"]
    assert entry == {"mean": 21.0, "low": None, "high": None, "scenes": 1}
    text = format_report(report)
    assert next(line for line in text.splitlines() if line.startswith("independent")).split() == [
        "independent",
        "21.00",
    ]
    (line,) = (line for line in text.splitlines() if "retrieved history - independent" in line)
    assert line.endswith("[n/a]") and "nan" not in line


def test_the_table_is_aligned_and_complete():
    text = format_report(make())
    lines = text.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith(FIDELITY[0])) - 1
    table = lines[header:][: len(FIDELITY) + 2]
    assert len({len(line) for line in table}) == 1
    said = " ".join(text.split())
    assert "21.50 ±" in said and "nano (abc) on 6 mild scenes" in said and "8 sampling steps" in said
    assert [row for row in FIDELITY[:-1] if not any(line.startswith(row) for line in table)] == []
    for _, column, row, minus in DIFFERENCES:
        assert f"{column}: {row} - {minus}" in text
    assert max(map(len, lines)) <= 80


def test_files(tmp_path):
    gallery = {"source": torch.zeros(2, 3, 16, 20, 3), "truth": torch.ones(2, 3, 16, 20, 3)}
    report = make(gallery=gallery)
    write_report(tmp_path / "new" / "folder", report)
    folder = tmp_path / "new" / "folder"
    assert (folder / "report.json").read_text() == report.to_json()
    assert (folder / "report.txt").read_text() == format_report(report)
    with Image.open(folder / "sheet.png") as picture:
        assert picture.size == draw_sheet(gallery).shape[1::-1]
