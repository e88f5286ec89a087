"""The weights that a run distils, frozen, and kept beside its checkpoint until it has ended."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.training.build import build_model, compile_network, take_weights
from plenodream.training.captions import Captions
from plenodream.training.checkpoint.folder import whole_folder
from plenodream.training.checkpoint.weights import load_weights
from plenodream.training.config import RunOptions, TrainConfig
from plenodream.training.distillation import Jumps, teacher_jumps
from plenodream.training.export import make_scheduler
from plenodream.training.objective import Task
from plenodream.training.parallel.ranks import Parallel


class Teacher:
    """A frozen network of the recipe with the weights that the run started from.

    Args:
        config: The recipe.
        options: Of this run: the weights are those of `init_from`, copied to `teacher` in its folder, and of a run
            that is resumed those.
        depth_channels: How many of its latents' channels, the last ones, are depth.
        parallel: This process among those that train together.
        dtype: In which it computes.
        captions: Encodes what guidance leads away from.

    Raises:
        ValueError: No weights, or those of another network.
    """

    def __init__(
        self,
        config: TrainConfig,
        options: RunOptions,
        depth_channels: int,
        parallel: Parallel,
        dtype: torch.dtype,
        captions: Captions | None = None,
    ) -> None:
        copy = options.out / "teacher"
        if options.init_from is None and not options.resume:
            raise ValueError(f"recipe {config.name} distils a model: expected --init-from, the weights of that")
        path = copy if options.init_from is None else options.init_from
        weights = load_weights(path)
        self.config, self.scheduler = config, make_scheduler(config)
        self.model: CosmosCameraTransformer = build_model(config)
        take_weights(self.model, weights, path, config, depth_channels)
        if path != copy and parallel.is_main:
            with whole_folder(copy) as fresh:
                save_file(self.model.state_dict(), fresh / "model.safetensors")
        self.model.requires_grad_(False).eval()
        parallel.prepare(self.model, dtype if dtype == torch.bfloat16 else None)
        if config.compile:
            compile_network(self.model)
        self.negative = None
        if captions is not None and config.distillation.guidance:
            self.negative = captions.encode([captions.settings.negative])[0].to(parallel.device)

    def jumps(self, task: Task, generator: torch.Generator) -> Jumps:
        """Where the student shall go; see `teacher_jumps`."""
        config = self.config
        return teacher_jumps(
            self.model, task, self.scheduler, config.sampling.steps, config.distillation, generator, self.negative
        )
