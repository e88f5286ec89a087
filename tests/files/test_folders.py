"""What is tidied is ours, what is written appears whole, and nothing is written through a link."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from plenodream.files.atomic import temporary_name, write_file
from plenodream.files.folders import folder_if_used, new_folder, tidy
from plenodream.files.lock import locked


def listing(folder) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def test_tidy_touches_only_what_this_program_writes_of_itself(tmp_path):
    for name in (".tmp-notes", ".tmp-notes-12", ".old-letter", ".tmp-log.jsonl-x", ".tmp-model-7-copy"):
        (tmp_path / name).write_text(name)
    for name in (".old-photos", ".tmp-cache-3", ".tmp-log.jsonl-5"):  # the last: a folder where we write a file
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text(name)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("kept")
    (tmp_path / ".old-model").symlink_to(tmp_path / "elsewhere")
    before = listing(tmp_path)
    tidy(tmp_path, ["log.jsonl"], ["model", "checkpoint"])
    assert listing(tmp_path) == before
    (tmp_path / ".tmp-log.jsonl-99").write_text("")
    (tmp_path / ".tmp-checkpoint-99").mkdir()
    (tmp_path / ".old-checkpoint").mkdir()
    (tmp_path / ".tmp-model-1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".old-checkpoint" / "state").write_text("whole")
    tidy(tmp_path, ["log.jsonl", "model"], ["checkpoint"])
    assert listing(tmp_path) == before | {"checkpoint": None, "checkpoint/state": "whole"}
    tidy(tmp_path / "none", ["a"], ["b"])


def test_no_link_is_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    for path in (tmp_path / "a.json", temporary_name(tmp_path / "a.json")):
        path.symlink_to(target)
    write_file(tmp_path / "a.json", b"new")
    assert target.read_text() == "precious" and (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / "a.json").is_symlink()
    (tmp_path / "b").mkdir()
    temporary_name(tmp_path / "c").symlink_to(tmp_path / "b")
    with new_folder(tmp_path / "c") as folder:
        (folder / "x").write_text("")
    assert not list((tmp_path / "b").iterdir()) and (tmp_path / "c" / "x").exists()


@pytest.mark.parametrize("link", [True, False])
def test_the_lock_empties_nothing(tmp_path, link):
    target = tmp_path / "precious"
    target.write_text("precious")
    folder = tmp_path / "scene"
    folder.mkdir()
    if link:
        (folder / ".lock").symlink_to(target)
        with pytest.raises(ValueError, match="is a link"), locked(folder):
            pass
    else:
        os.link(target, folder / ".lock")
        with locked(folder):
            pass
    assert target.read_text() == "precious"


def test_a_second_one_is_told_what_is_done_there(tmp_path):
    with (
        locked(tmp_path / "run", "trained"),
        pytest.raises(ValueError, match=f"run is being trained by process {os.getpid()}; expected no other"),
        locked(tmp_path / "run", "trained"),
    ):
        pass
    with locked(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / ".lock").read_text() == ""


def test_a_folder_that_was_not_used_is_gone(tmp_path):
    for used in (False, True):
        with pytest.raises(KeyError), locked(tmp_path / "a" / "b"):
            if used:
                (tmp_path / "a" / "b" / "result").write_text("")
            raise KeyError
        assert (tmp_path / "a").exists() == used
    with pytest.raises(KeyError), locked(tmp_path / "c" / "d"):  # as when a visitor of the app leaves
        shutil.rmtree(tmp_path / "c" / "d")
        raise KeyError
    assert not (tmp_path / "c").exists()
    with pytest.raises(KeyError), folder_if_used(tmp_path):  # was there before
        raise KeyError
    assert tmp_path.exists()


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    write_file(tmp_path / "a", b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(tmp_path / "a", b"new" * 1000)
    assert listing(tmp_path) == {"a": "old"}


def test_a_link_in_the_place_of_a_new_folder_is_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").write_bytes(b"x")
    for target in ("mine", "nothing", "link"):
        (tmp_path / "link").symlink_to(target)
        with new_folder(tmp_path / "link") as folder:
            write_file(folder / "a", b"new")
        assert {path.name for path in tmp_path.iterdir()} == {"mine", "link"} and not (tmp_path / "link").is_symlink()
        shutil.rmtree(tmp_path / "link")
    assert (tmp_path / "mine" / "photo").read_bytes() == b"x"
