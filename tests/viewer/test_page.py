"""The page of a scene: self-contained, complete, escaped, the same bytes every time."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch

from plenodream.geometry.cameras import intrinsics_from_fov
from plenodream.media.preview import write_preview
from plenodream.types import Cameras
from plenodream.viewer.page import Page, PageView, PageWindow, write_page

FRAMES, SIZE, FPS = 9, 16, 8.0
ODD = 'zoom-out <b>&"x"{{last}}\''


class Elements(HTMLParser):
    """Every element of a page as (tag, attributes), and the text of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def cameras(shift: float, frames: int = FRAMES) -> Cameras:
    pose = torch.eye(4).repeat(frames, 1, 1)
    pose[:, 0, 3] = torch.linspace(0, shift, frames)
    return Cameras(pose, intrinsics_from_fov(60, SIZE, SIZE).expand(frames, 4), SIZE, SIZE)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Page:
    folder = tmp_path_factory.mktemp("videos")
    for index in range(5):
        pixels = torch.randint(0, 256, (FRAMES, SIZE, SIZE, 3), generator=torch.Generator().manual_seed(index))
        write_preview(folder / f"{index}.mp4", pixels.to(torch.uint8), FPS)
    made = (("arc-left", 0.5), ("source", 0.987))
    merged = (PageWindow(made[1:], made), PageWindow(made[:1], made))
    all_of = (*made, ("merged", 0.0), ("lost", float("nan")))
    return Page(
        "a <scene>",
        (
            PageView("arc-left", "view", folder / "1.mp4", cameras(-1), (PageWindow(made[1:], made[1:]),), 12.34),
            PageView("source", "source", folder / "0.mp4", cameras(0)),
            PageView("merged", "helper", folder / "2.mp4", cameras(1), merged),
            PageView(
                ODD, "view", folder / "3.mp4", cameras(2), (PageWindow(made[::-1], all_of),) * 2,
                seconds=3.0, psnr=24.5, psnr_copy=20.1, truth=folder / "4.mp4",
            ),
        ),
        ("first note", "2 < 3"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(page, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("scene")
    path = write_page(folder, page, single_file=True)
    assert path == folder / "index.html"
    assert [file.name for file in folder.iterdir()] == ["index.html"]
    return path.read_text(encoding="utf-8")


def test_needs_nothing_outside_itself(written):
    without_videos = re.sub(r"base64,[\w+/=]*", "", written)
    assert set(re.findall(r"https?://[^/\"]*", without_videos)) <= {"http://www.w3.org"}
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttp|import\(", without_videos)
    elements = Elements(written)
    assert not elements.of("link") and not elements.of("iframe")
    for _, attributes in elements.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", attributes.get("xlink:href", "#")).startswith("#")


def test_every_video_is_embedded_whole(written, page):
    videos = Elements(written).of("video")
    order = [page.views[1], page.views[0], page.views[3], page.views[2]]  # source, views, then helpers
    expected = [path for view in order for path in (view.preview, view.truth) if path]
    decoded = [base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,"), validate=True) for video in videos]
    assert decoded == [path.read_bytes() for path in expected]
    for video in videos:
        assert (int(video["data-frames"]), float(video["data-fps"])) == (FRAMES, FPS)
        assert "muted" in video and "playsinline" in video


def test_names_and_notes_are_escaped(written, page):
    elements = Elements(written)
    assert "<scene>" not in written and "<b>&" not in written and '<b>"' not in written
    for text in (*(view.name for view in page.views), *page.notes, page.title):
        assert text in elements.text
    assert ODD in [canvas.get("aria-label") for canvas in elements.of("canvas")]


def test_context_and_scores(written):
    cards = {card["data-view"]: card for card in Elements(written).of("article")}
    # Numbers are places in the drawing order: source, arc-left, merged, the odd one; so are the ids of the paths.
    assert {view: card["data-context"] for view, card in cards.items()} == {
        "0": "", "1": "0:0.987", "2": "0:0.987 1:0.5", "3": "1:0.5 0:0.987",
    }  # fmt: skip
    for index in range(1, 4):
        assert f'id="path-{index}-above-line"' in written
    card = written[written.index('data-view="3"') :].split("</article>")[0]
    bars = re.findall(r'<li class="(\w+)" style="--share: ([\d.]+)"><span>([^<]*)</span><span>([^<]*)</span>', card)
    assert bars == [
        ("chosen", "1.000", "source", "0.987"),
        ("chosen", "0.507", "arc-left", "0.5"),
        ("left", "0.000", "merged", "0"),
        ("left", "0.000", "lost", "–"),
    ]
    assert re.findall(r"<li style=[^>]*>([^<]*) <span", card) == ["source", "arc-left"]
    assert "window" not in card  # both windows had the same
    helper = written[written.index('data-view="2"') :].split("</article>")[0]
    context = helper.split("<details>")[0]
    assert re.findall(r'class="when">([^<]*)<', context) == ["window 1", "window 2"]
    assert re.findall(r"<li style=[^>]*>([^<]*) <span", context) == ["source", "arc-left"]


def test_the_matrix_says_who_was_shown_to_whom_in_every_window(written):
    titles = [mark["title"] for mark in Elements(written).of("i") if "title" in mark]
    assert "merged window 1: source 0.987" in titles and "merged window 1: arc-left 0.5, passed over" in titles
    assert "merged window 2: arc-left 0.5" in titles and f"{ODD} window 2: lost –, passed over" in titles
    assert len(titles) == 1 + 4 + 8


def test_cameras_in_space(written, page):
    text = re.search(r'<script type="application/json" id="cameras">(.*?)</script>', written)[1]
    views = json.loads(text)
    assert [view["name"] for view in views] == ["source", "arc-left", "merged", ODD]
    last = views[1]["cameras"][-1]
    assert len(views[1]["cameras"]) == FRAMES and last[3] == -1.0
    assert last[12:] == pytest.approx([-0.57735, 0.57735, -0.57735, 0.57735], abs=1e-4)
    assert len({view["colour"] for view in views}) == 4


def test_a_page_beside_its_videos_names_them(page, tmp_path):
    kept = []
    for index, view in enumerate(page.views):
        path = tmp_path / f"a b{index}#.mp4"
        path.write_bytes(view.preview.read_bytes())
        kept.append(replace(view, preview=path))
    text = write_page(tmp_path, replace(page, views=tuple(kept))).read_text()
    videos = {video["src"][:22]: video for video in Elements(text).of("video")}
    names = {unquote(source) for source in videos if not source.startswith("data:")}
    assert names == {f"a b{index}#.mp4" for index in range(4)}
    assert "data:video/mp4;base64," in videos  # the truth is elsewhere
    assert len(text) < 200_000
    links = {link["href"] for link in Elements(text).of("a")}
    assert {unquote(link) for link in links} == names


def test_quality_truth_and_helpers(written, page, tmp_path):
    quality = " ".join(written[written.index("PSNR <b>") :][:200].split())
    assert "<b>24.5 dB</b>, copying the source 20.1 dB" in quality and ">+4.4<" in quality
    assert 'value="truth"' in written
    helpers = re.search(r'<details class="helpers">.*?</section></details>', written, re.DOTALL)[0]
    assert "utdated" not in helpers
    stale = replace(page, views=tuple(replace(view, outdated=view.kind == "helper") for view in page.views))
    assert "Outdated: made from" in write_page(tmp_path, stale).read_text()
    assert 'aria-label="merged"' in helpers and helpers.count("<article") == 1
    plain = write_page(tmp_path, replace(page, views=page.views[:2])).read_text()
    assert 'id="what"' not in plain and 'class="helpers"' not in plain and "PSNR" not in plain


def test_table(written):
    whole = written[written.index('<table class="views">') :].replace("\n", "")
    rows = re.findall(r"<tr>(.*?)</tr>", whole)
    cells = [re.sub(r"<[^>]*>", "", row.replace("</t", "|</t")).split("|")[:-1] for row in rows]
    assert cells[0] == ["view", "kind", "context (score)", "seconds", "PSNR (dB)", "copying (dB)", "gain (dB)"]
    assert cells[2] == ["arc-left", "view", "source 0.987", "12.3", "", "", ""]
    assert cells[4][2:] == ["source 0.987, arc-left 0.5", "3.0", "24.50", "20.10", "+4.4"]


def test_same_page_same_bytes(written, page, tmp_path):
    assert write_page(tmp_path, page, single_file=True).read_text(encoding="utf-8") == written


def test_nothing_is_left_of_the_template(written):
    assert set(re.findall(r"\{[{%].*?[%}]\}", written)) == {"{{last}}"}  # of the odd name
    assert f'max="{FRAMES - 1}"' in written


def test_refuses(page, tmp_path):
    with pytest.raises(ValueError, match="expected one source"):
        write_page(tmp_path, replace(page, views=page.views[:1]))
    with pytest.raises(ValueError, match="no name twice"):
        write_page(tmp_path, replace(page, views=(*page.views, page.views[0])))
    short = replace(page.views[1], cameras=cameras(0, frames=8))
    with pytest.raises(ValueError, match="9 frames, but 8 cameras"):
        write_page(tmp_path, replace(page, views=(short,)))
    assert list(tmp_path.iterdir()) == []
