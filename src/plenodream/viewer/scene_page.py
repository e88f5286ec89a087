"""The page of a scene folder: what the memory bank knows, put into the page."""

from __future__ import annotations

import math
import os
import shlex
from pathlib import Path
from typing import Any

from plenodream.geometry.presets import PRESETS
from plenodream.memory.scene import Scene
from plenodream.memory.strategies import SIMILARITIES
from plenodream.rendering.settings import RenderSettings
from plenodream.rendering.source import source_notes
from plenodream.viewer.depth_views import depth_files, depth_view
from plenodream.viewer.page import Page, PageView, PageWindow, write_page
from plenodream.viewer.truth import Truth, read_truth


def page_view(scene: Scene, name: str, truth: Truth | None = None) -> PageView:
    """One finished video of a scene as the page shows it."""
    kind, windows = scene.entry(name).kind, range(len(scene.manifest.windows))
    deep = depth_view(scene, name)
    seconds = [timing["seconds"] for w in windows if "seconds" in (timing := scene.timing(name, w))]
    return PageView(
        name,
        kind,
        scene.preview_path(name),
        scene.cameras(name),
        windows=() if kind == "source" else tuple(_window(scene.record(name, window)) for window in windows),
        seconds=sum(seconds) if seconds else None,
        psnr=truth.psnr if truth else None,
        psnr_copy=truth.psnr_copy if truth else None,
        truth=truth.video if truth else None,
        outdated=any(scene.outdated(name, window) for window in windows),
        camera_file=scene.folder / "cameras" / f"{name}.json",
        depth=None if deep is None else deep[0],
        points=None if deep is None or kind == "helper" else deep[1],
        serves=_served(scene, name) if kind == "helper" else (),
    )


def _served(scene: Scene, helper: str) -> tuple[str, ...]:
    """The views that a helper was merged for."""
    made = [(name, window) for name in scene.names("view") for window in range(len(scene.manifest.windows))]
    wanted = (name for name, w in made if scene.has(name, w) and helper in scene.record(name, w).get("merged", {}))
    return tuple(dict.fromkeys(wanted))


def _window(record: dict[str, Any]) -> PageWindow:
    scores = record.get("scores", {})
    return PageWindow(
        tuple((name, scores.get(name, math.nan)) for name in record.get("context", ())),
        tuple(sorted(record.get("candidates", {}).items(), key=lambda pair: -pair[1])),
    )


def write_scene_page(scene: Scene, single_file: bool = False) -> Path:
    """Write `index.html` into a scene's folder, and before that what is missing or damaged of its finished videos.

    Args:
        scene: Views that are not finished are left out. What it keeps of the truth is shown.
        single_file: Put the videos into the page, so that it can be sent around alone.

    Returns:
        The page's path.

    Raises:
        ValueError: Another process is rendering the scene, or a view is damaged.
        OSError: The disk is full or the folder cannot be written.
    """
    manifest = scene.manifest
    with scene.lock():
        scene.finish(*scene.names())
        notes, truths = read_truth(scene)
        names = [name for name in scene.names() if scene.preview_path(name).is_file()]
        views = tuple(page_view(scene, name, truths.get(name)) for name in names)
        facts = (
            f"{manifest.frames} frames of {manifest.width}x{manifest.height} at {manifest.fps:g} frames/s, "
            f"model {manifest.model_name} ({manifest.model_hash}), seed {manifest.seed}"
        )
        title = os.fsencode(scene.folder.resolve().name).decode(errors="replace")  # also where names are ASCII
        lines = dict.fromkeys((facts, *source_notes(scene), *notes))
        page = Page(title, views, tuple(lines), render_command(scene))
        return write_page(scene.folder, page, single_file)


def render_command(scene: Scene) -> str:
    """How to render a scene's views again from what lies in its folder; given depth is taken out of it first."""
    words = ["plenodream", "render", "source.mp4", "--cameras", "cameras/source.json"]
    deep = bool(depth_files(scene, "source"))
    words += ["--depth", "again-depth/source.npz"] if deep else []
    for entry in (scene.entry(name) for name in scene.names("view")):
        spec = _spec(entry.trajectory or {})
        words += ["--trajectory", spec] if spec else ["--trajectory-file", f"cameras/{entry.name}.json"]
    manifest, settings = scene.manifest, RenderSettings.from_json(scene.manifest.settings)
    how, sampling = settings.retrieval, settings.sampling
    given = {"model": manifest.model_name, "height": manifest.height, "k": how.k, "strategy": how.strategy}
    given |= {"near": how.near, "far": how.far, "subject-distance": how.subject_distance}
    given |= {"candidates": settings.candidates} if how.strategy in SIMILARITIES else {}
    given |= {"steps": sampling.steps, "guidance": sampling.guidance, "seed": manifest.seed}
    for name, value in given.items():
        if value is not None:
            words += [f"--{name}", str(value).removesuffix(".0")]
    said = {"prompt": "--prompt", "negative_prompt": "--negative-prompt"}
    words += [f"{flag}={manifest.settings[name]}" for name, flag in said.items() if name in manifest.settings]
    words += [] if settings.keep_source else ["--as-paper"]
    first = "plenodream export . --to npz --view source --out again-depth && " if deep else ""
    return first + shlex.join([*words, "--out", "again"])


def _spec(trajectory: dict[str, Any]) -> str:
    """A preset as it is written on the command line; nothing for other cameras."""
    preset, parameters = trajectory.get("preset"), trajectory.get("parameters", {})
    if preset not in PRESETS:
        return ""
    known = PRESETS[preset].all_parameters
    changed = [(key, value) for key, value in parameters.items() if key not in known or value != known[key].default]
    shown = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in changed]
    return f"{preset}:{','.join(shown)}" if shown else preset
