"""`plenodream shards` and `latents`: large data sets made ready for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from plenodream.cli.counting import counting
from plenodream.cli.parse import MaybeInt, MaybeText
from plenodream.words import shown


@dataclass(frozen=True)
class Shards:
    """Turn MultiCamVideo as published (a compressed archive in parts) into plain tar archives that training reads."""

    parts: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """All parts of the archive, or one whole; read once as a stream, nothing is unpacked."""
    out: Path = Path("shards")
    """Folder of the shards; the same command goes on where it stopped."""
    scenes: int = 64
    """Of a shard."""
    quiet: bool = False
    """Print nothing but errors."""


@dataclass(frozen=True)
class Latents:
    """Compute the latents of a data set once, before a recipe with a pretrained VAE is trained on it."""

    recipe: Annotated[str, tyro.conf.Positional]
    """Recipe, as in `train`."""
    data: Path
    """Folder of episodes or shards; the latents go beside them."""
    pretrained: Path
    """Folder of a pipeline that has the VAE."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """field=value of the recipe, as in `train`; may be repeated."""
    workers: MaybeInt = None
    """Have so many workers share the windows (needs the extra [batch]); left out: one after another, here."""
    address: MaybeText = None
    """Ray cluster of the workers: auto or ray://HOST:10001; left out: Ray is started here."""
    device: MaybeText = None
    """cpu, cuda; left out: the GPU where there is one."""
    quiet: bool = False
    """Print nothing but errors."""


def shards(args: Shards) -> int:
    """`plenodream shards`."""
    from plenodream.data.shards import in_order, write_shards

    if args.scenes < 1:
        raise ValueError(f"--scenes {args.scenes}: expected at least 1")
    with counting("scene", quiet=args.quiet) as progress:
        count = write_shards(in_order(args.parts), args.out, args.scenes, progress)
    if not args.quiet:
        out = shown(args.out)
        print(f"{count} scene{'s' * (count != 1)} in {out}: `plenodream train RECIPE --data {out}` reads them")
    return 0


def latents(args: Latents) -> int:
    """`plenodream latents`."""
    from plenodream.batch.pool import sharing
    from plenodream.data.discover import find_episodes
    from plenodream.recipes.latents import EncodeWindows, latent_windows
    from plenodream.recipes.run import configure

    config = configure(args.recipe, args.set, args.data)
    if config.codec != "wan":
        raise ValueError(f"recipe {args.recipe}: its codec is {config.codec}; expected wan, a pretrained one")
    episodes = find_episodes(args.data, skip_bad=True)
    windows = list(latent_windows(config, len(episodes), min(episode.frames for episode in episodes)))
    work = EncodeWindows(args.data.absolute(), args.pretrained.absolute(), config.height, config.width, args.device)
    views = 0
    with sharing(args.address, args.workers) as share, counting("window", len(windows), args.quiet) as progress:
        for done, count in enumerate(share(work, windows), start=1):
            views += count
            progress(done)
    if not args.quiet:
        print(f"latents of {len(windows)} windows, {views} views, beside {shown(args.data)}")
    return 0
