"""One network carried by two processes, against one."""

from __future__ import annotations

import forked
import pytest
import torch
from PIL import Image
from processes_worker import render_together
from test_published import make_model

from plenodream.memory.scene import Scene
from plenodream.models.sequences import check_sharing
from plenodream.rendering.load import load_pipeline
from plenodream.rendering.processes import LeadingGenerator
from plenodream.sampling.config import SamplingConfig


def write_images(folder, frames, height, width):
    """Random pixels as a folder of images."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)
    for number, image in enumerate(pixels):
        Image.fromarray(image.numpy()).save(folder / f"{number:03d}.png")


def test_two_processes_give_the_video_of_one(tmp_path, tiny_pipeline):
    joint, cached = tmp_path / "joint", tmp_path / "cached"
    for folder, size in ((joint, (32, 48)), (cached, (16, 16))):
        write_images(folder / "clip", 5, *size)
    make_model("plenoptic", joint).rename(joint / "model")
    tiny_pipeline(num_attention_heads=2).save_pretrained(cached / "model")  # in windows of three frames, with overlap
    forked.ranks(2, render_together, cached, joint, said=tmp_path / "said.txt")
    for folder in (joint, cached):
        pipeline, scene = load_pipeline(str(folder / "model"), "cpu"), Scene.open(folder / "scene")
        alone = pipeline(str(folder / "clip"), ["arc-left", "tilt-up"], folder / "alone")
        assert scene.manifest.model_hash == alone.manifest.model_hash
        for name in ("arc-left", "tilt-up"):
            difference = (scene.frames(name).int() - alone.frames(name).int()).abs()
            assert difference.max() <= 1 and difference.float().mean() / 255 < 1e-4
        assert alone.frames("tilt-up").float().std() > 10


def test_what_does_not_divide_is_refused_with_the_nearest_that_does():
    check_sharing(16, [(24, 27, 48)], 8)
    with pytest.raises(ValueError, match=r"5 processes: 16 attention heads and 24 latent frames .* expected 4 or 8 \("):
        check_sharing(16, [(24, 27, 48)], 5)
    with pytest.raises(ValueError, match=r"16 processes: 12 attention heads .* expected 12 \(torchrun"):
        check_sharing(12, [(24, 27, 48)], 16)


def test_a_point_cloud_is_no_work_for_several_processes(tmp_path, run, monkeypatch):
    write_images(tmp_path / "clip", 5, 16, 16)
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun says
    words = ("render", tmp_path / "clip", "--model", "reprojection", "--trajectory", "static")
    code, _, err = run(*words, "--out", tmp_path / "scene")
    assert code == 2 and "--model reprojection: a point cloud has no network to share; start it without" in err
    assert not (tmp_path / "scene").exists()


def test_the_others_are_told_of_other_steps(tiny_pipeline):
    generator, told = tiny_pipeline().generator(), []
    parts = (generator.sampler, generator.workings, generator.device, generator.identity)
    leading = LeadingGenerator(*parts, tell=told.append, asked=(generator.sampler.config, 4.0))
    quick = leading.in_steps(1)
    assert quick.asked == (SamplingConfig(1, generator.sampler.config.guidance), 4.0)
    assert quick.sampler.config.steps == quick.workings.steps == 1 and quick.alive is leading.alive
