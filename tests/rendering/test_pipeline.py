"""From a video to a scene: what is made of the source, and what is refused on a scene that is there."""

import dataclasses

import pytest
import torch

from plenodream.geometry.cameras import horizontal_fov
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.memory.scene import Scene
from plenodream.rendering.catalog import bundled_models
from plenodream.rendering.load import load_pipeline
from plenodream.rendering.pipeline import PlenopticPipeline
from plenodream.rendering.source import static_source

NAMES = ("arc-left",)


@pytest.fixture(scope="module")
def scene(tiny_pipeline, tiny_video, settings, tmp_path_factory):
    """A rendered scene of seed 3, to be read only."""
    folder = tmp_path_factory.mktemp("pipeline") / "scene"
    return tiny_pipeline()(tiny_video(4), NAMES, folder, settings(), seed=3)


def test_a_scene_holds_the_source_the_views_and_what_they_were_made_by(scene, tiny_pipeline, tiny_video, settings):
    manifest, pipeline = scene.manifest, tiny_pipeline()
    assert (manifest.model_name, manifest.model_hash) == ("tiny", pipeline.fingerprint())
    assert (manifest.height, manifest.width, manifest.frames, manifest.fps) == (16, 16, 4, 12.0)
    assert manifest.seed == 3
    assert manifest.settings == settings().to_json()
    assert scene.names() == ["source", "arc-left"]
    assert torch.equal(scene.frames("source"), tiny_video(4).frames)
    assert scene.frames("arc-left").shape == (4, 16, 16, 3)
    assert all(scene.preview_path(name).is_file() for name in scene.names())
    assert scene.entry("arc-left").trajectory["preset"] == "arc-left"
    assert scene.timing("arc-left", 0)["seconds"] > 0


def test_a_video_of_any_size_comes_to_the_models_with_its_cameras(tiny_pipeline, tiny_video, tmp_path):
    wide = tiny_video(3, height=32, width=64, fov=90.0)
    scene = tiny_pipeline().prepare(tmp_path, wide)
    cameras = scene.cameras("source")
    assert scene.frames("source").shape == (3, 16, 16, 3)
    # Half of the width is cut off: 90 degrees become 2 atan(1/2).
    torch.testing.assert_close(cameras.intrinsics[0], torch.tensor([16.0, 16.0, 8.0, 8.0]))
    assert horizontal_fov(cameras)[0].item() == pytest.approx(53.13, abs=0.01)


def test_cameras_given_by_name_are_of_the_sources_own_size(tiny_pipeline, tiny_video, settings, tmp_path):
    video = tiny_video(3, height=32, width=64, fov=90.0)
    poses = video.cameras.camera_to_world.clone()
    poses[:, 0, 3] = 0.5
    target = dataclasses.replace(video.cameras, camera_to_world=poses)
    with pytest.raises(ValueError, match=r"trajectories \[\]: nothing to render; expected presets or cameras by name"):
        tiny_pipeline()(video, [])
    scene = tiny_pipeline()(video, {"sideways": target}, tmp_path, settings())
    stored = scene.cameras("sideways")
    assert torch.equal(stored.camera_to_world, poses)
    assert torch.equal(stored.intrinsics, scene.cameras("source").intrinsics)
    assert scene.entry("sideways").trajectory is None


def test_trajectories_may_be_parsed_ones_and_are_declared_once(scene, tiny_pipeline, tiny_video):
    pipeline, parsed = tiny_pipeline(), parse_trajectories(NAMES)
    for asked in (parsed, NAMES):
        assert pipeline.prepare(scene.folder, None, asked).names("view") == ["arc-left"]


def test_bad_cameras_are_refused_before_anything_is_written(tiny_pipeline, tiny_video, tmp_path):
    video = tiny_video()
    poses = video.cameras.camera_to_world.clone()
    poses[1, 0, 0] = float("nan")
    broken = dataclasses.replace(video.cameras, camera_to_world=poses)
    pipeline = tiny_pipeline()
    with pytest.raises(ValueError, match="source cameras"):
        pipeline.prepare(tmp_path / "a", dataclasses.replace(video, cameras=broken))
    assert not (tmp_path / "a").exists()
    scene = pipeline.prepare(tmp_path / "b", video)
    with pytest.raises(ValueError, match="sideways"):
        pipeline.prepare(scene.folder, None, {"sideways": broken})
    with pytest.raises(ValueError, match="a view cannot be called 'source'"):
        pipeline.prepare(scene.folder, None, {"source": video.cameras})
    with pytest.raises(ValueError, match="arc-left"):
        pipeline.prepare(scene.folder, None, ["arc-lef"])
    assert scene.names() == ["source"]


def reopened(pipeline, folder, video, settings=None, seed=None):
    return pipeline.prepare(folder, video, settings=settings, seed=seed)


def test_an_existing_scene_takes_what_is_the_same_or_left_out(scene, tiny_pipeline, tiny_video, settings):
    pipeline = tiny_pipeline()
    for arguments in [(None,), (tiny_video(4),), (tiny_video(4), settings(), 3), (None, settings(), None)]:
        assert reopened(pipeline, scene.folder, *arguments).names() == scene.names()
    assert pipeline(tiny_video(4), NAMES, scene.folder).names() == scene.names()


def test_an_existing_scene_refuses_what_is_not_its_own(scene, tiny_pipeline, tiny_video, settings, content):
    before = content(scene.folder)
    pipeline, video = tiny_pipeline(), tiny_video(4)
    moved = video.cameras.camera_to_world.clone()
    moved[:, 2, 3] += 0.1
    cases = {
        "scene of model tiny .* use the same model": (tiny_pipeline(seed=1), (None,)),
        r"other settings \(retrieval.k, candidates\)": (pipeline, (None, settings(3))),
        r"other settings \(sampling.guidance\)": (pipeline, (None, settings(guidance=1.0))),
        "the scene has seed 3, not 4": (pipeline, (None, None, 4)),
        "another source video": (pipeline, (tiny_video(4, seed=1),)),
        "another source video or": (pipeline, (tiny_video(5),)),
        "another source video or source": (pipeline, (tiny_video(4, fov=50.0),)),
        "another source video or source cameras": (
            pipeline,
            (dataclasses.replace(video, cameras=dataclasses.replace(video.cameras, camera_to_world=moved)),),
        ),
    }
    for message, (other, arguments) in cases.items():
        with pytest.raises(ValueError, match=message) as error:
            reopened(other, scene.folder, *arguments)
        assert "\n" not in str(error.value)
        assert str(scene.folder) in str(error.value)
    assert content(scene.folder) == before


def test_there_is_no_scene_without_a_video(tiny_pipeline, tmp_path):
    with pytest.raises(ValueError, match="no such scene; expected a video to start one from"):
        tiny_pipeline().prepare(tmp_path / "nothing", None)
    with pytest.raises(ValueError, match="not a scene"):
        tiny_pipeline().prepare(tmp_path, None)


@pytest.mark.parametrize("written", [0, 1])
def test_a_source_that_was_cut_off_is_completed_by_its_own_video_alone(
    tiny_pipeline, tiny_video, settings, content, tmp_path, monkeypatch, written
):
    pipeline, video = tiny_pipeline(), tiny_video(5)
    write = Scene.write

    def killed(self, name, window, *arguments):
        if window == written:
            raise KeyboardInterrupt
        write(self, name, window, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Scene, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            pipeline(video, NAMES, tmp_path / "cut", settings())
    with pytest.raises(ValueError, match="its source is incomplete, a run was cut off; give the video again"):
        pipeline.prepare(tmp_path / "cut", None)
    if written:
        with pytest.raises(ValueError, match="another source video"):
            pipeline.prepare(tmp_path / "cut", tiny_video(5, seed=1))
    pipeline(video, NAMES, tmp_path / "cut", settings())
    pipeline(video, NAMES, tmp_path / "whole", settings())
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_the_fingerprint_is_that_of_weights_and_configs(tiny_pipeline):
    first = tiny_pipeline()
    assert tiny_pipeline().fingerprint() == first.fingerprint()
    assert tiny_pipeline(overlap=2, guidance=3.0).fingerprint() == first.fingerprint()  # not part of the networks
    others = [tiny_pipeline(seed=1), tiny_pipeline(prediction="velocity"), tiny_pipeline(), tiny_pipeline()]
    others[2].register_modules(scheduler=type(first.scheduler)(shift=4.0))
    with torch.no_grad():
        others[3].transformer.proj_out.weight[0, 0] += 1e-3
    assert len({pipeline.fingerprint() for pipeline in [first, *others]}) == 5


def test_a_bundled_model_is_the_one_that_its_older_scenes_name():
    """Configs have gained fields since; a model from before is still the same one."""
    card = (bundled_models()["mini"] / "README.md").read_text()
    (name,) = {line.split("(")[1].split(")")[0] for line in card.splitlines() if line.startswith("mini (")}
    assert load_pipeline("mini", "cpu").fingerprint() == name


def test_a_scene_goes_on_with_the_same_model_in_another_precision(tiny_pipeline, tiny_video, settings, tmp_path):
    """float32 on a CPU, bf16 on a GPU: the same scene."""
    half = tiny_pipeline().to(torch.bfloat16)
    assert half.fingerprint() == tiny_pipeline().fingerprint()
    tiny_pipeline()(tiny_video(), NAMES, tmp_path, settings())
    scene = half(tiny_video(), ("arc-right",), tmp_path)
    assert scene.complete("arc-left") and scene.complete("arc-right")
    assert scene.record("arc-left", 0)["model"] == scene.record("arc-right", 0)["model"]


def test_default_settings_suit_the_model(tiny_pipeline):
    settings = tiny_pipeline(k=3, guidance=0.5).default_settings()
    assert (settings.retrieval.k, settings.candidates, settings.keep_source) == (3, 3, True)
    assert (settings.sampling.steps, settings.sampling.guidance) == (2, 0.5)
    untrained = tiny_pipeline(guidance=7.0)
    untrained.register_to_config(guided_by=None)
    assert untrained.default_settings().sampling.guidance == untrained.own_sampling().guidance == 0


def test_a_source_without_cameras_stands_still_at_the_origin():
    view = static_source(torch.zeros(5, 30, 40, 3, dtype=torch.uint8), 25.0, 90.0)
    assert torch.equal(view.cameras.camera_to_world, torch.eye(4).expand(5, 4, 4))
    torch.testing.assert_close(view.cameras.intrinsics[4], torch.tensor([20.0, 20.0, 20.0, 15.0]))
    assert view.fps == 25.0


def test_the_pipeline_is_saved_under_names_that_outlive_files(tiny_pipeline, tmp_path):
    tiny_pipeline().save_pretrained(tmp_path)
    loaded = PlenopticPipeline.from_pretrained(tmp_path)
    assert type(loaded.transformer).__module__ == type(loaded.codec).__module__ == "plenodream"
    assert loaded.fingerprint() == tiny_pipeline().fingerprint()
