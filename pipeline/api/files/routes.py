"""POST /files and GET /files: an address to upload a file to, and what a workspace has uploaded."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.files import schema as files_schema
from pipeline.api.http.body import read_body, require_json
from pipeline.api.http.envelope import HttpRefusal, success
from pipeline.api.http.timestamp import written
from pipeline.api.posts.routes import json_of
from pipeline.api.state import Site, site_of
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.files import files as store
from pipeline.store.files.files import File

LIVES = 600
"""Seconds within which an upload has to begin."""
MOST_WAITING = 1000
"""Uploads that one workspace may have opened within that time without beginning them."""


async def create(request: Request) -> Response:
    """Give an address for one upload, and the URL that the file will have."""
    site = site_of(request)
    caller = await site.keyring.publisher(request)
    raw = await read_body(request, site.context.settings.api.max_body)
    require_json(request, raw)
    wanted = files_schema.read_file(json_of(raw))
    work = partial(_open, site, caller, wanted)
    identity, url = await site.filing.lane.run(work, caller.key_id)
    path = request.app.url_path_for("putFile", file_id=str(identity))
    query = site.context.files.addresses.signed(identity, wanted.contentType, int(time.time()) + LIVES)
    data = {
        "uploadUrl": f"{site.context.settings.own_url}{path}?{query}",
        "url": url,
        "contentType": wanted.contentType,
        "expiresIn": LIVES,
    }
    return success("Upload URL generated", data, code=201, headers={"Cache-Control": "no-store"})


async def index(request: Request) -> Response:
    """List the files of the key's scope, newest first; uploads that have not come are not among them."""
    site = site_of(request)
    caller = await site.keyring.caller(request)
    wanted = files_schema.read_files_query(request.query_params)
    return success("Files retrieved", await site.reading.run(partial(_page, site, caller, wanted)))


def rendered(file: File) -> dict[str, Any]:
    """One stored file."""
    return {
        "id": str(file.id),
        "url": file.url,
        "contentType": file.content_type,
        "filename": file.filename,
        "size": file.size,
        "createdAt": written(file.created_at),
    }


def _open(site: Site, caller: Caller, wanted: files_schema.FileBody) -> tuple[UUID, str]:
    addresses, quota = site.context.files.addresses, site.context.settings.files.quota
    name = addresses.new_name(wanted.contentType)
    with site.context.database.begin() as c:
        if store.waiting_uploads(c, caller.workspace_id, timedelta(seconds=LIVES)) >= MOST_WAITING:
            raise HttpRefusal(
                429,
                "rate_limited",
                f"{MOST_WAITING:,} uploads were opened and have not come: use those first.",
                headers={"Retry-After": str(LIVES)},
            )
        used = store.used_bytes(c, caller.workspace_id)
        if quota and used >= quota:
            raise Refusal(
                400,
                "validation_failed",
                f"The workspace keeps {used:,} bytes of files and may keep {quota:,}: nothing more can be uploaded "
                f"until older files have gone, {site.context.settings.files.keep_days:g} days after their last use.",
            )
        identity = store.open_file(
            c,
            workspace=caller.workspace_id,
            key=caller.key_id,
            name=name,
            url=addresses.url_of(name),
            content_type=wanted.contentType,
            filename=wanted.filename,
        )
    return identity, addresses.url_of(name)


def _page(site: Site, caller: Caller, wanted: files_schema.Wanted) -> dict[str, Any]:
    found: list[File] = []
    total = 0
    if wanted.any:
        with site.context.database.begin() as c:
            found, total = store.list_files(
                c, caller, kind=wanted.kind, limit=wanted.limit, offset=wanted.offset
            )
    return {
        "files": [rendered(file) for file in found],
        "total": total,
        "limit": wanted.limit,
        "offset": wanted.offset,
        "context": wanted.context,
    }
