"""A job of `plenodream batch`: what a line may say, checked before anything starts, and how a worker renders it."""

from __future__ import annotations

import re
import tempfile
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from plenodream.cli.fit import Fitting
from plenodream.cli.parse import check_options
from plenodream.cli.render import NOTHING, Render, render_scene, request_of
from plenodream.files.documents import dump_document, parse_document
from plenodream.files.places import Folder, Mirror, beside, is_remote
from plenodream.memory.manifest import MAX_NAME, NAME
from plenodream.words import suggestion

if TYPE_CHECKING:
    from plenodream.batch.schedule import Task
    from plenodream.rendering.model import Model

# Options of `render` that are the whole batch's.
_NOT_OF_A_JOB = (
    "out",
    "force",
    "device",
    "fitting",
    "split_cuts",
    "dry_run",
    "quiet",
    "json",
    "json_progress",
)
_PATHS = ("clip", "cameras", "depth", "trajectory_file")
_VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
_RESERVED = "jobs"  # where the records are


@dataclass(frozen=True)
class Job:
    """One scene to render.

    Attributes:
        name: Its folder's.
        asked: As it was written.
        options: Of `render`, without those at their defaults; paths are absolute or URLs.
        where: File and line that it was read from.
    """

    name: str
    asked: Mapping[str, Any]
    options: Mapping[str, Any]
    where: str


def read_jobs(place: str, shared: Mapping[str, Any]) -> list[Job]:
    """Jobs of a file with one JSON object a line, or of a folder of clips.

    Args:
        place: Path or URL of either; relative paths in a file start from its folder.
        shared: Options of all jobs that do not say otherwise.

    Raises:
        ValueError: In one line: no such file, a line that does not fit, two jobs of one name, nothing at all.
    """
    base, _, last = place.rstrip("/").rpartition("/")
    if not last.endswith((".jsonl", ".ndjson")):
        clips = [{"clip": name} for name in sorted(Folder(place).names()) if name.lower().endswith(_VIDEOS)]
        jobs = [_job({**shared, **clip}, place, f"{place.rstrip('/')}/{clip['clip']}") for clip in clips]
    else:
        try:
            lines = Folder(base or ".").read(last).splitlines()
        except OSError:
            raise ValueError(f"{place}: no such file; expected one JSON object a line, or a folder of clips") from None
        numbered = [(f"{place}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
        jobs = [_job(_read_line(line, where, shared), base, where) for where, line in numbered]
    if not jobs:
        raise ValueError(f"{place}: no jobs; expected a file NAME.jsonl of them, or a folder with videos")
    places: dict[str, str] = {}
    for job in jobs:
        if job.name in places:
            raise ValueError(
                f"{job.where}: its result would be {job.name!r}, as that of {places[job.name]}; give it another `name`"
            )
        places[job.name] = job.where
    return jobs


def _read_line(line: bytes, where: str, shared: Mapping[str, Any]) -> dict[str, Any]:
    given = parse_document(line, dict[str, Any], where)
    known = job_type().__struct_fields__
    for field in given:
        if field not in known:
            raise ValueError(f"{where}: unknown field {field!r}; {suggestion(field, known)}")
    return {**shared, **given}


def _job(asked: dict[str, Any], base: str, where: str) -> Job:
    typed = parse_document(dump_document(asked), job_type(), where)
    if typed.clip is None:
        raise ValueError(f"{where}: no clip; expected the path or URL of a video")
    # A clip may be called what no folder of ours may.
    name = typed.name or re.sub(r"[^A-Za-z0-9._=+,-]+", "-", PurePosixPath(typed.clip).stem).lstrip("._=+,-")
    if not NAME.fullmatch(name) or name == _RESERVED:
        raise ValueError(
            f"{where}: name {name!r} (the clip's, unless it says another); expected up to {MAX_NAME} letters, digits "
            f"and . _ = + , - that start with a letter or digit, and not {_RESERVED!r}"
        )
    options = {field: getattr(typed, field) for field in job_type().__struct_fields__ if field != "name"}
    given = {key: value for key, value in options.items() if value != _defaults()[key]}
    home = base if is_remote(base) else str(Path(base or ".").absolute())
    for key in set(_PATHS) & set(given):
        value = given[key]
        given[key] = beside(home, value) if isinstance(value, str) else tuple(beside(home, each) for each in value)
    return Job(name, asked, given, where)


@cache
def job_type() -> Any:
    """The type of a line: the options of `render`, and a name."""
    options = [
        (f.name, _in_json(typing.get_type_hints(kind)[f.name]), f.default)
        for kind in (Render, Fitting)
        for f in fields(kind)
        if f.name not in _NOT_OF_A_JOB
    ]
    return msgspec.defstruct("Job", [("name", str | None, None), *options], kw_only=True, forbid_unknown_fields=True)


@cache
def _defaults() -> dict[str, Any]:
    every = (*fields(Render), *fields(Fitting))
    return {field.name: field.default for field in every if field.default is not MISSING}


def _in_json(kind: Any) -> Any:
    """An argument's type as JSON has it: paths are text."""
    if kind is Path:
        return str
    parts = typing.get_args(kind)
    if not parts:
        return kind
    made = tuple(_in_json(part) for part in parts)
    return typing.Union[made] if isinstance(kind, types.UnionType) else typing.get_origin(kind)[made]  # noqa: UP007


def render_options(options: Mapping[str, Any], out: Path, device: str | None = None) -> Render:
    """Options of a job as the command's arguments."""
    given = dict(options)
    for key in set(_PATHS) & set(given):
        value = given[key]
        given[key] = Path(value) if isinstance(value, str) else tuple(map(Path, value))
    fitting = {field.name: given.pop(field.name) for field in fields(Fitting) if field.name in given}
    return Render(**given, out=out, device=device, quiet=True, fitting=Fitting(**fitting))


def check_jobs(jobs: Sequence[Job]) -> None:
    """Refuse what no worker could render: unknown presets, settings or models, missing clips and cameras.

    Raises:
        ValueError: With the line where it stands.
    """
    from plenodream.rendering.catalog import DEFAULT_MODEL, find_model

    seen, listed = set[bytes](), dict[str, set[str]]()
    for job in jobs:
        settings = dump_document({key: value for key, value in job.options.items() if key not in ("clip", "cameras")})
        try:
            if settings not in seen:
                args = render_options(job.options, Path(job.name))
                check_options(args)
                if not request_of(args).names:
                    raise ValueError(NOTHING)
                find_model(job.options.get("model") or DEFAULT_MODEL)
                seen.add(settings)
            _check_places(job.options, listed)
        except ValueError as error:
            raise ValueError(f"{job.where}: {error}") from None


def _check_places(options: Mapping[str, Any], listed: dict[str, set[str]]) -> None:
    """Refuse missing files; object stores are asked once a folder."""
    values = [options[key] for key in _PATHS if options.get(key)]
    for place in (place for value in values for place in ([value] if isinstance(value, str) else value)):
        folder, _, name = place.partition("#")[0].rpartition("/")
        if not is_remote(place):
            there = "%" in name or Path(folder, name).exists()
        else:
            if folder not in listed:
                listed[folder] = Folder(folder).names()
            there = name in listed[folder]
        if not there:
            raise ValueError(f"{place}: no such file")


class RenderWork:
    """Renders jobs in a worker; the model of the last one is kept.

    Args:
        out: Folder or URL where the scenes go.
        device: What to render on; None: the GPU where there is one.
    """

    def __init__(self, out: str, device: str | None = None) -> None:
        self._out, self._device = Folder(out), device
        self._turn, self._models = Lock(), dict[Any, Any]()

    def __call__(self, task: Task, note: Callable[[str], None]) -> int:
        """Render a job; returns how many views were rendered."""
        with tempfile.TemporaryDirectory(prefix="plenodream-") as scratch:
            options, mirror = self._fetched(task.content, Path(scratch), note), None
            folder = Path(self._out.place) / task.name
            if self._out.remote:
                folder = Path(scratch) / task.name
                mirror = Mirror(folder, self._out, task.name, f"{_RESERVED}/{task.name}.files.json")
                mirror.pull()
            try:
                return self._render(render_options(options, folder, self._device), mirror, note)
            except Exception as error:
                if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
                    self._relieve()
                raise

    def _render(self, args: Render, mirror: Mirror | None, note: Callable[[str], None]) -> int:
        push = (lambda: None) if mirror is None else mirror.push
        _, rendered = render_scene(args, self._load, lambda work: _steps(work, note, push))
        push()
        return rendered

    def _load(self, *which: Any, **how: Any) -> Model:
        from plenodream.generators.in_turn import InTurn
        from plenodream.rendering.load import load_model

        key = (which, tuple(sorted(how.items())))
        with self._turn:
            if key not in self._models:
                self._models.clear()
                model = load_model(*which, **how)
                self._models[key] = replace(model, make=lambda settings: InTurn(model.make(settings), self._turn))
            return self._models[key]

    def _relieve(self) -> None:
        """Let go of what takes memory."""
        import gc

        import torch

        self._models.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @staticmethod
    def _fetched(options: Mapping[str, Any], scratch: Path, note: Callable[[str], None]) -> dict[str, Any]:
        """Options with local copies of what lies in an object store; names stay, for views are called by them."""

        def local(key: str, number: int, place: str) -> str:
            if not is_remote(place):
                return place
            note("reads")
            folder, _, name = place.rpartition("/")
            path, hash_, part = name.partition("#")
            to = scratch / f"{key}-{number}" / path
            Folder(folder).fetch(path, to)
            return f"{to}{hash_}{part}"

        fetched = dict(options)
        for key in set(_PATHS) & set(options):
            value = options[key]
            several = [local(key, n, place) for n, place in enumerate([value] if isinstance(value, str) else value)]
            fetched[key] = several[0] if isinstance(value, str) else tuple(several)
        return fetched


@contextmanager
def _steps(work: Sequence[Any], note: Callable[[str], None], push: Callable[[], None]) -> Iterator[Callable]:
    """A callback for a render that notes every step, and copies every finished window."""
    from plenodream.rendering.outlook import Outlook

    outlook = Outlook(work)

    def report(step: Any) -> None:
        ahead = outlook(step)
        note(f"view {min(ahead.done + 1, ahead.total)} of {ahead.total}, step {step.step} of {step.steps}")
        if step.step == step.steps:
            push()

    yield report
