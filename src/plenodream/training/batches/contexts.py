"""Stage 2 of the paper's training, first half: contexts that the model makes itself, kept on disk.

At render time a model is given views that it generated. So the current model generates views of many scenes, each in
one shot from *clean* context (the source and true views: the paper found this better than chains of generated ones),
and training goes on with these as contexts (`self_conditioning.py`).

<folder>/contexts.json                          what was generated, from what, by which weights
<folder>/scene00000/{videos,cameras}            an episode (data/episode.py): true0 is the source, true1 ... the other
                                                views, generated1 ... what the model made of them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import torch
from diffusers import SchedulerMixin
from jaxtyping import Int, UInt8
from torch import Tensor

from plenodream.data.episode import write_episode
from plenodream.files.atomic import write_file
from plenodream.files.documents import read_object
from plenodream.files.folders import tidy
from plenodream.models.codecs.protocol import Codec, to_frames
from plenodream.models.denoiser import Denoiser
from plenodream.models.weights import weights_hash
from plenodream.sampling.config import SamplingConfig
from plenodream.sampling.sampler import Sampler
from plenodream.training.batches.batch import Batch, step_generator
from plenodream.training.batches.disk import episode_batches
from plenodream.training.batches.procedural import synthetic_batch
from plenodream.training.curriculum import Stage
from plenodream.types import View

_MANIFEST = "contexts.json"
_FPS = 15.0  # of the stored videos; nothing reads it


@dataclass(frozen=True)
class SceneSet:
    """Scenes to generate contexts for.

    Attributes:
        count: How many.
        views: Views of each, the source among them.
        frames: Frames of every view.
        height: Pixels.
        width: Pixels.
        family: Procedural `mild` or `full`, or `disk`.
        data: Folder of episodes, for `disk`.
        seed: Which scenes.
    """

    count: int
    views: int
    frames: int
    height: int
    width: int
    family: str = "mild"
    data: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.views < 2:
            raise ValueError(f"{self.count} scenes of {self.views} views: expected at least 1 of at least 2")
        if (self.family == "disk") != (self.data is not None):
            raise ValueError(f"scenes of family {self.family!r} from {self.data}: expected a folder for `disk` alone")

    def opened(self, device: torch.device | str = "cpu") -> Callable[[int], Batch]:
        """Scene n as a batch of one, the same for the same n.

        Raises:
            ValueError: Unknown family, or a folder without usable episodes.
        """
        stage = Stage(1.0, self.family, self.frames, batch=1, views=self.views)
        if self.data is None:
            return lambda n: synthetic_batch(stage, n, self.height, self.width, self.seed, device)
        batches = episode_batches(self.data, [stage], self.height, self.width, self.seed, device, workers=0)
        return lambda n: batches(stage, n)


def draw_clean_context(views: int, k: int, generator: torch.Generator) -> list[Int[Tensor, "_ _"]]:
    """Context of the views 1 .. views - 1: the source and up to k - 1 random views before the view itself.

    Only earlier views, so that what is generated as view i was never shown view j > i, which may become the target that
    it is given to. Ours.

    Returns:
        One table for every context size 1 .. min(k, views - 1): the views with fewer than k before them have smaller
        contexts; the last table holds all the others.
    """
    k = min(k, views - 1)
    score = torch.rand(views, views, generator=generator)
    score = score.masked_fill(torch.ones(views, views).triu().bool(), -1)  # itself and later views: never
    score[:, 0] = 2  # the source: always
    order = score.topk(k, dim=1).indices
    return [order[size : size + 1, :size] for size in range(1, k)] + [order[k:]]


def generate_views(
    sampler: Sampler, scene: Batch, contexts: Sequence[Int[Tensor, "_ _"]], generator: torch.Generator
) -> UInt8[Tensor, "targets frames height width 3"]:
    """Sample views 1 .. V - 1 of one scene, each from true views.

    Args:
        sampler: What samples.
        scene: One scene of V views.
        contexts: What `draw_clean_context` drew.
        generator: Of the noise (CPU): one draw for all views.
    """
    assert scene.signal is not None
    cameras, anchor = scene.cameras[0], torch.eye(4).to(scene.cameras.camera_to_world)
    views = sampler.encode(scene.signal[0], cameras, anchor)
    noise = sampler.noise(cameras[1:], generator).to(scene.signal)
    made, first = [], 0
    for index in contexts:
        part = slice(first, first + len(index))
        made.append(sampler.sample(views.select(index), cameras[1:][part], anchor, noise[part]))
        first = part.stop
    assert first == len(noise), (first, len(noise))
    return to_frames(torch.cat(made)).cpu()


def generate_chained_views(
    sampler: Sampler, scene: Batch, chain: int, k: int, generator: torch.Generator
) -> UInt8[Tensor, "targets frames height width 3"]:
    """Sample views 1 .. V - 1 of one scene in chains: each from the source and the views of its chain made before.

    The first of a chain sees true views that come before it, as in `generate_views`.

    Args:
        sampler: What samples.
        scene: One scene of V views.
        chain: Views of a chain.
        k: Largest context size.
        generator: Of noise and contexts (CPU).
    """
    assert scene.signal is not None
    cameras, anchor = scene.cameras[0], torch.eye(4).to(scene.cameras.camera_to_world)
    bank, made = list(scene.signal[0]), []
    for view in range(1, len(bank)):
        first = 1 + (view - 1) // chain * chain
        others = list(range(first, view)) if view > first else list(range(1, view))
        order = torch.randperm(len(others), generator=generator).tolist()[: k - 1]
        chosen = [0, *(others[place] for place in order)]
        noise = sampler.noise(cameras[view : view + 1], generator).to(bank[0])
        context = sampler.encode(torch.stack([bank[number] for number in chosen]), cameras[chosen], anchor)
        (bank[view],) = sampler.sample(context, cameras[view : view + 1], anchor, noise)
        made.append(bank[view])
        if (view - first + 1) == chain:  # the next chain starts from true views
            bank[first : view + 1] = scene.signal[0][first : view + 1]
    return to_frames(torch.stack(made)).cpu()


def generate_contexts(
    model: Denoiser,
    codec: Codec,
    scheduler: SchedulerMixin,
    sampling: SamplingConfig,
    scenes: SceneSet,
    folder: str | Path,
    k: int = 1,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    progress: Callable[[int], None] | None = None,
    chain: int = 1,
) -> int:
    """Generate views of many scenes with the current model and keep them; what is there already stays.

    Args:
        model: The denoiser, on the device to use.
        codec: Its codec.
        scheduler: Its flow scheduler.
        sampling: Steps and guidance.
        scenes: Of which scenes.
        folder: Where to keep them. A scene's folder appears whole or not at all; the same call goes on after a crash.
        k: Largest context size.
        seed: Of noise and contexts.
        rank: This process generates every `world_size`-th scene.
        world_size: Processes that share the work.
        progress: Called with the number of scenes done so far by this process, old ones included.
        chain: Views that are made from one another, from 1: each from true views (the paper found that best).

    Returns:
        How many scenes were generated now.

    Raises:
        ValueError: The folder holds contexts of other weights, scenes or settings; a full disk (what is there stays).
    """
    if chain < 1:
        raise ValueError(f"chains of {chain} views: expected at least 1")
    folder, fresh = Path(folder), 0
    content = {"scenes": asdict(scenes), "sampling": asdict(sampling), "k": k, "seed": seed}
    if chain != 1:
        content["chain"] = chain
    content["weights"] = weights_hash(model.state_dict())
    sampler, load = Sampler(model, codec, scheduler, sampling), scenes.opened(next(model.parameters()).device)
    mine = range(rank, scenes.count, world_size)
    try:
        _check_manifest(folder, content)
        for done, number in enumerate(mine, start=1):
            path = _scene_folder(folder, number)
            if not path.exists():
                tidy(folder, folders=[path.name])
                generator, scene = step_generator(seed, number, "noise"), load(number)
                if chain == 1:
                    made = generate_views(sampler, scene, draw_clean_context(scenes.views, k, generator), generator)
                else:
                    made = generate_chained_views(sampler, scene, chain, k, generator)
                _write_manifest(folder, content)  # now that there is something to say it of
                write_episode(path, _as_views(scene, made))
                fresh += 1
            if progress is not None:
                progress(done)
    except OSError as error:
        raise ValueError(
            f"{folder}: cannot write ({error.strerror or error}) after {fresh} new scenes; make room and repeat: "
            "generation goes on from there"
        ) from error
    return fresh


def _scene_folder(folder: Path, number: int) -> Path:
    return folder / f"scene{number:05d}"


def _as_views(scene: Batch, made: UInt8[Tensor, "targets frames height width 3"]) -> dict[str, View]:
    """True and generated views by name, cameras relative to the source's first."""
    assert scene.signal is not None
    cameras = scene.cameras[0].to("cpu")
    true = to_frames(scene.signal[0]).cpu()
    views = {f"true{index}": View(frames, cameras[index], _FPS) for index, frames in enumerate(true)}
    return views | {f"generated{n}": View(frames, cameras[n], _FPS) for n, frames in enumerate(made, start=1)}


class _Manifest(TypedDict):
    scenes: SceneSet
    weights: str


def read_manifest(folder: Path) -> dict:
    """What a folder of generated contexts says of itself: `weights`, `scenes`, `sampling`, `k`, `seed`.

    Raises:
        ValueError: No contexts there.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder}: no generated contexts, {_MANIFEST} is missing; generate them first")
    return read_object(path, _Manifest, "generate the contexts anew in another folder")


def _write_manifest(folder: Path, content: dict) -> None:
    if not (folder / _MANIFEST).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / _MANIFEST, json.dumps(content, indent=2).encode())


def _check_manifest(folder: Path, content: dict) -> None:
    """Compare what a folder is to hold with what is there, if anything."""
    if not (folder / _MANIFEST).exists():
        return
    found = read_manifest(folder)
    if found["weights"] != content["weights"]:
        raise ValueError(
            f"{folder}: contexts made with weights {found['weights']}, this model has {content['weights']}; "
            "expected the same weights (or another folder)"
        )
    if changed := [name for name in {**content, **found} if found.get(name) != content.get(name)]:
        raise ValueError(
            f"{folder}: contexts of other {changed[0]} ({found.get(changed[0])}, not {content.get(changed[0])}); "
            "expected the same (or another folder)"
        )
