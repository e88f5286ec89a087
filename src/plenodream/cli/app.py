"""`plenodream app`: upload, plan, render and download in the browser."""

from __future__ import annotations

import secrets
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from plenodream.cli.parse import MaybeText
from plenodream.cli.view import HERE, address_of, check_port
from plenodream.viewer.limits import Limits


@dataclass(frozen=True)
class App:
    """A page for many: upload a video, see what views will show, render them, take them home."""

    model: str = "nano-depth"
    """Bundled model, model folder, owner/name on the hub, or reprojection."""
    device: MaybeText = None
    """cpu, cuda, cuda:1; left out: the GPU where there is one. It does one job at a time."""
    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own asks visitors for a token, which is printed."""
    port: int = 7860
    """Port to listen on; 0: any that is free."""
    limits: Annotated[Limits, tyro.conf.arg(name="")] = field(default_factory=Limits)


def app(args: App) -> int:
    """`plenodream app`."""
    print("starting ...", file=sys.stderr, flush=True)  # importing takes seconds
    with tempfile.TemporaryDirectory(prefix="plenodream-app-") as folder:
        server, listening, address = open_app(args, Path(folder))
        print(f"open {address}   (Ctrl-C ends)", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    return 0


def open_app(args: App, folder: Path) -> tuple[Any, socket.socket, str]:
    """The server, what it is to listen on, and the address to open.

    Args:
        args: What was asked for.
        folder: For all that visitors bring and make.

    Raises:
        ValueError: Gradio is not installed, no such model, limits that are none, an address that cannot be listened on.
    """
    check_port(args.port)
    args.limits.check()

    from plenodream.rendering.catalog import find_model
    from plenodream.rendering.load import choose_device, load_model
    from plenodream.viewer.visits import Visits

    find_model(args.model)
    device = choose_device(args.device)
    make_app, desk, uvicorn = _parts()
    listening = _listen(args.host, args.port)
    token = None if args.host in HERE else secrets.token_urlsafe(24)
    for part in ("visits", "uploads"):
        (folder / part).mkdir()
    visits = Visits(folder / "visits", args.limits)
    work = desk(lambda: load_model(args.model, device), args.limits)
    asgi = make_app(work, visits, folder / "uploads", token, HERE if token is None else ())
    options = {"log_level": "error", "timeout_graceful_shutdown": 2, "server_header": False}
    address = address_of(args.host, listening.getsockname()[1], token)
    return uvicorn.Server(uvicorn.Config(asgi, **options)), listening, address


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{host}:{port}: {reason}; expected a free port: choose another --port") from None


def _parts() -> tuple[Any, Any, Any]:
    try:
        import uvicorn

        from plenodream.viewer.app import make_app
        from plenodream.viewer.desk import Desk
    except ModuleNotFoundError as error:
        raise ValueError(
            f"no module {error.name}: expected gradio, which pip install 'plenodream[app]' brings"
        ) from None
    return make_app, Desk, uvicorn
