"""`plenodream train`: a recipe, made a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.cli.parse import MaybeFloat, MaybeInt, MaybePath, MaybeText

Many = tyro.conf.UseAppendAction


@dataclass(frozen=True)
class Train:
    """Train a recipe: nano, nano-depth, nano-depth-2step, mini-cpu, mini-depth (CPU), mini (GPU), basic, agibot."""

    recipe: Annotated[str, tyro.conf.Positional]
    """Name of the recipe."""
    out: MaybePath = None
    """Folder of the run; left out: runs/RECIPE."""
    minutes: MaybeFloat = None
    """Budget in minutes instead of the recipe's steps."""
    resume: bool = False
    """Go on from the checkpoint in --out, exactly."""
    init_from: MaybePath = None
    """Start from these weights: a file, shards, a checkpoint, a model's folder, or a bundled model's name."""
    set: Many[tuple[str, ...]] = ()
    """A changed field of the recipe, like curriculum.max_context=1, as tyro reads it; may be repeated."""
    data: MaybePath = None
    """Folder of episodes to train on, instead of scenes rendered on the fly."""
    textures: MaybePath = None
    """Folder of images that about half of the surfaces of scenes rendered on the fly show."""
    contexts: MaybePath = None
    """Folder of contexts that `plenodream contexts` made with the weights of --init-from (stage 2)."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one, and in the dry run an H100."""
    context_parallel: int = 1
    """Ranks that share one sequence, under torchrun."""
    shard_mb: MaybeInt = None
    """Split the saved model into files of this size."""
    tensorboard: bool = False
    """Log for TensorBoard, too (pip install tensorboard)."""
    dry_run: bool = False
    """Print memory per rank, tokens, FLOP and time a step, and stop."""
    world_size: int = 32
    """Ranks of the dry run."""
    quiet: bool = False
    """No progress bar."""


def train(args: Train) -> int:
    """`plenodream train`."""
    from plenodream.recipes import get_recipe
    from plenodream.recipes.run import train as run
    from plenodream.rendering.load import choose_device
    from plenodream.training.config import RunOptions

    if args.dry_run:
        from plenodream.training.card import H100, card_of
        from plenodream.training.dry_run import plan
        from plenodream.training.overrides import apply_overrides

        config = apply_overrides(get_recipe(args.recipe), args.set)
        card = H100 if args.device is None else card_of(choose_device(args.device))
        if args.device == "cpu" and config.precision == "auto":
            config = replace(config, precision="fp32")
        print(plan(config, args.world_size, args.context_parallel, card=card).table())
        return 0
    options = RunOptions(
        out=args.out or Path("runs") / args.recipe,
        minutes=args.minutes,
        resume=args.resume,
        init_from=args.init_from,
        device=choose_device(args.device),
        context_parallel=args.context_parallel,
        shard_mb=args.shard_mb,
        quiet=args.quiet,
        tensorboard=args.tensorboard,
    )
    scores = run(args.recipe, options, args.set, data=args.data, contexts=args.contexts, textures=args.textures)
    if scores:
        print(json.dumps(scores))
    return 0
