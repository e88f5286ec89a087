"""What is asked of a scene, parsed once and checked once: before a video is decoded, before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plenodream.geometry.trajectories import Trajectory, parse_trajectories
from plenodream.memory.manifest import Entry, Manifest
from plenodream.rendering.settings import Changes, RenderSettings, changed_settings

SOURCE = "source"  # the source's name in every scene

# Presets as text or parsed, one or several, or cameras (`types.Cameras`) by the name of their view.
Asked = str | Trajectory | Sequence[str | Trajectory] | Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What is asked of a scene. Every name is fit and comes once.

    Attributes:
        presets: Trajectories to render along.
        cameras: Cameras (`types.Cameras`) to render along, by the name of their view.
        files: Camera files of further views, which they give their names.
        force: Views of the scene to render again.
        settings: Of the scene, whole, or what of them is asked for.
        seed: Of the scene; None: the scene's own, 0 for a new one.
        size: Height and width of a new scene; None: what suits the model.
    """

    presets: tuple[Trajectory, ...] = ()
    cameras: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    force: tuple[str, ...] = ()
    settings: RenderSettings | Changes = field(default_factory=Changes)
    seed: int | None = None
    size: tuple[int, int] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the views that are asked for, in order."""
        return [*(preset.name for preset in self.presets), *self.cameras, *(path.stem for path in self.files)]


def make_request(
    trajectories: Asked = (),
    files: Sequence[str | Path] = (),
    settings: RenderSettings | Changes | None = None,
    seed: int | None = None,
    force: Sequence[str] = (),
    size: tuple[int, int] | None = None,
) -> Request:
    """Read what is asked for; arguments as the attributes of `Request`.

    Presets that do not say how far their subject is take it from the settings.

    Raises:
        ValueError: A preset that is none, a name that cannot be one, or comes twice, or is the source's; a setting,
            seed or size of no use; anything of another type than expected.
    """
    settings = Changes() if settings is None else settings
    if not isinstance(settings, RenderSettings | Changes):
        raise ValueError(f"settings {settings!r}: expected RenderSettings, as pipeline.default_settings() gives them")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise ValueError(f"seed {seed!r}: expected a whole number")
    if size is not None and not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"height and width {size}: expected whole numbers of pixels, at least 1")
    named = trajectories if isinstance(trajectories, Mapping) else {}
    presets = [] if isinstance(trajectories, Mapping) else _presets(trajectories, _subject_distance(settings))
    paths = tuple(Path(path) for path in ([files] if isinstance(files, str | Path) else files))
    _check_names([preset.name for preset in presets], "give fewer or rounder parameters")
    _check_names(list(named), "choose another")
    _check_files(paths, [*(preset.name for preset in presets), *named])
    again = (force,) if isinstance(force, str) else tuple(force)
    return Request(tuple(presets), named, paths, again, settings, seed, size)


def _subject_distance(settings: RenderSettings | Changes) -> float | None:
    return settings.subject_distance if isinstance(settings, Changes) else settings.retrieval.subject_distance


def check_manifest(folder: Path, manifest: Manifest, request: Request) -> RenderSettings:
    """The settings of a scene that is there, which have to be as asked for, as its seed; with the views to force.

    Raises:
        ValueError: Other settings, another seed or size, or no such views.
    """
    settings = RenderSettings.from_json(manifest.settings)
    asked = request.settings.of(settings) if isinstance(request.settings, Changes) else request.settings
    if changed := changed_settings(asked, manifest.settings):
        raise ValueError(
            f"{folder}: the scene was started with other settings ({', '.join(changed)}); "
            "leave them out to go on with its own, or use another folder"
        )
    if request.seed not in (None, manifest.seed):
        raise ValueError(f"{folder}: the scene has seed {manifest.seed}, not {request.seed}; leave the seed out")
    if request.size not in (None, (manifest.height, manifest.width)):
        raise ValueError(
            f"{folder}: the scene is of {manifest.width}x{manifest.height}, not {request.size[1]}x{request.size[0]}; "
            "leave the size out"
        )
    check_views(folder, manifest, request.force)
    return settings


def check_views(folder: Path, manifest: Manifest, names: Sequence[str]) -> None:
    """Refuse what is not a view of a scene: it cannot be rendered again.

    Raises:
        ValueError: No such view, or one of another kind.
    """
    kinds = {entry.name: entry.kind for entry in manifest.entries}
    for name in names:
        if name not in kinds:
            raise ValueError(f"{folder}: no view {name!r}; it has: {', '.join(kinds) or 'none'}")
        if kinds[name] != "view":
            views = ", ".join(name for name, kind in kinds.items() if kind == "view")
            raise ValueError(f"{name!r} is a {kinds[name]}: expected one of {views}")


def _presets(asked: str | Trajectory | Sequence[str | Trajectory], subject_distance: float | None) -> list[Trajectory]:
    """Trajectories of presets, those that are parsed already first."""
    given = [asked] if isinstance(asked, str | Trajectory) else asked
    if not isinstance(given, Sequence) or not all(isinstance(one, str | Trajectory) for one in given):
        raise ValueError(
            f"trajectories {given!r}: expected presets like 'arc-left' or 'arc-right:angle=40', or cameras by name"
        )
    parsed = [one for one in given if isinstance(one, Trajectory)]
    return parsed + parse_trajectories([one for one in given if isinstance(one, str)], subject_distance)


def _check_names(names: list[str], way_out: str) -> None:
    for number, name in enumerate(names):
        _check_name(name, "", way_out)
        if name == SOURCE:
            raise ValueError(f"a view cannot be called {SOURCE!r}: that is the source's name; choose another")
        if name in names[:number]:
            raise ValueError(f"view {name!r} is asked for twice; expected different ones: drop one")


def _check_files(paths: Sequence[Path], names: list[str]) -> None:
    taken = {SOURCE, *names}
    for path in paths:
        _check_name(path.stem, f"{path}: its name becomes the view's name; ", "rename the file")
        if path.stem in taken:
            raise ValueError(
                f"{path}: another view is called {path.stem!r} too; expected its own name: rename the file"
            )
        taken.add(path.stem)


def _check_name(name: str, before: str, way_out: str) -> None:
    try:
        Entry(name, "view")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{before}{error}: {way_out}") from None
