"""`plenodream view`: a scene in the browser, live."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import tyro

from plenodream.cli.parse import MaybeText, check_distance
from plenodream.files.documents import read_document
from plenodream.words import shown

if TYPE_CHECKING:
    from plenodream.viewer.live import Live

HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class View:
    """Look at a scene in the browser, make paths by key frames, see them at once, render them into its memory."""

    scene: Annotated[Path, tyro.conf.Positional]
    """Scene folder."""
    subject_distance: float = 4.0
    """Metres from the source's first camera to what new paths turn around."""
    model: MaybeText = None
    """Model for renders; left out: the scene's own."""
    device: MaybeText = None
    """cpu, cuda, cuda:1; left out: the GPU where there is one."""
    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own asks visitors for a token, which is printed."""
    port: int = 8080
    """Port to listen on; 0: any that is free."""


def view(args: View) -> int:
    """`plenodream view`."""
    print("starting ...", file=sys.stderr, flush=True)  # importing takes seconds
    live, front, address = open_viewer(args)
    print(f"{shown(args.scene)}: open {address}   (Ctrl-C ends)", file=sys.stderr, flush=True)
    try:
        live.play()
    except KeyboardInterrupt:
        return 0
    finally:
        front.stop()
        live.stop()


def open_viewer(args: View):
    """The viewer, its door, and the address to open.

    Raises:
        ValueError: No scene, viser is not installed, an address that cannot be listened on.
    """
    from plenodream.memory.scene import Scene
    from plenodream.rendering.catalog import find_model, model_for
    from plenodream.rendering.load import load_model
    from plenodream.viewer.front import Front
    from plenodream.viewer.studio import Studio

    check_port(args.port)
    check_distance(args.subject_distance)
    scene = Scene.open(args.scene)
    if not scene.complete("source"):
        raise ValueError(f"{args.scene}: its source is incomplete; render it again with the video")
    model = args.model or model_for(args.scene)
    reach = _reach(find_model(model))
    studio = Studio(scene, args.subject_distance)
    live = _live()(studio, lambda: load_model(model, args.device), reach=reach)
    here = args.host in HERE
    token = None if here else secrets.token_urlsafe(24)
    try:
        front = Front(args.host, args.port, live.server.get_port(), live.key, token, HERE if here else ())
    except OSError as error:
        live.stop()
        raise ValueError(
            f"{args.host}:{args.port}: {error.strerror or error}; expected a free port: choose another --port"
        ) from None
    return live, front, address_of(args.host, front.port, token)


def address_of(host: str, port: int, token: str | None) -> str:
    """What is to be opened in a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}" + ("" if token is None else f"/?token={token}")


def check_port(port: int) -> None:
    """Refuse a port that is none.

    Raises:
        ValueError: It is none.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"--port {port}: expected one from 0 (any that is free) to {2**16 - 1}")


class _Declared(TypedDict, total=False):
    subject_distance: float | None
    max_travel: float | None


def _reach(model: Path | None) -> float | None:
    """How far a model's training went, in units of the subject's distance; None where its folder does not say."""
    if model is None or not (index := model / "model_index.json").is_file():
        return None
    declared = read_document(index, _Declared)
    travel, distance = declared.get("max_travel"), declared.get("subject_distance")
    return travel / distance if travel and distance else None


def _live() -> type[Live]:
    try:
        from plenodream.viewer.live import Live
    except ModuleNotFoundError as error:
        raise ValueError(
            f"no module {error.name}: expected viser, which pip install 'plenodream[view]' brings"
        ) from None
    return Live
