"""The dry run's formulas against what torch counts on small networks, and the published setting."""

from dataclasses import replace

import pytest
import torch
from tiny import loss_of_views, tiny_config

from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.recipes import get_recipe
from plenodream.training.build import build_model, set_trainable
from plenodream.training.card import H100, Card
from plenodream.training.config import TrainConfig
from plenodream.training.curriculum import Curriculum, Stage
from plenodream.training.dry_run import SMALL, block_bytes, plan
from plenodream.training.objective import ObjectiveConfig, draw_context
from plenodream.training.parallel.records import tie_records
from plenodream.training.throughput import count_operations

COSMOS = {
    "in_channels": 18,
    "num_attention_heads": 16,
    "num_layers": 28,
    "use_crossattn_projection": True,
    "crossattn_proj_in_channels": 100_352,
    "context_attention": "joint",
    "camera_numbers": 1536,
}


def small(attention: str, trainable: str, checkpointed: bool, overlap: bool) -> TrainConfig:
    """A network in which both linear maps and attention weigh."""
    config = tiny_config(
        height=32,
        width=48,
        patch=4,
        trainable=trainable,
        gradient_checkpointing=checkpointed,
        objective=ObjectiveConfig(overlap_probability=float(overlap), overlap_frames=int(overlap)),
        curriculum=Curriculum(
            (Stage(1.0, frames=3, batch=1, views=4, min_context=2, max_context=2, any_context=True),)
        ),
    )
    model = {"in_channels": 49, "out_channels": 48, "camera_numbers": 96, "context_attention": attention}
    return replace(config, model=config.model | model | {"num_layers": 3, "mlp_ratio": 3.0, "num_attention_heads": 4})


def cosmos(**changes) -> TrainConfig:
    stage = Stage(1.0, "disk", frames=93, batch=1, views=5, min_context=4, max_context=4, any_context=True, targets=1)
    config = tiny_config(height=432, width=768, codec="wan", curriculum=Curriculum((stage,)), model=COSMOS)
    return replace(config, trainable="attention", gradient_checkpointing=True, **changes)


@pytest.mark.parametrize("attention", ["joint", "independent"])
@pytest.mark.parametrize("trainable", ["all", "attention"])
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("overlap", [False, True])
def test_operations_are_those_that_torch_counts(attention, trainable, checkpointed, overlap) -> None:
    config = small(attention, trainable, checkpointed, overlap)
    model = build_model(config).train()
    set_trainable(model, trainable)
    tie_records(model)
    if checkpointed:
        model.enable_gradient_checkpointing()
    generator, targets = torch.Generator().manual_seed(0), config.curriculum.stages[0].target_views
    latents = torch.randn(1, 4, 48, 3, 8, 12, generator=generator)
    rays = torch.randn(1, 4, 3, 8, 12, 96, generator=generator)
    context = draw_context(1, 4, targets, 2, generator)
    assert context.max() == 3  # all views are run as context
    with count_operations() as counter:
        loss_of_views(model, latents, rays, context, targets, config.objective, generator).backward()
    assert plan(config, world_size=1, context_parallel=1).flop == pytest.approx(counter.get_total_flops(), rel=0.05)


@pytest.mark.parametrize("trainable", ["all", "attention"])
@pytest.mark.parametrize("per_frame", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_activations_are_those_that_autograd_keeps(trainable: str, per_frame: bool, half: bool) -> None:
    config = small("joint", trainable, False, False)
    config = replace(config, model=config.model | {"camera_numbers": 8, "mlp_ratio": 4.0})
    model = CosmosCameraTransformer(**config.model)  # hardly any rays: those are counted elsewhere
    set_trainable(model, trainable)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    model.transformer_blocks[1].register_forward_pre_hook(lambda *_: hooks.__enter__())
    model.transformer_blocks[1].register_forward_hook(lambda *_: hooks.__exit__())
    times = torch.rand(1, 4) if per_frame else torch.rand(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        model.run(torch.randn(1, 48, 4, 8, 12), times, torch.randn(1, 4, 8, 12, 8), torch.zeros(1, 4), None)
    counted = sum(size for size, _ in kept.values()) / (4 * 8 * 12 * 64)
    assert block_bytes(4.0, trainable, half) == pytest.approx(counted, rel=0.1)


def test_parameters_are_those_of_cosmos_with_cameras() -> None:
    with torch.device("meta"):
        model = CosmosCameraTransformer(**COSMOS)
    d, lora = 2048, 256
    attention = 4 * d * d + 2 * 128
    text = 2 * d * d + 2 * 1024 * d + 2 * 128
    block = attention + 1536 * d + text + 8 * d * d + 3 * (d * lora + lora * 3 * d)
    ends = 18 * 4 * d + d * 16 * 4 + d * lora + lora * 2 * d + d * d + d * 3 * d + d
    expected = 28 * block + ends + 100_352 * 1024 + 1024
    found = plan(cosmos())
    assert found.parameters == expected == sum(p.numel() for p in model.parameters())
    assert found.trained == 28 * (attention + 1536 * d)


def test_the_published_setting() -> None:
    found = plan(cosmos())
    assert found.view_grid == (24, 27, 48) and found.sequence_tokens == 5 * 31_104
    assert found.samples == 4
    # Attention alone: 28 blocks, forward twice (4 n N d each) and backward (10 n N d), four samples.
    assert found.flop > 4 * 28 * 18 * 155_520**2 * 2048
    assert found.seconds == pytest.approx(found.flop / (32 * 0.4 * 989e12))
    assert 5 * 2**30 < found.memory_total < 80e9
    table = found.table()
    assert "155,520" in table and "32 = 4 data groups x 8 context-parallel" in table
    assert all(len(line) < 120 for line in table.splitlines())


def test_the_batches_that_are_offered_fit_and_the_next_larger_ones_hardly() -> None:
    mini = get_recipe("mini")
    found = plan(mini, 1, 1)
    assert (found.stage, found.batch) == (4, 32) and "4, 32 a step" in found.table()
    assert found.fitting[H100.memory] == {} and "Fits the H100 SXM" in found.table()
    batches = found.fitting[SMALL]
    assert sorted(batches) == [0, 1, 2, 3, 4]
    for batch, fits in ((batches[4], True), (batches[4] + 1, False)):
        stages = (replace(mini.curriculum.stages[4], share=1.0, batch=batch),)
        small = plan(replace(mini, curriculum=Curriculum(stages)), 1, 1)
        assert (small.memory_total <= 0.8 * SMALL) is fits
        assert not any(small.fitting.values()) and "To fit" not in small.table()
    assert "--set curriculum.stages.4.batch=" in found.table()
    assert "Not even one scene a step fits 8 GiB a rank" in plan(get_recipe("basic"), 1, 1).table()


def test_memory_and_seconds_are_judged_by_one_card(run) -> None:
    tight = Card("tight", plan(get_recipe("mini"), 1, 1).memory_total / 2, 1e12)
    found = plan(get_recipe("mini"), 1, 1, card=tight)
    assert found.seconds == pytest.approx(found.flop / (0.4 * 1e12)) and list(found.fitting) == [tight.memory]
    assert "(tight), with a fifth of it free:" in found.table() and "8 GiB a rank" not in found.table()
    code, said, _ = run("train", "pico", "--dry-run", "--world-size", 1, "--context-parallel", 1, "--device", "cpu")
    assert code == 0 and "CPU of this machine" in said and "H100" not in said
    assert run("train", "pico", "--dry-run", "--device", "tpu9")[0] == 2


def test_memory_falls_as_ranks_share_it() -> None:
    one, many = plan(cosmos(), 1, 1), plan(cosmos(), 32, 8)
    for name in ("weights", "gradients", "moments", "average"):
        assert many.memory[name] * 32 == pytest.approx(one.memory[name])
    assert many.memory["activations"] * 8 == pytest.approx(one.memory["activations"])
    assert one.memory["gathered weights"] == 0
    assert plan(replace(cosmos(), gradient_checkpointing=False)).memory["activations"] > 5 * many.memory["activations"]
    independent = plan(replace(cosmos(), model=COSMOS | {"context_attention": "independent"}))
    assert independent.flop < 0.5 * many.flop
    assert independent.memory["context keys and values"] > 0


def test_what_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="divisor"):
        plan(cosmos(), 12, 8)
    with pytest.raises(ValueError, match="16 attention heads"):
        plan(cosmos(), 32, 32)
    with pytest.raises(ValueError, match="433"):
        plan(replace(cosmos(), height=433))
    layout = ("context", "target", "context")
    assert plan(replace(cosmos(), model=COSMOS | {"layout": layout}), context=1).sequence_tokens == 3 * 31_104
    with pytest.raises(ValueError, match="at most 2"):
        plan(replace(cosmos(), model=COSMOS | {"layout": layout}), context=3)
    with pytest.raises(ValueError, match="at least 1"):
        plan(cosmos(), context=0)
