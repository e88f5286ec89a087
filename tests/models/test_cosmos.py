"""The Cosmos adapter beside the published network and the stock one."""

import inspect
import json
from pathlib import Path

import forked
import pytest
import torch
from diffusers import CosmosTransformer3DModel
from einops import rearrange
from safetensors.torch import load_file

from plenodream.models.context import ViewTokens
from plenodream.models.cosmos.keys import TRANSFORMER_KEYS
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.layout import LAYOUTS

REFERENCE = Path(__file__).parents[1] / "reference" / "cosmos_camera_dit"


@pytest.mark.parametrize("per_frame", [False, True], ids=["one-timestep", "timesteps-by-frame"])
@pytest.mark.parametrize(("network", "layout"), [("in4_out1", "middle-of-4"), ("in1_out2", "source-between-targets")])
@torch.no_grad()
def test_the_published_network_is_reproduced(network, layout, per_frame):
    # The reference has one timestep. Given to every frame by itself, it takes the way that other ones of context take.
    config = json.loads((REFERENCE / network / "config.json").read_text())
    tensors = load_file(REFERENCE / network / "tensors.safetensors")
    time = tensors["timestep"][0] * config["timestep_scale"]
    model = CosmosCameraTransformer(
        in_channels=18,
        out_channels=config["out_channels"],
        num_attention_heads=config["num_heads"],
        attention_head_dim=config["model_channels"] // config["num_heads"],
        num_layers=config["num_blocks"],
        mlp_ratio=config["mlp_ratio"],
        text_embed_dim=config["crossattn_emb_channels"],
        adaln_lora_dim=config["adaln_lora_dim"],
        use_crossattn_projection=True,
        crossattn_proj_in_channels=config["crossattn_proj_in_channels"],
        encoder_hidden_states_channels=config["crossattn_emb_channels"],
        context_attention="joint",
        layout=LAYOUTS[layout],
        context_timestep=time.item() if per_frame else None,
    )
    weights = load_file(REFERENCE / network / "weights.safetensors")
    model.load_state_dict({TRANSFORMER_KEYS.ours(name): tensor for name, tensor in weights.items()}, strict=True)
    views, targets = config["views"], config["target_views"]
    context = [view for view in range(views) if view not in targets]
    latents = rearrange(tensors["latents"], "b c (v f) h w -> b v c f h w", v=views)
    rays = rearrange(tensors["plucker_tokens"], "(v f) h w n -> 1 v f h w n", v=views)
    velocity = model.predict(
        latents[:, targets],
        time,
        rays[:, targets],
        model.encode(ViewTokens(latents[:, context], rays[:, context])),
        text=tensors["text_embeds"],
    )
    expected = rearrange(tensors["velocity"], "b c (v f) h w -> b v c f h w", v=views)[:, targets]
    assert (velocity - expected).norm() <= 2e-5 * expected.norm()


def stock_of(model):
    """The stock network with a model's weights: all but its camera projections."""
    names = set(inspect.signature(CosmosTransformer3DModel.__init__).parameters) & set(model.config)
    stock = CosmosTransformer3DModel(**{name: model.config[name] for name in names}).eval()
    stock.load_state_dict({k: v for k, v in model.state_dict().items() if ".cam_encoder." not in k}, strict=True)
    return stock


def random_views(views, frames=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, views, 4, frames, 2, 2, generator=generator)
    return ViewTokens(latents, torch.randn(1, views, frames, 2, 2, 24, generator=generator))


@pytest.mark.parametrize("context_timestep", [None, 0.1])
@torch.no_grad()
def test_joint_mode_without_cameras_is_the_stock_network_on_one_sequence(tiny_denoiser, context_timestep):
    layout = ("context", "target", "context*")
    model = tiny_denoiser(context_attention="joint", layout=layout, context_timestep=context_timestep)
    target, context, t = random_views(1), random_views(2, seed=1), torch.tensor([0.7])
    seeing = model.predict(target.latents, t, target.camera_tokens, model.encode(context))[0, 0]
    for block in model.transformer_blocks:
        block.attn1.cam_encoder.weight.zero_()
    blind = model.predict(target.latents, t, target.camera_tokens, model.encode(context))[0, 0]

    views = torch.cat([context.latents[:, :1], target.latents, context.latents[:, 1:]], dim=1)
    mask = torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(3)
    sequence = torch.cat(
        [rearrange(views, "b v c f h w -> b c (v f) h w"), mask.view(1, 1, 9, 1, 1).expand(1, 1, 9, 2, 2)], dim=1
    )
    time = t if context_timestep is None else torch.where(mask > 0, context_timestep, 0.7).view(1, 1, 9, 1, 1)
    expected = stock_of(model)(sequence, time, torch.zeros(1, 1, 8), return_dict=False)[0][0, :, 3:6]
    torch.testing.assert_close(blind, expected, rtol=1e-5, atol=1e-5)
    assert (seeing - blind).norm() > 0.05 * blind.norm()


def test_a_padding_channel_is_appended_as_zeros(tiny_denoiser):
    model = tiny_denoiser(in_channels=6)
    views = random_views(1)
    arguments = torch.tensor([0.7]), views.camera_tokens[:, 0], torch.tensor([[1.0, 0.0, 0.0]]), None
    before, _ = model.run(views.latents[:, 0], *arguments)
    with torch.no_grad():
        model.patch_embed.proj.weight[:, 5].normal_()
    after, _ = model.run(views.latents[:, 0], *arguments)
    assert torch.equal(before, after)
    with torch.no_grad():
        model.patch_embed.proj.weight[:, 4].normal_()
    assert not torch.allclose(model.run(views.latents[:, 0], *arguments)[0], before)


def test_the_stock_padding_mask_is_refused(tiny_denoiser):
    with pytest.raises(ValueError, match="give the padding channel through in_channels"):
        tiny_denoiser(concat_padding_mask=True)


def test_new_networks_start_blind_to_the_camera():
    model = CosmosCameraTransformer(num_layers=1, num_attention_heads=1, attention_head_dim=16)
    assert not model.transformer_blocks[0].attn1.cam_encoder.weight.any()


def gradients(model, target, context):
    """Gradients of a loss on a prediction from recorded keys and values: of the network, and of the context's rays."""
    model.zero_grad()
    rays = context.camera_tokens.clone().requires_grad_()
    cache = model.encode(ViewTokens(context.latents, rays))
    model.predict(target.latents, torch.tensor([0.7]), target.camera_tokens, cache).square().sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None} | {"rays": rays.grad}


def test_gradient_checkpointing_gives_the_same_gradients(tiny_denoiser):
    model, target, context = tiny_denoiser(), random_views(1), random_views(2, seed=1)
    expected = gradients(model, target, context)
    model.enable_gradient_checkpointing()
    again = gradients(model, target, context)
    assert expected.keys() == again.keys()
    assert expected["rays"].norm() > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


def test_a_saved_network_comes_back_exactly(tiny_denoiser, tmp_path):
    config = {"context_attention": "joint", "layout": LAYOUTS["middle-of-4"], "context_timestep": 1e-4}
    model = tiny_denoiser(**config, prediction="x0")
    model.save_pretrained(tmp_path)
    loaded = CosmosCameraTransformer.from_pretrained(tmp_path)
    for name, value in {**config, "prediction": "x0", "camera_numbers": 24, "patch_size": (1, 1, 1)}.items():
        found = loaded.config[name]
        assert (tuple(found) if isinstance(value, tuple) else found) == value, name
    state = loaded.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    target, context = random_views(1), random_views(4, seed=1)
    arguments = target.latents, torch.tensor([0.7]), target.camera_tokens, model.encode(context)
    with torch.no_grad():
        assert torch.equal(loaded.predict(*arguments), model.predict(*arguments))


@torch.no_grad()
def test_low_precision_weights_take_and_give_the_callers_precision(tiny_denoiser):
    model, target, context, t = tiny_denoiser(), random_views(1), random_views(2, seed=1), torch.tensor([0.7])
    exact = model.predict(target.latents, t, target.camera_tokens, model.encode(context))
    low = model.to(torch.bfloat16)
    cache = low.encode(context)
    result = low.predict(target.latents, t, target.camera_tokens, cache, text=torch.zeros(1, 1, 8))
    assert cache.kept[0].dtype == torch.bfloat16
    assert result.dtype == torch.float32
    assert (result - exact).norm() < 0.1 * exact.norm()


def test_a_network_without_text_is_one_with_null_text_less_its_cross_attention(tiny_denoiser, tmp_path):
    text, none = tiny_denoiser(), tiny_denoiser(seed=1, text_embed_dim=0)
    weights = {n: w for n, w in text.state_dict().items() if ".attn2." not in n and ".norm2." not in n}
    assert len(weights) < len(text.state_dict())
    none.load_state_dict(weights)
    none.save_pretrained(tmp_path)
    loaded = CosmosCameraTransformer.from_pretrained(tmp_path)
    assert loaded.config.text_embed_dim == 0 and set(loaded.state_dict()) == set(weights)
    generator = torch.Generator().manual_seed(0)
    latents, rays = torch.randn(1, 4, 2, 3, 3, generator=generator), torch.randn(1, 2, 3, 3, 24, generator=generator)
    inputs = (latents, torch.tensor([0.7]), rays, torch.zeros(1, 2), None)
    for network in (none, loaded):
        torch.testing.assert_close(network.run(*inputs)[0], text.run(*inputs)[0])


def compile_and_compare():
    def build():
        torch.manual_seed(0)
        sizes = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 9, "text_embed_dim": 8}
        sizes |= {"adaln_lora_dim": 8, "patch_size": (1, 1, 1), "camera_numbers": 24}
        sizes |= {"context_attention": "joint"}
        model = CosmosCameraTransformer(in_channels=5, out_channels=4, **sizes)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        return model.eval()

    from torch._dynamo.utils import counters

    plain, compiled = build(), build()
    compiled.compile_repeated_blocks(backend="eager")
    latents, rays = torch.randn(1, 3, 4, 3, 2, 2), torch.randn(1, 3, 3, 2, 2, 24)
    target, context = (latents[:, :1], torch.tensor([0.7]), rays[:, :1]), ViewTokens(latents[:, 1:], rays[:, 1:])
    with torch.no_grad():
        one, other = (model.predict(*target, model.encode(context)) for model in (plain, compiled))
    assert one.std() > 0.1
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert counters["stats"]["unique_graphs"] < 9, counters["stats"]  # the pieces of one block, for all nine
    assert counters["frames"]["ok"] == counters["frames"]["total"]


def test_blocks_are_compiled_by_diffusers_own_means_and_compute_the_same(tmp_path):
    # In a process of its own: the checks of shapes in the tests are nothing for the compiler.
    process = forked.start(compile_and_compare, said=tmp_path / "said.txt")
    process.join(120)
    assert process.exitcode == 0, (tmp_path / "said.txt").read_text()
