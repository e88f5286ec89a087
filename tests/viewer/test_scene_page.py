"""A scene's folder as a page, as a table and as rows; merged views that only some windows needed are no obstacle."""

import io
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from plenodream.cli.export import Export
from plenodream.cli.page import Page
from plenodream.cli.parse import parse_arguments
from plenodream.cli.render import Render, request_of
from plenodream.media.depth import load_depth
from plenodream.media.video import read_video
from plenodream.memory.export import export_scene
from plenodream.memory.scene import Scene
from plenodream.rendering.model import reprojection_model
from plenodream.rendering.outlook import Work
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.renderer import Progress
from plenodream.rendering.request import make_request
from plenodream.rendering.settings import Changes, RenderSettings
from plenodream.rendering.source import fit_source
from plenodream.rendering.targets import invalidate_views
from plenodream.viewer import console as console_module
from plenodream.viewer.console import progress_bar, rows_of_views, table_of_views
from plenodream.viewer.scene_page import page_view, render_command, write_scene_page
from plenodream.viewer.truth import TRUTH, Truth, write_truth


@pytest.fixture
def scene(partial_scene, tmp_path):
    return Scene.open(shutil.copytree(partial_scene.folder, tmp_path / "scene"))


def partial(scene):
    return [name for name in scene.names() if not scene.complete(name)]


def test_the_page_shows_all_whole_views_and_leaves_partial_ones_out(scene):
    text = write_scene_page(scene).read_text()
    assert partial(scene)
    for name in scene.names():
        assert (f"<h3>{name}" in text) == scene.complete(name), name
    assert scene.manifest.model_hash in text


def test_a_views_context_may_be_a_merged_view_that_has_no_card(scene):
    """The context of every window is shown, also where it is a view that the page does not have."""
    views = {name: page_view(scene, name) for name in scene.names("view")}
    named = {name for view in views.values() for window in view.windows for name, _ in window.context}
    assert named & set(partial(scene))
    for name, view in views.items():
        for number, window in enumerate(view.windows):
            record = scene.record(name, number)
            assert window.context == tuple((n, record["scores"][n]) for n in record["context"])
        seconds = [scene.timing(name, window)["seconds"] for window in range(len(scene.manifest.windows))]
        assert view.seconds == pytest.approx(sum(seconds))


def test_a_helper_says_which_views_it_was_merged_from_and_for(scene):
    text = write_scene_page(scene).read_text()
    helpers = [name for name in scene.names("helper") if scene.complete(name)]
    assert helpers and all("+" in name for name in helpers)
    for name in helpers:
        served = [
            view for view in scene.names("view") if any(name in scene.record(view, w)["merged"] for w in range(3))
        ]
        assert served and page_view(scene, name).serves == tuple(served)
        assert f"merged for {', '.join(served)}" in text


def test_the_command_asks_for_the_same_views(scene):
    asked = parse_arguments({"render": Render, "page": Page}, shlex.split(render_command(scene))[1:])
    assert asked.trajectory == ("rotate-left:angle=60", "rotate-right:angle=60", "zoom-out", "tilt-up")
    settings = RenderSettings.from_json(scene.manifest.settings)
    assert (asked.k, asked.candidates, asked.strategy) == (1, 3, settings.retrieval.strategy)
    assert (asked.steps, asked.guidance, asked.seed, asked.model) == (2, 0, 0, "tiny")
    assert (asked.clip, asked.cameras) == (Path("source.mp4"), Path("cameras/source.json"))
    own = Changes(3, "coverage", 0.5, 9.0, subject_distance=2.0, candidates=4, as_paper=True, steps=1, guidance=0.0).of(
        settings
    )
    scene.manifest = replace(scene.manifest, settings=own.to_json() | {"negative_prompt": "a b"})
    asked = parse_arguments({"render": Render, "page": Page}, shlex.split(render_command(scene))[1:])
    assert request_of(replace(asked, trajectory=())).settings.of(settings) == own, "every setting that it has"
    assert (asked.negative_prompt, asked.height) == ("a b", scene.manifest.height)


def test_the_prompt_is_on_the_page_and_in_the_command(tiny_pipeline, tiny_video, tmp_path):
    model = replace(tiny_pipeline().model(), words={"prompt": "a dog's run"})
    scene = prepare_scene(tmp_path / "scene", fit_source(tiny_video(), 16, 16), make_request(("arc-left",)), model)
    assert "prompt: a dog&#39;s run" in write_scene_page(scene).read_text()
    assert "--prompt=a dog's run" in shlex.split(render_command(scene))


def test_truth_goes_to_the_view_it_is_of(scene):
    truth = Truth(scene.preview_path("source"), 20.0, 18.5)
    write_truth(scene, "a note", {"zoom-out": truth})
    text = write_scene_page(scene).read_text()
    assert text.count("20.0 dB") == 1 and text.count("+1.5") == 2 and "a note" in text  # card and table


def test_the_score_of_a_view_that_was_made_anew_is_not_shown(scene):
    truth = Truth(scene.preview_path("source"), 20.0, 18.5)
    write_truth(scene, "a note", {"zoom-out": truth, "tilt-up": replace(truth, psnr=21.0)})
    shutil.copy(scene.preview_path("source"), scene.preview_path("zoom-out"))
    text = write_scene_page(scene).read_text()
    assert "20.0 dB" not in text and "21.0 dB" in text
    (scene.folder / TRUTH).write_text("{")
    with pytest.raises(ValueError, match=r"truth.json: .*remove it"):
        write_scene_page(scene)


def test_rows_hold_the_windows_there_are_and_previews_that_exist(scene):
    rows = {row["name"]: row for row in json.loads(json.dumps(rows_of_views(scene)))}
    assert list(rows) == scene.names()
    for name, row in rows.items():
        assert row["complete"] == scene.complete(name)
        assert row["complete"] == (row["preview"] is not None and Path(row["preview"]).is_file())
        assert len(row["chunks"]) == sum(scene.has(name, window) for window in range(len(scene.manifest.windows)))


def test_the_table_has_a_line_for_every_view(scene):
    console = Console(file=io.StringIO(), width=80)
    table = table_of_views(scene)
    assert list(table.columns[0].cells) == scene.names()
    console.print(table)
    lines = console.file.getvalue().splitlines()
    for name in scene.names():
        assert any(line.startswith(name[:20]) for line in lines), name  # longer ones may be folded
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)


def test_merged_views_count_in_the_bar_from_their_start(monkeypatch):
    bars = []

    class Watched(console_module.Progress):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            bars.append(self)

    monkeypatch.setattr(console_module, "Progress", Watched)
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    steps = [("a", 1), ("a", 2), ("a+b", 1), ("a+b", 2), ("b", 1), ("b", 2)]
    counts = []
    with progress_bar(console, [Work("a", 0, 1), Work("b", 0, 1)]) as report:
        for view, step in steps:
            report(Progress(view, 0, step, 2))
            counts.append((int(bars[0].tasks[0].completed), bars[0].tasks[0].total))
    assert counts == [(0, 2), (1, 2), (1, 3), (2, 3), (2, 3), (3, 3)]


def test_a_merged_view_whose_input_was_made_again_is_outdated_and_owed_to_nobody(
    tiny_pipeline, tiny_video, settings, tmp_path
):
    pipeline = tiny_pipeline(k=1)
    names = ("arc-left", "arc-right", "zoom-out")
    scene = pipeline(tiny_video(), names, tmp_path / "scene", settings(1, 2, strategy="fov"))
    before = {row["name"]: row for row in rows_of_views(scene)}
    assert not any(row["outdated"] for row in before.values())
    invalidate_views(scene, ["zoom-out"])
    assert {row["name"]: row["complete"] for row in rows_of_views(scene)}["zoom-out"] is False
    pipeline.render(scene)
    invalidate_views(scene, ["arc-left"])
    pipeline.render(scene)
    rows = {row["name"]: row for row in rows_of_views(scene)}
    outdated = {name for name, row in rows.items() if row["outdated"]}
    assert outdated and outdated <= set(scene.names("helper"))
    assert any(outdated & set(rows[name]["chunks"][0]["context"]) for name in names)
    assert all(row["complete"] for row in rows.values())

    console = Console(file=io.StringIO(), width=80)
    console.print(table_of_views(scene))
    text = console.file.getvalue()
    assert text.count("outdated") == len(outdated) and "not rendered yet" not in text
    page = write_scene_page(scene).read_text()
    assert page.count('<span class="tag">outdated</span>') == page.count("helper, outdated") == len(outdated)


def test_pages_and_tables_say_which_window_they_show(scene, tiny_pipeline, tiny_video, settings, tmp_path):
    text = write_scene_page(scene).read_text()
    assert re.search(r'class="when">windows? [123]', text) and "in a cell a square a window" in text
    console = Console(file=io.StringIO(), width=80)
    console.print(table_of_views(scene))
    assert "window 1 of 3" in console.file.getvalue()
    short = tiny_pipeline()(tiny_video(), ("arc-left",), tmp_path / "short", settings())
    assert "window 1" not in write_scene_page(short).read_text()


def test_a_page_of_a_scene_with_damaged_videos_makes_them_again(scene):
    scene.preview_path("zoom-out").write_bytes(b"damaged")
    assert 'src="zoom-out.mp4"' in write_scene_page(scene).read_text()
    assert read_video(scene.preview_path("zoom-out")).frames.shape[0] == scene.manifest.frames


def test_given_depth_is_in_the_command_and_what_the_page_shows_of_it_is_made_again(tiny_video, tmp_path):
    video = tiny_video(3)
    video = replace(video, depth=torch.full(video.frames.shape[:3], 4.0))
    scene = prepare_scene(tmp_path / "scene", video, make_request(("tilt-up",)), reprojection_model())
    write_scene_page(scene)
    kept = {
        path: path.read_bytes() for path in (scene.view_folder("source") / name for name in ("depth.mp4", "points.npz"))
    }
    for path in kept:
        path.write_bytes(b"damaged")
    write_scene_page(scene)
    assert kept == {path: path.read_bytes() for path in kept}
    known = {"render": Render, "export": Export}
    export, again = (parse_arguments(known, shlex.split(part)[1:]) for part in render_command(scene).split(" && "))
    export_scene(scene, tmp_path / export.out, export.to, export.view)
    depth = load_depth(tmp_path / again.depth)
    assert depth.kind == "metric" and bool((depth.values == 4).all())


def test_a_single_page_can_be_sent_around(scene):
    text = write_scene_page(scene, single_file=True).read_text()
    assert "zoom-out.mp4" not in text and text.count("data:video/mp4;base64,") == text.count("<video")


def test_the_notes_of_a_scenes_source_are_on_every_page(tiny_pipeline, tiny_video, settings, tmp_path):
    pipeline = tiny_pipeline()
    video = replace(fit_source(tiny_video(), 16, 16), notes=("the camera is taken to stand still",))
    scene = pipeline(video, ("arc-left",), tmp_path / "scene", settings())
    truth = Truth(scene.preview_path("arc-left"), 20.0, 18.5)
    for note in (None, "another", "the camera is taken to stand still"):
        if note is not None:
            write_truth(scene, note, {"arc-left": truth})
        text = write_scene_page(Scene.open(scene.folder)).read_text()
        assert text.count("the camera is taken to stand still") == 1 and (note or "") in text


def test_the_bar_is_for_terminals():
    for terminal in (True, False):
        console = Console(file=io.StringIO(), width=80, force_terminal=terminal)
        with progress_bar(console, [Work("rotate-left", 0, 1)]) as report:
            report(Progress("rotate-left+zoom-out", 0, 1, 2))
        assert ("rotate-left+zoom-out" in console.file.getvalue()) == terminal
        assert terminal or console.file.getvalue() == ""
