"""Layouts of results: our scenes read directly, a model's folder with its list, MultiCamVideo's."""

from __future__ import annotations

import json
import shutil

import guest
import pytest
import torch

from plenodream.data.synth import synthesize
from plenodream.evaluation.delivery import check_delivery
from plenodream.evaluation.layouts import find_samples
from plenodream.evaluation.layouts.manifest import write_manifest
from plenodream.evaluation.reading import Reader
from plenodream.evaluation.run import run
from plenodream.evaluation.shots import Shot
from plenodream.memory.scene import Scene


def test_our_scenes_are_read_without_loss(partial_scene):
    samples = find_samples(partial_scene.folder)
    assert [s.shot for s in samples] == partial_scene.names("view") and [s.number for s in samples] == [1, 2, 3, 4]
    assert not check_delivery(samples)
    shot = Shot(samples[1], Reader())
    assert torch.equal((shot.frames * 255).round().byte(), partial_scene.frames(samples[1].shot))
    assert torch.equal(shot.cameras.camera_to_world.float(), partial_scene.cameras(samples[1].shot).camera_to_world)
    assert shot.source is not None and shot.truth is shot.depth is None
    assert [sample.scene for sample in find_samples(partial_scene.folder.parent)] == ["scene"] * 4


def test_an_unfinished_scene_is_no_delivery(partial_scene, tmp_path):
    folder = tmp_path / "scene"
    shutil.copytree(partial_scene.folder, folder)
    Scene.open(folder).invalidate("zoom-out")
    (fault,) = check_delivery(find_samples(folder))
    assert (fault.sample.shot, fault.kind) == ("zoom-out", "damaged") and "not rendered to its end" in fault.reason


def test_a_manifest_may_name_views_of_our_scenes(partial_scene, tmp_path):
    write_manifest(tmp_path / "manifest.jsonl", find_samples(partial_scene.folder))
    found = find_samples(tmp_path)
    assert [(s.scene, s.shot, s.number) for s in found] == [
        (s.scene, s.shot, s.number) for s in find_samples(partial_scene.folder)
    ]
    assert not check_delivery(found)


def test_a_models_folder_with_a_list(tmp_path):
    guest.deliver(tmp_path / "plain", scenes=1)
    folder, listed = tmp_path / "model", []
    (folder / "videos").mkdir(parents=True)
    for line in map(json.loads, (tmp_path / "plain" / "manifest.jsonl").read_text().splitlines()):
        name = line["video"].replace("/", "_")
        shutil.copy(tmp_path / "plain" / line["video"], folder / "videos" / name)
        listed.append(
            {key: value for key, value in line.items() if key in ("scene", "shot", "cameras")} | {"video": name}
        )
    shutil.copytree(tmp_path / "plain" / "scene0", folder / "scene0")
    for content in ({"samples": listed}, listed):
        (folder / "meta.json").write_text(json.dumps(content))
        samples = find_samples(folder)
        assert [sample.shot for sample in samples] == list(guest.SHOTS) and not check_delivery(samples)
    (folder / "meta.json").write_text('{"samples": 3}')
    with pytest.raises(ValueError, match=r"meta.json: .*expected a list"):
        find_samples(folder)


def test_multicamvideo(tmp_path):
    synthesize(tmp_path / "data", "mild", scenes=1, views=3, frames=3, height=32, width=32)
    samples = find_samples(tmp_path / "data")
    assert len(samples) == 2 and not check_delivery(samples)
    outcome = run(tmp_path / "data", tmp_path / "out", ("fidelity",), "data")
    assert outcome.report is not None and outcome.report.unavailable == {"fidelity": {"truth": 2}}


def test_a_damaged_archive_of_arrays_is_one_line(tmp_path):
    (tmp_path / "depth.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"depth\.npz: cannot be read .*; expected \.npy, \.npz or \.safetensors"):
        Reader().array(tmp_path / "depth.npz")
