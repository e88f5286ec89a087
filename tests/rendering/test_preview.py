"""What a view will see, and what it costs, before it is rendered."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import pytest
import torch

from plenodream.evaluation.scenes import held_out
from plenodream.generators.composite import Composite
from plenodream.generators.reprojection import Reprojection
from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.memory.strategies import RetrievalConfig
from plenodream.memory.windows import plan_windows
from plenodream.rendering.cost import estimate_cost
from plenodream.rendering.model import Model, reprojection_model
from plenodream.rendering.outlook import foresee
from plenodream.rendering.plan import Judgement, judge
from plenodream.rendering.preview import MAGENTA, preview
from plenodream.rendering.settings import RenderSettings
from plenodream.sampling.config import SamplingConfig
from plenodream.types import Cameras, View
from plenodream.viewer.plan import draw_plan
from plenodream.worlds.family import scene_family


def still(frames: int = 4, height: int = 48, width: int = 64) -> View:
    cameras = Cameras(
        torch.eye(4).repeat(frames, 1, 1), intrinsics_from_fov(60, height, width).repeat(frames, 1), height, width
    )
    return View(torch.full((frames, height, width, 3), 90, dtype=torch.uint8), cameras, 8.0)


def along(name: str, source: View) -> Cameras:
    return trajectory_cameras(parse_trajectories([name])[0], source.cameras)


def test_a_turn_needs_no_depth_and_its_unseen_share_is_that_of_geometry():
    source = still()
    shown = preview("turn", along("rotate-left:angle=30", source), source, 4.0)
    # Half a picture of 60 degrees turned by 30: its middle column lies at the old border.
    assert shown.depth == "not needed" and shown.travel == 0 and abs(shown.turn - 30) < 0.01
    assert abs(shown.unseen[-1] - 0.5) < 0.05 and shown.unseen[0] == 0
    assert list(shown.unseen) == sorted(shown.unseen) and shown.moments == (0, 1, 2, 3)
    magenta = (shown.warps == torch.tensor(MAGENTA)).all(-1).float().mean((1, 2))
    assert torch.allclose(magenta, torch.tensor(shown.unseen), atol=0.03)


def test_depth_is_used_where_it_is_given_and_said_to_be_assumed_where_not():
    source = still()
    near = replace(source, depth=torch.full((4, 48, 64), 2.0))
    assumed, given = (preview("x", along("truck-left:distance=1", view), view, 4.0) for view in (source, near))
    assert (assumed.depth, given.depth) == ("assumed", "given")
    # One metre aside is fx / z of 64 pixels.
    fx = source.cameras.intrinsics[0, 0].item()
    for shown, z in ((assumed, 4.0), (given, 2.0)):
        assert abs(shown.unseen[-1] - fx / z / 64) < 0.03 and abs(shown.travel - 1) < 1e-5


def test_the_unseen_share_is_that_of_the_true_scene():
    scene = held_out(scene_family("mild"), 1, 2, 2, 72, 72, first=2)
    source = View((scene.rgb[0, 0] * 255).byte(), scene.cameras[0, 0], 8.0, depth=scene.depth[0, 0])
    shown = preview("x", scene.cameras[0, 1], source, 4.0)
    truth = (~scene.seen[0, 1]).float().mean((1, 2))
    assert (torch.tensor(shown.unseen) - truth).abs().max() < 0.06


def test_contexts_and_merged_views_are_foreseen():
    source = still()
    targets = {name: along(name, source) for name in ("arc-left", "arc-right", "rotate-left", "tilt-up")}
    windows = plan_windows(4, 3, 1)
    cameras, owed = {"source": source.cameras, **targets}, [([name], number) for number in (0, 1) for name in targets]
    few, more = (RenderSettings(RetrievalConfig(k=2), count, SamplingConfig(1, 0.0), True) for count in (2, 3))
    work = foresee(cameras, windows, owed, few)
    assert [item.contexts for item in work] == [1, 2, 2, 2] * 2 and {item.view for item in work} == set(targets)
    assert len(foresee(cameras, windows, owed, more)) > 8


def test_cost_grows_with_what_is_to_be_done(tiny_pipeline):
    cloud = [estimate_cost(Reprojection(), contexts, 9, 48, 64) for contexts in ([1], [1, 2], [3])]
    assert cloud[0].seconds < cloud[2].seconds < cloud[1].seconds + cloud[0].seconds
    assert cloud[0].memory < cloud[1].memory < cloud[2].memory
    network = tiny_pipeline().generator()
    few, many = (estimate_cost(network, contexts, 3, 16, 16) for contexts in ([1], [1] * 500))
    assert 0 < few.seconds < many.seconds and few.memory == many.memory > 0
    both = estimate_cost(Composite(network), [1], 3, 16, 16)
    assert both.memory > few.memory


def test_views_made_in_one_sequence_cost_it_once(tiny_pipeline, monkeypatch):
    monkeypatch.setattr("plenodream.rendering.cost.product_rate", lambda dtype, device: 1e9)
    layout = ("target", "context", "target")
    network = tiny_pipeline(k=1, context_attention="joint", layout=layout).generator()
    single = replace(network, workings=replace(network.workings, targets=1))
    assert network.workings.targets == 2
    pair, one = (estimate_cost(generator, [1, 1], 3, 16, 16).seconds for generator in (network, single))
    assert pair == pytest.approx(one / 2)


def test_a_plan_is_a_sheet_and_numbers(tmp_path, capsys):
    import json

    from PIL import Image

    from plenodream.cli.plan import Plan, plan
    from plenodream.media.video import write_lossless

    source = still()
    write_lossless(tmp_path / "clip.mkv", source.frames, 8.0)
    asked = Plan(tmp_path / "clip.mkv", trajectory=("arc-left", "tilt-up"), model="reprojection", out=tmp_path / "plan")
    assert plan(asked) == 0
    said = capsys.readouterr().out
    assert "arc-left: " in said and "depth assumed" in said and "2 views and 0 merged" in said
    data = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert [view["name"] for view in data["views"]] == ["arc-left", "tilt-up"] and len(data["views"][0]["unseen"]) == 4
    assert data["seconds"] > 0 and data["memory"] > 0 and data["windows"] == 1
    with Image.open(tmp_path / "plan" / "plan.png") as sheet:
        assert sheet.width > 600 and (255, 0, 255) in set(sheet.convert("RGB").getdata())
    with pytest.raises(ValueError, match="nothing to plan"):
        plan(replace(asked, trajectory=()))
    with pytest.raises(ValueError, match="no such file"):
        plan(replace(asked, depth=tmp_path / "none.npz"))


def judged(name: str, model: Model, view: View) -> tuple[str, str]:
    made = judge(preview(name, along(name, view), view, 4.0), model, 4.0)
    return made.level, " ".join(made.reasons)


def test_an_arc_by_the_models_own_depth_is_judged_by_what_real_clips_bear():
    source = still()
    sees = Model("m", reprojection_model().make, reprojection_model().settings, 1.3, (48, 48), sees_depth=True)
    assert judged("arc-left:angle=10", sees, source) == judged("rotate-left:angle=40", sees, source) == ("good", "")
    level, why = judged("truck-left:distance=1", sees, source)
    assert level == "doubtful" and "14 degrees around the subject by the model's own depth" in why
    level, why = judged("arc-left", sees, source)
    assert level == "bad" and "come apart from 25 on; give --depth, or go 10 degrees at most" in why
    given = replace(source, depth=torch.full((4, 48, 64), 4.0))
    assert judged("arc-left", sees, given) == ("good", "")
    level, why = judged("zoom-out:distance=9", sees, given)
    assert level == "doubtful" and "farther than the model was trained to go (5.2 m)" in why
    assert judged("arc-left", reprojection_model(), source)[0] == "bad"  # which render refuses
    assert judged("arc-left", replace(sees, sees_depth=False), source) == ("good", "")  # a network's own pixels


def test_a_sheet_holds_many_views_without_one_word_over_another():
    from PIL import Image

    source, sizes = still(1, 24, 32), {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in (1, 6):
            paths = {f"arc-left-{angle}": along(f"arc-left:angle={angle}", source) for angle in range(count)}
            shown = [preview(name, path, source, 4.0) for name, path in paths.items()]
            words = [[f"{one.name}: seen", "not good"] for one in shown]
            told = [Judgement("doubtful", ("not good",))] * count
            sheet = draw_plan(source, paths, shown, told, words, 4.0, 5.0, ["a note"] * 4)
            sizes[count] = Image.open(io.BytesIO(sheet)).size
    # Rows are added; what is below them keeps its height.
    assert sizes[6][0] == sizes[1][0] and 5 * 110 < sizes[6][1] - sizes[1][1] < 5 * 2 * 110
