"""What the app does for a visitor, without a browser: plan, render, pack. Ours."""

from __future__ import annotations

import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from plenodream.files.atomic import write_file
from plenodream.geometry.keyframes import Keyframe, Keyframes, write_keyframes
from plenodream.media.depth import load_depth
from plenodream.media.preview import video_timing
from plenodream.memory.export import EXPORTS, export_scene
from plenodream.memory.manifest import Entry
from plenodream.memory.scene import Scene
from plenodream.rendering.inputs import open_video, view_size
from plenodream.rendering.model import Model, render_owed
from plenodream.rendering.outlook import Ahead, Outlook, plan_work
from plenodream.rendering.plan import cost_words, judge, plan_cost, view_words
from plenodream.rendering.prepare import prepare_scene
from plenodream.rendering.preview import preview
from plenodream.rendering.renderer import Progress
from plenodream.rendering.request import Request, make_request
from plenodream.rendering.same_world import describe_files
from plenodream.rendering.settings import Changes
from plenodream.rendering.source import SourceVideo
from plenodream.rendering.targets import plan_targets
from plenodream.viewer.limits import UNPACKED, Limits
from plenodream.viewer.plan import draw_plan
from plenodream.viewer.scene_page import write_scene_page
from plenodream.viewer.studio import FOLDER, Stopped
from plenodream.viewer.visits import Visit, Wish

SHEET = "plan.png"
_PARTS = {
    "page": ("*.mp4", "cameras/*.json", "index.html"),
    "views": ("*.mp4",),
    "cameras": ("cameras/*.json", f"{FOLDER}/*"),
}
PACKS = (*_PARTS, *EXPORTS)  # what can be taken home


class Desk:
    """One device's jobs, one at a time.

    Args:
        load: Gives the model, at the first job.
        limits: What a visitor may ask for.
    """

    def __init__(self, load: Callable[[], Model], limits: Limits) -> None:
        self._load, self.limits = load, limits
        self._model: Model | None = None
        self._device = threading.Lock()

    def plan(self, visit: Visit, wish: Wish) -> list[str]:
        """Draw what views will see (`SHEET` in the visitor's folder); returns that, the cost and warnings in words.

        Raises:
            ValueError: No video, one that is too long, views that cannot be.
        """
        with self._at_work(visit):
            model, request = self._job(visit, wish)
            source = self._open(wish, model)
            made = plan_targets(request, source.cameras, source.size, source.scale, wish.subject_distance)
            targets = {one.name: one.cameras for one in made}
            previews = [preview(name, path, source, wish.subject_distance) for name, path in targets.items()]
            reach = None if model.reach is None else model.reach * wish.subject_distance
            judgements = [judge(one, model, wish.subject_distance) for one in previews]
            words = [view_words(*pair) for pair in zip(previews, judgements, strict=True)]
            sheet = draw_plan(source, targets, previews, judgements, words, wish.subject_distance, reach)
            write_file(visit.folder / SHEET, sheet)
            notes = [*source.notes, *describe_files(request.files), *(line for one in made for line in one.cautions)]
            cost = cost_words(len(previews), plan_cost(model, source, targets))
            return [*notes, *(line for those in words for line in those), cost]

    def render(self, visit: Visit, wish: Wish, report: Callable[[Progress, Ahead], None]) -> Scene:
        """Render views into the visitor's scene, which a later wish of the same video adds to.

        Raises:
            ValueError: As `plan`; too many views; it was stopped, or took too long: what is finished stays then.
        """
        with self._at_work(visit):
            model, request = self._job(visit, wish)
            scene = self._prepare(visit, wish, request, model)
            for file in request.files:  # beside the cameras, for other programs
                (scene.folder / FOLDER).mkdir(exist_ok=True)
                write_file(scene.folder / FOLDER / file.name, file.read_bytes())
            ends = time.monotonic() + 60 * self.limits.max_minutes
            workings = model.generator.workings
            outlook = Outlook(plan_work(scene, workings.fewest, workings.targets))

            def step(progress: Progress) -> None:
                report(progress, outlook(progress))
                visit.used = time.monotonic()
                if visit.stop.is_set():
                    raise Stopped
                if time.monotonic() > ends:
                    raise ValueError(
                        f"longer than {self.limits.max_minutes:g} min: what is finished stays, go on with it"
                    )

            try:
                render_owed(scene, model, step)
            except Stopped:
                raise ValueError("stopped: what is finished stays, rendering again goes on") from None
            finally:
                if not visit.gone:
                    write_scene_page(scene)
                shutil.rmtree(visit.folder / "downloads", ignore_errors=True)
            return scene

    def pack(self, visit: Visit, kind: str) -> str:
        """A download of the visitor's scene; returns its name in their folder.

        Raises:
            ValueError: No scene yet, or no such download.
        """
        if kind not in PACKS:
            raise ValueError(f"download {kind!r}: expected one of {', '.join(PACKS)}")
        if not (visit.scene / "scene.json").is_file():
            raise ValueError("nothing is rendered yet; render first")
        name = f"downloads/{kind}.zip"
        (visit.folder / "downloads").mkdir(exist_ok=True)
        if not (visit.folder / name).is_file():
            folder = visit.folder / "downloads" / kind
            try:
                _fill(Scene.open(visit.scene), folder, kind)
                made = shutil.make_archive(str(folder.with_name(f".{kind}")), "zip", folder)
                os.replace(made, visit.folder / name)  # nobody takes the half of it home
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return name

    @contextmanager
    def _at_work(self, visit: Visit) -> Iterator[None]:
        """The device, for one job; of a visitor who has gone meanwhile nothing stays."""
        with self._device:
            if visit.gone:
                raise ValueError("the page was closed")
            visit.stop.clear()
            try:
                yield
            finally:
                visit.used = time.monotonic()
                if visit.gone:
                    visit.close()

    def _job(self, visit: Visit, wish: Wish) -> tuple[Model, Request]:
        """The model, and what is asked of it."""
        if wish.video is None:
            raise ValueError("no video yet; upload one")
        for file in (wish.cameras, wish.depth, wish.path):
            if file is not None:
                check_unpacked(file, UNPACKED * self.limits.max_megabytes)
        frames, _ = video_timing(wish.video)
        if frames > self.limits.max_frames:
            raise ValueError(f"a video of {frames} frames; expected at most {self.limits.max_frames}: cut it")
        dials = [] if wish.dials is None else [visit.folder / f"{Entry(wish.name, 'view').name}.json"]
        files = [*dials, *([] if wish.path is None else [wish.path])]
        request = make_request(wish.presets, files, Changes(subject_distance=wish.subject_distance))
        if not request.names:
            raise ValueError("no trajectories; choose a preset, or turn the dials on")
        if wish.dials is not None:
            write_keyframes(dials[0], Keyframes((Keyframe(0.0), wish.dials), wish.subject_distance))
        self._model = self._model or self._load()
        return self._model, request

    def _open(self, wish: Wish, model: Model) -> SourceVideo:
        size = view_size(wish.video, model.generator.workings.size)
        if size[0] > self.limits.max_height and model.generator.workings.size is None:
            size = view_size(wish.video, None, self.limits.max_height)
        depth = None if wish.depth is None else load_depth(wish.depth)
        return open_video(
            wish.video, *size, wish.cameras, wish.fov, depth=depth, subject_distance=wish.subject_distance
        )

    def _prepare(self, visit: Visit, wish: Wish, request: Request, model: Model) -> Scene:
        same = visit.source == wish.source and visit.scene.exists()
        here = Scene.open(visit.scene).names("view") if same else []
        if len({*here, *request.names}) > self.limits.max_views:
            raise ValueError(f"more than {self.limits.max_views} views; expected fewer of them")
        if same:
            return prepare_scene(visit.scene, None, request, model)
        fresh = visit.folder / "next"  # the scene before it goes when this one can be
        prepare_scene(fresh, self._open(wish, model), request, model)
        shutil.rmtree(visit.scene, ignore_errors=True)
        fresh.rename(visit.scene)
        visit.source = wish.source
        return Scene.open(visit.scene)


def check_unpacked(file: Path, megabytes: int) -> None:
    """Refuse an archive (zip, npz) that holds too much, before anything of it is unpacked.

    Raises:
        ValueError: It does.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:  # no more is read of a member than it says
            held = sum(member.file_size for member in packed.infolist()) / 2**20
        if held > megabytes:
            raise ValueError(f"{file}: unpacks to {held:.0f} MB; expected at most {megabytes}")


def _fill(scene: Scene, folder: Path, kind: str) -> None:
    """A folder with what a download holds."""
    if kind in EXPORTS:
        export_scene(scene, folder, kind)
        return
    for file in (file for pattern in _PARTS[kind] for file in scene.folder.glob(pattern)):
        place = folder / file.relative_to(scene.folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
