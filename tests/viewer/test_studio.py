"""The live viewer without a browser: key frames, previews, saving, a render in the background."""

import pytest
import torch

from plenodream.geometry.keyframes import Keyframe, read_keyframes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import make_trajectory
from plenodream.memory.scene import Scene
from plenodream.rendering.preview import MAGENTA
from plenodream.viewer.studio import BackgroundRender, Studio, frustum


@pytest.fixture
def scene(tiny_pipeline, tiny_video, settings, tmp_path):
    return tiny_pipeline()(tiny_video(4), ("arc-left",), tmp_path / "scene", settings())


def test_key_frames_are_put_replaced_and_taken_away(scene):
    studio = Studio(scene)
    for time, azimuth in ((1.0, 40), (0.0, 0), (1.0, 30)):
        studio.put(Keyframe(time, azimuth, ease="linear"))
    assert [(key.time, key.azimuth) for key in studio.keys] == [(0, 0), (1, 30)]
    arc = trajectory_cameras(make_trajectory("arc-right"), studio.source)
    torch.testing.assert_close(studio.path().camera_to_world, arc.camera_to_world)
    studio.drop(0.9)
    assert [key.time for key in studio.keys] == [0]


def test_a_camera_in_the_world_becomes_a_key_frame(scene):
    studio = Studio(scene, subject_distance=3)
    camera = studio.path((Keyframe(0, 25, 10, 2, 5, target=(1, 0, 0)),))[0]
    aimed = camera.camera_to_world[:3, 3] + 2 * camera.camera_to_world[:3, 2]
    key = studio.key_at(camera.camera_to_world, aimed, 0.5, focal=None)
    assert (key.azimuth, key.elevation, key.distance, key.roll) == pytest.approx((25, 10, 2, 5), abs=1e-3)
    torch.testing.assert_close(studio.path((key,))[0].camera_to_world, camera.camera_to_world)


def test_previews_are_the_stored_pixels_and_magenta_where_nothing_is_known(scene):
    studio = Studio(scene)
    views = studio.views()
    assert list(views) == ["source", "arc-left"]
    own = studio.picture(studio.source[2], 2)
    assert (own.int() - views["source"].frames[2].int()).abs().float().mean() < 2
    away = studio.path((Keyframe(0, azimuth=180),))[0]
    behind = studio.picture(away, 2)
    assert (behind == torch.tensor(MAGENTA, dtype=torch.uint8)).all()
    near = studio.picture(studio.path((Keyframe(0, distance=2),))[0], 2)
    assert not (near == torch.tensor(MAGENTA, dtype=torch.uint8)).all(-1).any()


def test_the_trained_range_is_told_only_where_it_is_known(scene):
    studio = Studio(scene, subject_distance=4)
    near = studio.path((Keyframe(0, azimuth=10),))[0]
    far = studio.path((Keyframe(0, azimuth=60),))[0]
    assert studio.within(near, None) is None and studio.within(near, 0.5) and not studio.within(far, 0.5)


def test_frusta_have_the_cameras_opening(scene):
    fov, aspect, pose = frustum(scene.cameras("source")[0])
    assert torch.rad2deg(torch.tensor(fov)).item() == pytest.approx(60, abs=1e-3) and aspect == 1
    assert torch.equal(pose, torch.eye(4))


def test_paths_are_saved_once_under_a_fit_name(scene):
    studio = Studio(scene)
    with pytest.raises(ValueError, match="no key frames yet"):
        studio.save("mine")
    studio.put(Keyframe(0.5, 20))
    path = studio.save("mine")
    assert read_keyframes(path).keyframes == studio.keys and path.parent.parent == scene.folder
    for name, said in (("../out", "expected up to"), ("arc-left", "in the scene already")):
        with pytest.raises(ValueError, match=said):
            studio.save(name)
    assert not (scene.folder.parent / "out.json").exists()


def test_a_path_is_rendered_into_the_memory_with_progress(scene, tiny_pipeline):
    studio, states = Studio(scene), []
    studio.put(Keyframe(0.0))
    studio.put(Keyframe(1.0, azimuth=30))
    render = BackgroundRender(lambda: tiny_pipeline().model(), states.append)
    render.start(scene.folder, studio.save("mine"))
    render.wait()
    again = Scene.open(scene.folder)
    assert again.complete("mine") and not render.state.running and render.state.error == ""
    assert "keyframes" in again.entry("mine").trajectory
    assert states[-1].ahead.done == states[-1].ahead.total == len(scene.manifest.windows)
    studio.scene = again
    assert list(studio.views()) == ["source", "arc-left", "mine"]


def test_a_render_is_stopped_after_its_step_and_goes_on(scene, tiny_pipeline):
    studio = Studio(scene)
    studio.put(Keyframe(0.0, azimuth=30))
    render = BackgroundRender(lambda: tiny_pipeline().model(), lambda state: render.stop() if state.ahead else None)
    render.start(scene.folder, studio.save("mine"))
    render.wait()
    studio.scene = Scene.open(scene.folder)
    assert render.state.error.startswith("stopped") and not studio.scene.complete("mine")
    render = BackgroundRender(lambda: tiny_pipeline().model(), lambda state: None)
    render.start(scene.folder, studio.save("mine"))
    render.wait()
    assert render.state.error == "" and Scene.open(scene.folder).complete("mine")
    studio.put(Keyframe(1.0))
    with pytest.raises(ValueError, match="in the scene already"):
        studio.save("mine")


def test_what_goes_wrong_in_a_render_is_said(scene, tmp_path):
    def load():
        raise ValueError("no such model")

    render = BackgroundRender(load, lambda state: None)
    render.start(scene.folder, tmp_path / "none.json")
    render.wait()
    assert render.state.error == "no such model" and not render.state.running
    render = BackgroundRender(lambda: {}["model"], lambda state: None)
    render.start(scene.folder, tmp_path / "none.json")
    render.wait()
    assert render.state.error == "'model'" and not render.state.running
