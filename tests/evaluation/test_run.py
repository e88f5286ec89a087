"""Videos that another program wrote are checked, scored, kept, and set side by side."""

from __future__ import annotations

import csv
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import guest
import numpy as np
import pytest
import yaml
from PIL import Image

from plenodream.evaluation import run as evaluation_run
from plenodream.evaluation.aggregate import Number, Report
from plenodream.evaluation.export import cell, read_report, to_csv, to_html
from plenodream.evaluation.layouts import find_samples
from plenodream.evaluation.metrics import registry
from plenodream.evaluation.metrics.truth import Fidelity
from plenodream.evaluation.plot import draw_by_shots
from plenodream.evaluation.reading import Reader
from plenodream.evaluation.run import parse_shard, run
from plenodream.evaluation.table import check_alike, difference, table_latex, table_text, write_tables

METRICS = ("fidelity", "sync")


def noisy(scene, shot, rgb):
    return np.clip(rgb + np.random.default_rng(len(scene + shot)).normal(0, 0.05, rgb.shape), 0, 1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results of four methods: the truth, noise on it, the truth out of step, the truth moved by two pixels."""
    root = tmp_path_factory.mktemp("guests")
    spoils = {
        "perfect": lambda scene, shot, rgb: rgb,
        "noisy": noisy,
        "shuffled": lambda scene, shot, rgb: rgb[[2, 0, 3, 1]],
        "shifted": lambda scene, shot, rgb: np.roll(rgb, 2 if shot == "far" else 0, axis=2),
    }
    for name, spoil in spoils.items():
        (root / name).mkdir()
        guest.deliver(root / name, spoil=spoil)
    return root


@pytest.fixture(scope="module")
def reports(folders) -> dict[str, Report]:
    found = {}
    for folder in sorted(folders.iterdir()):
        outcome = run(folder, folder / "evaluation", METRICS, folder.name)
        assert outcome.report is not None and not outcome.faults
        found[folder.name] = outcome.report
    return found


def mean(report: Report, column: str, row: str = "video") -> float:
    number = report.number(column, row)
    assert number is not None and number.mean is not None
    return number.mean


def test_truth_reaches_the_ceiling(reports):
    for column in ("psnr.all", "psnr.seen", "psnr.hidden", "ssim.all", "hsync all", "vsync all"):
        assert mean(reports["perfect"], column) == pytest.approx(mean(reports["noisy"], column, "truth"), abs=1e-9)
    assert mean(reports["perfect"], "psnr.hidden") == 100
    assert mean(reports["perfect"], "hsync all") > 45


def test_the_number_is_that_of_a_plain_calculation(reports):
    errors = []
    for shot, end in guest.SHOTS.items():
        rgb, _, _ = guest.see(guest.centres(end), 0)
        stored = [(x * 255).round().clip(0, 255) / 255 for x in (rgb, noisy("scene0", shot, rgb))]
        errors.append(np.square(stored[0] - stored[1]).mean())
    number = reports["noisy"].number("psnr.all")
    assert number is not None
    assert number.scenes["scene0"] == pytest.approx(-10 * np.log10(np.mean(errors)), abs=1e-4)


def test_order_and_place_matter_and_ignoring_the_camera_does_not_win(reports):
    perfect = reports["perfect"]
    for column in ("psnr.all", "psnr.moving", "ssim.all"):
        assert mean(reports["shuffled"], column) < mean(perfect, column) - 0.01
    assert mean(reports["shifted"], "hsync all") < mean(perfect, "hsync all") - 10
    for column in ("psnr.all", "psnr.hidden", "hsync all", "vsync all"):
        assert mean(perfect, column, "copy") < mean(reports["noisy"], column) - 1


def test_a_known_shift_has_its_own_number(reports):
    shot = guest.see(guest.centres(guest.SHOTS["far"]))[0]
    stored = (shot * 255).round() / 255
    error = np.square(stored - np.roll(stored, 2, axis=2)).mean() / len(guest.SHOTS)  # the other shots have none
    number = reports["shifted"].number("psnr.all")
    assert number is not None
    assert number.scenes["scene0"] == pytest.approx(-10 * np.log10(error), abs=1e-4)


def test_a_shot_out_of_step_agrees_less_with_the_others(folders, reports, tmp_path):
    for shot in guest.SHOTS:
        assert (guest.centres(guest.SHOTS[shot])[1:] != guest.centres(guest.SHOTS[shot])[:-1]).all()
    guest.deliver(tmp_path, spoil=lambda scene, shot, rgb: rgb[::-1] if shot == "far" else rgb)
    report = run(tmp_path, tmp_path / "evaluation", METRICS, "backwards").report
    assert report is not None
    for column in ("hsync all", "vsync all"):
        assert mean(report, column) < mean(reports["perfect"], column) - 5


def test_no_overlap_is_counted_and_has_no_number(tmp_path):
    guest.deliver(tmp_path, scenes=1)
    for shot, place in zip(guest.SHOTS, (100.0, 200.0, 300.0), strict=True):
        guest.write_cameras(tmp_path / "scene0" / f"{shot}.json", guest.centres(1.0) + place)
    report = run(tmp_path, tmp_path / "evaluation", METRICS, "elsewhere").report
    assert report is not None and report.failures == {}
    number = report.number("hsync all")
    assert number is not None and number.mean is None and (number.samples, number.gated) == (0, 3)
    seen = report.number("psnr.seen")
    assert seen is not None and seen.mean is None and seen.gated == 3
    text = (tmp_path / "evaluation" / "report.txt").read_text()
    assert "too little overlap" in text and " 0.00" not in text


def test_one_scene_has_numbers_without_intervals_and_few_videos_no_distance(tmp_path):
    found = []
    for name, spoil in (("noisy", noisy), ("backwards", lambda scene, shot, rgb: rgb[::-1])):
        (tmp_path / name).mkdir()
        guest.deliver(tmp_path / name, scenes=1, spoil=spoil)
        found.append(run(tmp_path / name, tmp_path / name / "evaluation", ("fidelity", "distribution"), name).report)
    reports = [report for report in found if report is not None]
    assert len(reports) == 2 and {(n.low, n.high) for report in reports for n in report.numbers} == {(None, None)}
    assert reports[0].unavailable == {"distribution": {"at least 8 videos with their truth": 3}}
    assert reports[0].number("kd_stats_v1") is None
    (tmp_path / "tables").mkdir()
    for name, form in (("txt", table_text), ("tex", table_latex), ("html", to_html)):
        (tmp_path / "tables" / f"table.{name}").write_text(form(reports))
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.suffix in (".txt", ".tex", ".html", ".yaml")]
    assert len(texts) == 3 + 2 * 3 and not any("±0" in text or "pm" in text or "nan" in text for text in texts)
    assert "[n/a]" in (tmp_path / "tables" / "table.txt").read_text()
    assert cell(Number("kd_stats_v1", "video", 1.5e40, None, None, {}, 9, 0, 1.0)) == "1.50e+40"


def test_little_memory_gives_the_same_rows(folders, reports, tmp_path, monkeypatch):
    held = []

    class Small(Reader):
        def once(self, key, read):
            value = super().once(key, read)
            held.append(self.held)
            return value

    video = guest.FRAMES * guest.HEIGHT * guest.WIDTH * 3 * 4
    monkeypatch.setattr(evaluation_run, "Reader", lambda: Small(2 * video))
    outcome = run(folders / "noisy", tmp_path, METRICS, "noisy")
    assert outcome.report == reports["noisy"] and max(held) <= 2 * video < 12 * video


def test_numbers_that_are_not_finite_are_failures(tmp_path, monkeypatch):
    class Broken(Fidelity):
        def score(self, shot, earlier):
            return [replace(score, total=float("nan")) for score in super().score(shot, earlier)]

    monkeypatch.setitem(registry.METRICS, "fidelity", Broken)
    guest.deliver(tmp_path, scenes=1)
    report = run(tmp_path, tmp_path / "evaluation", ("fidelity",), "nan").report
    assert report is not None and report.numbers == []
    assert report.failures["fidelity"][0] == "scene0/near: its numbers are not finite" and len(report.failures) == 1


def test_what_is_not_hidden_from_the_source_is_not_scored_as_hidden(reports):
    number = reports["perfect"].number("hsync all")
    assert number is not None
    # Of three pairs near and far alone have hidden pixels in common; the others are below the gate, and counted.
    assert (number.samples, number.gated) == (2, 4)
    assert set(number.scenes) == {"scene0", "scene1"} and set(number.by_number) == {2}
    assert reports["perfect"].protocols["sync"]["gate"] == 0.005


def test_a_table_of_methods_is_paired(reports):
    perfect, noise = reports["perfect"], reports["noisy"]
    check_alike([perfect, noise])
    found = difference(noise.number("psnr.all"), perfect.number("psnr.all"))
    assert found is not None and found[1] == 2
    assert found[0].mean == pytest.approx(mean(noise, "psnr.all") - 100)
    text = table_text([perfect, noise])
    assert max(map(len, text.splitlines())) <= 80
    assert [word for word in ("perfect", "noisy", "truth", "copy") if word not in text] == []
    latex = table_latex([perfect, noise])
    assert latex.count("\\\\") == 5 and latex.count("{") == latex.count("}")
    rows = list(csv.DictReader(io.StringIO(to_csv([perfect, noise]))))
    (row,) = [r for r in rows if (r["method"], r["row"], r["column"]) == ("noisy", "video", "psnr.all")]
    assert float(row["mean"]) == pytest.approx(mean(noise, "psnr.all"), rel=1e-5) and row["samples"] == "6"
    with pytest.raises(ValueError, match="expected different names"):
        check_alike([perfect, perfect])


def test_files_of_a_report(folders, reports):
    folder = folders / "noisy" / "evaluation"
    assert read_report(folders / "noisy") == reports["noisy"]
    entries = yaml.safe_load((folder / ".eval_results" / "plenodream.yaml").read_text())
    assert {"dataset", "value", "notes"} == set(entries[0]) and entries[0]["value"] == round(
        mean(reports["noisy"], "psnr.all"), 4
    )
    page = (folder / "report.html").read_text()
    assert "psnr.hidden" in page and "95&nbsp;%" in page and page.count("<table>") == 1
    assert max(map(len, (folder / "report.txt").read_text().splitlines())) <= 80
    with pytest.raises(ValueError, match="eval run"):
        read_report(folders)


def test_repeated_resumed_and_in_shards_it_is_the_same_to_the_bit(folders, reports, tmp_path):
    folder = folders / "noisy"
    rows = {path.name: path.read_bytes() for path in (folder / "evaluation" / "rows").iterdir()}
    assert len(rows) == 6
    times = {path: path.stat().st_mtime_ns for path in (folder / "evaluation" / "rows").iterdir()}
    run(folder, folder / "evaluation", METRICS, "noisy")
    assert times == {path: path.stat().st_mtime_ns for path in times}  # kept, not scored again
    first = run(folder, tmp_path, METRICS, "noisy", parse_shard("0/2"))
    assert first.report is None and len(list((tmp_path / "rows").iterdir())) == 3
    second = run(folder, tmp_path, METRICS, "noisy", parse_shard("1/2"))
    assert second.report == reports["noisy"]
    assert rows == {path.name: path.read_bytes() for path in (tmp_path / "rows").iterdir()}
    for name in ("report.json", "report.csv", "report.html", "report.txt"):
        assert (tmp_path / name).read_bytes() == (folder / "evaluation" / name).read_bytes()


def test_scenes_may_be_scored_side_by_side_and_in_any_order(folders, reports, tmp_path):
    def backwards(score, tasks):
        with ThreadPoolExecutor(2) as pool:
            yield from reversed(list(pool.map(score, reversed(tasks))))

    assert run(folders / "noisy", tmp_path, METRICS, "noisy", share=backwards).report == reports["noisy"]


def test_a_changed_video_is_scored_again_with_all_that_is_compared_with_it(folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders / "perfect", folder)
    run(folder, folder / "evaluation", METRICS, "perfect")
    before = {path.name: path.read_bytes() for path in (folder / "evaluation" / "rows").iterdir()}
    shutil.copy(folder / "scene0" / "left_truth.mkv", folder / "scene0" / "far.mkv")
    run(folder, folder / "evaluation", METRICS, "perfect")
    after = {path.name: path.read_bytes() for path in (folder / "evaluation" / "rows").iterdir()}
    # far is made second: near, before it, does not depend on it.
    assert {name for name in before if before[name] != after[name]} == {"scene0--far.json", "scene0--left.json"}


def test_what_is_not_delivered_is_named_and_counted(folders, tmp_path):
    folder = tmp_path / "spoiled"
    shutil.copytree(folders / "perfect", folder)
    root = folder / "scene0"
    (root / "near.mkv").unlink()
    rgb, _, _ = guest.see(guest.centres(1.4))
    guest.write_video(root / "far.mkv", rgb[:3])
    guest.write_video(root / "left.mkv", rgb[:, ::2])
    root = folder / "scene1"
    guest.write_video(root / "near.mkv", rgb, fps=12)
    (root / "far.mkv").write_bytes(b"no video")
    guest.write_cameras(root / "left.json", np.zeros(3))  # of another clip
    outcome = run(folder, folder / "evaluation", METRICS, "spoiled")
    kinds = {fault.sample.name: fault.kind for fault in outcome.faults}
    assert kinds == {
        "scene0/near": "missing", "scene0/far": "short", "scene0/left": "size",
        "scene1/near": "rate", "scene1/far": "damaged", "scene1/left": "cameras",
    }  # fmt: skip
    report = outcome.report
    assert report is not None and (report.delivered, report.samples, len(report.faults)) == (0, 6, 6)
    assert report.numbers == []
    assert "Nothing could be scored." in (folder / "evaluation" / "report.txt").read_text()


def test_one_fault_leaves_the_others_scored(folders, tmp_path):
    folder = tmp_path / "partly"
    shutil.copytree(folders / "perfect", folder)
    (folder / "scene0" / "left.mkv").unlink()
    path = folder / "scene1" / "far.json"
    path.write_text(path.read_text().replace("1.4", "NaN"))
    outcome = run(folder, folder / "evaluation", METRICS, "partly")
    assert {f.sample.name: f.kind for f in outcome.faults} == {"scene0/left": "missing", "scene1/far": "damaged"}
    assert outcome.report is not None and outcome.report.delivered == 4
    number = outcome.report.number("psnr.all")
    assert number is not None and number.samples == 4
    shutil.copy(folder / "scene0" / "left_truth.mkv", folder / "scene0" / "left.mkv")
    guest.write_cameras(path, guest.centres(1.4))
    again = run(folder, folder / "evaluation", METRICS, "partly")
    assert not again.faults and again.report is not None and again.report.delivered == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: .*expected an object"),
        ('{"scene": "s", "shot": "x", "video": "v"}', "line 2: .*`cameras`"),
        ('{"scene": "s", "shot": "x", "video": "v", "cameras": "c", "truht": "t"}', "line 2: .*truht"),
        ('{"scene": "scene0", "shot": "near", "video": "v", "cameras": "c"}', "scene0/near is listed twice"),
    ],
)
def test_a_bad_line_is_named(folders, tmp_path, line, message):
    first = (folders / "perfect" / "manifest.jsonl").read_text().splitlines()[0]
    (tmp_path / "manifest.jsonl").write_text(f"{first}\n{line}\n")
    with pytest.raises(ValueError, match=message):
        find_samples(tmp_path)


@pytest.mark.parametrize("text", ["4", "4/4", "-1/4", "a/b", "1/0"])
def test_a_shard_is_a_part_of_parts(text):
    with pytest.raises(ValueError, match="expected PART/PARTS"):
        parse_shard(text)


def test_nothing_to_score_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"nothing to score; expected manifest\.jsonl, or meta\.json"):
        find_samples(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        find_samples(tmp_path / "none")


def test_other_protocols_are_not_compared(folders, reports, tmp_path):
    text = (folders / "perfect" / "evaluation" / "report.json").read_text()
    other = json.loads(text) | {"name": "other"}
    other["protocols"]["sync"]["version"] = 99
    (tmp_path / "report.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="sync was scored in two ways"):
        check_alike([reports["perfect"], read_report(tmp_path)])


def test_all_tables_and_a_plot_are_written(reports, tmp_path):
    write_tables(tmp_path, [reports["perfect"], reports["noisy"]])
    assert {path.name for path in tmp_path.iterdir()} == {
        "table.txt", "table.csv", "table.tex", "table.html", "by_number.png", "by_shots.svg",
    }  # fmt: skip
    drawn = (tmp_path / "by_shots.svg").read_text()
    assert "perfect" in drawn and "noisy" in drawn and len(drawn) < 60_000
    assert draw_by_shots([reports["perfect"], reports["noisy"]]).decode() == drawn  # the same from run to run
    with Image.open(tmp_path / "by_number.png") as picture:
        assert picture.size == (1300, 420)
