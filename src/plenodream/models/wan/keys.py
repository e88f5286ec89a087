"""The publishers' keys of Wan networks, of the camera networks on them, and of the Wan VAE."""

from __future__ import annotations

from plenodream.models.keys import KeyMap

_ATTENTION = (
    ("q.", "to_q."),
    ("k.", "to_k."),
    ("v.", "to_v."),
    ("o.", "to_out.0."),
    ("norm_q.", "norm_q."),
    ("norm_k.", "norm_k."),
    ("k_img.", "add_k_proj."),
    ("v_img.", "add_v_proj."),
    ("norm_k_img.", "norm_added_k."),
    ("rope_phase_qk.", "rope_phase_qk."),
    ("rope_phase_vo.", "rope_phase_vo."),
)
_EMBEDDER = "condition_embedder."

TRANSFORMER_KEYS = KeyMap(
    [
        ("patch_embedding.", "patch_embedding."),
        ("text_embedding.0.", f"{_EMBEDDER}text_embedder.linear_1."),
        ("text_embedding.2.", f"{_EMBEDDER}text_embedder.linear_2."),
        ("time_embedding.0.", f"{_EMBEDDER}time_embedder.linear_1."),
        ("time_embedding.2.", f"{_EMBEDDER}time_embedder.linear_2."),
        ("time_projection.1.", f"{_EMBEDDER}time_proj."),
        ("img_emb.proj.0.", f"{_EMBEDDER}image_embedder.norm1."),
        ("img_emb.proj.1.", f"{_EMBEDDER}image_embedder.ff.net.0.proj."),
        ("img_emb.proj.3.", f"{_EMBEDDER}image_embedder.ff.net.2."),
        ("img_emb.proj.4.", f"{_EMBEDDER}image_embedder.norm2."),
        ("control_adapter.", "control_adapter."),
        ("head.head.", "proj_out."),
        ("head.modulation", "scale_shift_table"),
        ("blocks.#.modulation", "blocks.#.scale_shift_table"),
        ("blocks.#.norm3.", "blocks.#.norm2."),
        ("blocks.#.ffn.0.", "blocks.#.ffn.net.0.proj."),
        ("blocks.#.ffn.2.", "blocks.#.ffn.net.2."),
        ("blocks.#.cam_encoder.", "blocks.#.attn1.cam_encoder."),
        ("blocks.#.projector.", "blocks.#.attn1.projector."),
        *(
            (f"blocks.#.{theirs}.{part}", f"blocks.#.{ours}.{own}")
            for theirs, ours in (("self_attn", "attn1"), ("cross_attn", "attn2"))
            for part, own in _ATTENTION
        ),
    ]
)

_RESNET = (("residual.0.", "norm1."), ("residual.2.", "conv1."), ("residual.3.", "norm2."), ("residual.6.", "conv2."),
           ("shortcut.", "conv_shortcut."))  # fmt: skip
_RESNETS = 3  # of an up block: two of the encoder's blocks and one more


def _ends(coder: str) -> list[tuple[str, str]]:
    """What encoder and decoder have alike: both ends and the middle."""
    resnets = [(0, 0), (2, 1)]
    return [
        (f"{coder}.conv1.", f"{coder}.conv_in."),
        (f"{coder}.head.0.", f"{coder}.norm_out."),
        (f"{coder}.head.2.", f"{coder}.conv_out."),
        (f"{coder}.middle.1.", f"{coder}.mid_block.attentions.0."),
        *(
            (f"{coder}.middle.{theirs}.{part}", f"{coder}.mid_block.resnets.{ours}.{own}")
            for theirs, ours in resnets
            for part, own in _RESNET
        ),
    ]


def _up_blocks(blocks: int = 4) -> list[tuple[str, str]]:
    """The publisher counts through; diffusers counts by block."""
    pairs = []
    for block in range(blocks):
        first = block * (_RESNETS + 1)
        for index in range(_RESNETS):
            theirs, ours = f"decoder.upsamples.{first + index}.", f"decoder.up_blocks.{block}.resnets.{index}."
            pairs += [(theirs + part, ours + own) for part, own in _RESNET]
        pairs.append((f"decoder.upsamples.{first + _RESNETS}.", f"decoder.up_blocks.{block}.upsamplers.0."))
    return pairs


VAE_KEYS = KeyMap(
    [
        ("conv1.", "quant_conv."),
        ("conv2.", "post_quant_conv."),
        *_ends("encoder"),
        *_ends("decoder"),
        *_up_blocks(),
        *((f"encoder.downsamples.#.{part}", f"encoder.down_blocks.#.{own}") for part, own in _RESNET),
        *((f"encoder.downsamples.#.{part}", f"encoder.down_blocks.#.{part}") for part in ("resample.", "time_conv.")),
    ]
)

TEXT_KEYS = KeyMap(
    [
        ("token_embedding.", "shared."),
        ("norm.", "encoder.final_layer_norm."),
        ("blocks.#.norm1.", "encoder.block.#.layer.0.layer_norm."),
        ("blocks.#.norm2.", "encoder.block.#.layer.1.layer_norm."),
        ("blocks.#.pos_embedding.embedding.", "encoder.block.#.layer.0.SelfAttention.relative_attention_bias."),
        ("blocks.#.attn.", "encoder.block.#.layer.0.SelfAttention."),
        ("blocks.#.ffn.gate.0.", "encoder.block.#.layer.1.DenseReluDense.wi_0."),
        ("blocks.#.ffn.fc1.", "encoder.block.#.layer.1.DenseReluDense.wi_1."),
        ("blocks.#.ffn.fc2.", "encoder.block.#.layer.1.DenseReluDense.wo."),
    ]
)
