"""`plenodream contexts`: views that a model makes, to train it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybePath, MaybeText
from plenodream.words import shown


@dataclass(frozen=True)
class Contexts:
    """Let a model generate views as training contexts (self-conditioning, the paper's stage 2)."""

    model: Annotated[str, tyro.conf.Positional]
    """Bundled model or model folder."""
    out: Path
    """Folder; the same command continues where it stopped."""
    scenes: int = 100
    """Number of scenes."""
    views: int = 4
    """Views of a scene, the source among them."""
    family: Literal["mild", "full"] = "mild"
    """Procedural scenes to take, without --data."""
    data: MaybePath = None
    """Folder of episodes to take instead."""
    seed: int = 0
    """Of the scenes and the noise."""
    chain: int = 1
    """Views that are made from one another; 1: each from true views, which the paper found best."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""


def contexts(args: Contexts) -> int:
    """`plenodream contexts`."""
    from plenodream.rendering.load import load_pipeline
    from plenodream.training.batches.contexts import SceneSet, generate_contexts

    pipeline = load_pipeline(args.model, args.device)
    config = pipeline.config
    family, data = ("disk", str(args.data)) if args.data else (args.family, None)
    scenes = SceneSet(args.scenes, args.views, config.frames, config.height, config.width, family, data, args.seed)
    sampling = pipeline.own_sampling()
    parts = (pipeline.transformer, pipeline.codec, pipeline.scheduler, sampling)
    options = {"k": config.context_views, "seed": args.seed, "chain": args.chain}
    with counting("scene", args.scenes) as progress:
        made = generate_contexts(*parts, scenes, args.out, **options, progress=progress)
    then = f"plenodream train RECIPE --init-from {shown(args.model)} --contexts {shown(args.out)}"
    print(f"{made} scenes generated; next: {then}")
    return 0
