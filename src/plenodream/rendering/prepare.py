"""A scene with all that is asked for on its list: started from a video, or the one that is there continued.

Everything is checked before anything is written: what is refused leaves no new scene, and an old one as it was.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from plenodream.files.folders import folder_if_used
from plenodream.generators.motion import SAME_PLACE
from plenodream.geometry.cameras import check_cameras
from plenodream.memory.deliver import discard
from plenodream.memory.manifest import FILE, Manifest, read_manifest
from plenodream.memory.scene import Scene
from plenodream.memory.windows import plan_windows
from plenodream.rendering.model import Model
from plenodream.rendering.renderer import check_slots
from plenodream.rendering.request import SOURCE, Request, check_manifest
from plenodream.rendering.settings import Changes, RenderSettings, cautions
from plenodream.rendering.source import (
    SourceVideo,
    check_source,
    fit_source,
    source_scale,
    source_size,
    write_source,
)
from plenodream.rendering.targets import Target, check_targets, invalidate_views, plan_targets
from plenodream.rendering.travel import travel_cautions
from plenodream.types import Cameras, View

PROMPT = "prompt: "  # how the note begins that keeps a scene's words


def scene_size(folder: Path) -> tuple[int, int] | None:
    """Height and width of the scene in a folder; None where there is none."""
    if not (folder / FILE).exists():
        return None
    manifest = read_manifest(folder)
    return manifest.height, manifest.width


def scene_words(folder: Path) -> dict[str, str]:
    """The scene's `prompt` and `negative_prompt`, where it has them."""
    settings = read_manifest(folder).settings
    return {name: settings[name] for name in ("prompt", "negative_prompt") if name in settings}


def prepare_scene(folder: Path, video: View | None, request: Request, model: Model) -> Scene:
    """Start a scene or go on with the one in a folder.

    Args:
        folder: The scene's.
        video: The source, at any size; may be left out where there is a scene. Given again, it also mends a damaged
            source.
        request: What is asked for.
        model: What is to render it.

    Raises:
        ValueError: No scene and no video; a scene of another model, video, seed or settings than are asked for; views
            that cannot be.
    """
    if (folder / FILE).exists() or (video is None and folder.is_dir()):
        return _continue(Scene.open(folder), video, request, model)
    if request.force:
        raise ValueError(f"{folder}: no scene yet; expected one with a view {request.force[0]!r} to render again")
    if video is None:
        raise ValueError(f"{folder}: no such scene; expected a video to start one from")
    return _start(folder, video, request, model)


def _start(folder: Path, video: View, request: Request, model: Model) -> Scene:
    workings, settings = model.generator.workings, _settings(request, model.settings)
    check_slots(workings, settings)
    size = request.size or workings.size or (video.cameras.height, video.cameras.width)
    given = fit_source(video, *size)
    check_cameras(given.cameras, "source cameras")
    targets = _plan(request, given.cameras, given.size, given.scale, settings)
    _check_depth(targets, given.cameras, given.depth is not None, model)
    notes = _notes(given.cameras, targets, settings, model)
    windows = plan_windows(len(given), workings.frames or len(given), workings.overlap)
    seed, fps = request.seed or 0, given.fps
    stored = settings.to_json() | dict(model.words)
    manifest = Manifest(model.name, model.generator.fingerprint(), *size, fps, len(given), tuple(windows), seed, stored)
    with folder_if_used(folder):
        if (folder / FILE).exists():  # not yet there when this process began
            raise ValueError(f"{folder}: another process has just begun a scene there; wait for it, then repeat")
        scene = Scene.create(folder, manifest)
        with scene.lock():
            try:
                write_source(scene, given, (), notes)
                _declare(scene, targets)
            except Exception:  # a disk that is full; a run that is ended leaves what can be gone on with
                discard(scene)
                raise
    return scene


def _continue(scene: Scene, video: View | None, request: Request, model: Model) -> Scene:
    settings = _check_same(scene, request, model)
    check_slots(model.generator.workings, settings)
    given, damaged = None, set[int]()
    if video is not None:
        given = fit_source(video, scene.manifest.height, scene.manifest.width)
        check_cameras(given.cameras, "source cameras")
        damaged = check_source(scene, given)
    elif not scene.complete(SOURCE):
        raise ValueError(f"{scene.folder}: its source is incomplete, a run was cut off; give the video again")
    cameras, size, scale = _source(scene, given)
    targets = _plan(request, cameras, size, scale, settings)
    check_targets(scene, targets)
    if model.network_size is None and targets:
        deep = scene.read(SOURCE, 0).depth if given is None else given.depth
        _check_depth(targets, cameras, deep is not None, model)
    notes = _notes(cameras, targets, settings, model)
    with scene.lock():
        if given is not None:
            write_source(scene, given, damaged, notes)
        _declare(scene, targets)
        if request.force:
            invalidate_views(scene, request.force)
    return scene


def _source(scene: Scene, given: SourceVideo | None) -> tuple[Cameras, tuple[int, int], float]:
    """Cameras of the source, the size it had, and the scale of its file."""
    if given is not None:
        return given.cameras, given.size, given.scale
    return scene.cameras(SOURCE), source_size(scene), source_scale(scene)


def _settings(request: Request, own: RenderSettings) -> RenderSettings:
    return request.settings.of(own) if isinstance(request.settings, Changes) else request.settings


def _plan(
    request: Request, source: Cameras, size: tuple[int, int], scale: float, settings: RenderSettings
) -> list[Target]:
    return plan_targets(request, source, size, scale, settings.retrieval.subject_distance)


def _check_depth(targets: list[Target], source: Cameras, deep: bool, model: Model) -> None:
    """Refuse views that the point cloud alone cannot make: a scene that owes them could never be finished."""
    if deep or not model.needs_depth:
        return
    for target in targets:
        here, there = (cameras.camera_to_world[:, :3, 3] for cameras in (target.cameras, source))
        gaps = torch.cdist(here, there).min(dim=1).values
        if gaps.max() >= SAME_PLACE:
            raise ValueError(
                f"view {target.name}: frame {int(gaps.argmax())} stands {gaps.max():.2g} m from the source's camera, "
                "and the source has no depth; expected --depth, a camera that only turns or zooms, or a model with a "
                "network"
            )


def _notes(source: Cameras, targets: list[Target], settings: RenderSettings, model: Model) -> tuple[str, ...]:
    """What is to be said of the settings, kept with the source; of cameras that go too far it is said now."""
    paths = {target.name: target.cameras for target in targets}
    told_now = [line for target in targets for line in target.cautions]
    told_now += travel_cautions(source, paths, settings.retrieval.subject_distance, model.reach)
    for line in told_now:
        warnings.warn(line, stacklevel=4)
    size, works_at = (source.height, source.width), model.network_size
    squeezed = () if works_at in (None, size) else (_squeezed(size, works_at, model.generator.workings.size is None),)
    told = () if model.prompt is None else (f"{PROMPT}{model.prompt}",)
    return (*told, *squeezed, *cautions(settings, model.guided_by))


def _squeezed(size: tuple[int, int], works_at: tuple[int, int], detailed: bool) -> str:
    """What a network does with views of another size than its own."""
    after = "its own pixels are stretched back" + (", detail comes from the stored views by depth" if detailed else "")
    return (
        f"the network works at {works_at[1]}x{works_at[0]}: views of {size[1]}x{size[0]} are squeezed to that, {after}"
    )


def _declare(scene: Scene, targets: list[Target]) -> None:
    for target in targets:
        scene.declare(target.name, "view", target.cameras, target.trajectory)


def _check_same(scene: Scene, request: Request, model: Model) -> RenderSettings:
    """The settings of a scene, which has to be the model's and as asked for."""
    manifest, found = scene.manifest, model.generator.fingerprint()
    if manifest.model_hash != found:
        raise ValueError(
            f"{scene.folder}: scene of model {manifest.model_name} ({manifest.model_hash}), this is "
            f"{model.name} ({found}); use the same model and version, or another folder"
        )
    if (words := scene_words(scene.folder)) != model.words:
        raise ValueError(
            f"{scene.folder}: the scene was made with {words or 'no prompt'}, not {dict(model.words) or 'none'}; "
            "expected the same words, or another folder"
        )
    return check_manifest(scene.folder, manifest, request)
