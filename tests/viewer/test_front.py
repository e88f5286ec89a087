"""The door of the live viewer: who is let in."""

import socket
import threading

import pytest

from plenodream.cli.view import address_of
from plenodream.viewer.front import Front, Head, parse_head, verdict

HERE = ("localhost", "127.0.0.1", "::1")


def head(target="/", **headers):
    return Head(target, {"host": "localhost:8080"} | {name.lower(): value for name, value in headers.items()})


@pytest.mark.parametrize(
    "request_, token, hosts, expected",
    [
        (head(), None, HERE, "pass"),
        (head(origin="http://localhost:8080"), None, HERE, "pass"),
        (head(origin="http://evil.example"), None, HERE, "refuse"),  # another site's page
        (head(origin="http://localhost:9999"), None, HERE, "refuse"),  # another page of this machine
        (head(host="evil.example:8080", origin="http://evil.example:8080"), None, HERE, "refuse"),  # rebound name
        (head(), "secret", (), "refuse"),
        (head("/?token=secret"), "secret", (), "welcome"),
        (head("/?token=wrong"), "secret", (), "refuse"),
        (head("/?token="), "secret", (), "refuse"),
        (head(cookie="a=b; plenodream-token=secret"), "secret", (), "pass"),
        (head(cookie="plenodream-token=secre"), "secret", (), "refuse"),
        (head(cookie="plenodream-token=secret", origin="http://evil.example"), "secret", (), "refuse"),
    ],
)
def test_who_is_let_in(request_, token, hosts, expected):
    assert verdict(request_, token, hosts) == expected


def test_heads_are_read():
    assert parse_head(b"GET /a?b HTTP/1.1\r\nHost: x:1\r\nCOOKIE: y=z") == Head(
        "/a?b", {"host": "x:1", "cookie": "y=z"}
    )
    for data in (b"", b"\x16\x03\x01", b"GET /"):
        with pytest.raises(ValueError, match="not a request"):
            parse_head(data)


@pytest.fixture
def behind():
    """A server that echoes what it is sent, with a mark."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            data = b""
            while not data.endswith(b"more"):
                data += connection.recv(65536)
            connection.sendall(b"seen:" + data)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def ask(port, first, second=b"more"):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(first)
        if second:
            connection.sendall(second)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_bytes_go_both_ways_for_who_is_let_in(behind):
    front = Front("127.0.0.1", 0, behind, "key", "secret", ())
    try:
        request = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: plenodream-token=secret\r\n\r\n"
        answer = ask(front.port, request)
        assert answer == b"seen:" + request[:-2] + b"X-Plenodream-Key: key\r\n\r\n" + b"more"
        welcome = ask(front.port, b"GET /?token=secret HTTP/1.1\r\nHost: h\r\n\r\n", b"")
        assert b"303" in welcome and b"Set-Cookie: plenodream-token=secret; HttpOnly; SameSite=Strict" in welcome
        assert b"403" in ask(front.port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"")
        assert ask(front.port, b"rubbish\r\n\r\n", b"") == b""
        with pytest.raises(OSError):
            Front("127.0.0.1", front.port, behind, "key", None, ())
    finally:
        front.stop()


def test_the_address_to_open():
    assert address_of("localhost", 80, None) == "http://localhost:80"
    assert address_of("::1", 80, "secret") == "http://[::1]:80/?token=secret"
