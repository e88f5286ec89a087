"""The published networks on Wan 2.1 against what their publishers' own code computed, up to the pixels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file

from plenodream.models.codecs.protocol import to_frames
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.context import ViewTokens
from plenodream.models.wan.keys import TRANSFORMER_KEYS, VAE_KEYS
from plenodream.models.wan.recammaster import ReCamMasterTransformer
from plenodream.models.wan.redirector import ReDirectorTransformer, folded_rays
from plenodream.sampling.denoise import SamplingConfig
from plenodream.sampling.view import sample_view
from plenodream.types import Cameras

REFERENCE = Path(__file__).parents[1] / "reference"


def error(found, expected):
    return (found - expected).norm() / expected.norm()


def load(model, path, keys):
    weights = load_file(path)
    model.load_state_dict({keys.ours(name): tensor for name, tensor in weights.items()}, strict=True)
    assert {keys.published(name) for name in model.state_dict()} == set(weights)  # and the way back
    return model.eval()


def sizes(config):
    return {
        "num_attention_heads": config["num_heads"],
        "attention_head_dim": config["dim"] // config["num_heads"],
        "in_channels": config["in_dim"],
        "out_channels": config["out_dim"],
        **{name: config[name] for name in ("text_dim", "freq_dim", "ffn_dim")},
        "num_layers": config["num_layers"],
    }


@torch.no_grad()
def test_recammasters_network_is_reproduced():
    folder = REFERENCE / "recammaster_wan_dit"
    config, tensors = json.loads((folder / "config.json").read_text()), load_file(folder / "tensors.safetensors")
    model = load(ReCamMasterTransformer(**sizes(config)), folder / "weights.safetensors", TRANSFORMER_KEYS)
    noise, source = tensors["latents_target_then_source"].unsqueeze(1).chunk(2, dim=3)
    rows, columns = config["latent_height"] // 2, config["latent_width"] // 2
    pose = tensors["camera_pose_3x4"][:, None, :, None, None].expand(1, 1, 1, rows, columns, 12)
    at_start = torch.eye(4)[:3].flatten().expand_as(pose)
    arguments = noise, tensors["timestep"] / 1000, pose, model.encode(ViewTokens(source, at_start))
    velocity = model.velocity(*arguments, text=tensors["text_embeds"])[:, 0]
    assert error(velocity[..., ::3, ::3], tensors["target_velocity_every_3rd_cell"]) < 2e-5


class Recammaster:
    """The reference, and what ours makes of its inputs."""

    def __init__(self):
        folder = REFERENCE / "recammaster_pipeline"
        self.config, self.tensors = (
            json.loads((folder / "config.json").read_text()),
            load_file(folder / "tensors.safetensors"),
        )
        vae = self.config["vae"]
        self.model = load(
            ReCamMasterTransformer(**sizes(self.config["dit"])), folder / "dit.safetensors", TRANSFORMER_KEYS
        )
        codec = WanCodec(base_dim=vae["dim"], z_dim=vae["z_dim"], dim_mult=vae["dim_mult"])
        self.codec = load(codec, folder / "vae.safetensors", VAE_KEYS)
        with torch.no_grad():
            self.source = self.codec.encode(self.video()[None])
            self.rays = self.model.rays(self.codec, self.cameras(), torch.eye(4))[None]
            rest = self.rays[:, :1].expand_as(self.rays)  # the source stands still
            self.context = self.model.encode(ViewTokens(self.source[:, None], rest[:, None]))

    def video(self):
        frames, height, width = (self.config[name] for name in ("frames", "height", "width"))
        c, t, y, x = (torch.arange(n, dtype=torch.float64) for n in (3, frames, height, width))
        c, t, y = c.view(-1, 1, 1, 1), t.view(-1, 1, 1), y.view(-1, 1)
        wave = torch.sin(0.013 * (c + 1) * x + 0.7 * c + 0.4 * t + 0.2)
        return (wave * torch.cos(0.017 * (3 - c) * y - 0.3 * t + 0.2)).float()

    def cameras(self):
        poses = self.tensors["target_camera_to_world"].float()
        poses = torch.cat([poses[:1], poses[1:].repeat_interleave(4, 0)])  # the pose of a latent frame, for its frames
        return Cameras(poses, torch.tensor([700.0, 700, 416, 240]).expand(len(poses), 4), 480, 832)


@pytest.fixture(scope="module")
def recammaster():
    return Recammaster()


@torch.no_grad()
def test_recammasters_codec_and_network_are_reproduced(recammaster):
    tensors, model = recammaster.tensors, recammaster.model
    assert error(recammaster.source[..., ::3, ::3], tensors["source_latents_every_3rd_cell"]) < 1e-4
    assert torch.allclose(recammaster.rays[:, :, 0, 0], tensors["target_camera"], atol=1e-6)
    noise, g = tensors["noise"], recammaster.config["cfg_scale"] - 1
    with_text, without = (
        model.velocity(noise[:, None], torch.ones(1), recammaster.rays[:, None], recammaster.context, text=text)[:, 0]
        for text in (tensors["prompt_embeds"], tensors["negative_prompt_embeds"])
    )
    velocity = with_text + g * (with_text - without)
    step = 5 * 0.75 / (1 + 4 * 0.75) - 1  # sigmas 1 and 0.75, shifted
    expected = (tensors["latents_after_step_1_every_3rd_cell"] - noise[..., ::3, ::3]) / step
    assert error(velocity[..., ::3, ::3], expected) < 2e-5


@torch.no_grad()
def test_recammasters_pipeline_is_reproduced_from_pixels_to_pixels(recammaster):
    tensors, config = recammaster.tensors, recammaster.config
    latents = sample_view(
        recammaster.model,
        FlowMatchEulerDiscreteScheduler(shift=config["shift"]),
        SamplingConfig(config["steps"], config["cfg_scale"] - 1),
        tensors["noise"],
        recammaster.rays,
        recammaster.context,
        text=tensors["prompt_embeds"],
        negative=tensors["negative_prompt_embeds"],
    )
    assert error(latents[..., ::3, ::3], tensors["latents_every_3rd_cell"]) < 1e-4
    signal = recammaster.codec.decode(latents)
    expected = tensors["frames_every_8th_pixel"].int()
    frames = to_frames(signal)[0, :, ::8, ::8].int()
    assert (frames - expected).abs().max() <= 1
    # The publisher cuts off where we round to the nearest.
    cut = ((signal[0, :, :, ::8, ::8].clamp(-1, 1) + 1) * 127.5).movedim(0, -1).int()
    assert (cut != expected).float().mean() < 1e-3
    assert expected.float().std() > 10  # there is a picture to agree on


class Redirector:
    """The reference, and what ours makes of its inputs."""

    def __init__(self):
        folder = REFERENCE / "redirector_wan_dit"
        self.config, self.tensors = (
            json.loads((folder / "config.json").read_text()),
            load_file(folder / "tensors.safetensors"),
        )
        config = self.config
        model = ReDirectorTransformer(**sizes(config), image_dim=config["clip_dim"], added_kv_proj_dim=config["dim"])
        self.model = load(model, folder / "weights.safetensors", TRANSFORMER_KEYS)
        source, target = self.cameras("source"), self.cameras("target")
        anchor = source.camera_to_world[0]
        with torch.no_grad():
            rays = self.model.rays(WanCodec(base_dim=4, num_res_blocks=1), source, anchor)
            self.rays = self.model.rays(WanCodec(base_dim=4, num_res_blocks=1), target, anchor)[None]
            views = self.tensors["source_latents"][:, None], rays[None, None], self.tensors["clip_features"][:, None]
            self.context = self.model.encode(ViewTokens(*views))

    def cameras(self, name):
        config, poses = self.config, self.tensors[f"{name}_camera_to_world"]
        width, height = config["width"], config["height"]
        intrinsics = torch.tensor(
            [config["fx"] * width, config["fy"] * height, config["cx"] * width, config["cy"] * height]
        )
        return Cameras(poses, intrinsics.expand(len(poses), 4), height, width)


@pytest.fixture(scope="module")
def redirector():
    return Redirector()


@pytest.mark.parametrize("name", ["source", "target"])
def test_redirectors_folded_rays_are_reproduced(redirector, name):
    cameras = redirector.cameras(name)
    assert torch.equal(cameras.camera_to_world[0], torch.eye(4))
    folded = torch.stack(list(folded_rays(cameras, 4)))[:, :, ::16, ::16]
    expected = redirector.tensors[f"{name}_plucker_folded_every_16th_pixel"][0].movedim(0, 1)
    torch.testing.assert_close(folded, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_redirectors_network_is_reproduced(redirector):
    tensors = redirector.tensors
    arguments = tensors["noise"][:, None], tensors["timesteps"][:1] / 1000, redirector.rays[:, None], redirector.context
    velocity = redirector.model.velocity(*arguments, text=tensors["prompt_embeds"])
    assert error(velocity[:, 0], tensors["first_velocity_positive"]) < 2e-5


@torch.no_grad()
def test_redirectors_sampler_is_reproduced(redirector):
    tensors, config = redirector.tensors, redirector.config
    latents = sample_view(
        redirector.model,
        FlowMatchEulerDiscreteScheduler(shift=config["shift"]),
        SamplingConfig(config["steps"], config["cfg_scale"] - 1),
        tensors["noise"],
        redirector.rays,
        redirector.context,
        text=tensors["prompt_embeds"],
        negative=tensors["negative_prompt_embeds"],
    )
    assert error(latents, tensors["latents"]) < 1e-4


@torch.no_grad()
def test_redirector_takes_more_contexts_than_it_was_trained_with_and_their_order_does_not_count(redirector):
    other = Redirector().context
    other = type(other)((other.kept[0].roll(1, 2), other.kept[1].roll(1, 1), other.kept[2]))
    tensors, stack = redirector.tensors, type(other).stack
    arguments = tensors["noise"][:, None], torch.tensor([0.7]), redirector.rays[:, None]
    one, both, turned = (
        redirector.model.velocity(*arguments, context, text=tensors["prompt_embeds"])
        for context in (redirector.context, stack([redirector.context, other]), stack([other, redirector.context]))
    )
    assert error(both, one) > 1e-2
    assert error(turned, both) < 1e-5
