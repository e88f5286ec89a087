"""How right pictures are that were carried to other cameras: on held-out scenes whose truth is known, with intervals.

python benchmarks/carried.py [scenes]    prints the tables of docs/results.md that have to do with reprojection
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import product

import torch

from plenodream.evaluation.agreement import choose_pairs
from plenodream.evaluation.metrics.fidelity import psnr
from plenodream.evaluation.metrics.sync import hsync, match_views
from plenodream.evaluation.scenes import held_out
from plenodream.evaluation.statistics import bootstrap_interval
from plenodream.generators.reprojection import Reprojection
from plenodream.geometry.cameras import stack_cameras
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import parse_trajectories
from plenodream.geometry.visibility import seen_by_source
from plenodream.memory.retrieval import retrieve
from plenodream.memory.strategies import RetrievalConfig
from plenodream.types import Cameras, View
from plenodream.worlds.cameras import sample_cameras
from plenodream.worlds.family import scene_family
from plenodream.worlds.raycast import Rendered, render
from plenodream.worlds.world import sample_worlds, world_generator

SPLIT, FRAMES = "benchmark", 3
SIZES = ((256, 256), (256, 456))
SAME = ("static", "static:of=source")
TURNS = ("rotate-left", "rotate-right", "tilt-up", "tilt-down", "focal:from=30,to=50", "focal:from=40,to=25")
MOVES = ("arc-left", "arc-right", "zoom-in", "zoom-out", "truck-left", "translate-up")
Scores = dict[tuple[str, ...], list[float]]


def videos(rendered: Rendered, cameras: Cameras, view: int, depth: bool) -> View:
    """One of the rendered views."""
    pixels = (rendered.rgb[0, view] * 255).round().to(torch.uint8)
    return View(pixels, cameras[view], 15.0, depth=rendered.depth[0, view] if depth else None)


def make(generator: Reprojection, target: Cameras, *views: View) -> View:
    """A view along some cameras."""
    anchor = views[0].cameras.camera_to_world[0]
    contexts = [generator.encode(view, anchor) for view in views]
    (made,) = generator.generate([target], contexts, anchor, [None], torch.Generator(), 15.0)
    return made


def unit(view: View) -> torch.Tensor:
    """Colours as floats."""
    return view.frames.float() / 255


def fidelity(family: str, size: tuple[int, int], scenes: int, scores: Scores) -> None:
    """PSNR on what the source shows at the time, of views along presets: frame for frame as far as they go."""
    variety, shape = scene_family(family), f"{size[1]}x{size[0]}"
    for number in range(scenes):
        generator = world_generator(SPLIT, number)
        worlds = sample_worlds(variety, 1, generator)
        moving = sample_cameras(variety, 1, 1, FRAMES, *size, generator)[0, 0]
        still = moving[torch.zeros(FRAMES, dtype=torch.long)]
        for names, source, depth in (
            (SAME[:1] + TURNS, still, False),
            (SAME[1:], moving, False),
            (MOVES, moving, True),
        ):
            targets = [trajectory_cameras(one, source) for one in parse_trajectories(names)]
            cameras = stack_cameras([source, *targets])
            truth = render(worlds, cameras[None], torch.linspace(0, 1, FRAMES))
            given = videos(truth, cameras, 0, depth)
            for view, name in enumerate(names, 1):
                seen = seen_by_source(truth.depth[0, view], cameras[view], truth.depth[0, 0], source)
                made = make(Reprojection(), cameras[view], given)
                score = psnr(unit(made)[1:], truth.rgb[0, view, 1:], seen[1:]).item()
                scores[family, shape, name].append(score)


def agreement(family: str, scenes: int, scores: Scores) -> None:
    """Agreement of two views where the source shows nothing, with and without the first in the second's cloud."""
    for number in range(scenes):
        data = held_out(scene_family(family), 1, 6, 5, 128, 128, SPLIT, first=number)
        pair = choose_pairs(data)
        a, b = pair.a.item(), pair.b.item()
        pixels = (data.rgb[0, 0] * 255).round().to(torch.uint8)
        source = View(pixels, data.cameras[0, 0], 15.0, depth=data.depth[0, 0])
        first = make(Reprojection(), data.cameras[0, a], source)
        apart = make(Reprojection(update=False), data.cameras[0, b], source)
        joined = make(Reprojection(), data.cameras[0, b], source, first)
        values = [(data.depth[0, view], data.cameras[0, view]) for view in (a, b, 0)]
        match = match_views(*(value for pair in values for value in pair))
        seen = data.seen[0, b]
        for name, view in (("without", apart), ("with", joined)):
            scores[family, f"agreement on hidden pixels, {name} updating"].append(
                hsync(unit(first), unit(view), match).all.psnr(0.005).item()
            )
            scores[family, f"second view on seen pixels, {name} updating"].append(
                psnr(unit(view), data.rgb[0, b], seen).item()
            )


def retrieval(family: str, scenes: int, scores: Scores) -> None:
    """Share (%) of a view's pixels that the stored views chosen for it really show, by strategy: a scene's mean."""
    for number in range(scenes):
        data = held_out(scene_family(family), 1, 9, 3, 64, 64, SPLIT, first=number)
        depth, cameras = data.depth[0], data.cameras[0]
        shares: Scores = defaultdict(list)
        for target in range(len(depth)):
            others = [n for n in range(len(depth)) if n != target]
            shown = [seen_by_source(depth[target], cameras[target], depth[n], cameras[n]) for n in others]
            small = [depth[n][:, 1::2, 1::2] for n in others]
            for strategy, k in product(("fov", "visible", "coverage", "pose", "last"), (1, 2)):
                config = RetrievalConfig(strategy=strategy, k=k)
                found = retrieve(cameras[target], cameras[others], config, depths=small)
                share = torch.stack([shown[n] for n in found.chosen]).any(0).float().mean().item()
                shares[family, f"k={k}", strategy].append(100 * share)
        for key, values in shares.items():
            scores[key].append(sum(values) / len(values))


def table(title: str, scores: Scores, unit_name: str) -> Iterator[str]:
    """Means with intervals."""
    yield f"\n{title}\n"
    for key, values in scores.items():
        mean, low, high = bootstrap_interval(torch.tensor(values), generator=torch.Generator().manual_seed(0))
        yield f"| {' | '.join(key)} | {mean:.1f} {unit_name} | {low:.1f} to {high:.1f} | {len(values)} |"


def main() -> None:
    """Print it all."""
    scenes = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    fidelities, agreements, choices = defaultdict(list), defaultdict(list), defaultdict(list)
    for family in ("mild", "full"):
        for size in SIZES:
            fidelity(family, size, scenes, fidelities)
        agreement(family, 2 * scenes, agreements)
        retrieval(family, scenes, choices)
    for line in table("PSNR on what the source shows", fidelities, "dB"):
        print(line)
    for line in table("Two views by reprojection", agreements, "dB"):
        print(line)
    for line in table("What retrieved views show of a view", choices, "%"):
        print(line)


if __name__ == "__main__":
    main()
