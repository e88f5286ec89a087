"""The live viewer's server: it starts, answers on this machine, and its buttons do what they say."""

import json
from types import SimpleNamespace
from urllib.request import Request, urlopen

import numpy as np
import pytest

from plenodream.cli.view import View, open_viewer
from plenodream.memory.scene import Scene

pytest.importorskip("viser")


@pytest.fixture
def live(tiny_pipeline, tiny_video, settings, tmp_path, monkeypatch):
    pipeline = tiny_pipeline()
    pipeline(tiny_video(4), ("arc-left",), tmp_path / "scene", settings())
    monkeypatch.setattr("plenodream.rendering.load.load_model", lambda *_: pipeline.model())
    live, front, address = open_viewer(View(tmp_path / "scene", port=0))
    yield live, address
    front.stop()
    live.stop()


def test_the_server_answers_and_a_path_is_made_saved_and_rendered(capsys, live, tmp_path):
    viewer, address = live
    assert not capsys.readouterr().out, "viser's own address is not for people"
    assert address.startswith("http://127.0.0.1:") and "token" not in address
    with urlopen(address, timeout=20) as answer:
        assert answer.status == 200 and b"<html" in answer.read()
    inner = f"http://127.0.0.1:{viewer.server.get_port()}/"  # viser itself answers nobody but the front
    with pytest.raises(OSError, match="403"):
        urlopen(inner, timeout=20)
    with urlopen(Request(inner, headers={"X-Plenodream-Key": viewer.key}), timeout=20) as answer:
        assert answer.status == 200
    viewer._put()
    viewer.frame.value, viewer.azimuth.value = 3, 20.0
    viewer._put()
    assert [(key.time, key.azimuth) for key in viewer.studio.keys] == [(0, 0), (1, 20)]
    # Where the browser looks: from the side, OpenCV axes.
    camera = SimpleNamespace(
        wxyz=np.array([1.0, 0, 0, 0]), position=np.array([1.0, 0, 0]), look_at=np.array([1.0, 0, 4]), fov=1.0
    )
    viewer.frame.value = 1
    viewer._put_here(SimpleNamespace(camera=camera))
    assert viewer.studio.keys[1].target == pytest.approx((1, 0, 0)) and viewer.studio.keys[1].azimuth == 0
    viewer._drop()
    assert len(viewer.studio.keys) == 2
    viewer._tried(lambda: viewer.studio.save("../x"))
    assert viewer.status.content.startswith("**")
    viewer.name.value = "mine"
    viewer._tried(viewer._render)
    viewer.render.wait()
    assert Scene.open(tmp_path / "scene").complete("mine") and viewer.bar.value == 100
    assert "mine" in viewer.studio.views()


def test_another_address_takes_a_token(tiny_pipeline, tiny_video, settings, tmp_path):
    scene = tiny_pipeline()(tiny_video(), "tilt-up", tmp_path / "scene", settings())
    live, front, address = open_viewer(View(scene.folder, host="0.0.0.0", port=0))
    try:
        assert len(address.partition("?token=")[2]) > 20
        with pytest.raises(OSError, match="403"):
            urlopen(f"http://127.0.0.1:{front.port}/", timeout=20)
        with pytest.raises(ValueError, match="choose another --port"):
            open_viewer(View(scene.folder, port=front.port, host="0.0.0.0"))
    finally:
        front.stop()
        live.stop()


def test_a_path_is_made_saved_and_rendered_in_a_browser(live, chromium, tmp_path):
    _, address = live
    with chromium(address) as tab:
        numbers = tab.locator("input.mantine-NumberInput-input")  # frame, azimuth, elevation, distance, roll, focal
        put = tab.get_by_role("button", name="put a key frame at this frame")
        put.click()
        for number, value in ((0, "3"), (1, "20"), (2, "5")):
            numbers.nth(number).fill(value)
            numbers.nth(number).press("Enter")
        tab.wait_for_timeout(300)
        put.click()
        tab.locator("input[value=path]").fill("mine")
        tab.wait_for_timeout(300)
        tab.get_by_role("button", name="save and render").click()
        tab.get_by_text("mine: 2 of 2 windows").wait_for()
    keys = json.loads((tmp_path / "scene" / "trajectories" / "mine.json").read_text())["keyframes"]
    assert [(key["time"], key.get("azimuth", 0)) for key in keys] == [(0, 0), (1, 20)]
    scene = Scene.open(tmp_path / "scene")
    assert scene.complete("mine") and scene.cameras("mine").camera_to_world[-1, 0, 3] > 1
