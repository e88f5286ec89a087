"""What computing a context's keys and values once saves: a denoising step with and without the cache, as a ratio.

python benchmarks/context_cache.py [--contexts 4] [--model nano]
"""

from __future__ import annotations

import argparse

import torch
from common import machine, seconds

from plenodream.models.context import Context, ViewTokens
from plenodream.rendering.load import load_pipeline


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contexts", type=int, default=4)
    parser.add_argument("--model", default="nano")
    args = parser.parse_args()
    pipe = load_pipeline(args.model, "cpu")
    model, config = pipe.transformer.eval(), pipe.config
    rows, columns = config.height // pipe.codec.spatial_factor, config.width // pipe.codec.spatial_factor
    latents = torch.randn(1, args.contexts, pipe.codec.channels, config.frames, rows, columns)
    rays = torch.randn(1, args.contexts, config.frames, rows, columns, model.config.camera_numbers)
    views, t = ViewTokens(latents, rays), torch.full((1,), 0.5)

    with torch.no_grad():

        def step(cache: Context) -> None:
            model.velocity(latents[:, :1], t, rays[:, :1], cache)

        cache = model.encode(views)
        cached = seconds(lambda: step(cache))
        recomputed = seconds(lambda: step(model.encode(views)))
    print(machine())
    print(f"{args.contexts} context views of {config.frames * rows * columns} tokens, {args.model}")
    print(f"a step with cached context {1e3 * cached:.0f} ms, recomputing it {1e3 * recomputed:.0f} ms", end=": ")
    print(f"{recomputed / cached:.1f} times faster")


if __name__ == "__main__":
    main()
