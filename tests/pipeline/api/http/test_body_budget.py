"""The sum of JSON bodies in progress: bounded in all and per key, reserved before reading, and given back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from pipeline.api.http.request import SHARES, BodyBudget, release_reservation
from pipeline.stages.post_request import Refusal
from tests.pipeline.api.running_server import BASE, Server, code, until, video

LARGEST = 10_000
"""Bytes of one body; the server has room for four, and each key for one."""
SERVER_SETTINGS = {
    **dict.fromkeys(("SLIPWAY_API__MAX_BODY", "SLIPWAY_API__MAX_BATCH_BODY"), str(LARGEST)),
    "SLIPWAY_API__MAX_BODY_SUM": str(LARGEST * SHARES),
}


@contextmanager
def unfinished(server: Server, key: str, declared: int, sent: bytes = b"") -> Iterator[socket.socket]:
    """A request whose body has been announced and does not end; the server has begun to read it."""
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), timeout=60) as connection:
        length = f"Content-Length: {declared}" if declared else "Transfer-Encoding: chunked"
        head = (
            f"POST {BASE}/posts HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nExpect: 100-continue\r\n{length}\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(sent if declared or not sent else b"%x\r\n%s\r\n" % (len(sent), sent))
        yield connection


def is_refused(server: Server, key: str, refusal: tuple[int, str]) -> bool:
    answer = server.post(b" " * LARGEST, key)
    if code(answer) != refusal:
        return False
    assert int(answer.headers["Retry-After"]) >= 1
    return True


@pytest.mark.parametrize("declared", [LARGEST, 0])
def test_a_key_has_its_share_and_others_theirs(server: Server, declared: int) -> None:
    tenant = server.tenant()
    other = server.key(tenant)
    with unfinished(server, tenant.key, declared, b" " * (LARGEST // 2)):
        until(lambda: is_refused(server, tenant.key, (429, "rate_limited")), "the share to be used up")
        assert server.post(video(tenant), other).status_code == 201
    until(lambda: server.post(video(tenant), tenant.key).status_code == 201, "the share to be given back")


def test_all_keys_together_have_the_budget(server: Server) -> None:
    tenant = server.tenant()
    keys = [server.key(tenant) for _ in range(SHARES)]
    with ExitStack() as requests_in_progress:
        for key in keys:
            requests_in_progress.enter_context(unfinished(server, key, LARGEST))
        until(lambda: is_refused(server, tenant.key, (503, "unavailable")), "the budget to be used up")
        assert server.get("/posts", tenant.key).status_code == 200, "a request without a body needs none"
    until(lambda: server.post(video(tenant), tenant.key).status_code == 201, "the budget to be given back")


def test_every_answer_gives_its_bytes_back(server: Server) -> None:
    tenant = server.tenant()
    plain = {"Content-Type": "application/json"}
    body = b'{"caption": "' + b"a" * (LARGEST - 100) + b'"}'
    for _ in range(2 * SHARES):
        assert server.post(body, tenant.key).status_code == 422
        assert server.post(b"{" * LARGEST, tenant.key).status_code == 400
        assert server.send("POST", f"{BASE}/posts/", tenant.key, body, **plain).status_code == 404
        for path in ("/posts/retry", "/posts/cancel", "/posts/delete", "/posts/validate", "/files"):
            answer = server.send("POST", BASE + path, tenant.key, body, **plain)
            assert answer.status_code in (400, 422), answer.text
        path = "/api/operator/v1/dead-letters/replay"
        assert server.send("POST", path, tenant.key, body, **plain).status_code == 422


def test_a_reservation_is_extended_once_and_released_once() -> None:
    budget, key = BodyBudget(400), uuid4()
    first: dict[str, object] = {}
    second: dict[str, object] = {}
    reservation = budget.open(first, key)
    for size in (10, 60, 60, 100):
        reservation.extend_to(size)
    with pytest.raises(Refusal) as refused:
        budget.open(second, key).extend_to(1)
    assert refused.value.status == 429
    budget.open(second, None).extend_to(300)
    with pytest.raises(Refusal) as refused:
        budget.open({}, uuid4()).extend_to(1)
    assert refused.value.status == 503
    for scope in (first, second, first, {}):
        release_reservation(scope)
    budget.open({}, None).extend_to(400)
