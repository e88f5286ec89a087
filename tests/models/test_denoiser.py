"""Context, whatever the backbone: layouts, and keys and values kept against computing everything anew, plainly."""

import pytest
import torch
from diffusers.models.transformers.transformer_cosmos import CosmosAdaLayerNorm, CosmosAttnProcessor2_0

from plenodream.models.context import ViewTokens
from plenodream.models.cosmos.attention import TextAttnProcessor
from plenodream.models.layout import LAYOUTS, lay_out

FRAMES, ROWS, COLUMNS = 3, 2, 2
TOKENS = FRAMES * ROWS * COLUMNS
T = torch.tensor([0.7])


def random_views(views, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, views, 4, FRAMES, ROWS, COLUMNS, generator=generator)
    return ViewTokens(latents, torch.randn(batch, views, FRAMES, ROWS, COLUMNS, 24, generator=generator))


def take(views, index):
    return ViewTokens(views.latents[:, index], views.camera_tokens[:, index])


def rotate(x, angles):
    """Rotary positions: the first half of the numbers turns against the second half."""
    first, second = x.chunk(2, dim=-1)
    first, second = first * angles.cos() - second * angles.sin(), first * angles.sin() + second * angles.cos()
    return torch.cat([first, second], dim=-1)


def rotary_angles(width):
    """Angles of one view's tokens: a third of the width each for rows and columns, the rest for time."""
    side = width // 6 * 2
    sizes = width - 2 * side, side, side
    rows = []
    for frame in range(FRAMES):
        for row in range(ROWS):
            for column in range(COLUMNS):
                places = zip((frame, row, column), sizes, strict=True)
                rows.append(torch.cat([place * 1e4 ** (-torch.arange(0, size, 2) / size) for place, size in places]))
    return torch.stack(rows)


def plain_prediction(model, target, context, t, clean=None):
    """The prediction for one target with all views in one sequence and one mask, block by block, nothing kept.

    Every view has the target's positions; a context view is clean, at time 0, and sees itself alone.
    """
    clean = torch.zeros(FRAMES) if clean is None else clean
    latents = torch.cat([target.latents, context.latents], dim=1)[0]
    rays = torch.cat([target.camera_tokens, context.camera_tokens], dim=1)[0].reshape(1, -1, 24)
    views = len(latents)
    known = torch.cat([clean, torch.ones((views - 1) * FRAMES)]).view(views, 1, FRAMES, 1, 1)
    known = known.expand(views, 1, FRAMES, ROWS, COLUMNS)
    cells = torch.cat([latents, known], dim=1).permute(0, 2, 3, 4, 1).reshape(1, views * TOKENS, -1)
    time = (t * (1 - known)).reshape(-1)

    hidden = model.patch_embed.proj(cells)
    each, embedded = (x[None] for x in model.time_embed(hidden, time))
    heads, width = model.config.num_attention_heads, model.config.attention_head_dim
    angles = rotary_angles(width).repeat(views, 1)
    view_of = torch.arange(views).repeat_interleave(TOKENS)
    visible = (view_of[:, None] == view_of) | (view_of[:, None] == 0)
    text = torch.zeros(1, 1, model.config.text_embed_dim)
    for block in model.transformer_blocks:
        attention = block.attn1
        x, gate = block.norm1(hidden, embedded, each)
        x = x + attention.cam_encoder(rays)
        query, key, value = (
            project(x)[0].unflatten(-1, (heads, width)).transpose(0, 1)
            for project in (attention.to_q, attention.to_k, attention.to_v)
        )
        query, key = rotate(attention.norm_q(query), angles), rotate(attention.norm_k(key), angles)
        weight = (query @ key.transpose(-1, -2) / width**0.5).masked_fill(~visible, -torch.inf).softmax(-1)
        hidden = hidden + gate * attention.to_out[0]((weight @ value).transpose(0, 1).flatten(1)[None])
        x, gate = block.norm2(hidden, embedded, each)
        hidden = hidden + gate * CosmosAttnProcessor2_0()(block.attn2, x, text)
        x, gate = block.norm3(hidden, embedded, each)
        hidden = hidden + gate * block.ff(x)
    raw = model.proj_out(CosmosAdaLayerNorm.forward(model.norm_out, hidden, embedded, each))[0, :TOKENS]
    return raw.view(FRAMES, ROWS, COLUMNS, 4).permute(3, 0, 1, 2)


@pytest.mark.parametrize("clean", [None, torch.tensor([1.0, 0.0, 0.0])], ids=["noisy", "first-frame-known"])
@pytest.mark.parametrize("views", [1, 2, 4])
@torch.no_grad()
def test_kept_keys_and_values_equal_computing_everything_anew(tiny_denoiser, views, clean):
    model, target, context = tiny_denoiser(num_layers=3), random_views(1), random_views(views, seed=1)
    known = None if clean is None else clean[None]
    arguments = target.latents, T, target.camera_tokens
    result = model.predict(*arguments, model.encode(context), clean_frames=known)
    expected = plain_prediction(model, target, context, T, clean)
    torch.testing.assert_close(result[0, 0], expected, rtol=1e-5, atol=1e-5)
    # The context matters: the agreement is not that of networks that look at nothing.
    other = model.predict(*arguments, model.encode(random_views(views, seed=2)), clean_frames=known)
    assert (other - result).norm() > 1e-2 * result.norm()


@torch.no_grad()
def test_a_views_cache_does_not_depend_on_the_views_beside_it(tiny_denoiser):
    model, context = tiny_denoiser(), random_views(3)
    together = model.encode(context)
    for view in range(3):
        alone = model.encode(take(context, [view]))
        for a, b in zip(alone.kept, together.kept, strict=True):
            torch.testing.assert_close(a, b[view : view + 1], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_order_of_context_views_does_not_matter(tiny_denoiser):
    model, target, cache = tiny_denoiser(), random_views(1), None
    cache = model.encode(random_views(3, seed=1))
    one, other = (
        model.predict(target.latents, T, target.camera_tokens, cache.select(torch.tensor([order])))
        for order in ([0, 1, 2], [2, 0, 1])
    )
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    fewer = model.predict(target.latents, T, target.camera_tokens, cache.select(torch.tensor([[0, 1]])))
    assert (fewer - one).norm() > 1e-3 * one.norm()


@torch.no_grad()
def test_every_entry_of_a_batch_reads_its_own_context(tiny_denoiser):
    model, target, context = tiny_denoiser(), random_views(1, batch=2), random_views(2, seed=1, batch=2)
    cache = model.encode(context)
    assert len(cache) == 4  # the two views of entry 0, then those of entry 1
    times = torch.tensor([0.7, 0.2])
    both = model.predict(target.latents, times, target.camera_tokens, cache.select(torch.tensor([[0, 1], [2, 3]])))
    for entry in range(2):
        alone = ViewTokens(context.latents[entry : entry + 1], context.camera_tokens[entry : entry + 1])
        arguments = target.latents[[entry]], times[[entry]], target.camera_tokens[[entry]]
        expected = model.predict(*arguments, model.encode(alone))
        torch.testing.assert_close(both[[entry]], expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_moving_the_context_in_time_changes_the_result(tiny_denoiser):
    # Only the positions tell when a frame was: its latents and rays move along.
    model, target, context = tiny_denoiser(), random_views(1), random_views(1, seed=1)
    later = ViewTokens(context.latents.roll(1, dims=3), context.camera_tokens.roll(1, dims=2))
    here, there = (
        model.predict(target.latents, T, target.camera_tokens, model.encode(views)) for views in (context, later)
    )
    assert (here - there).norm() > 1e-3 * here.norm()


@torch.no_grad()
def test_the_target_sees_the_time_and_its_context_does_not(tiny_denoiser):
    model, target = tiny_denoiser(), random_views(1)
    cache = model.encode(random_views(1, seed=1))
    early, late = (model.predict(target.latents, torch.tensor([t]), target.camera_tokens, cache) for t in (0.9, 0.1))
    assert (early - late).norm() > 1e-3 * early.norm()


@pytest.mark.parametrize("mode", ["independent", "joint"])
@torch.no_grad()
def test_no_clean_frame_is_the_same_as_no_mask(tiny_denoiser, mode):
    model, target, context = tiny_denoiser(context_attention=mode), random_views(1), random_views(2, seed=1)
    arguments = target.latents, T, target.camera_tokens, model.encode(context)
    without = model.predict(*arguments)
    with_mask = model.predict(*arguments, clean_frames=torch.zeros(1, FRAMES))
    torch.testing.assert_close(with_mask, without, rtol=1e-5, atol=1e-5)
    known = model.predict(*arguments, clean_frames=torch.tensor([[1.0, 0.0, 0.0]]))
    assert (known - without).norm() > 1e-3 * without.norm()


@torch.no_grad()
def test_clean_target_frames_have_the_time_of_context_in_joint_mode(tiny_denoiser):
    model = tiny_denoiser(context_attention="joint", context_timestep=0.1)
    target, context, seen = random_views(1), random_views(1, seed=1), {}
    model.time_embed.register_forward_pre_hook(lambda _, inputs: seen.update(times=inputs[1]))
    clean = torch.tensor([[1.0, 0.0, 0.0]])
    model.predict(target.latents, T, target.camera_tokens, model.encode(context), clean_frames=clean)
    assert torch.allclose(seen["times"], torch.tensor([0.1, 0.7, 0.7, 0.1, 0.1, 0.1]))


@torch.no_grad()
def test_a_network_that_predicts_data_gives_the_velocity_through_it(tiny_denoiser):
    of_data, of_velocity = tiny_denoiser(prediction="x0"), tiny_denoiser(prediction="velocity")
    target, cache = random_views(1, batch=2), of_data.encode(random_views(1, seed=1))
    times = torch.tensor([0.7, 0.25])
    arguments = target.latents, times, target.camera_tokens, cache.select(torch.tensor([[0], [0]]))
    raw = of_data.predict(*arguments)
    assert torch.equal(of_velocity.velocity(*arguments), raw)
    v = of_data.velocity(*arguments)
    torch.testing.assert_close(target.latents - times.view(2, 1, 1, 1, 1, 1) * v, raw, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_text_changes_the_result_and_null_text_is_zeros(tiny_denoiser):
    model, target, context = tiny_denoiser(), random_views(1), random_views(2, seed=1)

    def result(text):
        return model.predict(target.latents, T, target.camera_tokens, model.encode(context), text=text)

    torch.testing.assert_close(result(torch.zeros(1, 1, 8)), result(None), rtol=1e-5, atol=1e-5)
    words = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(3))
    with_text = result(words)
    assert (with_text - result(None)).norm() > 1e-2 * with_text.norm()
    for block in model.transformer_blocks:
        assert isinstance(block.attn2.processor, TextAttnProcessor)
        block.attn2.set_processor(CosmosAttnProcessor2_0())
    torch.testing.assert_close(result(words), with_text, rtol=1e-5, atol=1e-5)


def named(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).view(1, -1, 1)


@pytest.mark.parametrize(
    ("layout", "targets", "contexts", "expected", "slots"),
    [
        ("middle-of-4", [9], [1, 2, 3, 4], [1, 2, 9, 3, 4], [2]),
        ("source-between-targets", [8, 9], [1], [8, 1, 9], [0, 2]),
        ("target-first", [9], [1, 2, 3], [9, 1, 2, 3], [0]),
        ("target-first", [9], [], [9], [0]),
    ],
)
def test_views_lie_in_the_order_of_their_layout(layout, targets, contexts, expected, slots):
    laid, target_slots = lay_out(LAYOUTS[layout], named(*targets), named(*contexts))
    assert laid.flatten().tolist() == expected
    assert target_slots == slots


@pytest.mark.parametrize(
    ("layout", "targets", "contexts"),
    [("middle-of-4", 1, 3), ("middle-of-4", 1, 5), ("middle-of-4", 2, 4), ("source-between-targets", 1, 1)],
)
def test_a_layout_refuses_other_numbers_of_views_than_it_has_slots(layout, targets, contexts):
    with pytest.raises(ValueError, match=f"given {contexts} context and {targets} target views"):
        lay_out(LAYOUTS[layout], named(*range(targets)), named(*range(contexts)))


@torch.no_grad()
def test_joint_mode_takes_two_targets_around_their_source(tiny_denoiser):
    model = tiny_denoiser(context_attention="joint", layout=LAYOUTS["source-between-targets"])
    targets, source = random_views(2), random_views(1, seed=1)
    result = model.predict(targets.latents, T, targets.camera_tokens, model.encode(source))
    assert result.shape == targets.latents.shape
    swapped = model.predict(take(targets, [1, 0]).latents, T, take(targets, [1, 0]).camera_tokens, model.encode(source))
    assert not torch.allclose(swapped[:, [1, 0]], result, atol=1e-3)  # places in the sequence count in joint mode


@torch.no_grad()
def test_one_target_asked_of_a_network_that_makes_two_stands_in_both_slots(tiny_denoiser):
    model = tiny_denoiser(context_attention="joint", layout=LAYOUTS["source-between-targets"])
    target, source = random_views(1), model.encode(random_views(1, seed=1))
    twice = take(target, [0, 0])
    one = model.predict(target.latents, T, target.camera_tokens, source)
    both = model.predict(twice.latents, T, twice.camera_tokens, source)
    assert one.shape[1] == 1 and torch.equal(one, both[:, :1])
