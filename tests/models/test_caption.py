"""Words from a picture, by a tiny image-to-text model with random weights, built here."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from plenodream.cli import words
from plenodream.cli.render import Render
from plenodream.cli.words import words_of
from plenodream.models.caption import caption_picture

transformers = pytest.importorskip("transformers")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", "a", "dog", "runs", "cat", "sits"]


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    """A folder as the hub has it: network, image processor, tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("captioner")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(WORDS), "encoder_hidden_size": 16, "max_position_embeddings": 128, "projection_dim": 16}
    text |= {"bos_token_id": 4, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    config = transformers.BlipConfig(
        text_config=sizes | text, vision_config=sizes | {"image_size": 16, "patch_size": 8}, projection_dim=16
    )
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="[DEC]", **names)
    images = transformers.BlipImageProcessor(size={"height": 16, "width": 16})
    transformers.BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def test_a_picture_gives_words_and_the_same_ones_again(captioner):
    picture = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8)
    said = caption_picture(captioner, picture)
    assert said and set(said.split()) <= set(WORDS)
    assert caption_picture(captioner, picture) == said


def test_a_captioner_that_lacks_a_package_is_one_line(tmp_path, monkeypatch):
    def lacking(*_, **__):
        raise ImportError("This processor requires\nthe Torchvision library")

    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", lacking)
    with pytest.raises(ValueError, match=r"no image-to-text .* \(This processor requires the Torchvision library\)"):
        caption_picture(tmp_path, torch.zeros(4, 4, 3, dtype=torch.uint8))


def test_what_is_no_captioner_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"no image-to-text model of transformers") as refusal:
        caption_picture(tmp_path, torch.zeros(4, 4, 3, dtype=torch.uint8))
    assert "\n" not in str(refusal.value)


def test_a_caption_of_the_first_frame_becomes_the_prompt(captioner, tmp_path, monkeypatch):
    (tmp_path / "clip").mkdir()
    for number in range(2):
        Image.new("RGB", (16, 16), (100 * number, 0, 0)).save(tmp_path / "clip" / f"{number}.png")
    prompt, negative = words_of(Render(tmp_path / "clip", tmp_path / "scene", caption=str(captioner), device="cpu"))
    assert prompt and negative is None
    monkeypatch.setattr(words, "_caption", None)  # a scene that is there has its words
    with pytest.raises(ValueError, match="--prompt and --caption: expected one of them"):
        words_of(Render(caption="x", prompt="y"))
