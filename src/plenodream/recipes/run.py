"""`plenodream train`: a recipe by name, its changed fields, its options, and the run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from plenodream.files.lock import locked
from plenodream.models.codecs.wan import WanCodec
from plenodream.models.weights import weights_hash
from plenodream.recipes import get_recipe
from plenodream.recipes.validation import make_validation
from plenodream.rendering.catalog import bundled_models
from plenodream.training.batches.batch import BatchSource
from plenodream.training.batches.disk import episode_batches
from plenodream.training.batches.procedural import ProceduralBatches
from plenodream.training.batches.self_conditioning import SelfConditioning, second_stage
from plenodream.training.captions import open_captions
from plenodream.training.checkpoint.weights import load_weights
from plenodream.training.config import RunOptions, TrainConfig
from plenodream.training.overrides import apply_overrides
from plenodream.training.parallel.ranks import Parallel, close_parallel, setup_parallel
from plenodream.training.trainer import Trainer
from plenodream.worlds.textures import load_textures


def configure(
    recipe: str, overrides: Sequence[str] = (), data: Path | None = None, contexts: Path | None = None
) -> TrainConfig:
    """A recipe's config with changed fields.

    Args:
        recipe: Its name.
        overrides: `field=value` texts.
        data: Folder of episodes. The recipe's `disk` stages train on it; all stages if it has none.
        contexts: Folder of generated contexts. The recipe's self-conditioned stages train on it; its last stage alone
            if it has none.

    Raises:
        ValueError: Unknown recipe or field (with the nearest one), a value that does not fit, stages without a folder,
            folders for other stages.
    """
    config = apply_overrides(get_recipe(recipe), overrides)
    stages = config.curriculum.stages
    if contexts is not None:
        if data is not None:
            raise ValueError("--contexts hold their own videos: leave --data out, or --contexts")
        return second_stage(config)
    if any(stage.self_conditioning for stage in stages):
        raise ValueError(f"recipe {recipe} trains on generated contexts: expected --contexts, a folder of them")
    from_disk = any(stage.family == "disk" for stage in stages)
    if from_disk and data is None:
        raise ValueError(f"recipe {recipe} trains on videos with cameras: expected --data, a folder of episodes")
    if data is not None and not from_disk:
        stages = tuple(replace(stage, family="disk") for stage in stages)
    return replace(config, curriculum=replace(config.curriculum, stages=stages))


def train(
    recipe: str,
    options: RunOptions,
    overrides: Sequence[str] = (),
    data: Path | None = None,
    contexts: Path | None = None,
    textures: Path | None = None,
) -> dict[str, float]:
    """Train a recipe; the folder `options.out` then holds checkpoint, model, log and sample sheets.

    Args:
        recipe: Its name.
        options: Of this run; `init_from` may also be the name of a bundled model.
        overrides: `field=value` texts.
        data: Folder of episodes to train on.
        contexts: Folder of contexts that the weights of `init_from` generated, to train on (the paper's stage 2): the
            recipe's self-conditioned stages, or its last stage alone if it has none.
        textures: Folder of images that a share of the surfaces of procedural training scenes shows; held-out scenes
            stay without.

    Returns:
        The last held-out scores, dB.

    Raises:
        ValueError: Anything a user can mend, in one line.
    """
    config = configure(recipe, overrides, data, contexts)
    if textures is not None and (data is not None or contexts is not None):
        raise ValueError("--textures is for procedural scenes: leave --data and --contexts out, or --textures")
    images = None if textures is None else load_textures(textures)
    options = replace(options, init_from=_weights(options.init_from))
    # A run to be resumed keeps its VAE in its model.
    pretrained = options.out / "model" if options.resume else options.init_from
    codec = pretrained_codec(pretrained) if config.codec == "wan" and pretrained else None
    parallel = setup_parallel(options.context_parallel, options.device)
    try:
        batches: BatchSource | None = None
        if contexts is not None:
            batches = _context_batches(config, contexts, options, parallel)
        elif data is not None:
            batches = _disk_batches(config, data, parallel, codec)
        elif images is not None:
            batches = ProceduralBatches(config, parallel.device, images)
        captions = None
        if pretrained is not None and (pretrained / "transformer").is_dir():
            frozen = config.trainable == "attention"
            captions = open_captions(pretrained, config.objective.caption_dropout, frozen, parallel.device)
        validate = make_validation(config, parallel.device) if parallel.is_main else None
        with locked(options.out, "trained") if parallel.is_main else nullcontext():
            return Trainer(config, options, validate, batches, codec, parallel, captions).run()
    finally:
        close_parallel()


def _disk_batches(config: TrainConfig, data: Path, parallel: Parallel, codec: WanCodec | None) -> BatchSource:
    stages = [stage for stage in config.curriculum.stages if stage.family == "disk"]
    if len(stages) < len(config.curriculum.stages):
        raise ValueError("stages from disk and procedural ones in one run: make all of family disk, or none")
    place = (parallel.device, 2, parallel.data_rank, parallel.data_size)
    return episode_batches(data, stages, config.height, config.width, config.seed, *place, codec, config.source_view)


def _context_batches(config: TrainConfig, contexts: Path, options: RunOptions, parallel: Parallel) -> BatchSource:
    if options.init_from is None and not options.resume:
        raise ValueError(f"{contexts}: contexts of a trained model; expected --init-from, the weights that made them")
    weights = None if options.init_from is None else weights_hash(load_weights(options.init_from))
    return SelfConditioning(
        contexts,
        config.curriculum.stages,
        config.height,
        config.width,
        config.seed,
        weights,
        parallel.device,
        rank=parallel.data_rank,
        world_size=parallel.data_size,
    )


def _weights(start: Path | None) -> Path | None:
    """A path, or the folder of the bundled model of that name."""
    if start is None or Path(start).exists():
        return start
    known = bundled_models()
    if str(start) not in known:
        raise ValueError(f"{start}: no weights there; expected a file, a folder or one of {', '.join(known) or 'none'}")
    return known[str(start)]


def pretrained_codec(folder: Path) -> WanCodec:
    """The VAE of a pipeline's folder, frozen."""
    parts = [folder / name for name in ("codec", "vae") if (folder / name / "config.json").is_file()]
    if not parts:
        raise ValueError(f"{folder}: no VAE; expected a pipeline's folder with a codec or vae folder in it")
    return WanCodec.from_pretrained(str(parts[0])).requires_grad_(False).eval()
