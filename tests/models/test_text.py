"""Words and pictures through tiny encoders with random weights, built here."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from plenodream.models import text
from plenodream.models.text import encode_words, model_conditions
from plenodream.rendering.load import load_pipeline

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """A folder as a base has it: text_encoder, tokenizer, image_encoder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    umt5 = transformers.UMT5EncoderModel(transformers.UMT5Config(vocab_size=12, **sizes))
    umt5.save_pretrained(folder / "text_encoder")
    words = ["<pad>", "</s>", "<unk>", "a", "dog", "runs", "cat", "sits"]
    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=plain, **names).save_pretrained(folder / "tokenizer")
    clip = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPVisionConfig(**clip, image_size=32, patch_size=2)
    transformers.CLIPVisionModel(config).save_pretrained(folder / "image_encoder")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def model_folder(tmp_path, base, **settings):
    import json

    (tmp_path / "model").mkdir(exist_ok=True)
    content = {"words": "umt5", "base": str(base), "negative": "cat sits", **settings}
    (tmp_path / "model" / "text.json").write_text(json.dumps(content))
    return tmp_path / "model"


def test_words_are_embedded_once_and_padded_with_zeros(encoders, monkeypatch):
    parts = encoders / "text_encoder", encoders / "tokenizer"
    long, short = encode_words("umt5", *parts, ["a dog runs", "cat"])
    assert long.shape == short.shape == (1, 512, 16)
    assert long[0, :4].abs().sum(1).all() and not long[0, 4:].any()
    assert short[0, :2].abs().sum(1).all() and not short[0, 2:].any()
    monkeypatch.setattr(text, "_transformers", None)  # nothing is loaded any more
    again, other = encode_words("umt5", *parts, ["cat", "a dog runs"])
    assert torch.equal(again, short) and torch.equal(other, long)


def test_padding_does_not_change_what_is_said_of_the_words(encoders):
    parts = encoders / "text_encoder", encoders / "tokenizer"
    (padded,) = encode_words("umt5", *parts, ["a dog"])
    model = transformers.UMT5EncoderModel.from_pretrained(parts[0])
    with torch.no_grad():
        alone = model(torch.tensor([[3, 4, 1]])).last_hidden_state
    torch.testing.assert_close(padded[:, :3], alone, rtol=1e-4, atol=1e-5)


def test_a_model_is_told_the_prompt_and_its_publishers_negative_one(encoders, tmp_path):
    folder = model_folder(tmp_path, encoders)
    parts = encoders / "text_encoder", encoders / "tokenizer"
    told = model_conditions(folder, "a dog")
    dog, cat, nothing = encode_words("umt5", *parts, ["a dog", "cat sits", ""])
    assert torch.equal(told.prompt, dog) and torch.equal(told.negative, cat)
    assert torch.equal(model_conditions(folder).prompt, nothing)
    assert torch.equal(model_conditions(folder, "a", "a dog").negative, dog)


def test_the_encoder_of_words_is_gone_before_anything_is_sampled(encoders, tiny_pipeline, monkeypatch, tmp_path):
    tiny_pipeline(text_embed_dim=16).save_pretrained(tmp_path / "model")
    alive, load = [], transformers.UMT5EncoderModel.from_pretrained

    def watched(*arguments, **options):
        made = load(*arguments, **options)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(transformers.UMT5EncoderModel, "from_pretrained", watched)
    gc.disable()  # it is gone with its last name, not some time after
    try:
        pipeline = load_pipeline(str(model_folder(tmp_path, encoders)), "cpu", prompt="a dog")
        assert [encoder() for encoder in alive] == [None]
    finally:
        gc.enable()
    assert pipeline.conditions.prompt.shape == (1, 512, 16)


def test_an_encoder_that_a_gpu_has_no_room_for_works_in_main_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (120, 200))
    assert [text.roomy_device(size, "cuda:0").type for size in (100, 101)] == ["cuda", "cpu"]
    assert text.roomy_device(1000, "cpu").type == "cpu"


def test_what_an_image_encoder_sees_comes_from_its_last_layer_but_one(encoders, tmp_path):
    see = model_conditions(model_folder(tmp_path, encoders)).see
    pictures = torch.rand(2, 3, 20, 30) * 2 - 1
    seen = see(pictures)
    assert seen.shape == (2, 257, 24)
    assert not torch.allclose(seen[0], seen[1], atol=1e-4)
    squeezed = torch.nn.functional.interpolate(pictures, (32, 32), mode="bicubic")
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (text._CLIP_MEAN, text._CLIP_STD))
    model = transformers.CLIPVisionModel.from_pretrained(encoders / "image_encoder")
    with torch.no_grad():
        layers = model(((squeezed + 1) / 2 - mean) / std, output_hidden_states=True).hidden_states
    assert len(layers) == 3
    torch.testing.assert_close(seen, layers[1], rtol=1e-4, atol=1e-5)


def test_words_without_an_encoder_are_refused(encoders, tmp_path):
    folder = model_folder(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="words were given, but the model has no encoder"):
        model_conditions(folder, "a dog")
    assert model_conditions(folder).prompt is None
    with pytest.raises(ValueError, match="words are 't5': expected umt5 or reason1"):
        encode_words("t5", encoders, encoders, ["a"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no text encoder can be loaded"):
        encode_words("umt5", tmp_path / "empty", encoders / "tokenizer", ["a"])


def test_reason1_is_every_layer_of_a_language_model_normalised(tmp_path):
    class Layers:
        """Hidden states that say which layer they are of."""

        def __call__(self, ids, output_hidden_states):
            states = [layer + torch.arange(4.0) * ids[..., None] for layer in range(3)]
            return type("Output", (), {"hidden_states": states})

    class Network:
        @staticmethod
        def from_pretrained(folder, dtype):
            module = Layers()
            module.dtype, module.to, module.eval = torch.float32, lambda place: module, lambda: module
            return module

    class Words:
        @staticmethod
        def from_pretrained(folder):
            return Words()

        def apply_chat_template(self, conversation, max_length, **options):
            said = conversation[-1]["content"][0]["text"]
            return ([len(word) for word in said.split()] + [1] * max_length)[:max_length]

    library = type("Library", (), {"Qwen2_5_VLForConditionalGeneration": Network, "AutoTokenizer": Words})
    embedded = text._reason1(library, tmp_path, tmp_path, ["a dog"], "cpu")
    assert embedded.shape == (1, 512, 8)
    layer = torch.arange(4.0)
    expected = (layer - layer.mean()) / layer.std()
    torch.testing.assert_close(embedded[0, 0], torch.cat([expected, expected]))
