"""`plenodream batch` on a Ray of two cores: killed workers, an object store, errors of all kinds."""

import contextlib
import json
import os
import re
import signal
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest
import torch

from plenodream.batch.pool import Pool, connected, sharing
from plenodream.batch.schedule import Task
from plenodream.batch.summary import Summary
from plenodream.cli.batch import Batch, batch
from plenodream.cli.render import Render, render_scene
from plenodream.data.synth import synthesize
from plenodream.files.places import Folder, Mirror
from plenodream.media.video import write_lossless
from plenodream.models.codecs.wan import WanCodec
from plenodream.recipes.latents import EncodeWindows

TURNS = ("rotate-left", "tilt-up")
DIFFERS = {".lock", "timing.json"}  # the only files that two equal renders may differ in


def content(folder):
    """Bytes by path; of the page without the seconds that it tells."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file() and path.name not in DIFFERS]
    return {str(path.relative_to(folder)): re.sub(rb">[\d.]+</td>", b"", path.read_bytes()) for path in paths}


@pytest.fixture(scope="module")
def store():
    """An object store on this machine, that this process and the workers find by their environment."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FSSPEC_S3_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        patch.setenv("FSSPEC_S3_KEY", "testing")
        patch.setenv("FSSPEC_S3_SECRET", "testing")
        import fsspec.config

        fsspec.config.set_conf_env(fsspec.config.conf)
        yield
        fsspec.config.conf.pop("s3", None)
    server.stop()


@pytest.fixture(scope="module")
def cluster(store):
    """Ray with its workers, for all of these tests: starting it takes seconds."""
    with connected(None, 2):
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six clips, and what `render` makes of each."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(6):
        noise = torch.rand(3, 3, 4, 6, generator=torch.Generator().manual_seed(number))
        frames = (torch.nn.functional.interpolate(noise, (32, 48), mode="bilinear") * 255).byte().movedim(1, -1)
        write_lossless(folder / f"c{number}.mkv", frames.contiguous(), 12.0)
    return folder


@pytest.fixture(scope="module")
def alone(clips, tmp_path_factory):
    made = {}
    for clip in sorted(clips.glob("*.mkv")):
        out = tmp_path_factory.mktemp("alone") / clip.stem
        render_scene(Render(clip, out, TURNS, model="reprojection", quiet=True))
        made[clip.stem] = content(out)
    return made


def run(capsys, jobs, out, workers):
    code = batch(Batch(str(jobs), str(out), TURNS, "reprojection", workers=workers, json=True))
    return code, json.loads(capsys.readouterr().out)


def kill_one(out, stop, killed):
    """Kills the worker of the first scene that has a view, but not all; a scene's lock says who renders it."""
    while not stop.wait(0.005):
        for lock in out.glob("*/.lock"):
            views = len(list(lock.parent.glob("views/*/chunk-000"))) - 1
            with contextlib.suppress(OSError, ValueError):
                if 1 <= views < len(TURNS):
                    killed.append(int(lock.read_text()))
                    os.kill(killed[0], signal.SIGKILL)
                    return


def test_a_killed_worker_changes_no_byte_and_the_next_run_has_nothing_to_do(cluster, clips, alone, tmp_path, capsys):
    jobs, out = tmp_path / "jobs.jsonl", tmp_path / "out"
    jobs.write_text("".join(json.dumps({"clip": str(clip)}) + "\n" for clip in [*clips.glob("*.mkv"), "poison.mp4"]))
    (tmp_path / "poison.mp4").write_bytes(b"no video")
    stop, killed = Event(), []
    killer = Thread(target=kill_one, args=(out, stop, killed))
    killer.start()
    code, about = run(capsys, jobs, out, workers=2)
    stop.set()
    killer.join()
    assert killed
    assert (code, about["done"], list(about["failed"])) == (1, 6, ["poison"])
    assert "poison.mp4" in about["failed"]["poison"]
    for name in alone:
        assert [path for path, data in content(out / name).items() if alone[name].get(path) != data] == []
        assert content(out / name).keys() == alone[name].keys()
    code, about = run(capsys, jobs, out, workers=2)
    assert (code, about["done"], about["skipped"], about["set_aside_before"], about["views"]) == (1, 0, 6, 1, 0)


def test_from_an_object_store_and_back(cluster, clips, alone, tmp_path, capsys):
    store = Folder("s3://bucket/in")
    store._system.mkdir("bucket")
    for name in ("c0", "c1"):
        store.write(f"{name}.mkv", (clips / f"{name}.mkv").read_bytes())
    code, about = run(capsys, "s3://bucket/in", "s3://bucket/out", workers=1)
    assert (code, about["done"], about["views"]) == (0, 2, 2 * len(TURNS))
    for name in ("c0", "c1"):
        assert Mirror(tmp_path / name, Folder("s3://bucket/out"), name, f"jobs/{name}.files.json").pull()
        assert content(tmp_path / name) == alone[name]
    assert run(capsys, "s3://bucket/in", "s3://bucket/out", workers=1)[1]["skipped"] == 2


def test_what_fails_is_tried_elsewhere_and_what_kills_takes_nobody_along(cluster, tmp_path):
    class Moody:
        def __call__(self, task, note):
            tries = Path(task.content) / task.name
            with open(tries, "a") as file:
                file.write("x")
            if task.name == "killer":
                os.kill(os.getpid(), signal.SIGKILL)
            if task.name == "hopeless" or (task.name == "moody" and len(tries.read_text()) < 2):
                raise RuntimeError("CUDA out of memory")
            if task.name == "wrong":
                raise ValueError("never")
            if task.name == "unsent":
                return Thread()
            return task.name

    names = ["fine", "killer", "moody", "hopeless", "wrong", "unsent", "good"]
    outcomes = {o.task.name: o for o in Pool(Moody, 2).run([Task(name, str(tmp_path)) for name in names])}
    assert {name for name, o in outcomes.items() if o.reason is None} == {"fine", "moody", "good"}
    assert "died" in outcomes["killer"].reason and outcomes["hopeless"].reason == "CUDA out of memory"
    assert "pickle" in outcomes["unsent"].reason, "a result that cannot be sent is that task's matter alone"
    assert {name: len((tmp_path / name).read_text()) for name in ("moody", "hopeless", "wrong", "unsent")} == {
        "moody": 2,
        "hopeless": 3,
        "wrong": 1,
        "unsent": 3,
    }


def test_a_map_is_shared_and_says_what_failed(cluster):
    with sharing(None, 1) as share:
        assert sorted(share(abs, [-1, -2, 3])) == [1, 2, 3]
        with pytest.raises(ValueError, match="part 1: invalid literal"):
            list(share(int, ["1", "x"]))
    with sharing() as share:
        assert share is map
    for absurd, message in ((-1, "--workers -1: expected at least 1"), (10**6, "--workers 1000000: expected at most")):
        with pytest.raises(ValueError, match=message), sharing(None, absurd):
            pass


def test_latents_made_by_a_worker_are_those_of_this_process(cluster, tmp_path):
    synthesize(tmp_path / "data", scenes=1, views=2, frames=6, height=16, width=16)
    codec = WanCodec(base_dim=4, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    codec.save_pretrained(tmp_path / "base" / "vae")
    work = EncodeWindows(tmp_path / "data", tmp_path / "base", 16, 16, "cpu")
    with sharing(None, 1) as share:
        assert list(share(work, [(0, 0, 5)])) == [2]
    made = {path: path.read_bytes() for path in (tmp_path / "data").rglob("latents/*/*")}
    assert len(made) == 2
    for path in made:
        path.unlink()
    assert work((0, 0, 5)) == 2
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("latents/*/*")} == made


def test_a_job_that_fits_no_device_is_set_aside(cluster):
    (outcome,) = Pool(partial(int, 0), 1).run([Task("huge", None, memory=2**50)])
    assert "needs 1048576.0 GiB; the largest device has" in outcome.reason
    summary = Summary(1)
    summary.add(outcome, 0)
    assert summary.to_json(1.0)["workers"] == {}, "no worker had it"
