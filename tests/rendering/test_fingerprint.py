"""The same model, however it was loaded: by diffusers, taken apart for offload, quantised."""

import pytest
import torch
from diffusers import DiffusionPipeline

from plenodream.rendering.catalog import bundled_models
from plenodream.rendering.pipeline import PlenopticPipeline


@pytest.fixture
def folder(tiny_pipeline, tmp_path):
    tiny_pipeline(attention_head_dim=32).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def name(folder):
    return PlenopticPipeline.from_pretrained(folder).fingerprint()


def test_diffusers_own_loader_finds_a_bundled_model(tiny_video):
    pipeline = DiffusionPipeline.from_pretrained(str(bundled_models()["nano"]))
    assert type(pipeline) is PlenopticPipeline
    assert pipeline.fingerprint() == PlenopticPipeline.from_pretrained("nano").fingerprint()


def test_a_network_taken_apart_for_offload_is_the_same_model(folder, name):
    accelerate = pytest.importorskip("accelerate")
    pipeline = PlenopticPipeline.from_pretrained(folder)
    accelerate.cpu_offload(pipeline.transformer, execution_device=torch.device("cpu"))
    assert all(tensor.is_meta for tensor in pipeline.transformer.state_dict().values())
    assert pipeline.fingerprint() == name


def test_a_quantised_network_is_the_same_model(folder, name):
    quantization = pytest.importorskip("torchao.quantization")
    from diffusers import PipelineQuantizationConfig, TorchAoConfig

    eight_bits = TorchAoConfig(quantization.Int8WeightOnlyConfig())
    config = PipelineQuantizationConfig(quant_mapping={"transformer": eight_bits})
    pipeline = PlenopticPipeline.from_pretrained(folder, quantization_config=config)
    layers = [layer for layer in pipeline.transformer.modules() if isinstance(layer, torch.nn.Linear)]
    assert any(type(layer.weight) is not torch.nn.Parameter for layer in layers)
    assert pipeline.fingerprint() == name


def test_other_weights_are_another_model(tiny_pipeline, name):
    assert tiny_pipeline(seed=1, attention_head_dim=32).fingerprint() != name
