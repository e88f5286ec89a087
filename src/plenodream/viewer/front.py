"""The door of the live viewer: a local port that only lets in who may come, and hands on to viser behind it. Ours.

viser asks nobody who they are. It therefore answers this front alone (`inner`), and this listens where users come: on
the machine itself, only pages of that very address may connect (a page of another site in the same browser may not);
elsewhere, only who has the token.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

COOKIE = "plenodream-token"
KEY = "X-Plenodream-Key"  # header by which what is behind knows the front
_LONGEST = 64 * 1024  # bytes of a request's head


@dataclass(frozen=True)
class Head:
    """The head of a request.

    Attributes:
        target: Path and query.
        headers: By lower-case name.
    """

    target: str
    headers: Mapping[str, str]


def parse_head(data: bytes) -> Head:
    """Read a request's head.

    Raises:
        ValueError: It is none.
    """
    first, *rest = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise ValueError("not a request")
    pairs = (line.partition(":") for line in rest if ":" in line)
    return Head(words[1], {name.strip().lower(): value.strip() for name, _, value in pairs})


def verdict(head: Head, token: str | None, hosts: tuple[str, ...]) -> str:
    """What becomes of a request: `pass`, `welcome` (give the cookie, then come again) or `refuse`.

    Args:
        head: Of the request.
        token: What has to be known; None: nothing.
        hosts: Names by which the page may be called; any if empty.
    """
    host, origin = head.headers.get("host", ""), head.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return "refuse"
    if hosts and urlsplit(f"//{host}").hostname not in hosts:
        return "refuse"
    if token is None:
        return "pass"
    given = parse_qs(urlsplit(head.target).query).get("token", [""])[0]
    if given and hmac.compare_digest(given.encode(), token.encode()):
        return "welcome"
    cookies = (part.strip().partition("=") for part in head.headers.get("cookie", "").split(";"))
    known = any(name == COOKIE and hmac.compare_digest(value.encode(), token.encode()) for name, _, value in cookies)
    return "pass" if known else "refuse"


class Front:
    """Listens in a thread of its own.

    Args:
        host: Address to listen on.
        port: Port; 0: any that is free.
        behind: viser's port on this machine.
        key: What viser wants to be told with every request.
        token: As for `verdict`.
        hosts: As for `verdict`.

    Attributes:
        port: Where it listens.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, behind: int, key: str, token: str | None, hosts: tuple[str, ...]) -> None:
        self._behind, self._key, self._token, self._hosts = behind, key, token, hosts
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        listening = asyncio.start_server(self._serve, host, port, limit=_LONGEST)
        try:
            self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(30)
        except OSError:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Listen no more, and send all visitors away."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _close(self) -> None:
        self._server.close()
        visits = asyncio.all_tasks() - {asyncio.current_task()}
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            answer = verdict(parse_head(data[:-4]), self._token, self._hosts)
            if answer == "pass":
                await self._hand_on(data, reader, writer)
            else:
                writer.write(_WELCOME % (self._token or "").encode() if answer == "welcome" else _REFUSED)
                await writer.drain()
        except (ValueError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # gone, or no browser
        finally:
            writer.close()

    async def _hand_on(self, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection is one visitor: after its first request all is passed on, both ways."""
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        inner_writer.write(data[:-2] + f"{KEY}: {self._key}\r\n\r\n".encode())
        ways = [asyncio.create_task(_copy(reader, inner_writer)), asyncio.create_task(_copy(inner_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(2**16):
            writer.write(block)
            await writer.drain()
    except OSError:  # one side has gone
        pass


_REFUSED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"not let in: open the address that `plenodream view` printed\n"
)
_WELCOME = (
    b"HTTP/1.1 303 See Other\r\nLocation: /\r\nSet-Cookie: " + COOKIE.encode() + b"=%s; HttpOnly; SameSite=Strict\r\n"
    b"Referrer-Policy: no-referrer\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
