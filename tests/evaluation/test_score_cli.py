"""The commands: exit codes, one line for what is wrong, and a table in a terminal of 80 columns."""

from __future__ import annotations

import sys

import guest
import pytest

from plenodream.cli import main


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["plenodream", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


def test_run_and_table(call, tmp_path):
    for name, spoil in (("good", lambda s, n, x: x), ("bad", lambda s, n, x: x[::-1])):
        (tmp_path / name).mkdir()
        guest.deliver(tmp_path / name, spoil=spoil)
    code, out, err = call("eval", "run", tmp_path / "good", "--metrics", "fidelity,sync", "--quiet")
    assert (code, out, err) == (0, "", "")
    out = call("eval", "run", tmp_path / "good", "--metrics", "fidelity,sync")[1]
    assert "good: 6 of 6 videos of 2 scenes" in out and "hsync all" in out
    (tmp_path / "bad" / "scene0" / "far.mkv").unlink()
    code, out, err = call("eval", "run", tmp_path / "bad", "--metrics", "fidelity,sync", "--quiet")
    assert code == 1 and out == "" and "plenodream: scene0/far: missing: " in err
    code, out, err = call("eval", "table", tmp_path / "good", tmp_path / "bad")
    assert code == 0 and max(map(len, out.splitlines())) <= 80 and "Differences to good" in out
    for form, mark in (("--latex", "\\toprule"), ("--csv", "method,row,column"), ("--html", "<!doctype html>")):
        assert mark in call("eval", "table", tmp_path / "good", tmp_path / "bad", form)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("eval", "run", "nowhere"), "nowhere: no such folder"),
        (("eval", "run", "{tmp}"), "nothing to score; expected manifest.jsonl"),
        (("eval", "run", "{tmp}", "--metrics", "sharp"), "unknown metric 'sharp': expected one of fidelity"),
        (("eval", "run", "{tmp}", "--shard", "4/4"), "shard '4/4': expected PART/PARTS"),
        (("eval", "run", "{tmp}", "--weights", "fvd"), "weights 'fvd': expected METRIC=FILE"),
        (("eval", "table"), "no results: expected folders"),
        (("eval", "table", "{tmp}"), "run `plenodream eval run"),
        (("benchmark", "other"), "unknown benchmark 'other'"),
        (("benchmark", "basic-mini", "--method", "nano:k=x"), "k=x; expected a whole number"),
        (("benchmark", "basic-mini", "--shots", "13", "--out", "{tmp}/b"), "13 shots of basic-mini: expected 1 to 12"),
    ],
)
def test_mistakes_are_one_line(call, tmp_path, words, message):
    code, _, err = call(*(word.format(tmp=tmp_path) for word in words))
    assert code == 2 and message in err and len(err.splitlines()) == 1
    assert not (tmp_path / "b").exists()
