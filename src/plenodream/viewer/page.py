"""The page of a scene: one self-contained HTML file that plays source and views in step. Ours."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Literal

from plenodream.files.atomic import write_file
from plenodream.media.preview import video_timing
from plenodream.types import Cameras
from plenodream.viewer.paths import draw_paths, path_colour

Scores = tuple[tuple[str, float], ...]
# Up to this many pixels across, pixels are shown as squares; larger videos are smoothed.
SMALL = 128


@dataclass(frozen=True)
class PageView:
    """What the page shows of one video.

    Attributes:
        name: Unique in the page.
        kind: What it is: the input, a result, or a merged view that was rendered only to serve as context.
        preview: The mp4 that is embedded; one frame a camera, constant frame rate.
        cameras: Batch shape (frames,), in the scene's world.
        context: Names and retrieval scores of the views it was generated from, best first.
        candidates: Names and retrieval scores of all views it could have been generated from.
        seconds: Time it took to render.
        psnr: dB against the truth on pixels that the source saw.
        psnr_copy: The same for copying the source's pixels.
        truth: An mp4 of what the view should look like, where that is known.
        windows: In how many windows it was rendered; context and candidates are those of the first.
        outdated: What it was made from has been made again since, or it is itself to be made again.
    """

    name: str
    kind: Literal["source", "view", "helper"]
    preview: Path
    cameras: Cameras
    context: Scores = ()
    candidates: Scores = ()
    seconds: float | None = None
    psnr: float | None = None
    psnr_copy: float | None = None
    truth: Path | None = None
    windows: int = 1
    outdated: bool = False


@dataclass(frozen=True)
class Page:
    """A scene to show.

    Attributes:
        title: Heading of the page.
        views: In the order in which they were made; exactly one is the source.
        notes: Lines of plain text under the heading.
    """

    title: str
    views: tuple[PageView, ...]
    notes: tuple[str, ...] = ()


def write_page(folder: Path, page: Page) -> Path:
    """Write `folder/index.html`, which needs nothing beside it and no network; the same bytes for the same page.

    Args:
        folder: Where the page goes; must exist. The file appears whole or not at all.
        page: What to show. The videos are embedded.

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
    index = {view.name: number for number, view in enumerate(views)}
    cards = [_card(view, index) for view in views]
    helpers = [card for card, view in zip(cards, views, strict=True) if view.kind == "helper"]
    fields = {
        "title": escape(page.title),
        "notes": "\n".join(f'<p class="note">{escape(note)}</p>' for note in page.notes),
        "last": str(max(len(view.cameras) for view in views) - 1),
        "truth_switch": '<label title="What the views should look like"><input id="truth" type="checkbox">truth</label>'
        if any(view.truth for view in views)
        else "",
        "views": "\n".join(card for card, view in zip(cards, views, strict=True) if view.kind != "helper"),
        "helpers": _helpers(helpers) if helpers else "",
        "paths": draw_paths({view.name: view.cameras for view in views}) or "",
        "table": _table(views),
    }
    template = files("plenodream.viewer").joinpath("page.html").read_text(encoding="utf-8")
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: fields[match[1]], template)
    path = Path(folder) / "index.html"
    write_file(path, text.encode("utf-8"))
    return path


def _card(view: PageView, index: dict[str, int]) -> str:
    """One view: its canvas and videos, what it was made from, how good it is."""
    width, height = view.cameras.width, view.cameras.height
    frames, _ = video_timing(view.preview)
    if frames != len(view.cameras):
        raise ValueError(
            f"{view.preview}: {frames} frames, but {len(view.cameras)} cameras; write the preview of this view again"
        )
    words = {"source": ["input"], "view": [], "helper": ["helper"]}[view.kind] + ["outdated"] * view.outdated
    tags = "".join(f' <span class="tag">{word}</span>' for word in words)
    window = f" (window 1 of {view.windows})" if view.windows > 1 else ""
    context = " ".join(f"{index[name]}:{_number(score)}" for name, score in view.context if name in index)
    lines = [
        f'<article class="card{" small" if max(width, height) <= SMALL else ""}" tabindex="0" '
        f'data-view="{index[view.name]}" data-context="{context}" style="--path: {path_colour(index[view.name])}">',
        f'<div class="screen"><canvas width="{width}" height="{height}" role="img" aria-label="{escape(view.name)}">'
        "</canvas>",
        _video(view.preview, "result"),
        _video(view.truth, "truth") if view.truth else "",
        '<span class="badge">truth</span></div>',
        f'<div class="text"><h3>{escape(view.name)}{tags}</h3>',
        f"<p>{_quality(view)}</p>" if view.psnr is not None else "",
        f"<p>context{window}</p>{_chips(view.context, index)}" if view.context else "",
        _bars(view) if view.candidates else "",
        "</div></article>",
    ]
    return "\n".join(line for line in lines if line)


def _video(path: Path, role: str) -> str:
    frames, fps = video_timing(path)
    data = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return (
        f'<video class="{role}" muted playsinline loop controls preload="none" data-frames="{frames}" '
        f'data-fps="{fps:.9g}" src="data:video/mp4;base64,{data}"></video>'
    )


def _number(score: float) -> str:
    return f"{score:.3g}" if math.isfinite(score) else "–"


def _quality(view: PageView) -> str:
    text = f"PSNR <b>{view.psnr:.1f} dB</b>"
    if view.psnr_copy is not None:
        text += f", copying the source {view.psnr_copy:.1f} dB {_gain(view)}"
    return text


def _gain(view: PageView) -> str:
    gain = view.psnr - view.psnr_copy
    return f'<b class="{"gain" if gain > 0 else "loss"}">{gain:+.1f}</b>'


def _colour(name: str, index: dict[str, int]) -> str:
    return path_colour(index[name]) if name in index else "transparent"


def _chips(context: Scores, index: dict[str, int]) -> str:
    """Context views by name, with the colours of their paths and their scores."""
    items = (
        f'<li style="--path: {_colour(name, index)}">{escape(name)} <span class="score">{_number(score)}</span></li>'
        for name, score in context
    )
    return f'<ul class="chips">{"".join(items)}</ul>'


def _bars(view: PageView) -> str:
    """All candidates with their scores as bars, best first; the chosen ones in the view's colour."""
    finite = [score for _, score in view.candidates if math.isfinite(score)] or [0.0]
    low, high = min(0.0, *finite), max(finite)
    chosen = {name for name, _ in view.context}
    items = []
    for name, score in sorted(view.candidates, key=lambda pair: -pair[1] if math.isfinite(pair[1]) else math.inf):
        share = (score - low) / (high - low) if math.isfinite(score) and high > low else 0.0
        items.append(
            f'<li class="{"chosen" if name in chosen else "left"}" style="--share: {share:.3f}">'
            f"<span>{escape(name)}</span><span>{_number(score)}</span></li>"
        )
    count = f"{len(items)} candidate{'s' if len(items) > 1 else ''}"
    return f'<details><summary>{count}</summary><ul class="bars">{"".join(items)}</ul></details>'


def _helpers(cards: Sequence[str]) -> str:
    title = f"{len(cards)} helper view{'s' if len(cards) > 1 else ''}"
    note = "Merged trajectories, rendered only to serve as context. Outdated: made from an earlier state of its views."
    lines = [
        f'<details class="helpers"><summary>{title}</summary><p class="note">{note}</p><section class="grid">',
        *cards,
        "</section></details>",
    ]
    return "\n".join(lines)


def _table(views: Sequence[PageView]) -> str:
    """All views, one a row; numbers that no view has get no column."""
    columns = [
        ("seconds", [None if view.seconds is None else f"{view.seconds:.1f}" for view in views]),
        ("PSNR (dB)", [None if view.psnr is None else f"{view.psnr:.2f}" for view in views]),
        ("copying (dB)", [None if view.psnr_copy is None else f"{view.psnr_copy:.2f}" for view in views]),
        ("gain", [None if view.psnr is None or view.psnr_copy is None else _gain(view) for view in views]),
    ]
    columns = [(title, cells) for title, cells in columns if any(cells)]
    heads = "".join(f'<th class="number">{title}</th>' for title, _ in columns)
    windows = max(view.windows for view in views)
    window = f", window 1 of {windows}" if windows > 1 else ""
    rows = [f"<tr><th>view</th><th>kind</th><th>context (score){window}</th>{heads}</tr>"]
    for number, view in enumerate(views):
        dot = f'<span class="dot" style="--path: {path_colour(number)}"></span>'
        context = (f'{escape(name)} <span class="score">{_number(score)}</span>' for name, score in view.context)
        cells = "".join(f'<td class="number">{cells[number] or ""}</td>' for _, cells in columns)
        kind = f"{view.kind}, outdated" if view.outdated else view.kind
        rows.append(f"<tr><td>{dot}{escape(view.name)}</td><td>{kind}</td><td>{', '.join(context)}</td>{cells}</tr>")
    return "\n".join(["<table>", *rows, "</table>"])
