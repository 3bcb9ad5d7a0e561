"""Connections before a request is complete: heads that are too slow, too large, or not HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from pipeline.api.server import http_protocol
from pipeline.api.server.http_protocol import HEAD_BYTES
from tests.pipeline.api.running_server import BASE, Server, Tenant, until

SHORT_TIMEOUT = 0.3
"""Seconds."""


@pytest.fixture
def client(server: Server) -> Iterator[socket.socket]:
    """A client connection to the server."""
    with connect(server) as client:
        yield client


@contextmanager
def connect(server: Server) -> Iterator[socket.socket]:
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port), timeout=60) as client:
        yield client


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes."""
    found = b""
    while part := client.recv(65536):
        found += part
    return found


def parse_response(raw: bytes) -> tuple[int, Mapping[str, str], dict[str, object]]:
    """Parse one complete response into status, headers and body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return int(first.split()[1]), headers, json.loads(body)


def test_a_head_that_does_not_end_is_refused_while_it_arrives(client: socket.socket) -> None:
    client.sendall(
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-More: aaaaaaaaaaaaaaaaaaaaaa\r\n" * (HEAD_BYTES // 32)
    )
    status, headers, body = parse_response(read_all(client))
    assert (status, body["error_code"], body["ok"]) == (431, "headers_too_large", False)
    assert headers["connection"] == "close"
    assert headers["x-request-id"]


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server with a trivial application and a short timeout for heads."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", SHORT_TIMEOUT)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            size, more = 0, True
            while more:
                message = await receive()
                size, more = size + len(message["body"]), message["more_body"]
            content = str(size).encode()
            head = {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(content))],
            }
            await send(head)
            await send({"type": "http.response.body", "body": content})

    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=http_protocol.HttpProtocol, lifespan="off", log_config=None)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, "the server to start")
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"], ids=["nothing", "half a head"])
def test_a_head_has_its_time(short_timeout: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(short_timeout, timeout=60) as client:
        client.sendall(sent)
        status, _, body = parse_response(read_all(client))
    assert (status, body["error_code"]) == (408, "request_timeout")


def test_who_asks_before_sending_a_body_is_told_to_go_on(short_timeout: tuple[str, int]) -> None:
    with socket.create_connection(short_timeout, timeout=60) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n3")


def test_a_head_on_a_connection_in_use_has_its_time_too(short_timeout: tuple[str, int]) -> None:
    with socket.create_connection(short_timeout, timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).endswith(b"\r\n\r\n0")
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert parse_response(read_all(client))[0] == 408


def test_the_time_of_a_head_is_not_its_bodys(short_timeout: tuple[str, int]) -> None:
    with socket.create_connection(short_timeout, timeout=60) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        over = time.monotonic() + 2 * SHORT_TIMEOUT
        until(lambda: time.monotonic() > over, "that time to be over")
        client.sendall(b"abc")
        assert client.recv(65536).endswith(b"\r\n\r\n3")


def test_what_is_no_http_gets_an_answer_in_our_words(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what TLS begins with\r\n\r\n")
    status, _, body = parse_response(read_all(client))
    assert (status, body["code"], body["error_code"]) == (400, 400, "bad_request")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["two lengths", "two different lengths", "a blank in a name", "no method of HTTP"],
)
def test_what_two_readers_could_read_in_two_ways_is_read_by_none(client: socket.socket, head: bytes) -> None:
    client.sendall(head)
    raw = read_all(client)
    assert parse_response(raw)[0] == 400
    assert raw.count(b"HTTP/1.1") == 1, "nothing that follows is taken for a request"


def test_a_head_in_small_pieces_is_a_head(client: socket.socket, tenant: Tenant) -> None:
    for part in (
        b"GET /health",
        b"z HTTP/1.1\r\nHo",
        b"st: x\r\nConnection: close\r\n",
        b"\r\n",
    ):
        client.sendall(part)
    assert read_all(client).startswith(b"HTTP/1.1 200 ")


def test_a_head_answer_has_no_body_and_the_connection_goes_on(client: socket.socket) -> None:
    client.sendall(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    found = b""
    while b"\r\n\r\n" not in found:
        found += client.recv(65536)
    assert found.endswith(b"\r\n\r\n")
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert read_all(client).startswith(b"HTTP/1.1 200 ")


def test_requests_sent_without_waiting_are_answered_in_their_order(
    client: socket.socket, tenant: Tenant
) -> None:
    asked = f"GET {BASE}/subscription HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.key}\r\n".encode()
    client.sendall(
        asked + b"X-Request-Id: one\r\n\r\n" + asked + b"X-Request-Id: two\r\nConnection: close\r\n\r\n"
    )
    raw = read_all(client)
    assert raw.count(b"HTTP/1.1 200 OK") == 2
    assert raw.index(b"x-request-id: one") < raw.index(b"x-request-id: two")


def test_an_upgrade_we_do_not_speak_is_a_plain_request(client: socket.socket) -> None:
    client.sendall(
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
