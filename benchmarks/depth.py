"""What a model that knows depth is worth: its depth, and the source's detail carried by it to full size.

    python benchmarks/depth.py [MODEL] [--family mild] [--scenes 16] [--size 256] [--out FILE]

Procedural scenes of the benchmark split, rendered at full size; the model is given each scene's source, stretched to
its own size, and nothing else. Depth of all frames of sampled clips, with edges as sampled and as refined by the
full-size picture; PSNR on what the source shows of a target and on what it hides.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
from common import machine

from plenodream.evaluation.metrics.depth import beside_steps, flicker, relative_error
from plenodream.evaluation.metrics.fidelity import MINIMUM_COVERAGE, edge_energy, squared_error
from plenodream.evaluation.scenes import HeldOut, held_out
from plenodream.evaluation.statistics import bootstrap_interval
from plenodream.generators.composite import Composite
from plenodream.generators.protocol import Generator
from plenodream.geometry.upsample import upsample_depth
from plenodream.rendering.load import load_pipeline
from plenodream.types import View
from plenodream.worlds.family import FAMILIES

FPS, TARGETS = 15.0, 2


def main() -> None:
    """Print a table and write its numbers, scene by scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--family", default="mild", choices=FAMILIES)
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = load_pipeline(args.model, "cpu")
    small, rows = pipeline.generator(), defaultdict(list)
    for scene in range(args.scenes):
        data = held_out(
            FAMILIES[args.family],
            1,
            1 + TARGETS,
            pipeline.config.frames,
            args.size,
            args.size,
            "benchmark",
            first=scene,
        )
        for name, value in score(small, data).items():
            rows[name].append(value)
    print(f"{args.model} on {args.scenes} {args.family} scenes at {args.size}x{args.size}; {machine()}")
    for name, values in rows.items():
        mean, low, high = bootstrap_interval(torch.tensor(values), generator=torch.Generator().manual_seed(0))
        print(f"{name:<42} {mean:8.4g}  [{low:.4g} {high:.4g}]")
    if args.out is not None:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


def score(small: Generator, data: HeldOut) -> dict[str, float]:
    """All numbers of one scene; PSNR in dB pooled over targets, depth errors as medians over all pixels."""
    views = [View((rgb * 255).round().to(torch.uint8), data.cameras[0, n], FPS) for n, rgb in enumerate(data.rgb[0])]
    composite, anchor = Composite(small), data.cameras.camera_to_world[0, 0, 0]
    context = composite.encode(views[0], anchor)

    def made(by: Generator, read: object, cameras) -> View:
        return by.generate([cameras], [read], anchor, [None], torch.Generator().manual_seed(1), FPS)[0]

    own = [made(small, context.small, view.cameras) for view in views]
    detailed = [made(composite, context, view.cameras) for view in views]
    scores = {} if own[0].depth is None else depth_scores(own, small.workings.size, data)
    if scores and (kept := context.stored.view.depth) is not None:  # as the composite carries by it
        kept, truth, first = kept[None, None], data.depth[:, :1], slice(0, 1)
        scores["depth error, source, kept"] = relative_error(kept, truth)
        scores["depth error beside steps, source, kept"] = relative_error(kept, truth, beside_steps(truth))
        scores["flicker of still points, kept"] = flicker(kept, truth, data.cameras[:, first], data.moving[:, first])
    targets = slice(1, None)
    for name, result in (("copy of the source", [views[0]] * len(views)), ("own pixels", own), ("composite", detailed)):
        scores |= fidelity(name, result[targets], data)
    still = squared_error(_colours(detailed[:1]), _colours(views[:1]))
    return scores | {"composite, static, dB": still.psnr().item()}


def depth_scores(own: list[View], size: tuple[int, int], data: HeldOut) -> dict[str, float]:
    """Of the source (along its own camera) and of the targets, at full size."""
    plain = torch.stack([view.depth for view in own])[None]
    small = torch.nn.functional.interpolate(plain[0], size=size, mode="nearest-exact")
    pictures = [view.frames.movedim(-1, 1).float() for view in own]
    pictures[0] = data.rgb[0, 0].movedim(-1, 1) * 255  # the source's own picture is known
    refined = torch.stack([_refined(*each) for each in zip(small, pictures, strict=True)])[None]
    steps, scores = beside_steps(data.depth), {}
    for name, part in (("source", slice(0, 1)), ("targets", slice(1, None))):
        truth = data.depth[:, part]
        scores |= {
            f"depth error, {name}": relative_error(plain[:, part], truth),
            f"depth error, {name}, refined": relative_error(refined[:, part], truth),
            f"depth error beside steps, {name}": relative_error(plain[:, part], truth, steps[:, part]),
            f"depth error beside steps, {name}, refined": relative_error(refined[:, part], truth, steps[:, part]),
        }
    return scores | {"flicker of still points": flicker(plain, data.depth, data.cameras, data.moving)}


def _refined(depth: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    return torch.stack([upsample_depth(*pair) for pair in zip(depth, pictures, strict=True)])


def fidelity(name: str, views: list[View], data: HeldOut) -> dict[str, float]:
    """PSNR on what the source shows and hides, and sharpness, as a part of the truth's, on the first."""
    video, truth, seen = _colours(views), data.rgb[:, 1:], data.seen[:, 1:]
    flat = [value.flatten(1, 2) for value in (video, truth, seen)]
    return {
        f"{name}, co-visible, dB": squared_error(*flat).psnr(MINIMUM_COVERAGE).item(),
        f"{name}, hidden, dB": squared_error(*flat[:2], ~flat[2]).psnr(MINIMUM_COVERAGE).item(),
        f"{name}, sharpness": (edge_energy(flat[0], flat[2]) / edge_energy(flat[1], flat[2])).item(),
    }


def _colours(views: list[View]) -> torch.Tensor:
    return torch.stack([view.frames for view in views])[None].float() / 255


if __name__ == "__main__":
    main()
