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


def run(work, seconds, outlook_of=Outlook, steps=4):
    """Seconds left as told after every step, beside the true ones, of views that take `seconds(work)`."""
    now = [0.0]
    outlook = outlook_of(work, lambda: now[0])
    total, told = sum(seconds(item) for item in work), []
    for item in work:
        for step in range(1, steps + 1):
            now[0] += seconds(item) / steps
            told.append((outlook(Progress(item.view, item.window, step, steps)), total - now[0]))
    return told


@pytest.mark.parametrize("base, more", [(0.9, 0.1), (0.85, 0.15), (0.8, 0.2), (5.0, 1.5)])
def test_the_time_left_is_true_within_a_fifth_after_the_first_view(base, more):
    work = [Work(f"v{number}", 0, min(number + 1, 4)) for number in range(12)]
    told = run(work, lambda item: base + more * item.contexts)
    assert told[0][0].seconds is not None and told[0][0].done == 0
    for ahead, true in told[4:]:
        assert ahead.seconds == pytest.approx(true, rel=0.2, abs=1e-6)
    for ahead, true in told[20:]:  # views of several sizes are known
        assert ahead.seconds == pytest.approx(true, rel=0.01, abs=1e-6)
    assert [ahead.done for ahead, _ in told[3::4]] == list(range(1, 13))
    assert {ahead.total for ahead, _ in told} == {12}


def test_views_of_a_network_with_slots_take_the_same_time(tiny_pipeline, tiny_video, settings, tmp_path):
    scene = tiny_pipeline().prepare(tmp_path / "scene", tiny_video(4), FIVE, settings=settings(2))
    work = plan_work(scene, fewest=2)
    assert {item.contexts for item in work} == {2}
    for ahead, true in run(work, lambda item: 3.0)[4:]:
        assert ahead.seconds == pytest.approx(true)


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
