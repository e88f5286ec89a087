"""The ComfyUI nodes against a stub of what ComfyUI documents: its loader, its executor, the core nodes around ours."""

import importlib.util
import json
import shutil
import sys
import types
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from plenodream.demo.clip import clip_folder
from plenodream.geometry.keyframe_paths import keyframe_cameras
from plenodream.geometry.keyframes import Keyframe, Keyframes, read_keyframes, write_keyframes
from plenodream.media.preview import write_preview
from plenodream.media.video import read_video
from plenodream.memory.scene import Scene
from plenodream.rendering.model import reprojection_model
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.request import make_request
from plenodream.rendering.source import still_cameras
from plenodream.types import Cameras
from plenodream.viewer.desk import Desk
from plenodream.viewer.limits import Limits
from plenodream.viewer.studio import Studio
from plenodream.viewer.visits import Visits, Wish

FOLDER = Path(__file__).parents[1] / "comfyui"


@pytest.fixture
def comfy(monkeypatch, tmp_path):
    """The nodes as ComfyUI's `load_custom_node` loads them, in a process that has ComfyUI's own modules."""
    bars = []

    class ProgressBar:
        def __init__(self, total):
            bars.append(self)
            self.total, self.values = total, []

        def update_absolute(self, value, total=None, preview=None):
            self.values.append(value)

    utils = types.SimpleNamespace(ProgressBar=ProgressBar)
    paths = types.SimpleNamespace(get_output_directory=lambda: str(tmp_path / "output"))
    monkeypatch.setitem(sys.modules, "comfy", types.SimpleNamespace(utils=utils))
    monkeypatch.setitem(sys.modules, "comfy.utils", utils)
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    (tmp_path / "output").mkdir()
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    yield types.SimpleNamespace(nodes=module.NODE_CLASS_MAPPINGS, module=module, bars=bars, name=name)
    for part in [key for key in sys.modules if key.startswith(f"{name}.")]:
        del sys.modules[part]


class LoadVideo:
    FUNCTION, RETURN_TYPES = "run", ("VIDEO",)

    def run(self, file):
        return (read_video(clip_folder() / file),)


class GetVideoComponents:
    FUNCTION, RETURN_TYPES = "run", ("IMAGE", "AUDIO", "FLOAT")

    def run(self, video):
        return video.frames.float() / 255, None, float(Fraction(video.fps))


class Output:
    FUNCTION, RETURN_TYPES, OUTPUT_NODE = "run", (), True

    def run(self, images, **options):
        return {"ui": {"images": images}}


CORE = {"LoadVideo": LoadVideo, "GetVideoComponents": GetVideoComponents}
CORE |= {"PreviewImage": Output, "SaveAnimatedWEBP": Output}


def execute(workflow, nodes):
    """Runs a workflow in the API format: every node once, links (node, output) before it, their types checked."""
    results = {}

    def result(key):
        if key not in results:
            kind = nodes[workflow[key]["class_type"]]
            inputs = {name: value(given, kind, name) for name, given in workflow[key]["inputs"].items()}
            results[key] = getattr(kind(), kind.FUNCTION)(**inputs)
        return results[key]

    def value(given, kind, name):
        if not (isinstance(given, list) and len(given) == 2):
            return given
        source = nodes[workflow[given[0]]["class_type"]]
        if hasattr(kind, "INPUT_TYPES"):
            fields = {**kind.INPUT_TYPES()["required"], **kind.INPUT_TYPES().get("optional", {})}
            assert fields[name][0] == source.RETURN_TYPES[given[1]], (kind, name)
        found = result(given[0])[given[1]]
        return found[0] if getattr(source, "OUTPUT_IS_LIST", (False,) * 9)[given[1]] else found

    for key in workflow:
        result(key)
    return results


def test_the_nodes_are_as_comfyui_wants_them(comfy):
    assert set(comfy.nodes) == set(comfy.module.NODE_DISPLAY_NAME_MAPPINGS)
    for node in comfy.nodes.values():
        inputs = node.INPUT_TYPES()
        assert node.DESCRIPTION
        typed = [field for part in inputs.values() for field in part.values() if field[0] in ("STRING", "FLOAT")]
        assert all(field[1]["tooltip"] for field in typed), node
        assert set(inputs) <= {"required", "optional", "hidden"} and callable(getattr(node(), node.FUNCTION))
        assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) and isinstance(node.CATEGORY, str)
        for fields in inputs.values():
            for kind, *options in fields.values():
                assert isinstance(kind, str | list) and len(options) <= 1


def test_workflow_of_one_view_runs_on_nano(comfy, tmp_path):
    workflow = json.loads((FOLDER / "workflows" / "one_view.json").read_text())
    workflow["3"]["inputs"] |= {"model": "nano", "device": "cpu"}
    results = execute(workflow, comfy.nodes | CORE)
    (images,), (name,) = results["8"]
    scene = Scene.open(tmp_path / "output" / "plenodream" / "one")
    assert name == "arc-right-angle-15" and scene.complete(name)
    assert images.shape == (9, scene.manifest.height, scene.manifest.width, 3) and images.dtype == torch.float32
    assert torch.equal((images * 255).round().byte(), scene.frames(name))
    assert comfy.bars[0].values[-1] == 100 and comfy.bars[0].values == sorted(comfy.bars[0].values)


def test_workflow_of_one_view_runs_without_a_network(comfy, tmp_path):
    workflow = json.loads((FOLDER / "workflows" / "one_view.json").read_text())
    workflow["3"]["inputs"] |= {"model": "reprojection", "device": "cpu"}
    workflow["5"]["inputs"]["presets"] = "rotate-right:angle=5"  # needs no depth
    (images,), (name,) = execute(workflow, comfy.nodes | CORE)["8"]
    scene = Scene.open(tmp_path / "output" / "plenodream" / "one")
    assert scene.complete(name) and torch.equal((images * 255).round().byte(), scene.frames(name))


def test_workflow_of_key_frames_is_wired_and_drawn(comfy, tiny_pipeline, tmp_path):
    """The other workflow, with a network of random weights."""
    workflow = json.loads((FOLDER / "workflows" / "two_views.json").read_text())
    load = comfy.nodes["PlenodreamLoadModel"]
    tiny = type("Tiny", (load,), {"run": lambda self, model, device: (tiny_pipeline().model(),)})
    results = execute(workflow, comfy.nodes | CORE | {"PlenodreamLoadModel": tiny})
    scene = Scene.open(tmp_path / "output" / "plenodream" / "scene")
    assert scene.names("view") == ["arc-left", "rise"] and all(map(scene.complete, scene.names()))
    (left, rise), words = results["15"]  # what the source shows of both
    assert left.shape[-1] == 3 == rise.shape[-1] and len(left) == 8
    assert words[0].startswith("arc-left: ") and words[1].startswith("rise: ") and "depth assumed" in words[1]
    magenta = (rise[-1] == torch.tensor([1.0, 0.0, 1.0])).all(-1)
    assert 0.02 < magenta.float().mean() < 0.9
    drawn, poses = results["9"]
    assert drawn.shape[0] == 1 and drawn.shape[-1] == 3 and drawn.std() > 0
    assert poses.shape == (3, 4, 4)  # every fourth of nine frames
    last = scene.cameras("rise").camera_to_world[-1]
    assert last[0, 3] > 1 and last[1, 3] < -0.5  # to the right and up


def test_key_frames_go_through_every_hand(comfy, tiny_pipeline, tiny_video, settings, tmp_path):
    """Saved by a node, then by the viewer; taken by Python, by what `render` calls, and by the app."""
    first = comfy.nodes["PlenodreamDials"]().run(0.0, 0, 0, 4.0, 0, "glide")[0]
    keys = comfy.nodes["PlenodreamDials"]().run(1.0, 20, 5, 3.0, 2, "linear", before=first, focal_mm=40)[0]
    (saved,) = comfy.nodes["PlenodreamSaveKeyframes"]().run("mine", keys, 4.0)
    whole = read_keyframes(saved)
    assert whole == Keyframes(tuple(keys), 4.0)
    (listed,) = comfy.nodes["PlenodreamCamerasFile"]().run(saved)
    assert listed.files == (saved,)

    scene = tiny_pipeline().prepare(tmp_path / "scene", tiny_video(4), ["arc-left"], settings=settings())
    studio = Studio(scene)
    (scene.folder / "trajectories").mkdir()
    shutil.copy(saved, scene.folder / "trajectories" / "mine.json")
    studio.load("mine")
    again = studio.save("mine")
    assert studio.keys == whole.keyframes and read_keyframes(again) == whole
    with pytest.raises(ValueError, match=r"no trajectories/other\.json"):
        studio.load("other")

    scene = prepare_scene(scene.folder, None, make_request((), [again]), tiny_pipeline().model())
    expected = keyframe_cameras(whole, scene.cameras("source"))
    torch.testing.assert_close(scene.cameras("mine").camera_to_world, expected.camera_to_world)
    write_preview(tmp_path / "clip.mp4", tiny_video(4).frames, 8)
    (tmp_path / "visits").mkdir()
    visit, desk = Visits(tmp_path / "visits", Limits()).of("one"), Desk(reprojection_model, Limits(max_height=16))
    turns = Keyframes((Keyframe(0.0), Keyframe(1.0, roll=10)), 4.0)
    write_keyframes(tmp_path / "turn.json", turns)
    rendered = desk.render(visit, Wish(tmp_path / "clip.mp4", path=tmp_path / "turn.json"), lambda *_: None)
    assert rendered.complete("turn") and read_keyframes(rendered.folder / "trajectories" / "turn.json") == turns
    with zipfile.ZipFile(visit.file(desk.pack(visit, "cameras"))) as packed:
        assert "trajectories/turn.json" in packed.namelist()


@pytest.mark.parametrize("folder", ["../elsewhere", "/tmp/x", "."])
def test_scenes_stay_in_the_output_folder(comfy, folder, tiny_pipeline, tiny_video):
    module = sys.modules[f"{comfy.name}.cameras"]
    with pytest.raises(ValueError, match="expected one within"):
        comfy.nodes["PlenodreamScene"]().run(
            tiny_pipeline().model(), module.Trajectories(("arc-left",)), folder, tiny_video()
        )


def test_camera_poses_go_out_and_come_back(comfy):
    module = sys.modules[f"{comfy.name}.cameras"]
    source = still_cameras(9, 16, 16)
    moved = module.Trajectories(("arc-left:angle=50", "tilt-up")).cameras(source)["arc-left-angle-50"]
    poses = module.poses_of(moved)
    assert isinstance(poses, np.ndarray) and poses.shape == (3, 4, 4)
    # As WanVideoWrapper reads them: columns right, down, forward; centimetres.
    read = poses[:, :, [1, 2, 0, 3]] * np.array([1, -1, 1, 1])
    read[:, :3, 3] /= 100
    relative = torch.from_numpy(np.linalg.inv(read[0]) @ read)
    torch.testing.assert_close(relative, moved.camera_to_world[::4].double(), atol=1e-5, rtol=0)
    # And back, along a source that stands elsewhere.
    place = Cameras(moved.camera_to_world[-1:].expand(9, 4, 4), source.intrinsics, 16, 16)
    again = module.path_cameras(module.poses_from(poses), place)
    expected = place.camera_to_world[0] @ moved.camera_to_world
    torch.testing.assert_close(again.camera_to_world[::4], expected[::4], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="expected finite numbers"):
        module.poses_from(np.zeros((3, 3, 4)))


def test_load3d_cameras_are_dials(comfy):
    module = sys.modules[f"{comfy.name}.cameras"]
    for azimuth, elevation in ((0, 0), (90, 0), (-135, 30), (20, -60)):
        key = Keyframe(0.5, azimuth, elevation, 2.5)
        found = module.keyframe_from(module.load3d_camera(key), 0.5)
        assert (found.azimuth, found.elevation, found.distance) == pytest.approx((azimuth, elevation, 2.5))
    front = {"position": {"x": 1, "y": 2, "z": 8}, "target": {"x": 1, "y": 2, "z": 5}}
    assert module.keyframe_from(front, 0) == Keyframe(0.0, distance=3.0)
    dials = sys.modules[f"{comfy.name}.nodes"].Dials()
    ((key,), _) = dials.run(0.5, 20, 10, 2, 5, "linear", focal_mm=35, camera_info=front)
    assert key == Keyframe(0.5, 0, 0, 3.0, 5, 35, ease="linear"), "what a Load 3D node does not say is the dials'"
    with pytest.raises(ValueError, match="without position and target"):
        module.keyframe_from({"position": {"x": 1, "y": 2, "z": 3}}, 0)
