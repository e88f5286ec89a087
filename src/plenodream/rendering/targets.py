"""The views that are asked for: all of them are checked before the first is put on a scene's list or marked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from plenodream.geometry.cameras import check_cameras, crop_cameras, resize_cameras, scale_cameras
from plenodream.geometry.formats import load_cameras, stated_size
from plenodream.geometry.keyframe_paths import keyframe_cameras
from plenodream.geometry.keyframes import Keyframes, is_keyframes, read_keyframes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import at_subject
from plenodream.media.fit import fit_cameras, plan_fit
from plenodream.memory.scene import Scene
from plenodream.rendering.request import Request, check_views
from plenodream.rendering.same_world import check_same_world
from plenodream.types import Cameras


@dataclass(frozen=True)
class Target:
    """A view to be rendered.

    Attributes:
        name: Its name in the scene.
        cameras: One a frame of the source, float32, of the scene's size.
        trajectory: How they were made, as JSON; None for cameras from elsewhere.
        cautions: What to be told of them, one line each.
    """

    name: str
    cameras: Cameras
    trajectory: dict[str, Any] | None = None
    cautions: tuple[str, ...] = ()


def plan_targets(
    request: Request, source: Cameras, size: tuple[int, int], scale: float, subject_distance: float
) -> list[Target]:
    """The views that are asked for, with their cameras, without a change to any scene.

    Args:
        request: What is asked for.
        source: The source's cameras, of the scene's size.
        size: Height and width of the source before it was fitted, for camera files that state none.
        scale: Factor from the lengths of given cameras and files to metres.
        subject_distance: Metres, for presets that say nothing else.

    Raises:
        ValueError: Cameras that are none, or not one for each of the source's frames; a camera in the subject; cameras
            that see nothing of the source.
    """
    targets = []
    for preset in request.presets:
        preset = at_subject(preset, subject_distance)
        made_by = {"preset": preset.preset, "parameters": preset.parameters}
        targets.append(Target(preset.name, trajectory_cameras(preset, source), made_by))
    for name, given in request.cameras.items():
        if isinstance(given, Keyframes):
            targets.append(_of_keyframes(name, given, source, subject_distance))
            continue
        if not isinstance(given, Cameras):
            raise ValueError(f"view {name}: {type(given).__name__}; expected Cameras, as `load_cameras` gives them")
        targets.append(Target(name, fit_cameras(scale_cameras(given, scale), source.height, source.width)))
    targets = [Target(t.name, t.cameras.to("cpu", torch.float32), t.trajectory) for t in targets]
    for target in targets:
        check_cameras(target.cameras, target.name)
        if target.cameras.shape != source.shape:
            raise ValueError(
                f"view {target.name}: cameras of shape {tuple(target.cameras.shape)}; expected {len(source)}, "
                "one for each frame of the source"
            )
    targets += [_of_file(path, source, size, scale, subject_distance) for path in request.files]
    named = {path.stem: str(path) for path in request.files}
    return [_placed(target, named.get(target.name, target.name), source, subject_distance) for target in targets]


def _placed(target: Target, name: str, source: Cameras, subject_distance: float) -> Target:
    """A target, its absolute cameras found to be of the source's world."""
    if target.trajectory is not None:  # relative to the source
        return target
    return replace(target, cautions=check_same_world(name, target.cameras, source, subject_distance))


def check_targets(scene: Scene, targets: Sequence[Target]) -> None:
    """Refuse targets that the scene has another view's name for, and change nothing."""
    for target in targets:
        scene.check(target.name, "view", target.cameras, target.trajectory)


def invalidate_views(scene: Scene, names: Sequence[str]) -> None:
    """Have views rendered again, and every merged view that was made from them where it is needed again."""
    check_views(scene.folder, scene.manifest, names)
    stale = set(names)
    for helper in scene.names("helper"):
        inputs = (scene.entry(helper).trajectory or {}).get("merge_of", ())
        if stale & set(inputs):
            stale.add(helper)
    for name in scene.names():
        if name in stale:
            scene.invalidate(name)


def _of_file(path: Path, source: Cameras, size: tuple[int, int], scale: float, subject_distance: float) -> Target:
    if is_keyframes(path):
        return _of_keyframes(path.stem, read_keyframes(path), source, subject_distance)
    return Target(path.stem, _load(path, source, size, scale))


def _of_keyframes(name: str, keyframes: Keyframes, source: Cameras, subject_distance: float) -> Target:
    cameras = keyframe_cameras(keyframes, source, subject_distance).to("cpu", torch.float32)
    return Target(name, cameras, {"keyframes": keyframes.to_json()})


def _load(path: Path, source: Cameras, size: tuple[int, int], scale: float) -> Cameras:
    """A camera file fitted to the scene as the source was: at the size it states, or else at the source's own.

    In float64 until the end, so that intrinsics that are the source's are so to the last bit.
    """
    height, width = stated_size(path) or size
    # The source's lens in a video of that size: what `fit_cameras` does, undone.
    fit = plan_fit(height, width, source.height, source.width)
    lens = source[:1].to(torch.float64)
    lens = crop_cameras(lens, -fit.top, -fit.left, fit.scaled_height, fit.scaled_width)
    lens = resize_cameras(lens, height, width).intrinsics[0]
    cameras = load_cameras(path, height, width, len(source), lens, torch.float64)
    fitted = fit_cameras(scale_cameras(cameras, scale), source.height, source.width).to(torch.float32)
    check_cameras(fitted, str(path))  # numbers too large for float32
    return fitted
