"""Upload and download over HTTP: types, sizes, quotas, one upload per URL, scopes, ranges."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import requests

from pipeline.api.files.routes import FilePage, StoredFile, Upload
from pipeline.api.http.response_models import Failure, Success
from pipeline.domain.account import Plan
from tests.conftest import free_ports
from tests.pipeline.api.running_server import ABSENT, Server, Tenant, ask, code, serving, until
from tests.pipeline.media import samples

QUOTA, LARGEST = 300_000, 200_000
PNG = samples.image("PNG")


@pytest.fixture(scope="module")
def server(module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = str(free_ports(1)[0])
    limits = {
        "SLIPWAY_API__PORT": port,
        "SLIPWAY_FILES__QUOTA": str(QUOTA),
        "SLIPWAY_FILES__MAX_BYTES": str(LARGEST),
    }
    with serving(module_environment | limits, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def asking(server: Server, key: str | None, body: Any) -> requests.Response:
    return ask(server, key, "POST", "/files", body)


def opened(server: Server, tenant: Tenant, kind: str = "image/png", **more: Any) -> dict[str, Any]:
    answer = asking(server, tenant.key, {"contentType": kind, **more})
    assert answer.status_code == 201, answer.text
    Success[Upload].model_validate_json(answer.content)
    assert answer.json()["message"] == "Upload URL generated"
    data: dict[str, Any] = answer.json()["data"]
    return data


def put(server: Server, url: str, body: Any, kind: str = "image/png", **headers: str) -> requests.Response:
    answer = server.http.put(url, data=body, headers={"Content-Type": kind, **headers}, timeout=30)
    assert answer.headers["X-Request-Id"]
    assert answer.json()["code"] == answer.status_code
    model = Success[StoredFile] if answer.ok else Failure
    model.model_validate_json(answer.content)
    return answer


def uploaded(server: Server, tenant: Tenant, body: bytes = PNG, kind: str = "image/png", **more: Any) -> str:
    found = opened(server, tenant, kind, **more)
    answer = put(server, found["uploadUrl"], body, kind)
    assert answer.status_code == 200, answer.text
    url: str = found["url"]
    return url


def padded(size: int, mark: bytes = b"") -> bytes:
    """Return bytes of this length that start like a PNG."""
    return (PNG + mark).ljust(size, b"\0")


def listed(server: Server, tenant: Tenant, query: str = "") -> dict[str, Any]:
    answer = server.get(f"/files{query}", tenant.key)
    assert answer.status_code == 200, answer.text
    Success[FilePage].model_validate_json(answer.content)
    data: dict[str, Any] = answer.json()["data"]
    return data


def left(server: Server) -> list[Path]:
    """Return the paths of all objects in storage."""
    return [path for path in server.context.settings.files_folder.rglob("*") if path.is_file()]


def notes(server: Server) -> list[str]:
    return [r.object for r in server.sql("SELECT object FROM file_puts")]


def test_a_file_goes_up_is_listed_and_comes_back(server: Server, tenant: Tenant) -> None:
    video = samples.video()
    found = opened(server, tenant, "video/mp4", filename="prömo “1”.mp4")
    assert found["contentType"] == "video/mp4"
    assert found["expiresIn"] == 600
    assert listed(server, tenant)["total"] == 0
    assert requests.get(found["url"], timeout=60).status_code == 404
    stored = put(server, found["uploadUrl"], video, "video/mp4").json()["data"]
    assert (stored["url"], stored["size"], stored["filename"]) == (found["url"], len(video), "prömo “1”.mp4")
    page = listed(server, tenant)
    assert page == {"files": [stored], "total": 1, "limit": 50, "offset": 0, "context": None}
    back = requests.get(found["url"], timeout=60)
    assert back.content == video
    assert back.headers["Content-Type"] == "video/mp4"
    assert back.headers["X-Content-Type-Options"] == "nosniff"
    assert back.headers["Content-Disposition"].startswith('attachment; filename="pr_mo _1_.mp4"; filename*=')
    assert "Set-Cookie" not in back.headers
    assert len(urlsplit(found["url"]).path.rpartition("/")[2].partition(".")[0]) == 43
    assert notes(server) == []


def test_a_body_in_chunks_without_a_length_is_taken(server: Server, tenant: Tenant) -> None:
    found = opened(server, tenant)
    assert put(server, found["uploadUrl"], iter([PNG[:10], PNG[10:40], PNG[40:]])).status_code == 200
    assert requests.get(found["url"], timeout=60).content == PNG


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "contentType"),
        ({"contentType": "text/html"}, "contentType"),
        ({"contentType": "image/png", "filename": "a\0b"}, "filename"),
    ],
)
def test_what_is_not_asked_for_properly_is_422(
    server: Server, tenant: Tenant, body: dict[str, Any], path: str
) -> None:
    answer = asking(server, tenant.key, body)
    assert code(answer) == (422, "invalid_payload")
    assert [one["path"] for one in answer.json()["issues"]] == [path]


def test_uploading_needs_a_key_and_a_plan_reading_a_key(server: Server) -> None:
    body = {"contentType": "image/png"}
    assert code(asking(server, None, body)) == (401, "invalid_token")
    assert code(server.get("/files", None)) == (401, "invalid_token")
    for plan, refusal in (
        (Plan.NONE, (402, "subscription_required")),
        (Plan.SCHEDULER, (403, "tier_not_allowed")),
    ):
        poor = server.tenant(plan)
        assert code(asking(server, poor.key, body)) == refusal
        assert server.get("/files", poor.key).status_code == 200


def test_the_upload_url_holds_for_its_file_type_and_time_only(server: Server, tenant: Tenant) -> None:
    one, other = opened(server, tenant), opened(server, tenant)
    query = urlsplit(one["uploadUrl"]).query
    forged = (403, "invalid_upload_url")
    assert code(put(server, other["uploadUrl"].partition("?")[0] + "?" + query, PNG)) == forged
    assert code(put(server, one["uploadUrl"].partition("?")[0], PNG)) == forged
    assert (
        code(put(server, one["uploadUrl"].replace("image%2Fpng", "image%2Fgif"), PNG, "image/gif")) == forged
    )
    later = re.sub(r"expires=(\d+)", lambda found: f"expires={int(found[1]) + 60}", one["uploadUrl"])
    assert code(put(server, later, PNG)) == forged
    identity = urlsplit(one["uploadUrl"]).path.split("/")[-2]
    addresses, path = server.context.files.addresses, one["uploadUrl"].partition("?")[0]
    late = put(server, f"{path}?{addresses.sign_query(UUID(identity), 'image/png', 1)}", PNG)
    assert code(late) == forged
    assert "expired" in late.json()["message"]
    absent = path.replace(identity, ABSENT)
    query = addresses.sign_query(UUID(ABSENT), "image/png", 2**33)
    assert code(put(server, f"{absent}?{query}", PNG)) == (404, "not_found")
    assert code(put(server, path.replace(identity, "x"), PNG)) == (404, "not_found")
    assert put(server, one["uploadUrl"], PNG).status_code == 200


@pytest.mark.parametrize("kind", ["image/gif", ""])
def test_another_content_type_is_refused_and_the_url_stays_good(
    server: Server, tenant: Tenant, kind: str
) -> None:
    found = opened(server, tenant)
    assert code(put(server, found["uploadUrl"], PNG, kind)) == (415, "unsupported_media_type")
    assert put(server, found["uploadUrl"], PNG, "Image/PNG; charset=binary").status_code == 200


@pytest.mark.parametrize(
    "body",
    [samples.image("JPEG"), b"<html>" * 20],
    ids=["jpeg", "html"],
)
def test_bytes_of_another_type_are_refused_and_nothing_stays(
    server: Server, tenant: Tenant, body: bytes
) -> None:
    found, before = opened(server, tenant), left(server)
    assert code(put(server, found["uploadUrl"], body)) == (415, "unsupported_media_type")
    assert (left(server), notes(server)) == (before, [])
    assert requests.get(found["url"], timeout=60).status_code == 404
    assert put(server, found["uploadUrl"], PNG).status_code == 200


def test_a_container_may_be_called_by_any_of_its_names(server: Server, tenant: Tenant) -> None:
    for kind in ("image/heic", "image/heif"):
        assert uploaded(server, tenant, samples.heic(64, 32), kind).endswith(kind.partition("/")[2])
    uploaded(server, tenant, samples.video("mov", "mpeg4"), "video/mp4")


@pytest.mark.parametrize("told", [True, False])
def test_a_file_larger_than_any_may_be_is_413(server: Server, tenant: Tenant, *, told: bool) -> None:
    found, body = opened(server, tenant), padded(LARGEST + 1)
    before = left(server)
    answer = put(server, found["uploadUrl"], body if told else iter([body[:LARGEST], body[LARGEST:]]))
    assert code(answer) == (413, "payload_too_large")
    assert f"{LARGEST:,}" in answer.json()["message"]
    assert (left(server), notes(server)) == (before, [])
    assert put(server, found["uploadUrl"], padded(LARGEST)).status_code == 200


def test_the_quota_holds_also_for_uploads_that_come_together(server: Server, tenant: Tenant) -> None:
    size = 80_000
    urls = [opened(server, tenant)["uploadUrl"] for _ in range(8)]

    def send(number: int) -> int:
        with requests.Session() as http:
            body = padded(size, bytes([number]))
            return http.put(
                urls[number], data=body, headers={"Content-Type": "image/png"}, timeout=60
            ).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(send, range(8)))
    assert statuses == [200] * (QUOTA // size) + [413] * (8 - QUOTA // size)
    assert listed(server, tenant)["total"] == QUOTA // size
    assert put(server, opened(server, tenant)["uploadUrl"], padded(QUOTA - QUOTA // size * size)).ok
    full = asking(server, tenant.key, {"contentType": "image/png"})
    assert code(full) == (400, "validation_failed")
    assert f"{QUOTA:,}" in full.json()["message"]
    assert notes(server) == []


def test_an_empty_file_and_a_part_of_one_are_400(server: Server, tenant: Tenant) -> None:
    found = opened(server, tenant)
    assert code(put(server, found["uploadUrl"], b"")) == (400, "validation_failed")
    part = {"Content-Range": f"bytes 0-9/{len(PNG)}"}
    assert code(put(server, found["uploadUrl"], PNG[:10], **part)) == (400, "validation_failed")
    squeezed = {"Content-Encoding": "gzip"}
    assert code(put(server, found["uploadUrl"], PNG, **squeezed)) == (415, "unsupported_media_type")
    assert put(server, found["uploadUrl"], PNG).status_code == 200


def test_the_same_bytes_again_are_told_what_is_there_other_bytes_are_refused(
    server: Server, tenant: Tenant
) -> None:
    found = opened(server, tenant)
    first = put(server, found["uploadUrl"], PNG)
    before = left(server)
    assert put(server, found["uploadUrl"], PNG).json()["data"] == first.json()["data"]
    for other in (PNG[:-1], PNG + b"\0", PNG[:-1] + b"\0"):
        assert code(put(server, found["uploadUrl"], other)) == (409, "file_immutable")
    assert requests.get(found["url"], timeout=60).content == PNG
    assert (left(server), notes(server)) == (before, [])


def test_of_many_uploads_at_once_one_is_the_file(server: Server, tenant: Tenant) -> None:
    found, before = opened(server, tenant), len(left(server))
    bodies = [padded(20_000, bytes([n])) for n in range(6)]

    def send(body: bytes) -> int:
        with requests.Session() as http:
            headers = {"Content-Type": "image/png"}
            return http.put(found["uploadUrl"], data=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, bodies))
    assert sorted(statuses) == [200, *[409] * 5]
    assert requests.get(found["url"], timeout=60).content == bodies[statuses.index(200)]
    assert (len(left(server)), notes(server)) == (before + 1, [])


def test_an_upload_that_breaks_off_leaves_nothing_and_can_be_sent_again(
    server: Server, tenant: Tenant
) -> None:
    found, before = opened(server, tenant), left(server)
    parts = urlsplit(found["uploadUrl"])
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", "100000")
    connection.endheaders(padded(50_000))
    until(lambda: notes(server) != [], "the upload to begin", 60)
    connection.close()
    until(lambda: notes(server) == [] and left(server) == before, "the upload to be cleared away", 60)
    assert put(server, found["uploadUrl"], PNG).status_code == 200


def test_the_list_is_filtered_and_paged(server: Server, tenant: Tenant) -> None:
    urls = [uploaded(server, tenant, padded(200 + n)) for n in range(3)]
    video = uploaded(server, tenant, samples.video(), "video/mp4")
    document = uploaded(server, tenant, b"%PDF-1.7 of a catalogue", "application/pdf")
    assert document.endswith(".pdf")
    opened(server, tenant)  # not uploaded, so not listed

    def found(query: str) -> list[str]:
        return [file["url"] for file in listed(server, tenant, query)["files"]]

    assert listed(server, server.tenant())["total"] == 0, "another workspace sees none"
    assert found("") == [document, video, *reversed(urls)]
    assert found("?type=document") == [document]
    assert found("?type=image") == [*reversed(urls)]
    assert found("?type=video&context=media-upload") == [video]
    assert found("?context=ai-studio,media-upload") == found("?context=all") == found("")
    assert found("?context=ai-studio") == []
    assert found("?limit=2&offset=2") == [urls[2], urls[1]]
    assert listed(server, tenant, "?limit=1&type=image&context=all") | {"files": []} == {
        "files": [],
        "total": 3,
        "limit": 1,
        "offset": 0,
        "context": "all",
    }


@pytest.mark.parametrize(
    "query",
    ["limit=101", "offset=9999999", "type=audio"],
)
def test_a_query_that_cannot_be_is_422(server: Server, tenant: Tenant, query: str) -> None:
    assert code(server.get(f"/files?{query}", tenant.key)) == (422, "invalid_payload")


def test_ranges(server: Server, tenant: Tenant) -> None:
    url, size = uploaded(server, tenant), len(PNG)
    for wanted, first, last in (("0-9", 0, 9), ("10-", 10, size - 1), ("-5", size - 5, size - 1)):
        answer = requests.get(url, headers={"Range": f"bytes={wanted}"}, timeout=60)
        assert (answer.status_code, answer.content) == (206, PNG[first : last + 1])
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    whole = requests.get(url, headers={"Range": "bytes=-999999"}, timeout=60)
    assert (whole.status_code, whole.content) == (200, PNG)
    assert "Content-Range" not in whole.headers


def test_ranges_that_are_none(server: Server, tenant: Tenant) -> None:
    url = uploaded(server, tenant)
    for outside in (f"bytes={len(PNG)}-", "bytes=-0"):
        answer = requests.get(url, headers={"Range": outside}, timeout=60)
        assert code(answer) == (416, "range_not_satisfiable")
        assert answer.headers["Content-Range"] == f"bytes */{len(PNG)}"
    for unread in ("bytes=9-3", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes"):
        assert requests.get(url, headers={"Range": unread}, timeout=60).content == PNG
    etag = f'"{hashlib.sha256(PNG).hexdigest()}"'
    part = {"Range": "bytes=0-3", "If-Range": etag}
    assert requests.get(url, headers=part, timeout=60).content == PNG[:4]
    assert requests.get(url, headers={**part, "If-Range": '"other"'}, timeout=60).content == PNG
    assert requests.get(url, headers={"If-None-Match": f"W/{etag}"}, timeout=60).status_code == 304
    head = requests.head(url, timeout=60)
    assert (head.status_code, head.headers["Content-Length"], head.headers["ETag"]) == (
        200,
        str(len(PNG)),
        etag,
    )


def test_a_name_nobody_was_given_is_404(server: Server, tenant: Tenant) -> None:
    url = uploaded(server, tenant)
    before, _, name = url.rpartition("/")
    for other in (name.swapcase(), f"{name}x", "", name[:-4], f"{name}%00", f"../files/{'A' * 43}.png"):
        assert code(requests.get(f"{before}/{other}", timeout=60)) == (404, "not_found")
    assert code(requests.post(url, timeout=60)) == (405, "method_not_allowed")


def test_no_secret_of_an_upload_stands_in_the_log(server: Server, tenant: Tenant) -> None:
    found = opened(server, tenant, filename=f"{uuid4().hex}.png")
    put(server, found["uploadUrl"], os.urandom(10))
    log = server.read_log()
    assert urlsplit(found["uploadUrl"]).query.rpartition("=")[2] not in log
    assert found["url"].rpartition("/")[2] not in log
