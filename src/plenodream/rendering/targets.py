"""The views that are asked for: all of them are checked before the first is put on a scene's list or marked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from plenodream.geometry.cameras import check_cameras, crop_cameras, resize_cameras
from plenodream.geometry.formats import load_cameras, stated_size
from plenodream.geometry.keyframe_paths import keyframe_cameras
from plenodream.geometry.keyframes import is_keyframes, read_keyframes
from plenodream.geometry.paths import trajectory_cameras
from plenodream.geometry.trajectories import Trajectory, parse_trajectories
from plenodream.media.fit import fit_cameras, plan_fit
from plenodream.memory.manifest import Entry
from plenodream.memory.scene import Scene
from plenodream.rendering.source import SOURCE
from plenodream.types import Cameras

Asked = Sequence[str | Trajectory] | Mapping[str, Cameras]


@dataclass(frozen=True)
class Target:
    """A view to be rendered.

    Attributes:
        name: Its name in the scene.
        cameras: One a frame of the source, float32, of the scene's size.
        trajectory: How they were made, as JSON; None for cameras from elsewhere.
    """

    name: str
    cameras: Cameras
    trajectory: dict[str, Any] | None = None


def target_names(asked: Asked, files: Sequence[Path] = ()) -> list[str]:
    """Names of the views that are asked for, in order; needs nothing but the names, so it comes first.

    Args:
        asked: Presets (`arc-left`, `arc-right:angle=40`) or, by name, cameras.
        files: Camera files, each of which gives its view its name.

    Raises:
        ValueError: A preset that is none, a name that cannot be one, or comes twice, or is the source's.
    """
    presets = () if isinstance(asked, Mapping) else _parsed(asked)
    names = list(asked) if isinstance(asked, Mapping) else [trajectory.name for trajectory in presets]
    way_out = "choose another" if isinstance(asked, Mapping) else "give fewer or rounder parameters"
    for number, name in enumerate(names):
        _check_name(name, "", way_out)
        if name == SOURCE:
            raise ValueError(f"a view cannot be called {SOURCE!r}: that is the source's name; choose another")
        if name in names[:number]:
            raise ValueError(f"view {name!r} is asked for twice; expected different ones: drop one")
    for path in files:
        _check_name(path.stem, f"{path}: its name becomes the view's name; ", "rename the file")
        if path.stem in (*names, SOURCE):
            raise ValueError(
                f"{path}: another view is called {path.stem!r} too; expected its own name: rename the file"
            )
        names.append(path.stem)
    return names


def plan_targets(
    asked: Asked, source: Cameras, files: Sequence[Path] = (), size: tuple[int, int] | None = None
) -> list[Target]:
    """The views that are asked for, with their cameras, without a change to any scene.

    Args:
        asked: As for `target_names`. Cameras may be of any size: they are fitted as a video of theirs would be.
        source: The source's cameras, of the scene's size.
        files: As for `target_names`.
        size: Height and width of the source before it was fitted, for files that state none; the scene's if None.

    Raises:
        ValueError: As `target_names`; cameras that are none, or not one for each of the source's frames.
    """
    target_names(asked, files)
    if isinstance(asked, Mapping):
        targets = [Target(name, fit_cameras(given, source.height, source.width)) for name, given in asked.items()]
    else:
        targets = [
            Target(t.name, trajectory_cameras(t, source), {"preset": t.preset, "parameters": t.parameters})
            for t in _parsed(asked)
        ]
    targets = [Target(t.name, t.cameras.to("cpu", torch.float32), t.trajectory) for t in targets]
    for target in targets:
        check_cameras(target.cameras, target.name)
        if target.cameras.shape != source.shape:
            raise ValueError(
                f"view {target.name}: cameras of shape {tuple(target.cameras.shape)}; expected {len(source)}, "
                "one for each frame of the source"
            )
    return targets + [_of_file(path, source, size) for path in files]


def check_targets(scene: Scene, targets: Sequence[Target]) -> None:
    """Refuse targets that the scene has another view's name for, and change nothing."""
    for target in targets:
        scene.check(target.name, "view", target.cameras, target.trajectory)


def declare_targets(scene: Scene, targets: Sequence[Target]) -> None:
    """Put targets on a scene's list, all or none; those on it already stay as they are."""
    with scene.lock():
        check_targets(scene, targets)
        for target in targets:
            scene.declare(target.name, "view", target.cameras, target.trajectory)


def check_views(scene: Scene, names: Sequence[str]) -> None:
    """Refuse what is not a view of the scene: it cannot be rendered again."""
    for name in names:
        if (kind := scene.entry(name).kind) != "view":
            raise ValueError(f"{name!r} is a {kind}: expected one of {', '.join(scene.names('view'))}")


def invalidate_views(scene: Scene, names: Sequence[str]) -> None:
    """Have views rendered again, and every merged view that was made from them where it is needed again."""
    check_views(scene, names)
    stale = set(names)
    for helper in scene.names("helper"):
        inputs = (scene.entry(helper).trajectory or {}).get("merge_of", ())
        if stale & set(inputs):
            stale.add(helper)
    for name in scene.names():
        if name in stale:
            scene.invalidate(name)


def _parsed(asked: Sequence[str | Trajectory]) -> list[Trajectory]:
    parsed = [trajectory for trajectory in asked if isinstance(trajectory, Trajectory)]
    return parsed + parse_trajectories([text for text in asked if isinstance(text, str)])


def _check_name(name: str, before: str, way_out: str) -> None:
    try:
        Entry(name, "view")
    except ValueError as error:
        raise ValueError(f"{before}{error}: {way_out}") from None


def _of_file(path: Path, source: Cameras, size: tuple[int, int] | None) -> Target:
    if not is_keyframes(path):
        return Target(path.stem, _load(path, source, size))
    keyframes = read_keyframes(path)
    cameras = keyframe_cameras(keyframes, source).to("cpu", torch.float32)
    return Target(path.stem, cameras, {"keyframes": keyframes.to_json()})


def _load(path: Path, source: Cameras, size: tuple[int, int] | None) -> Cameras:
    """A camera file fitted to the scene as the source was: at the size it states, or else at the source's own.

    In float64 until the end, so that intrinsics that are the source's are so to the last bit.
    """
    height, width = stated_size(path) or size or (source.height, source.width)
    # The source's lens in a video of that size: what `fit_cameras` does, undone.
    fit = plan_fit(height, width, source.height, source.width)
    lens = source[:1].to(torch.float64)
    lens = crop_cameras(lens, -fit.top, -fit.left, fit.scaled_height, fit.scaled_width)
    lens = resize_cameras(lens, height, width).intrinsics[0]
    cameras = load_cameras(path, height, width, len(source), lens, torch.float64)
    fitted = fit_cameras(cameras, source.height, source.width).to(torch.float32)
    check_cameras(fitted, str(path))  # numbers too large for float32
    return fitted
