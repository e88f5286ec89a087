"""The app in a real browser: upload, plan, render, look, take home; nobody reads what is not theirs."""

import json
import threading
import zipfile
from http.client import HTTPConnection
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
import torch

from plenodream.cli.app import App, open_app
from plenodream.media.preview import write_preview
from plenodream.viewer.limits import Limits
from plenodream.viewer.visits import Visits

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="no gradio")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A clip and its depth."""
    folder = tmp_path_factory.mktemp("clip")
    frames = torch.randint(0, 256, (3, 24, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_preview(folder / "clip.mp4", frames, 8)
    np.savez(folder / "depth.npz", depth=np.full((3, 24, 32), 4, np.float32), unit="metres")
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The address of a running app, and its folder."""
    folder = tmp_path_factory.mktemp("app")
    server, listening, address = open_app(
        App("reprojection", "cpu", port=0, limits=Limits(max_height=24, max_views=2)), folder
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield address, folder
    server.should_exit = True
    thread.join(20)


def nothing_of_others(tab, home: str, folder: Path) -> None:
    """In another tab of the visitor's browser: whatever it asks for, what lies beside their folder is not given."""
    (folder / "secret.txt").write_text("secret")
    ways = ("../../secret.txt", "%2e%2e/%2e%2e/secret.txt", "..%2f..%2fsecret.txt", f"/{folder}/secret.txt", ".lock")
    other = tab.context.new_page()
    assert other.goto(f"{home}/scene/scene.json").ok
    paths = [*(f"{home}/{way}" for way in ways), f"/gradio_api/file={folder}/secret.txt"]
    told = other.evaluate("paths => Promise.all(paths.map(path => fetch(path).then(answer => answer.status)))", paths)
    assert set(told) <= {403, 404}, dict(zip(paths, told, strict=True))


def test_from_upload_to_download(app, chromium, files, tmp_path):
    address, folder = app
    with chromium(address) as tab:
        tab.locator("#video input[type=file]").set_input_files(files / "clip.mp4")
        tab.locator("#video video").wait_for()
        tab.get_by_text("its cameras and depth").click()
        tab.locator("#depth input[type=file]").set_input_files(files / "depth.npz")
        tab.locator("#depth a").first.wait_for()
        tab.locator("#plan").click()
        tab.locator("#sheet img").wait_for()
        said = tab.locator("#status").inner_text()
        assert "arc-left:" in said and "depth given" in said and "estimated" in said
        tab.locator("#render").click()
        page = tab.frame_locator("#shown iframe")
        page.locator("#count", has_text="/ 3").wait_for()
        assert page.locator(".card h3").all_inner_texts() == ["source input", "arc-left"]
        (visit,) = (folder / "visits").iterdir()
        tab.locator("#pack").click()
        link = tab.locator("#link a", has_text="page.zip")
        for _ in range(2):  # a download is no leave-taking: the second finds the files still there
            with tab.expect_download() as got:
                link.click()
            got.value.save_as(tmp_path / "page.zip")
            with zipfile.ZipFile(tmp_path / "page.zip") as packed:
                held = set(packed.namelist())
            assert {"index.html", "source.mp4", "arc-left.mp4", "cameras/arc-left.json"} <= held
        nothing_of_others(tab, f"{address}/of/{visit.name}", folder)
    for _ in range(100):  # the page was closed: nothing of it stays
        if not visit.exists():
            break
        threading.Event().wait(0.1)
    assert not visit.exists()


def status(app, path: str, body: object = None, **headers: str) -> int:
    """What the app answers to a request as it is, nothing in its path resolved."""
    connection = HTTPConnection(urlsplit(app[0]).netloc, timeout=20)
    text = None if body is None else json.dumps(body)
    connection.request("GET" if text is None else "POST", path, text, {"Content-Type": "application/json"} | headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_no_path_outside_is_readable(app):
    folder = app[1]
    (folder / "secret.txt").write_text("secret")
    for path in (folder / "secret.txt", "/etc/passwd", "/proc/self/environ", Path.cwd() / "pyproject.toml"):
        assert status(app, f"/gradio_api/file={path}") in (403, 404)
    for path in ("/of/x/scene.json", "/of/x/../../secret.txt", "/of//%2e%2e/%2e%2e/secret.txt", "/../secret.txt"):
        assert status(app, path) == 404
    assert status(app, "/", Origin="http://elsewhere.example") == 403 == status(app, "/", Host="elsewhere.example")


def test_a_file_that_was_not_uploaded_is_refused(app):
    """As a visitor who speaks to the server without the page."""
    address, folder = app
    config = json.loads(urlopen(f"{address}/config", timeout=20).read())
    video = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "video")
    events = [(n, event) for n, event in enumerate(config["dependencies"]) if video in event["inputs"]]
    assert len(events) == 4  # before the queue and in it, to plan and to render
    (folder / "other.mp4").write_bytes(b"another visitor's")
    for (number, event), path in product(events, (folder / "other.mp4", "/etc/passwd")):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        data = [file if part == video else None for part in event["inputs"]]
        body = {"fn_index": number, "data": data, "session_hash": "stranger"}
        assert status(app, "/gradio_api/queue/join", body) == 200
        with urlopen(f"{address}/gradio_api/queue/data?session_hash=stranger", timeout=20) as stream:
            end = next(line for line in stream if b"process_completed" in line)
        assert b'"success":false' in end.replace(b" ", b"") and b"not" in end


def test_two_hundred_requests_leave_memory_and_files_flat(app):
    folder = app[1]

    def round_of(count: int) -> tuple[int, int]:
        assert all(status(app, "/" if n % 2 else "/config") == 200 for n in range(count))
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096, len(list(folder.rglob("*")))

    before, after = round_of(20), round_of(200)
    assert after[0] - before[0] < 20 * 2**20 and after[1] == before[1], (before, after)


def test_another_address_takes_a_token(tmp_path):
    from starlette.testclient import TestClient

    server, listening, address = open_app(App("reprojection", "cpu", host="0.0.0.0", port=0), tmp_path)
    listening.close()
    visitor = TestClient(server.config.app, follow_redirects=False)
    assert visitor.get("/").status_code == 403 == visitor.get("/?token=x").status_code
    assert visitor.get(f"/?token={address.partition('=')[2]}").status_code == 303
    assert visitor.get("/").status_code == 200


def test_what_is_wrong_is_said_without_the_servers_folders(tmp_path):
    from plenodream.viewer.app import said

    visit, uploads = Visits(tmp_path / "v", Limits()), tmp_path / "u"
    (tmp_path / "v").mkdir()
    one = visit.of("one")
    error = ValueError(f"{uploads}/a1b2/my clip.mp4: no video; {one.folder}/scene/views: <b>, see {uploads}/c/d.npz")
    assert said(error, one, uploads) == "my clip.mp4: no video; scene/views: &lt;b&gt;, see d.npz"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 99999}, "expected one from 0"),
        ({"limits": Limits(max_views=0)}, "expected numbers above 0"),
        ({"limits": Limits(keep_minutes=float("inf"))}, "expected numbers above 0"),
        ({"model": "none"}, "no model"),
        ({"device": "cuda:9"}, "not available"),
        ({"host": "nowhere.invalid"}, "choose another --port"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(options, said, tmp_path):
    with pytest.raises(ValueError, match=said) as error:
        open_app(App(**options), tmp_path)
    assert "\n" not in str(error.value)
