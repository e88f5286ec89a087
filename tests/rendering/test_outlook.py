"""Work that is still to be done, foreseen with the merged views, and the time left for it."""

import io
import json

import pytest

from plenodream.rendering.outlook import Outlook, Work, plan_work
from plenodream.rendering.renderer import Progress
from plenodream.viewer.console import progress_lines

FIVE = ("arc-left", "arc-right", "zoom-out", "tilt-up", "truck-left")


@pytest.mark.parametrize("k, candidates, keep", [(2, 2, False), (1, 3, False), (2, 4, True)])
def test_the_work_that_is_foreseen_is_the_work_that_is_done(
    tiny_pipeline, tiny_video, settings, tmp_path, k, candidates, keep
):
    pipeline, done = tiny_pipeline(), []
    chosen = settings(k, candidates, keep_source=keep)
    scene = pipeline.prepare(tmp_path / "scene", tiny_video(4), FIVE, settings=chosen)
    work = plan_work(scene)
    assert len({item.view for item in work} - set(FIVE)) > 0 or candidates == k
    pipeline.render(scene, lambda p: done.append((p.view, p.window)) if p.step == p.steps else None)
    assert [(item.view, item.window) for item in work] == done
    for item in work:
        record = scene.record(item.view, item.window)
        assert len(record["context"]) == item.contexts, item
    assert plan_work(scene) == []


def run(work, parts, steps=4):
    """Seconds left as told when a view is finished, beside the true ones.

    `parts(work)` are the seconds of reading, of the steps before the last, and of what comes after them.
    """
    now, total, told = [0.0], sum(sum(parts(item)) for item in work), []
    outlook = Outlook(work, lambda: now[0])
    for item in work:
        reading, stepping, finishing = parts(item)
        times = [reading, *[stepping / max(1, steps - 1)] * (steps - 1), finishing]
        for step, seconds in enumerate(times):
            now[0] += seconds
            ahead = outlook(Progress(item.view, item.window, step, steps))
        told.append((ahead, total - now[0]))
    return told


@pytest.mark.parametrize("base, more", [(0.9, 0.1), (0.85, 0.15), (0.8, 0.2), (5.0, 1.5)])
def test_the_time_left_is_true_within_a_fifth_after_the_first_view(base, more):
    work = [Work(f"v{number}", 0, min(number + 1, 4)) for number in range(12)]
    told = run(work, lambda item: (0.1, base + more * item.contexts, 0.1))
    for ahead, true in told:
        assert ahead.seconds == pytest.approx(true, rel=0.2, abs=1e-6)
    for ahead, true in told[5:]:  # views of several sizes are known
        assert ahead.seconds == pytest.approx(true, rel=0.02, abs=1e-6)
    assert [(ahead.done, ahead.total) for ahead, _ in told] == [(number, 12) for number in range(1, 13)]


# CPU seconds of real renders of the bundled clip: contexts, how many of them apart, `alone`; reading, steps, the rest.
MEASURED = {
    "nano-depth, turns first": [
        (1, 0.0, 0.0, 0.6, 0.191, 0.195), (2, 1.78, 0.89, 0.193, 0.245, 0.838), (3, 0.89, 0, 0.285, 0.275, 0.353),
        (4, 3.56, 0.89, 0.175, 0.337, 0.977), (4, 3.56, 0.89, 0.089, 0.371, 0.9), (4, 3.56, 0.89, 0.35, 0.356, 0.911),
    ],
    "nano-depth, moves first": [
        (1, 0.89, 0.89, 0.723, 0.19, 0.853), (2, 1.78, 0.89, 0.313, 0.228, 1.139), (3, 1.78, 0, 0.322, 0.256, 0.687),
        (4, 3.56, 0.89, 0.213, 0.287, 1.248), (4, 3.56, 0.89, 0.101, 0.292, 1.268), (4, 2.67, 0, 0.302, 0.319, 0.746),
    ],
    "nano": [
        (1, 0, 0, 0.1, 0.197, 0.005), (2, 1.78, 0.89, 0.126, 0.24, 0.008), (3, 0.89, 0, 0.128, 0.279, 0.007),
        (3, 2.67, 0.89, 0.125, 0.261, 0.008), (3, 2.67, 0.89, 0.075, 0.269, 0.007), (3, 1.52, 0, 0.076, 0.294, 0.007),
    ],
    "reprojection": [
        (1, 0, 0, 0.251, 0, 0.239), (2, 1.78, 0.89, 0.277, 0, 1.21), (3, 0.89, 0, 0.453, 0, 0.684),
        (4, 3.56, 0.89, 0.254, 0, 1.405), (4, 3.56, 0.89, 0.215, 0, 1.417), (4, 2.37, 0, 0.213, 0, 0.805),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_the_time_left_of_a_measured_render_is_true_within_a_fifth(name):
    work = {Work(f"v{n}", 0, *row[:3]): row[3:] for n, row in enumerate(MEASURED[name])}
    for ahead, true in run(list(work), lambda item: work[item], 1 if name == "reprojection" else 5)[:-2]:
        assert ahead.seconds == pytest.approx(true, rel=0.2)


def test_views_that_depth_carries_are_told_from_those_of_one_place(tiny_pipeline, tiny_video, settings, tmp_path):
    turns = ("rotate-left", "tilt-up")
    scene = tiny_pipeline().prepare(tmp_path / "scene", tiny_video(4), (*turns, "arc-left"), settings=settings(2))
    first, second, moved = plan_work(scene, fewest=2)[:3]  # of the first window
    assert {first.contexts, second.contexts, moved.contexts} == {2}
    assert (first.apart, first.alone) == (second.apart, second.alone) == (0, 0)
    assert 1 < moved.apart < 2 and 0.5 < moved.alone < 1  # its first frame is the source's
    for ahead, true in run([first, second], lambda item: (1.0, 2.0, 3.0)):
        assert ahead.seconds == pytest.approx(true, rel=0.1)


def test_the_time_left_is_guessed_within_the_first_view():
    now = iter((0.0, 1.0, 2.0, 3.0)).__next__
    outlook = Outlook([Work("a", 0, 1), Work("b", 0, 1)], now)
    assert outlook(Progress("a", 0, 0, 4)).seconds is None
    assert outlook(Progress("a", 0, 1, 4)).seconds == pytest.approx(2 + 1 + 3)
    assert outlook(Progress("a", 0, 2, 4)).seconds == pytest.approx(1 + 1 + 3)


def test_views_that_were_not_foreseen_are_counted_from_their_start():
    outlook = Outlook([Work("a", 0, 1), Work("b", 0, 2)], iter(range(100)).__next__)
    assert outlook(Progress("a", 0, 1, 1)).total == 2
    ahead = outlook(Progress("a+c", 0, 1, 2))
    assert (ahead.done, ahead.total) == (1, 3)


def test_progress_as_lines_of_json():
    file = io.StringIO()
    with progress_lines(file, [Work("a", 0, 1)]) as report:
        report(Progress("a", 0, 0, 2))
        report(Progress("a", 0, 2, 2))
    first, last = map(json.loads, file.getvalue().splitlines())
    assert first == {"view": "a", "window": 0, "step": 0, "steps": 2, "done": 0, "total": 1, "seconds_left": None}
    assert (last["done"], last["total"], last["seconds_left"]) == (1, 1, 0.0)
