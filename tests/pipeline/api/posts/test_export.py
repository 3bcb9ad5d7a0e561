"""GET /posts/export over HTTP: all posts of the key, page by page, in the formats that an import takes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any
from uuid import UUID

import pytest
import requests

from pipeline.imports.export import PAGE
from pipeline.runtime.interpreter import zstd
from pipeline.store.auth.keys import Terms, create_key
from tests.pipeline.api.posts.test_batch import LATER, codes, send
from tests.pipeline.api.running_server import BASE, Server, Tenant, until, video

PATH = f"{BASE}/posts/export"
MANY = 1500
"""Posts of three pages."""


def export(server: Server, key: str, query: str = "", **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    return requests.get(f"{server.url}{PATH}{query}", headers=headers, timeout=60, **more)


def lines(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.content.splitlines()]


@pytest.fixture
def tenant(server: Server) -> Tenant:
    """A tenant of its own, without posts."""
    return server.tenant()


def test_a_line_is_the_body_of_the_post(server: Server, tenant: Tenant) -> None:
    body = video(tenant, scheduled_at=LATER, external_id="one", tiktok={"title": "t"})
    post = server.post(body, tenant.key).json()["data"]["id"]
    answer = export(server, tenant.key)
    assert lines(answer) == [{"post_id": post, "status": "scheduled", **body}]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="posts.ndjson"'
    assert answer.headers["Cache-Control"] == "no-store"
    again = {name: value for name, value in lines(answer)[0].items() if name not in ("post_id", "status")}
    assert server.post(again, tenant.key).json()["data"] == {
        **server.post(body, tenant.key).json()["data"],
        "duplicate": True,
    }


def test_csv_has_a_mark_a_header_and_a_row_for_each_post(server: Server, tenant: Tenant) -> None:
    server.post(video(tenant, caption="=1+1", scheduled_at=LATER), tenant.key)
    answer = export(server, tenant.key, "?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbfpost_id,status,caption,")
    [found] = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert (found["caption"], found["media_urls"]) == ("'=1+1", "https://cdn.example.com/v.mp4")
    assert found["accounts"] == "tiktok:tiktok_user"
    empty = export(server, server.tenant().key, "?format=csv")
    assert empty.content.count(b"\r\n") == 1, "the header alone"


def test_a_query_that_is_none_is_refused(server: Server, tenant: Tenant) -> None:
    for query, path in (("?format=xlsx", "format"), ("?status=x", "status")):
        answer = server.get(f"/posts/export{query}", tenant.key)
        assert (answer.status_code, answer.json()["issues"][0]["path"]) == (422, path)


def test_a_key_exports_what_it_may_see(server: Server, tenant: Tenant) -> None:
    for platform in ("tiktok", "instagram"):
        server.post(video(tenant, platform, scheduled_at=LATER), tenant.key)
    terms = Terms(read_only=True, accounts=[UUID(tenant.accounts["tiktok"])])
    with server.context.database.begin() as c:
        restricted = create_key(c, tenant.workspace, "less", terms)
    assert lines(export(server, restricted, "?until=2020-01-01T00:00:00Z")) == []
    [one] = lines(export(server, restricted, "?status=scheduled"))
    assert one["accounts"] == [{"id": tenant.accounts["tiktok"]}]
    assert server.send("GET", PATH).status_code == 401
    assert lines(export(server, server.tenant().key)) == []


def test_head_tells_the_type_and_reads_nothing(server: Server, tenant: Tenant) -> None:
    answer = server.send("HEAD", f"{PATH}?format=csv", tenant.key)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")


@pytest.fixture(scope="module")
def large(server: Server) -> Tenant:
    """A tenant with 1,500 posts of 20 KB: more than lies in the buffers of a connection. Tests leave them unchanged."""
    tenant = server.tenant()
    urls = [f"https://cdn.example.com/{n}.jpg?{'x' * 1980}" for n in range(10)]
    media = {"type": "slideshow", "urls": urls}
    for _ in range(MANY // 500):
        posts = [video(tenant, media=media, scheduled_at=LATER) for _ in range(500)]
        assert codes(send(server, tenant.key, posts)) == [(201, None)] * 500
    return tenant


def test_every_page_is_sent_and_each_post_once(server: Server, large: Tenant) -> None:
    found = lines(export(server, large.key))
    assert len(found) == len({one["post_id"] for one in found}) == MANY
    again = [{k: v for k, v in one.items() if k not in ("post_id", "status")} for one in found[:50]]
    answer = send(server, large.key, again, atomic=True)
    assert answer.json()["data"]["duplicates"] == 50, "sent again, they make nothing"


@pytest.mark.parametrize(("accepted", "name"), [("gzip", "gzip"), ("gzip, zstd", "zstd")])
def test_it_is_compressed_for_those_who_ask(server: Server, large: Tenant, accepted: str, name: str) -> None:
    headers = {**large.headers, "Accept-Encoding": accepted}
    with requests.get(server.url + PATH, headers=headers, timeout=60, stream=True) as answer:
        sent = answer.raw.read(decode_content=False)
    assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, name)
    assert "Accept-Encoding" in answer.headers["Vary"]
    plain = gzip.decompress(sent) if name == "gzip" else zstd.decompress(sent)
    assert len(plain.splitlines()) == MANY, "three pages, to the end of the compressed body"
    assert len(sent) < len(plain) / 10
    head = requests.head(server.url + PATH, headers=headers, timeout=60)
    assert head.headers["Content-Encoding"] == name


def test_pages_are_read_as_the_client_reads(server: Server, large: Tenant) -> None:
    """A client that does not read on leaves the rest in the database, not in the server's memory."""
    with export(server, large.key, stream=True) as answer:
        stream = answer.iter_lines(chunk_size=1024)
        first = json.loads(next(stream))
        set_deleted(server, large, deleted=True)
        try:
            found = [first, *map(json.loads, stream)]
        finally:
            set_deleted(server, large, deleted=False)
    assert PAGE <= len(found) < MANY


def set_deleted(server: Server, tenant: Tenant, *, deleted: bool) -> None:
    changed = (
        "UPDATE posts SET deleted_at = CASE WHEN :deleted THEN now() END WHERE workspace_id = :w RETURNING id"
    )
    assert len(server.sql(changed, w=tenant.workspace, deleted=deleted)) == MANY


def test_a_key_has_four_exports_at_once_and_one_less_when_a_client_hangs_up(
    server: Server, large: Tenant
) -> None:
    held = [export(server, large.key, stream=True) for _ in range(4)]
    beyond = export(server, large.key)
    assert (beyond.status_code, beyond.json()["error_code"]) == (429, "rate_limited")
    held[0].close()

    def is_free() -> bool:
        with export(server, large.key, stream=True) as answer:
            return answer.status_code == 200

    until(is_free, "the place to be free")
    for one in held:
        one.close()
