"""Uploads in parts: a long one over a connection that is cut, by two servers; and what no client may do with one."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from playwright.sync_api import Browser, expect

from pipeline.domain.account import Role
from pipeline.maintenance.expire import expire_files
from pipeline.runtime.context import Context
from pipeline.stages.file_upload import PART_BYTES
from pipeline.store.database import read_number, row, rows
from tests.chaos.proxy import Proxy, ProxyServer
from tests.pipeline.api.running_server import Server, Tenant, serving, until
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.media import samples

SIZE, QUOTA, UPLOADS = 200_000_000, 230_000_000, "/dashboard/uploads"
CUTS = (60_000_000, 130_000_000)


@pytest.fixture(scope="module")
def module_environment(module_environment: dict[str, str]) -> dict[str, str]:
    # one address of files for both servers, as an installation of several has
    files = "http://files.example.com"
    return {**module_environment, "SLIPWAY_FILES__QUOTA": str(QUOTA), "SLIPWAY_FILES__PUBLIC_URL": files}


@pytest.fixture(scope="module")
def other(module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second server process of the same installation."""
    with serving(module_environment, tmp_path_factory.mktemp("other")) as server:
        yield server


class CuttingProxy(Proxy):
    """One port before several servers, which get connections in turn; it cuts all of them at each of `CUTS`.

    After the last cut it takes none while `is_closed`.
    """

    def spread(self, port: int, servers: list[tuple[str, int]]) -> None:
        self.cuts, self.is_closed, self.turns, self.port = [*CUTS], False, cycle(servers), port

    def count_sent(self, size: int) -> None:
        super().count_sent(size)
        if self.cuts and self.counts["sent"] >= self.cuts[0]:
            del self.cuts[0]
            self.is_closed = not self.cuts
            self.cut()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.is_closed:
            raise OSError("closed")
        return await asyncio.open_connection(*next(self.turns))


@pytest.fixture
def proxy(site: Site, other: Server) -> Iterator[CuttingProxy]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with ProxyServer(seed=1) as proxies:
        servers = [("127.0.0.1", urlsplit(url).port or 0) for url in (site.url, other.url)]
        made = proxies.add_kind(CuttingProxy, ("127.0.0.1", port), servers[0])
        made.spread(port, servers)
        yield made


def write_long_video(path: Path) -> bytes:
    """Write a video of `SIZE` bytes, most of them zeros that take no room on the disk; return its SHA-256."""
    video = samples.video()
    with path.open("wb") as file:
        file.write(video + struct.pack(">I4s", SIZE - len(video), b"free"))
        file.truncate(SIZE)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def test_a_long_file_goes_on_after_cut_connections_and_a_reload(
    chromium: Browser, site: Site, proxy: CuttingProxy, context: Context, tmp_path: Path
) -> None:
    tenant, path = site.server.tenant(), tmp_path / "long.mp4"
    digest = write_long_video(path)
    session = site.start_session(site.add_user({tenant.workspace: Role.AUTHOR}))
    url = f"http://127.0.0.1:{proxy.port}"
    with chromium.new_context(base_url=url) as window:
        window.add_cookies([{"name": "slipway", "value": session, "url": url}])
        page = window.new_page()
        page.goto("/dashboard/new?empty=1")
        page.locator("[data-picker]").set_input_files(path)
        until(lambda: proxy.is_closed, "the last cut", seconds=120)
        row_of_file = page.locator(".sending > li")
        expect(row_of_file).to_contain_text("The connection was lost")
        expect(row_of_file.get_by_role("progressbar", name="Sent of long.mp4")).to_be_visible()
        page.get_by_role("button", name="Save as draft").click()
        expect(page.locator("#refused")).to_contain_text("still on their way")
        proxy.is_closed = False
        page.reload()
        with page.expect_response(re.compile(f"{UPLOADS}\\?")) as created:
            page.locator("[data-picker]").set_input_files(path)
        assert created.value.json()["offset"] > CUTS[0]
        expect(page.locator("#files li")).to_contain_text("long.mp4", timeout=120_000)
        expect(row_of_file).to_have_count(0)
    assert proxy.counts["cut"] >= 2
    assert proxy.counts["sent"] < 1.2 * SIZE
    with context.database.begin() as c:
        [file] = rows(c, "SELECT * FROM files WHERE workspace_id = :w", w=tenant.workspace)
        assert rows(c, "SELECT * FROM file_puts WHERE file_id = :id", id=file.id) == []
    assert (file.size, bytes(file.sha256)) == (SIZE, digest)
    assert hash_stored(context, file) == digest


def hash_stored(context: Context, file: Any) -> bytes:
    reader, found = context.files.storage.open(file.object, 0, file.size), hashlib.sha256()
    while data := reader.read(1 << 20):
        found.update(data)
    reader.close()
    return found.digest()


def create(http: Client, tenant: Tenant, status: int = 200, **more: Any) -> dict[str, Any]:
    body = {"contentType": "video/mp4", "filename": "v.mp4", "size": 6_000_000, "modified": 1, **more}
    answer = http.post(f"{UPLOADS}?workspace={tenant.workspace}", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def send(http: Client, upload: dict[str, Any], offset: int, data: bytes, status: int = 200) -> dict[str, Any]:
    answer = http.patch(f"{upload['address']}?offset={offset}", data=data)
    assert answer.status_code == status, answer.text
    return dict(answer.json()) if "json" in answer.headers["Content-Type"] else {}


@pytest.fixture
def tenant(site: Site) -> Tenant:
    return site.server.tenant()


@pytest.fixture
def author(site: Site, tenant: Tenant) -> Iterator[Client]:
    with site.log_in(site.add_user({tenant.workspace: Role.AUTHOR})) as session:
        yield session


def test_a_part_begins_where_the_last_one_ended_and_is_the_users_own(
    site: Site, tenant: Tenant, author: Client, context: Context
) -> None:
    video = samples.video()
    data = video + samples.box(b"free", bytes(6_000_000 - len(video) - 8))
    upload = create(author, tenant)
    assert (upload["offset"], upload["most"]) == (0, PART_BYTES)
    send(author, upload, 0, bytes(PART_BYTES), 415)  # of no accepted type: refused before the rest is sent
    send(author, upload, 0, data[: PART_BYTES + 1], 413)
    assert send(author, upload, PART_BYTES, data, 409)["offset"] == 0
    assert send(author, upload, 0, data[:PART_BYTES])["offset"] == PART_BYTES
    assert send(author, upload, 0, data[:PART_BYTES], 409)["offset"] == PART_BYTES
    send(author, upload, PART_BYTES, data[PART_BYTES:] + b"x", 413)  # over the declared size
    assert create(author, tenant) == author.get(upload["address"]).json()
    assert create(author, tenant, modified=2)["address"] != upload["address"]
    for role, status in ((Role.AUTHOR, 404), (Role.VIEWER, 403)):
        with site.log_in(site.add_user({tenant.workspace: role})) as stranger:
            assert stranger.get(upload["address"]).status_code == status
            send(stranger, upload, PART_BYTES, data[PART_BYTES:], status)
    done = send(author, upload, PART_BYTES, data[PART_BYTES:])
    assert done == send(author, upload, PART_BYTES, data[PART_BYTES:])  # its answer was lost
    with context.database.begin() as c:
        file = row(c, "SELECT * FROM files WHERE url = :url", url=done["url"])
    assert file is not None
    assert hash_stored(context, file) == hashlib.sha256(data).digest()
    assert create(author, tenant)["address"] != upload["address"]


def test_what_is_not_finished_counts_to_the_quota_and_is_removed_after_a_day(
    tenant: Tenant, author: Client, context: Context
) -> None:
    assert "quota" in create(author, tenant, 413, size=QUOTA + 1)["message"]
    for field, value in (("size", 0), ("contentType", "text/html"), ("modified", -1)):
        assert create(author, tenant, 422, **{field: value})["message"].startswith(field)
    create(author, tenant)
    with context.database.begin() as c:
        sql = """UPDATE files SET object = name, size = :size, sha256 = sha256('x'), stored_at = now()
                 WHERE workspace_id = :w RETURNING id"""
        row(c, sql, w=tenant.workspace, size=QUOTA - 2 * PART_BYTES + 1)
    begin = samples.video() + bytes(PART_BYTES)
    uploads = [create(author, tenant, modified=n) for n in range(2)]
    send(author, uploads[0], 0, begin[:PART_BYTES])
    assert "quota" in send(author, uploads[1], 0, begin[:PART_BYTES], 413)["message"]
    identity = UUID(uploads[0]["address"].rpartition("/")[2])
    with context.database.begin() as c:
        [part] = rows(c, "SELECT * FROM upload_parts WHERE file_id = :id", id=identity)
        for table, column, of in (("files", "created_at", "id"), ("file_puts", "begun_at", "file_id")):
            sql = f"UPDATE {table} SET {column} = now() - :age WHERE {of} = :id RETURNING 1 AS n"  # noqa: S608
            row(c, sql, age=timedelta(days=2), id=identity)
    assert author.get(uploads[0]["address"]).status_code == 404
    assert (context.settings.files_folder / part.object).exists()
    expire_files(context)
    assert not (context.settings.files_folder / part.object).exists()
    with context.database.begin() as c:
        for table in ("part_uploads", "upload_parts", "file_puts"):
            sql = f"SELECT count(*) AS n FROM {table} WHERE file_id = :id"  # noqa: S608
            assert read_number(c, sql, id=identity) == 0
