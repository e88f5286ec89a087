"""Networks that do not fit the rest of their recipe are refused before a step is taken."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from tiny import tiny_config

from plenodream.recipes import RECIPES, get_recipe
from plenodream.training import build
from plenodream.training.build import build_model, compile_network, grow_depth
from plenodream.training.config import OptimizerConfig
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.objective import ObjectiveConfig


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("out_channels", 48, "model.out_channels is 48: expected 192"),
        ("in_channels", 192, "model.in_channels is 192: expected 193"),
        ("camera_numbers", 96, "model.camera_numbers is 96: expected 384"),
        ("patch_size", (3, 1, 1), r"model.patch_size is \[3, 1, 1\]: expected 1, p, p"),
        ("max_size", (2, 8, 8), r"model.max_size is \[2, 8, 8\]: expected at least \[3, 2, 2\]"),
    ],
)
def test_sizes_that_do_not_fit_the_codec(field, value, expected):
    config = tiny_config()
    with pytest.raises(ValueError, match=expected):
        build_model(replace(config, model=config.model | {field: value}))


@pytest.mark.parametrize("patch", [(1, 1, 1), (1, 2, 2)])
def test_weights_of_colours_grow_into_a_network_that_does_the_same_with_them(tiny_denoiser, patch):
    """The grown one with the depth that comes in and goes out left out is the one of colours."""
    small = tiny_denoiser(in_channels=13, out_channels=12, patch_size=patch)
    large = tiny_denoiser(in_channels=17, out_channels=16, patch_size=patch)
    weights = grow_depth(small.state_dict(), large, depth_channels=4)
    weights = dict(weights)
    size = weights["patch_embed.proj.weight"].shape[1] // 17
    assert weights["patch_embed.proj.weight"][:, 12 * size : 16 * size].any()
    weights["patch_embed.proj.weight"][:, 12 * size : 16 * size] = 0
    large.load_state_dict(weights)
    latents, numbers = torch.randn(2, 16, 1, 4, 4), small.config.camera_numbers
    side = 4 // patch[1]
    rays = torch.randn(2, 1, side, side, numbers)
    arguments = torch.full((2,), 0.5), rays, torch.zeros(2, 1), None
    expected, _ = small.run(latents[:, :12], *arguments)
    made, _ = large.run(latents, *arguments)
    torch.testing.assert_close(made[:, :12], expected, rtol=1e-4, atol=1e-5)
    assert 0 < made[:, 12:].std() < expected.std()


def test_weights_that_have_depth_or_are_of_another_network_are_left_alone(tiny_denoiser):
    large = tiny_denoiser(in_channels=17, out_channels=16)
    for other in (large.state_dict(), tiny_denoiser(in_channels=5, out_channels=4).state_dict(), {}):
        assert grow_depth(other, large, depth_channels=4) is other


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_fit_their_codecs(name):
    with torch.device("meta"):
        build_model(get_recipe(name))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Curriculum((Stage(1.5), Stage(-0.5))), "share of -0.5: expected more than 0"),
        (lambda: OptimizerConfig(warmup_steps=-5), "warmup_steps is -5: expected 0 or more"),
        (lambda: OptimizerConfig(weight_decay=-1), "weight_decay is -1: expected 0 or more"),
        (lambda: OptimizerConfig(muon=-0.2), r"muon is -0.2: expected 0 \(AdamW\) or more"),
        (lambda: ObjectiveConfig(overlap_frames=-2), "overlap_frames is -2: expected 0 or more"),
    ],
)
def test_values_out_of_range(make, expected):
    with pytest.raises(ValueError, match=expected):
        make()


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_what_is_compiled_computes_the_same(tiny_denoiser, unchecked):
    unchecked(build)
    plain, compiled = tiny_denoiser(), tiny_denoiser()
    compile_network(compiled)
    generator = torch.Generator().manual_seed(0)
    for count in (1, 2):
        latents = torch.randn(count, 4, 2, 3, 3, generator=generator)
        rays = torch.randn(count, 2, 3, 3, 24, generator=generator)
        inputs = (latents, torch.full((count,), 0.7), rays, torch.zeros(count, 2), None)
        torch.testing.assert_close(compiled.run(*inputs)[0], plain.run(*inputs)[0], rtol=1e-5, atol=1e-5)
    assert all(a.attn1.processor.rotated is not b.attn1.processor.rotated
               for a, b in zip(plain.transformer_blocks, compiled.transformer_blocks, strict=True))  # fmt: skip
