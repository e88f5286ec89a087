"""The publisher's keys of Cosmos-Predict2.5 networks, with cameras or without."""

from __future__ import annotations

from plenodream.models.keys import KeyMap

_NORMS = {"norm1": "self_attn", "norm2": "cross_attn", "norm3": "mlp"}
_ATTENTION = (
    ("q_proj.", "to_q."),
    ("k_proj.", "to_k."),
    ("v_proj.", "to_v."),
    ("output_proj.", "to_out.0."),
    ("q_norm.", "norm_q."),
    ("k_norm.", "norm_k."),
)

TRANSFORMER_KEYS = KeyMap(
    [
        ("x_embedder.proj.1.", "patch_embed.proj."),
        ("t_embedder.1.", "time_embed.t_embedder."),
        ("t_embedding_norm.", "time_embed.norm."),
        ("crossattn_proj.", "crossattn_proj."),
        ("final_layer.linear.", "proj_out."),
        ("final_layer.adaln_modulation.#.", "norm_out.linear_#."),
        ("blocks.#.cam_encoder.", "transformer_blocks.#.attn1.cam_encoder."),
        ("blocks.#.mlp.layer1.", "transformer_blocks.#.ff.net.0.proj."),
        ("blocks.#.mlp.layer2.", "transformer_blocks.#.ff.net.2."),
        *(
            (f"blocks.#.adaln_modulation_{theirs}.{layer}.", f"transformer_blocks.#.{ours}.linear_{layer}.")
            for ours, theirs in _NORMS.items()
            for layer in (1, 2)
        ),
        *(
            (f"blocks.#.{theirs}.{part}", f"transformer_blocks.#.{ours}.{own}")
            for theirs, ours in (("self_attn", "attn1"), ("cross_attn", "attn2"))
            for part, own in _ATTENTION
        ),
    ]
)
