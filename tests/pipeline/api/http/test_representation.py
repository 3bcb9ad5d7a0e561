"""Conditional reads, HEAD, compressed responses, and what caches may keep."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest

from pipeline.api.app import OPERATIONS
from pipeline.api.http.representation import choose_encoding, matches, strip_encodings
from pipeline.runtime.interpreter import zstd
from tests.pipeline.api.running_server import BASE, Server, Tenant, video

READS = ("/posts", "/posts/{post}", "/subscription")


@pytest.fixture(scope="module")
def post(server: Server, tenant: Tenant) -> str:
    identity: str = server.post(video(tenant), tenant.key).json()["data"]["id"]
    return identity


@pytest.fixture
def send(server: Server, tenant: Tenant, post: str) -> Callable[..., tuple[HTTPResponse, bytes]]:
    """Return a function that sends a read with exactly these headers: requests would add Accept-Encoding."""
    at = urlsplit(server.url)

    def send(method: str, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(str(at.hostname), at.port, timeout=30)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(
            method, path.format(post=post), headers={"Authorization": f"Bearer {tenant.key}", **given}
        )
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    return send


@pytest.mark.parametrize("path", READS)
def test_a_read_is_answered_304_until_it_changes(
    send: Callable[..., tuple[HTTPResponse, bytes]], path: str
) -> None:
    first, body = send("GET", BASE + path)
    etag = first.headers["ETag"]
    assert (first.status, bool(body)) == (200, True)
    for given in (etag, f'"other", {etag}', "*", etag.removeprefix("W/")):
        again, empty = send("GET", BASE + path, If_None_Match=given)
        assert (again.status, empty, again.headers["ETag"]) == (304, b"", etag)
        assert again.headers["Cache-Control"] == "no-store"
        assert again.headers["X-Request-Id"]
    other, body_again = send("GET", BASE + path, If_None_Match='"other"')
    assert (other.status, body_again) == (200, body)


def test_a_changed_post_is_sent_again(server: Server, tenant: Tenant) -> None:
    identity = server.post(video(tenant), tenant.key).json()["data"]["id"]
    path = f"{BASE}/posts/{identity}"
    tags = {p: server.send("GET", p, tenant.key).headers["ETag"] for p in (path, f"{BASE}/posts")}
    server.send("PATCH", path, tenant.key, b'{"caption":"Another"}', **{"Content-Type": "application/json"})
    for changed, etag in tags.items():
        answer = server.send("GET", changed, tenant.key, None, **{"If-None-Match": etag})
        assert (answer.status_code, "Another" in answer.text) == (200, True)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/reference", f"{BASE}/posts"])
def test_head_answers_what_get_answers_without_its_body(
    send: Callable[..., tuple[HTTPResponse, bytes]], path: str
) -> None:
    got, body = send("GET", path)
    head, nothing = send("HEAD", path)
    assert (head.status, nothing) == (got.status, b"")
    assert int(head.headers["Content-Length"]) == len(body)
    volatile = {"date", "x-request-id"}
    assert [h for h in head.getheaders() if h[0].lower() not in volatile] == [
        h for h in got.getheaders() if h[0].lower() not in volatile
    ]


def test_every_get_has_a_head(server: Server) -> None:
    for operation in OPERATIONS:
        if operation.method == "GET":
            path = operation.path.replace("{post_id:post}", "x").replace("{platform}", "tiktok")
            found = server.http.options(server.url + path, timeout=60)
            assert {"GET", "HEAD"} <= set(found.headers["Allow"].split(", ")), path


@pytest.mark.parametrize("accepted", ["gzip", "gzip, zstd"])
def test_a_large_answer_is_compressed_for_those_who_ask(
    send: Callable[..., tuple[HTTPResponse, bytes]], accepted: str
) -> None:
    _, plain = send("GET", f"{BASE}/posts")
    assert len(plain) > 1024
    answer, body = send("GET", f"{BASE}/posts", Accept_Encoding=accepted)
    name = answer.headers["Content-Encoding"]
    assert name == accepted.rpartition(" ")[2]
    assert (gzip.decompress(body) if name == "gzip" else zstd.decompress(body)) == plain
    assert len(body) < len(plain)
    assert "Accept-Encoding" in answer.headers["Vary"]
    small, _ = send("GET", f"{BASE}/subscription", Accept_Encoding=accepted)
    assert "Content-Encoding" not in small.headers


def test_a_compressed_read_has_a_tag_of_its_own_and_both_tags_work(
    server: Server, tenant: Tenant, send: Callable[..., tuple[HTTPResponse, bytes]]
) -> None:
    identity = server.post(video(tenant, caption="é" * 500), tenant.key).json()["data"]["id"]
    path = f"{BASE}/posts/{identity}"
    plain, _ = send("GET", path)
    zipped, body = send("GET", path, Accept_Encoding="gzip")
    assert zlib.decompress(body, 31)
    assert zipped.headers["ETag"] == plain.headers["ETag"][:-1] + '-gzip"'
    for etag in (plain.headers["ETag"], zipped.headers["ETag"]):
        assert send("GET", path, If_None_Match=etag, Accept_Encoding="gzip")[0].status == 304
    edited = server.send(
        "PATCH",
        path,
        tenant.key,
        b'{"caption":"Edited"}',
        **{"Content-Type": "application/json", "If-Match": zipped.headers["ETag"]},
    )
    assert edited.status_code == 200, edited.text


@pytest.mark.parametrize("path", READS)
def test_caches_keep_nothing_that_a_key_reads(
    send: Callable[..., tuple[HTTPResponse, bytes]], path: str
) -> None:
    for headers in ({}, {"Authorization": "Bearer no.key"}):
        answer, _ = send("GET", BASE + path, **headers)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Vary"] == "Authorization, Accept-Encoding, Origin"


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("br, deflate", None),
        ("gzip;q=0.000, *;q=0.1", "zstd"),
        ("identity, *;q=0", None),
        ("gzip;q=1.5", None),
        (" , ;,gzip ; q=0.3", "gzip"),
        ("gzip, zstd", "zstd"),
    ],
)
def test_choose_encoding(accepted: str, chosen: str | None) -> None:
    assert choose_encoding(accepted) == chosen


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ('"a"', True),
        ('"a-gzip"', True),
        ('"b", W/"a-zstd"', True),
        ('"ab"', False),
        (" * ", True),
        ('"*"', False),
    ],
)
def test_matches(given: str, found: bool) -> None:
    assert matches(given, 'W/"a"') is found
    assert matches(given, '"a"') is found
    assert not matches(None, '"a"')


def test_a_precondition_names_the_plain_representation() -> None:
    assert strip_encodings('"a-gzip", "b", W/"c-zstd"') == '"a", "b", W/"c"'
    assert strip_encodings("*") == "*"
    assert strip_encodings(None) is None
