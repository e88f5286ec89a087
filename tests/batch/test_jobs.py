"""What a file of jobs may say, and places in object stores."""

import hashlib
import json
import os
import sys
from dataclasses import fields
from pathlib import Path
from threading import Lock, Thread

import forked
import fsspec
import pytest
import torch

from plenodream.batch.records import DONE, FAILED, Records
from plenodream.batch.summary import Summary
from plenodream.cli.batch import owed_jobs
from plenodream.cli.fit import Fitting
from plenodream.cli.job import check_jobs, job_type, read_jobs
from plenodream.cli.render import Render
from plenodream.files.places import Folder, Mirror
from plenodream.media.video import write_lossless


@pytest.fixture
def clips(tmp_path):
    for name in ("a.mp4", "b.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write(folder, *lines):
    path = folder / "jobs.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(path)


def test_a_line_has_the_options_of_render():
    of_the_batch = {"out", "force", "device", "fitting", "split_cuts", "dry_run", "quiet", "json", "json_progress"}
    options = {field.name for field in (*fields(Render), *fields(Fitting))}
    expected = options - of_the_batch | {"name"}
    assert set(job_type().__struct_fields__) == expected


def test_paths_start_from_the_file_and_lines_override_what_is_shared(clips):
    place = write(clips, {"clip": "a.mp4"}, "", {"clip": "s3://bucket/b.mp4", "name": "x", "trajectory": ["zoom-in"]})
    first, second = read_jobs(place, {"trajectory": ("tilt-up",)})
    assert (first.name, first.options) == ("a", {"clip": str(clips / "a.mp4"), "trajectory": ("tilt-up",)})
    assert (second.name, second.options) == ("x", {"clip": "s3://bucket/b.mp4", "trajectory": ("zoom-in",)})


def test_a_folder_stands_for_its_clips(clips):
    jobs = read_jobs(str(clips), {"trajectory": ("tilt-up",)})
    assert [(job.name, job.options["clip"]) for job in jobs] == [(n, str(clips / f"{n}.mp4")) for n in "ab"]
    check_jobs(jobs)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"jobs\.jsonl:2: not valid JSON"),
        ('["a.mp4"]', r"jobs\.jsonl:2: found .*expected object"),
        ({"clip": "b.mp4", "trajectori": ["tilt-up"]}, r":2: unknown field 'trajectori'; did you mean 'trajectory'\?"),
        ({"clip": "b.mp4", "trajectory": "tilt-up"}, r':2: trajectory: found "tilt-up", expected array'),
        ({"clip": "b.mp4", "steps": "four"}, r':2: steps: found "four", expected int'),
        ({"trajectory": ["tilt-up"]}, r":2: no clip; expected"),
        ({"clip": "a.mp4"}, r":2: its result would be 'a', as that of .*:1; give it another `name`"),
        ({"clip": "b.mp4", "name": "../b"}, r":2: name '\.\./b'.*expected up to 100 letters"),
        ({"clip": "b.mp4", "name": "jobs"}, r":2: name 'jobs'.*not 'jobs'"),
        ({"clip": "no.mp4", "trajectory": ["tilt-up"]}, r":2: .*no\.mp4: no such file"),
        ({"clip": "memory://none/b.mp4", "trajectory": ["tilt-up"]}, r":2: memory://none/b\.mp4: no such file"),
        (
            {"clip": "gone://x/b.mp4", "trajectory": ["tilt-up"]},
            r":2: gone:.*expected a path, or a URL that fsspec knows",
        ),
        ({"clip": "b.mp4", "trajectory": ["tilt"]}, r":2: .*tilt"),
        ({"clip": "b.mp4", "trajectory": ["tilt-up"], "k": 0}, r":2: .*k"),
        ({"clip": "b.mp4", "trajectory": ["tilt-up"], "height": -5}, r":2: --height -5: expected a number of pixels"),
        ({"clip": "b.mp4", "trajectory": ["tilt-up"], "model": "nono"}, r":2: no model 'nono'"),
        ({"clip": "b.mp4"}, r":2: nothing to render: expected"),
        ({"clip": "b.mp4", "trajectory": ["tilt-up"], "dtype": "fp99"}, r":2: --dtype fp99: expected fp32"),
        ({"clip": "b.mp4", "trajectory": ["tilt-up"], "scale": 0}, r":2: --scale 0: expected"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(clips, line, message):
    place = write(clips, {"clip": "a.mp4", "trajectory": ["tilt-up"]}, line)
    with pytest.raises(ValueError, match=message) as caught:
        check_jobs(read_jobs(place, {}))
    assert "\n" not in str(caught.value)


def test_no_jobs_at_all(tmp_path):
    (tmp_path / "a.mp4").touch()
    for place in (write(tmp_path, ""), *(str(tmp_path / name) for name in ("none", "none.jsonl", "a.mp4"))):
        with pytest.raises(ValueError, match="expected"):
            read_jobs(place, {})


def test_what_is_done_is_skipped_and_what_was_set_aside_waits_until_it_is_asked_for(clips, tmp_path):
    jobs = read_jobs(write(clips, {"clip": "a.mp4"}, {"clip": "b.mp4"}, {"clip": "b.mp4", "name": "c"}), {})
    out = Folder(str(tmp_path / "out"))
    for job, state in zip(jobs, (DONE, FAILED), strict=False):
        Records(out).write(job.name, job.asked, state, {})
        out.write(f"{job.name}/scene.json", b"")
    owed = {retry: [job.name for job in owed_jobs(jobs, Records(out), Summary(3), retry)] for retry in (False, True)}
    assert owed == {False: ["c"], True: ["b", "c"]}
    (other,) = read_jobs(write(clips, {"clip": "a.mp4", "seed": 1}), {})
    assert Records(out).state(other.name, other.asked) is None, "another job is not done"
    (tmp_path / "out/a/scene.json").unlink()
    (tmp_path / "out/a").rmdir()
    assert Records(out).state("a", jobs[0].asked) is None, "its result was deleted"


def render_and_batch_without_ray(folder):
    os.chdir(folder)
    sys.modules["ray"] = None
    write_lossless(Path("clip.mkv"), torch.zeros(3, 16, 16, 3, dtype=torch.uint8), 6.0)
    for words, expected in (("render clip.mkv --out scene", 0), ("batch . --out scenes", 2)):
        with pytest.raises(SystemExit) as stop:
            forked.command(*words.split(), "--trajectory", "tilt-up", "--model", "reprojection", "--quiet")
        assert stop.value.code == expected


def test_render_works_where_ray_cannot_be_imported_and_batch_says_how_to_get_it(tmp_path):
    process = forked.start(render_and_batch_without_ray, tmp_path, said=tmp_path / "said.txt")
    process.join(120)
    said = (tmp_path / "said.txt").read_text()
    assert process.exitcode == 0, said
    assert said.splitlines()[-1] == (
        "plenodream: Ray is not installed: expected it for many jobs: pip install 'plenodream[batch]'"
    )
    assert not (tmp_path / "scenes").exists()


def test_a_mirror_gives_back_what_was_there_and_nothing_of_a_broken_copy(tmp_path):
    there = Folder("memory://bucket/out")
    first = Mirror(tmp_path / "first", there, "scene", "jobs/scene.files.json")
    (tmp_path / "first/views").mkdir(parents=True)
    (tmp_path / "first/views/a.bin").write_bytes(b"one")
    (tmp_path / "first/.lock").write_bytes(b"1")
    first.push()
    second = Mirror(tmp_path / "second", there, "scene", "jobs/scene.files.json")
    assert second.pull()
    assert [path.name for path in (tmp_path / "second").rglob("*") if path.is_file()] == ["a.bin"]
    fsspec.filesystem("memory").pipe_file("/bucket/out/scene/views/a.bin", b"two")  # copied, but its list is not yet
    assert not Mirror(tmp_path / "third", there, "scene", "jobs/scene.files.json").pull()
    assert not (tmp_path / "third").exists()


def test_a_mirror_takes_nothing_that_would_lie_elsewhere(tmp_path):
    there = Folder("memory://stranger/out")
    there.write("scene/../b.bin", b"one")
    listed = {"../b.bin": hashlib.sha256(b"one").hexdigest()}
    there.write("jobs/scene.files.json", json.dumps(listed).encode())
    assert not Mirror(tmp_path / "scene", there, "scene", "jobs/scene.files.json").pull()
    assert not list(tmp_path.iterdir())


def test_a_generator_is_called_by_one_thread_at_a_time():
    from plenodream.generators.in_turn import InTurn

    class Slow:
        inside, most = 0, 0

        def encode(self, view, anchor):
            self.inside += 1
            self.most = max(self.most, self.inside)
            turn.locked()
            self.inside -= 1
            return self.most

    slow, turn = Slow(), Lock()
    shared = [InTurn(slow, turn) for _ in range(2)]
    encode = InTurn.encode.__wrapped__ if hasattr(InTurn.encode, "__wrapped__") else InTurn.encode
    threads = [Thread(target=lambda one=one: [encode(one, None, None) for _ in range(50)]) for one in shared]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slow.most == 1 and not turn.locked()


def test_clips_of_a_folder_may_be_called_what_scenes_may_not(tmp_path):
    for name in ("b c.mp4", "(2) é.mp4"):
        (tmp_path / name).write_bytes(b"")
    assert [(job.name, job.where) for job in read_jobs(f"{tmp_path}/", {})] == [
        ("2-", f"{tmp_path}/(2) é.mp4"),
        ("b-c", f"{tmp_path}/b c.mp4"),
    ]
