"""Held-out scores and a sample sheet while a recipe trains."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

from plenodream.evaluation.reconstruction import score_reconstruction
from plenodream.evaluation.scenes import held_out
from plenodream.media.sheet import save_sheet
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.training.build import build_codec
from plenodream.training.config import TrainConfig
from plenodream.training.export import make_scheduler
from plenodream.training.trainer import Validate
from plenodream.worlds.family import FAMILIES

SCORES = ("seen", "hidden", "moving", "wrong_camera", "copied", "depth")
_SAME = 50.0  # dB
_SHOWN = 2  # targets on the sheet


def make_validation(
    config: TrainConfig, device: torch.device | str = "cpu", scenes: int = 4, views: int = 4
) -> Validate | None:
    """Scores on fixed scenes that no run trains on, of the family that the recipe ends with, sampled from the source.

    A run that ends with both families, or on videos from disk, is scored on mild procedural scenes.

    PSNR in dB, means over scenes and targets: on pixels the source sees, on hidden ones, on moving ones, with a wrong
    camera, and of the source copied; targets whose camera stands with the source's are left out, a copy is exact there.
    And the median relative error of depth, where the model has it.
    Every call leaves `sheets/STEP.png` in the run's folder.

    Args:
        config: The recipe.
        device: Where.
        scenes: How many scenes.
        views: Views of each, the source among them.

    Returns:
        None for recipes with a pretrained codec, whose models are far too large for scores in the middle of training.
    """
    if config.codec != "space-to-depth":
        return None
    family = config.curriculum.stages[-1].family
    family = family if family in FAMILIES else "mild"
    data = held_out(FAMILIES[family], scenes, views, config.frames, config.height, config.width, device=device)
    codec, scheduler = build_codec(config), make_scheduler(config)
    nn.Module.to(codec, device)

    def validate(model: CosmosCameraTransformer, out: Path, step: int) -> dict[str, float]:
        result = score_reconstruction(model, codec, scheduler, config.sampling, data)
        sheets = out / "sheets"
        sheets.mkdir(parents=True, exist_ok=True)
        shown = {"source": data.rgb[:, 0]}
        for target in range(min(_SHOWN, result.videos.shape[1])):
            shown[f"true {target + 1}"], shown[f"made {target + 1}"] = data.rgb[:, target + 1], result.videos[:, target]
        save_sheet(sheets / f"{step:07d}.png", shown)
        differs = ~(result.copied >= _SAME)  # NaN: the source sees nothing of it
        means = {name: getattr(result, name)[differs].nanmean().item() for name in SCORES}
        return {name: round(mean, 4) for name, mean in means.items() if math.isfinite(mean)}

    return validate
