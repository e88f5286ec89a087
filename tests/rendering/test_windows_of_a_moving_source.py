"""A source that moves over two windows: everything of the second window is of the second window."""

from dataclasses import replace

import pytest
import torch

from plenodream.geometry.cameras import axis_rotation, stack_cameras
from plenodream.memory.retrieval import retrieve
from plenodream.memory.windows import window_index
from plenodream.rendering.renderer import AutoregressiveRenderer


@pytest.fixture(scope="module")
def moving(tiny_video):
    """Three frames looking ahead at the origin, then three that have gone aside and turned round."""
    video = tiny_video(6)
    poses = video.cameras.camera_to_world.clone()
    poses[3:, :3, :3] = axis_rotation("y", torch.tensor(75.0))
    poses[:, 0, 3] = torch.arange(6) * 0.3
    return replace(video, cameras=replace(video.cameras, camera_to_world=poses))


VIEWS = ("rotate-left:angle=60,of=source", "rotate-right:angle=60", "arc-left:of=source")


def test_rays_are_anchored_at_the_source_of_their_own_window(tiny_pipeline, moving, settings, tmp_path, monkeypatch):
    pipeline, seen = tiny_pipeline(overlap=0), []
    scene = pipeline.prepare(tmp_path, moving, VIEWS[:1], settings=settings())
    generator = pipeline.generator(settings().sampling)
    kind, encode, generate = type(generator), type(generator).encode, type(generator).generate

    def spy_encode(self, view, anchor):
        seen.append(("encode", view.cameras, anchor))
        return encode(self, view, anchor)

    def spy_generate(self, targets, contexts, anchor, *rest, **named):
        seen.append(("generate", targets[0], anchor))
        return generate(self, targets, contexts, anchor, *rest, **named)

    monkeypatch.setattr(kind, "encode", spy_encode)
    monkeypatch.setattr(kind, "generate", spy_generate)
    AutoregressiveRenderer(scene, generator, settings(), None).render()
    assert [what for what, _, _ in seen] == ["encode", "generate"] * 2
    for number, (what, cameras, anchor) in enumerate(seen):
        window = number // 2
        name = "source" if what == "encode" else scene.names("view")[0]
        assert torch.equal(anchor, scene.cameras("source", window).camera_to_world[0])
        assert torch.equal(cameras.camera_to_world, scene.cameras(name, window).camera_to_world)


def test_retrieval_and_merging_look_at_their_own_window(tiny_pipeline, moving, settings, tmp_path):
    chosen = settings(1, 3)
    scene = tiny_pipeline(k=1, overlap=0)(moving, VIEWS, tmp_path, chosen)
    name = scene.names("view")[-1]
    memory = ["source", *scene.names("view")[:-1]]

    def scores(target, others, of_target, of_others):
        whole = stack_cameras([scene.cameras(other) for other in others])
        at = [window_index(scene.manifest.windows[window], 6) for window in (of_target, of_others)]
        return dict(zip(others, retrieve(target[at[0]], whole[:, at[1]], chosen.retrieval).scores, strict=True))

    record, target = scene.record(name, 1), scene.cameras(name)
    right = scores(target, memory, 1, 1)
    assert record["candidates"] == right
    assert all(scores(target, memory, *wrong) != right for wrong in ((0, 1), (1, 0), (0, 0)))
    assert record["merged"]
    for helper, inputs in record["merged"].items():
        made = scene.record(helper, 1)
        right = scores(scene.cameras(helper), inputs, 1, 1)
        assert made["candidates"] == pytest.approx(right)
        assert scores(scene.cameras(helper), inputs, 0, 0) != pytest.approx(right)
