"""The app: a page where a video is uploaded, views are planned, rendered and taken home. Nothing is decided here."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse

from plenodream.geometry.keyframes import Keyframe
from plenodream.geometry.presets import PRESETS
from plenodream.viewer.desk import PACKS, SHEET, Desk
from plenodream.viewer.front import COOKIE, Head, verdict
from plenodream.viewer.limits import WAITING
from plenodream.viewer.visits import Visit, Visits, Wish

_DEVICE = {"concurrency_limit": 1, "concurrency_id": "device", "api_visibility": "private"}
_AT_ONCE: dict[str, Any] = {"queue": False, "api_visibility": "private"}
_FOV, _PAGE = 60, "scene/index.html"
_FONT = ["system-ui", "sans-serif"]  # nothing is fetched from elsewhere


def make_app(desk: Desk, visits: Visits, uploads: Path, token: str | None, hosts: tuple[str, ...]) -> FastAPI:
    """The whole app, to be served.

    Args:
        desk: What does the work.
        visits: Who is there.
        uploads: Folder for what is uploaded; it has to be removed with the app.
        token: What visitors have to know; None: nothing.
        hosts: Names by which the page may be called; any if empty.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(30)
            visits.sweep()

    @asynccontextmanager
    async def sweeping(_: FastAPI):
        task = asyncio.create_task(sweep())
        yield
        task.cancel()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=sweeping)
    app.add_middleware(Door, token=token, hosts=hosts)

    @app.get("/of/{key}/{name:path}")
    def given(key: str, name: str):
        """A visitor's file, for who knows their key."""
        visit = visits.by_key(key)
        file = None if visit is None else visit.file(name)
        if file is None:
            return PlainTextResponse("no such file", 404)
        return FileResponse(file, headers={"Cache-Control": "no-store"})

    look = {"theme": gr.themes.Base(font=_FONT, font_mono=["ui-monospace", "monospace"]), "footer_links": []}
    limits = visits.limits
    gr.mount_gradio_app(
        app, _Page(desk, visits, uploads).blocks, "/", ssr_mode=False, max_file_size=limits.max_megabytes * 2**20,
        run_history=False, enable_monitoring=False, **look,
    )  # fmt: skip
    return app


class Door:
    """Lets in who may come, as the live viewer's front does. ASGI middleware.

    Args:
        app: What is behind it.
        token: As for `verdict`.
        hosts: As for `verdict`.
    """

    def __init__(self, app: Callable, token: str | None, hosts: tuple[str, ...]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope, receive, send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        head = Head(f"{scope['path']}?{scope['query_string'].decode('latin-1')}", headers)
        answer = verdict(head, self._token, self._hosts)
        if answer == "pass":
            return await self._app(scope, receive, send)
        response = PlainTextResponse("not let in: open the address that `plenodream app` printed\n", 403)
        if answer == "welcome":
            response = RedirectResponse("/", 303, {"Referrer-Policy": "no-referrer"})
            response.set_cookie(COOKIE, self._token or "", httponly=True, samesite="strict")
        return await response(scope, receive, send)


class _Page:
    """The page's parts, and what happens when they are touched."""

    def __init__(self, desk: Desk, visits: Visits, uploads: Path) -> None:
        self._desk, self._visits, self._uploads = desk, visits, uploads.resolve()
        limits = visits.limits
        seconds = round(60 * limits.keep_minutes)
        with gr.Blocks(title="plenodream", analytics_enabled=False, delete_cache=(60, seconds)) as self.blocks:
            gr.Markdown(
                "# plenodream\nA video in, the same event from new cameras out. Up to "
                f"{limits.max_megabytes} MB, {limits.max_frames} frames, {limits.max_views} views, "
                f"{limits.max_minutes:g} minutes of rendering. Closing or reloading this page removes "
                "everything: download what you want to keep."
            )
            with gr.Row():
                self._fields = self._clip() | self._paths()
            wish = set(self._fields.values())
            with gr.Row():
                plan, render = (
                    gr.Button("plan", elem_id="plan"),
                    gr.Button("render", variant="primary", elem_id="render"),
                )
                stop = gr.Button("stop", elem_id="stop")
            status = gr.Markdown(elem_id="status")
            sheet, shown = gr.HTML(elem_id="sheet"), gr.HTML(elem_id="shown")
            with gr.Row():
                kind = gr.Dropdown(PACKS, value=PACKS[0], label="download", elem_id="kind")
                pack = gr.Button("pack", elem_id="pack")
                link = gr.HTML(elem_id="link")
            for button, job, told in (
                (plan, self._plan, [status, sheet]),
                (render, self._render, [status, shown, link]),
            ):
                button.click(self._wait, wish, status, **_AT_ONCE).success(job, wish, told, **_DEVICE)
            stop.click(self._stop, None, status, **_AT_ONCE)
            pack.click(self._pack, kind, [status, link], concurrency_limit=2, api_visibility="private")
            self.blocks.unload(self._leave)
        self.blocks.queue(max_size=WAITING, api_open=False)

    def _clip(self) -> dict[str, Any]:
        with gr.Column():
            video = gr.Video(sources=["upload"], label="video", elem_id="video", height=260)
            with gr.Accordion("its cameras and depth", open=False):
                cameras = gr.File(label="camera file (any format that plenodream reads)", elem_id="cameras", height=120)
                depth = gr.File(label="depth file", elem_id="depth", height=120)
                fov = gr.Slider(10, 170, _FOV, step=1, label="horizontal field of view, where no file says it")
                distance = gr.Slider(0.2, 50, 4, step=0.1, label="metres to the subject")
        return {"video": video, "cameras": cameras, "depth": depth, "fov": fov, "distance": distance}

    def _paths(self) -> dict[str, Any]:
        with gr.Column():
            presets = gr.Dropdown(
                list(PRESETS), value=["arc-left"], multiselect=True, allow_custom_value=True,
                label="presets; your own numbers as arc-left:angle=20", elem_id="presets",
            )  # fmt: skip
            path = gr.File(
                label="path: key frames or cameras in a file; its name becomes the view's", elem_id="path", height=120
            )
            with gr.Accordion("dials: a camera that goes from the source's to here", open=False, elem_id="dials"):
                dials = {
                    "on": gr.Checkbox(label="a view by dials"),
                    "name": gr.Textbox("dials", label="its name", max_lines=1),
                    "azimuth": gr.Slider(-180, 180, 20, step=1, label="azimuth, degrees"),
                    "elevation": gr.Slider(-89, 89, 0, step=1, label="elevation, degrees"),
                    "share": gr.Slider(0.1, 4, 1, step=0.05, label="distance, of the subject's"),
                    "roll": gr.Slider(-180, 180, 0, step=1, label="roll, degrees"),
                    "focal": gr.Slider(0, 200, 0, step=1, label="focal length, mm on 36 mm; 0: the source's own"),
                }
        return {"presets": presets, "path": path, **dials}

    def _wish(self, visit: Visit, values: dict[Any, Any]) -> Wish:
        """What the fields say."""
        given = {name: values[field] for name, field in self._fields.items()}
        names = ("video", "cameras", "depth", "path")
        files = {name: self._uploaded(visit, given[name]) for name in names if given[name]}
        far = given["share"] * given["distance"]
        dials = (given["azimuth"], given["elevation"], far, given["roll"], given["focal"] or None)
        return Wish(
            files.get("video"),
            files.get("cameras"),
            files.get("depth"),
            None if "cameras" in files and given["fov"] == _FOV else float(given["fov"]),
            float(given["distance"]),
            tuple(given["presets"] or ()),
            given["name"],
            Keyframe(1.0, *dials) if given["on"] else None,
            files.get("path"),
        )

    def _uploaded(self, visit: Visit, file: str) -> Path:
        place = Path(file).resolve()
        if not place.is_relative_to(self._uploads):
            raise ValueError(f"{place.name}: expected a file that was uploaded")
        try:
            return visit.given(place)
        except FileNotFoundError:
            raise ValueError(
                f"{place.name} was removed after {self._visits.limits.keep_minutes:g} minutes; upload it again"
            ) from None

    def _wait(self, wish: dict[Any, Any], request: gr.Request) -> str:
        """Before the queue: the visitor's files stay until their turn comes."""
        visit = self._visit(request)
        self._told(visit, lambda: self._wish(visit, wish))
        visit.waiting += 1
        return "waiting for the device"

    def _plan(self, wish: dict[Any, Any], request: gr.Request):
        visit = self._turn(request)
        lines = self._told(visit, lambda: self._desk.plan(visit, self._wish(visit, wish)))
        return "\n".join(f"- {escape(line)}" for line in lines), f'<img src="{_address(visit, SHEET)}" alt="{_SHEET}">'

    def _render(self, wish: dict[Any, Any], request: gr.Request, progress=gr.Progress()):  # noqa: B008
        visit = self._turn(request)

        def report(step, ahead) -> None:
            left = "" if ahead.seconds is None else f", {ahead.seconds:.0f} s left"
            share = (ahead.done + step.step / step.steps % 1) / max(ahead.total, 1)
            progress(share, f"{step.view}: {ahead.done} of {ahead.total} windows{left}")

        try:
            scene = self._desk.render(visit, self._wish(visit, wish), report)
            status = f"rendered: {escape(', '.join(scene.names('view')))}"
        except (ValueError, OSError) as error:
            status = said(error, visit, self._uploads)
            if visit.file(_PAGE) is None:
                raise gr.Error(status, duration=None, print_exception=False) from None
        page = _address(visit, _PAGE)
        frame = (
            f'<iframe src="{page}" title="the page of the scene" style="width: 100%; height: 80vh; border: 0"></iframe>'
        )
        grid = _link(visit, "scene/grid.mp4", "grid.mp4") if visit.file("scene/grid.mp4") else ""
        return status, frame, grid

    def _stop(self, request: gr.Request) -> str:
        self._visit(request).stop.set()
        return "stopping after this step"

    def _pack(self, kind: str, request: gr.Request):
        visit = self._visit(request)
        name = self._told(visit, lambda: self._desk.pack(visit, kind))
        return "", _link(visit, name, Path(name).name)

    def _told(self, visit: Visit, action: Callable[[], Any]) -> Any:
        """Do what was asked for; what is wrong with it is said on the page."""
        try:
            return action()
        except (ValueError, OSError) as error:
            raise gr.Error(said(error, visit, self._uploads), duration=None, print_exception=False) from None

    def _leave(self, request: gr.Request) -> None:
        self._visits.leave(request.session_hash or "")

    def _turn(self, request: gr.Request) -> Visit:
        """The visit of who has waited until now."""
        visit = self._visit(request)
        visit.waiting -= visit.waiting > 0
        return visit

    def _visit(self, request: gr.Request) -> Visit:
        try:
            return self._visits.of(request.session_hash or "")
        except ValueError as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from None


_SHEET = "for each view the source's outline, eight moments with unseen pixels in magenta, and the paths from above"


def said(error: Exception, visit: Visit, uploads: Path) -> str:
    """What is wrong, without the server's own paths."""
    text = str(error).replace(f"{visit.folder}{os.sep}", "").replace(str(visit.folder.parent), "")
    return escape(re.sub(rf"{re.escape(str(uploads))}/[^/]+/", "", text))


def _address(visit: Visit, name: str) -> str:
    return f"/of/{visit.key}/{name}?{(visit.folder / name).stat().st_mtime_ns}"


def _link(visit: Visit, name: str, text: str) -> str:
    # Without `download` the click would be a navigation, at which the browser ends the page's connections: for the
    # server the visitor has left then, and the file is gone before it is sent.
    return f'<a href="/of/{visit.key}/{name}" download="{text}">{text}</a>'
