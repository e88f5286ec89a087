"""The page of a scene: one HTML file, beside its videos or with them inside, that plays all views in step. Ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from plenodream.files.atomic import write_file
from plenodream.types import Cameras
from plenodream.viewer.depth_views import Points, points_data
from plenodream.viewer.page_parts import Scores, cards, matrix, space, table
from plenodream.viewer.paths import draw_paths


@dataclass(frozen=True)
class PageWindow:
    """What a window of a view was made from.

    Attributes:
        context: Names and retrieval scores of the views it was generated from, best first.
        candidates: Names and retrieval scores of all views it could have been generated from.
    """

    context: Scores = ()
    candidates: Scores = ()


@dataclass(frozen=True)
class PageView:
    """What the page shows of one video.

    Attributes:
        name: Unique in the page.
        kind: "source" (the input), "view" (a result) or "helper" (merged, rendered only to serve as context).
        preview: Its mp4; one frame a camera, constant frame rate.
        cameras: Batch shape (frames,), in the scene's world.
        windows: What its windows were made from, in order; none for the input.
        seconds: Time it took to render.
        psnr: dB against the truth on pixels that the source saw.
        psnr_copy: The same for copying the source's pixels.
        truth: An mp4 of what the view should look like, where that is known.
        outdated: What it was made from has been made again since, or it is itself to be made again.
        camera_file: Its cameras as a file for people.
        depth: An mp4 of its depth, where that is known.
        points: What stands before its cameras, where that is known; of the same moments for all views.
        serves: Of a helper: the views that it was merged for.
    """

    name: str
    kind: str
    preview: Path
    cameras: Cameras
    windows: tuple[PageWindow, ...] = ()
    seconds: float | None = None
    psnr: float | None = None
    psnr_copy: float | None = None
    truth: Path | None = None
    outdated: bool = False
    camera_file: Path | None = None
    depth: Path | None = None
    points: Points | None = None
    serves: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A scene to show.

    Attributes:
        title: Heading of the page.
        views: In the order in which they were made; exactly one is the source.
        notes: Lines of plain text under the heading.
        command: How to make these views again, where that is known.
    """

    title: str
    views: tuple[PageView, ...]
    notes: tuple[str, ...] = ()
    command: str = ""


def write_page(folder: Path, page: Page, single_file: bool = False) -> Path:
    """Write `folder/index.html`, which needs no network; the same bytes for the same page.

    Args:
        folder: Where the page goes; must exist. The file appears whole or not at all.
        page: What to show.
        single_file: Put the videos into the page. Otherwise it names those in the folder by their relative paths, so
            that it stays small and moves with the folder; videos from elsewhere are put into it.

    Returns:
        The path of the page.

    Raises:
        ValueError: Not exactly one source, a name that comes twice, or a preview whose length is not its cameras'.
        OSError: A video is missing, the disk is full or the folder cannot be written.
    """
    names = [view.name for view in page.views]
    sources = sum(view.kind == "source" for view in page.views)
    if sources != 1 or len(set(names)) < len(names):
        raise ValueError(f"page of {names} with {sources} sources; expected one source and no name twice")
    views = sorted(page.views, key=lambda view: view.kind != "source")
    loader = PackageLoader("plenodream.viewer")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = templates.get_template("page.html").render(
        page=page,
        cards=cards(views, None if single_file else Path(folder)),
        windows=max(len(view.windows) for view in views),
        matrix=matrix(views),
        table=table(views),
        space=space(views),
        points=points_data({n: v.points for n, v in enumerate(views) if v.points}, views[0].cameras.camera_to_world[0]),
        paths=draw_paths({view.name: view.cameras for view in views}),
    )
    path = Path(folder) / "index.html"
    write_file(path, text.encode(errors="replace"))  # a folder's name may be no text
    return path
