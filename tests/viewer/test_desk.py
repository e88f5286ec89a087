"""What the app does for its visitors, without a browser."""

import threading
import zipfile

import numpy as np
import pytest
import torch

from plenodream.geometry.keyframes import Keyframe
from plenodream.media.preview import write_preview
from plenodream.memory.scene import Scene
from plenodream.rendering.model import reprojection_model
from plenodream.viewer.desk import PACKS, SHEET, Desk, check_unpacked
from plenodream.viewer.limits import Limits
from plenodream.viewer.visits import Visits, Wish


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    frames = torch.randint(0, 256, (3, 24, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_preview(folder / "clip.mp4", frames, 8)
    np.savez(folder / "depth.npz", depth=np.full((3, 24, 32), 4, np.float32), unit="metres")
    return folder


@pytest.fixture
def wish(clip):
    return lambda *presets, **more: Wish(clip / "clip.mp4", depth=clip / "depth.npz", presets=presets, **more)


@pytest.fixture
def desk():
    return Desk(reprojection_model, Limits(max_height=24, max_views=2, max_frames=3))


@pytest.fixture
def visit(tmp_path):
    return Visits(tmp_path, Limits()).of("one")


def ignore(*_) -> None:
    pass


def test_views_join_one_memory_until_the_video_changes(desk, visit, wish):
    lines = desk.plan(visit, wish("arc-left"))
    assert (visit.folder / SHEET).read_bytes().startswith(b"\x89PNG") and "arc-left:" in "\n".join(lines)
    desk.render(visit, wish("arc-left"), ignore)
    dials = wish("arc-left", name="mine", dials=Keyframe(1.0, 20.0, 5.0, 4.0))
    scene = desk.render(visit, dials, ignore)
    assert scene.names("view") == ["arc-left", "mine"] and scene.complete("mine")
    assert scene.cameras("mine").camera_to_world[-1, 0, 3] > 1  # to the right
    assert (visit.scene / "index.html").is_file()
    with pytest.raises(ValueError, match="more than 2 views"):
        desk.render(visit, wish("tilt-up"), ignore)
    with pytest.raises(ValueError, match=r"none\.npz"):
        desk.render(visit, Wish(dials.video, depth=visit.folder / "none.npz", presets=("tilt-up",)), ignore)
    assert Scene.open(visit.scene).complete("mine"), "what cannot be takes nothing away"
    other = wish("tilt-up", fov=50.0)
    assert desk.render(visit, other, ignore).names("view") == ["tilt-up"]


def test_a_render_stops_and_goes_on(desk, visit, wish):
    def stop(*_) -> None:
        visit.stop.set()

    with pytest.raises(ValueError, match="what is finished stays"):
        desk.render(visit, wish("arc-left", "tilt-up"), stop)
    assert desk.render(visit, wish("arc-left", "tilt-up"), ignore).complete("tilt-up")


def test_of_who_has_gone_nothing_stays(desk, wish, tmp_path):
    visits = Visits(tmp_path, Limits())

    def leave(*_) -> None:
        visits.leave("one")

    with pytest.raises((ValueError, OSError)):
        desk.render(visits.of("one"), wish("arc-left", "tilt-up"), leave)
    queued = visits.of("two")
    visits.leave("two")
    with pytest.raises(ValueError, match="was closed"):
        desk.render(queued, wish("arc-left"), ignore)
    assert not list(tmp_path.iterdir())


def test_limits(visit, wish):
    with pytest.raises(ValueError, match="expected at most 2"):
        Desk(reprojection_model, Limits(max_frames=2)).plan(visit, wish("arc-left"))
    with pytest.raises(ValueError, match="longer than"):
        Desk(reprojection_model, Limits(max_height=24, max_minutes=1e-9)).render(visit, wish("arc-left"), ignore)
    with pytest.raises(ValueError, match=r"depth\.npz: unpacks to 0 MB; expected at most 0"):
        check_unpacked(wish().depth, 0)
    for wrong, said in (
        (Wish(None), "no video yet"),
        (wish(), "no trajectories"),
        (wish("arc-up-and-away"), "arc-up-and-away"),
        (wish(name="../x", dials=Keyframe(1.0)), "name"),
        (wish(name="source", dials=Keyframe(1.0)), "source"),
    ):
        with pytest.raises(ValueError, match=said):
            Desk(reprojection_model, Limits()).render(visit, wrong, ignore)
    assert not list(visit.folder.parent.rglob("x.json"))


def test_everything_can_be_taken_home(desk, visit, wish):
    with pytest.raises(ValueError, match="render first"):
        desk.pack(visit, "views")
    desk.render(visit, wish("arc-left"), ignore)
    held = {}
    for kind in ("page", "views", "cameras", "nerfstudio", "colmap", "mp4-grid"):
        with zipfile.ZipFile(visit.file(desk.pack(visit, kind))) as packed:
            held[kind] = set(packed.namelist())
    assert {"index.html", "source.mp4", "arc-left.mp4", "grid.mp4"} <= held["page"]
    assert "cameras/arc-left.json" in held["cameras"] and "grid.mp4" in held["mp4-grid"]
    assert "transforms.json" in held["nerfstudio"] and any(name.endswith("images.bin") for name in held["colmap"])
    with pytest.raises(ValueError, match="expected one of"):
        desk.pack(visit, "../scene")
    assert sorted(path.suffix for path in (visit.folder / "downloads").iterdir()) == [".zip"] * 6 and len(PACKS) > 6


def test_one_job_at_a_time(desk, wish, tmp_path):
    """The device does the jobs of two visitors one after the other, and they do not see each other's scenes."""
    visits, at_work, most = Visits(tmp_path, Limits()), [], []

    def report(step, ahead) -> None:
        at_work.append(threading.get_ident())
        most.append(len(set(at_work)))
        if step.step == step.steps:
            at_work.clear()

    each = [visits.of("one"), visits.of("two")]
    jobs = [threading.Thread(target=desk.render, args=(visit, wish("arc-left"), report)) for visit in each]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert set(most) == {1} and all(Scene.open(visit.scene).complete("arc-left") for visit in each)


def test_folders_are_apart_and_go(tmp_path):
    visits = Visits(tmp_path, Limits(keep_minutes=0.01), 2)
    one, two = visits.of("one"), visits.of("two")
    assert visits.of("one") is one and visits.by_key(two.key) is two
    assert visits.by_key("two") is None and visits.by_key("é") is None
    (two.folder / "mine.txt").write_text("mine")
    (one.folder / "link").symlink_to(two.folder / "mine.txt")
    (one.folder / ".lock").touch()
    assert two.file("mine.txt") and not two.file("scene")
    for name in (f"../{two.key}/mine.txt", str(two.folder / "mine.txt"), "link", ".lock", ""):
        assert one.file(name) is None
    with pytest.raises(ValueError, match="try again later"):
        visits.of("three")
    upload = tmp_path / "clip.mp4"
    upload.touch()
    one.used, one.waiting, kept = one.used - 1, 1, one.given(upload)
    upload.unlink()
    with pytest.raises(ValueError, match="try again later"):
        visits.of("three")  # `one` waits in the queue, and what was uploaded stays
    assert one.given(upload) == kept and kept.is_file()
    one.waiting = 0
    visits.of("three")  # `one` has not been heard of
    assert not one.folder.exists() and one.stop.is_set()
    visits.leave("two")
    visits.leave("two")
    assert [path.name for path in tmp_path.iterdir()] == [visits.of("three").key]
