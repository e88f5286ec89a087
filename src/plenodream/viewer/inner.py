"""viser behind a key: it answers the front, which knows the key, and nobody else on this machine. Ours.

viser itself asks nobody who they are, and other users of a machine can reach what listens on its loopback address.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websockets.asyncio.server as server
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from plenodream.viewer.front import KEY


@contextmanager
def answering(key: str) -> Iterator[None]:
    """Servers of websockets that are started in here refuse requests without the key."""
    serve = server.serve

    def guarded(*arguments: Any, process_request: Any = None, **options: Any) -> Any:
        def checked(connection: Any, request: Request) -> Any:
            if not hmac.compare_digest(request.headers.get(KEY, "").encode(), key.encode()):
                return Response(403, "Forbidden", Headers({"Content-Length": "0"}))
            return None if process_request is None else process_request(connection, request)

        return serve(*arguments, process_request=checked, **options)

    server.serve = guarded
    try:
        yield
    finally:
        server.serve = serve
