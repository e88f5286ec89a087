"""Stage 2 of the paper's training, second half: generated contexts in place of true ones; the targets stay true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from plenodream.data.dataset import EpisodeDataset, Sample, Window
from plenodream.data.discover import find_episodes
from plenodream.data.episode import decode_fitted
from plenodream.geometry.cameras import stack_cameras
from plenodream.training.batches.batch import Batch, step_generator
from plenodream.training.batches.contexts import SceneSet, read_manifest
from plenodream.training.batches.disk import DiskBatches
from plenodream.training.config import TrainConfig
from plenodream.training.curriculum import Stage


class SelfConditioning:
    """A `BatchSource`: stored scenes, whose views are context as the model generated them with a given probability.

    Args:
        folder: What `generate_contexts` filled.
        stages: All stages that take their data from here; `stage.self_conditioning` is the probability for every
            context view. The source is always true, and so are all targets.
        height: Pixels of the run's videos.
        width: Pixels.
        seed: Of the run.
        weights: Hash of the weights that training goes on from, to be compared; None where they are not known.
        device: Where the batches go.
        workers: Decoding processes of this rank.
        rank: This data-parallel rank.
        world_size: Number of them.

    Raises:
        ValueError: No contexts there, not all of them yet, made by other weights, or not as a stage needs them.
    """

    def __init__(
        self,
        folder: str | Path,
        stages: Sequence[Stage],
        height: int,
        width: int,
        seed: int = 0,
        weights: str | None = None,
        device: torch.device | str = "cpu",
        workers: int = 2,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        folder = Path(folder)
        content = read_manifest(folder)
        if weights is not None and weights != content["weights"]:
            raise ValueError(
                f"{folder}: contexts made with weights {content['weights']}, training goes on from {weights}; "
                "expected the same: start from those weights, or generate contexts anew in another folder"
            )
        scenes = SceneSet(**content["scenes"])
        if (found := len(list(folder.glob("scene*")))) < scenes.count:
            raise ValueError(
                f"{folder}: contexts of {found} of {scenes.count} scenes; expected all: "
                "repeat the generation, it goes on from there"
            )
        episodes = find_episodes(folder, skip_bad=True)
        for stage in stages:
            same = (stage.frames, height, width) == (scenes.frames, scenes.height, scenes.width)
            if not same or stage.views > scenes.views:
                raise ValueError(
                    f"{folder}: contexts of {scenes.views} views of {scenes.frames} frames of {scenes.height}x"
                    f"{scenes.width}, but a stage of {stage.views} views of {stage.frames} frames of {height}x{width}; "
                    "expected the same, and no more views: generate others"
                )

        def open_dataset(stage: Stage) -> EpisodeDataset:
            return _StoredScenes(episodes, Window(2 * stage.views - 1, stage.frames, height, width), seed)

        self.batches = DiskBatches(open_dataset, stages, device, workers, rank, world_size)
        self.seed, self.weights = seed, content["weights"]

    def __call__(self, stage: Stage, number: int) -> Batch:
        """Batch `number`: true views, their cameras, and the same views as they are given as context."""
        loaded = self.batches(stage, number)
        assert loaded.signal is not None
        true, generated = loaded.signal[:, : stage.views], loaded.signal[:, stage.views :]
        generator = step_generator(self.seed, number, "data")
        replaced = torch.rand(generated.shape[:2], generator=generator) < stage.self_conditioning
        given = torch.where(replaced.to(true.device)[:, :, None, None, None, None], generated, true[:, 1:])
        cameras = loaded.cameras[:, : stage.views]
        return Batch(true, cameras, context_signal=torch.cat([true[:, :1], given], dim=1))

    def fingerprint(self) -> str:
        """Changes with the contexts, the weights they were made with, the stages and the seed."""
        return f"{self.weights}-{self.batches.fingerprint()}"


def second_stage(config: TrainConfig) -> TrainConfig:
    """A recipe's own self-conditioned stages, or, where it has none, its last stage as `config.second` says.

    The last view alone is the target then: what was generated for a view was made from those before it.

    Args:
        config: The recipe of the first stage.

    Raises:
        ValueError: Some stages are self-conditioned and some are not.
    """
    curriculum = config.curriculum
    marked = [stage.self_conditioning > 0 for stage in curriculum.stages]
    if all(marked):
        return config
    if any(marked):
        raise ValueError(
            "stages with and without self_conditioning in one run: expected all or none; train the first ones, "
            "generate contexts with the result, then train the others from it"
        )
    second, last = config.second, curriculum.stages[-1]
    last = replace(last, share=1.0, any_context=True, targets=1, self_conditioning=second.probability)
    curriculum = replace(curriculum, stages=(last,), start=0.0, end=1.0)
    return replace(config, curriculum=curriculum, steps=second.steps or config.steps)


class _StoredScenes(EpisodeDataset):
    """Stored scenes whole: the true views in order, then the generated ones, with the cameras as they are."""

    def _read(self, index: int, generator: torch.Generator, skipped: tuple[str, ...]) -> Sample:
        episode, window = self.episodes[index], self.window
        views = (window.views + 1) // 2
        names = [f"true{view}" for view in range(views)] + [f"generated{view}" for view in range(1, views)]
        cameras = episode.cameras()
        stacked = stack_cameras([cameras[name].to(torch.float32) for name in names])
        frames = [decode_fitted(episode.videos[n], 0, window.frames, window.height, window.width) for n in names]
        return Sample(torch.stack(frames), stacked, tuple(names), index, 0, episode.fps, skipped)
