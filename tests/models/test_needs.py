"""What a view takes, foretold on the meta device, against what the same passes take where they really run."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_published import network
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from plenodream.models.context import ViewTokens
from plenodream.models.needs import ViewSizes, measure, view_needs
from plenodream.models.pace import product_rate

SIZE = {"frames": 9, "height": 64, "width": 96, "dtype": torch.float32}
CELLS, TOKENS = (3, 8, 12), (3, 4, 6)


def really(model, context):
    """Context kept, its reading and one evaluation, in numbers on the CPU."""

    def views(count):
        image = torch.randn(1, count, *model.image_shape) if model.image_shape else None
        return ViewTokens(torch.randn(1, count, 16, *CELLS), torch.randn(1, count, *TOKENS, model.camera_width), image)

    target, text, given = views(1), torch.randn(1, 512, model.text_width), views(context)
    seen, reading = measure(lambda: model.encode(given))
    arguments = target.latents, torch.tensor([0.5]), target.camera_tokens, seen.fill(model.context_slots)
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():  # the counter does not know the CPU's own kernel
        model.predict(*arguments, text=text)
    _, step = measure(lambda: model.predict(*arguments, text=text))
    return seen, reading, step, counter.get_total_flops()


@pytest.mark.parametrize(("name", "context"), [("recammaster", 1), ("redirector", 2), ("cosmos", 1), ("plenoptic", 3)])
def test_memory_and_operations_are_those_of_a_run(name, context):
    model = network(name)
    seen, _, step, flop = really(model, context)
    weights = sum(x.numel() * 4 for module in (model, network("wan-vae")) for x in module.state_dict().values())
    codec = network("wan-vae").to("meta")
    needs = view_needs(copy.deepcopy(model).to("meta"), codec, ViewSizes(context, **SIZE), evaluations=70)
    assert needs.weights == weights
    assert needs.context == sum(x.numel() * x.element_size() for x in seen.kept)
    assert needs.activations == pytest.approx(step.peak, rel=0.2)
    assert needs.step_flop == pytest.approx(flop, rel=0.02)
    assert needs.flop == pytest.approx(70 * needs.step_flop + needs.encode_flop)


def test_kept_keys_and_values_are_counted(tiny_denoiser):
    from plenodream.models.codecs.space_to_depth import SpaceToDepthCodec

    sizes = {"in_channels": 193, "out_channels": 192, "camera_numbers": 6 * 64}
    model, codec = tiny_denoiser(**sizes), SpaceToDepthCodec(8)
    views = ViewTokens(torch.randn(1, 2, 192, 3, 2, 2), torch.randn(1, 2, 3, 2, 2, 384))
    with sdpa_kernel(SDPBackend.MATH):
        seen, reading = measure(lambda: model.encode(views))
    needs = view_needs(model.to("meta"), codec.to("meta"), ViewSizes(2, 3, 16, 16, torch.float32), 4)
    assert needs.context == sum(x.numel() * 4 for x in seen.kept) == 2 * 2 * 2 * 2 * 12 * 16 * 4
    assert needs.encode_flop == pytest.approx(reading.flop, rel=0.02) and needs.encode_flop > 0
    assert needs.memory == needs.weights + max(needs.context + needs.activations, needs.codec)


def test_sizes_that_cannot_be_are_refused():
    model, codec = network("plenoptic").to("meta"), network("wan-vae").to("meta")
    with pytest.raises(ValueError, match="60x96: expected multiples of 16 pixels"):
        view_needs(model, codec, ViewSizes(4, 9, 60, 96), 1)
    with pytest.raises(ValueError, match="8 frames for the Wan VAE: expected 4 n"):
        view_needs(model, codec, ViewSizes(4, 8, 64, 96), 1)
    with pytest.raises(ValueError, match="context of 5 views: this network's sequence has 4 slots"):
        view_needs(model, codec, ViewSizes(5, 9, 64, 96), 1)


def test_the_rate_of_matrix_products_is_plausible():
    assert 1e8 < product_rate(torch.float32, "cpu") < 1e14
