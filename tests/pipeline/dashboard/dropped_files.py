"""Files of posts that are dropped onto the page of imports, and the steps that a worker does with them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from uuid import UUID

import requests

from pipeline.domain.bulk_import import WORKING
from pipeline.runtime.context import Context
from pipeline.store.imports import imports as store
from tests.pipeline.api.imports.importing import do_step
from tests.pipeline.dashboard.site import Client, Site

IMPORTS = "/dashboard/imports"
HEADER = ("caption", "media_urls", "accounts", "local_time", "external_id")


def write_rows(*rows: Sequence[str]) -> bytes:
    """Return a CSV with these rows under `HEADER`."""
    text = io.StringIO()
    csv.writer(text).writerows([HEADER, *rows])
    return text.getvalue().encode()


def good(n: int, caption: str = "", **more: str) -> list[str]:
    """Return a row that is scheduled, of a post that no other row has unless it has a caption."""
    row = {
        "caption": caption or f"Post {n} {os.urandom(4).hex()}",
        "media_urls": f"https://cdn.example.com/{n}.mp4",
        "accounts": "tiktok:tiktok_user",
        "local_time": f"2031-{5 + n // 28:02d}-{1 + n % 28:02d} 10:{n % 60:02d}",
        "external_id": "",
        **more,
    }
    return [row[name] for name in HEADER]


def send(site: Site, http: Client, data: bytes, **options: str) -> requests.Response:
    """Send a file to the page, as its script does."""
    given = {"workspace": str(site.tenant.workspace), "name": "month.csv", "time_zone": "UTC", **options}
    return http.post(IMPORTS, data=data, params=given, headers={"Content-Type": "text/csv"})


def drop(site: Site, http: Client, data: bytes, **options: str) -> UUID:
    """Send a file, and return its import."""
    answer = send(site, http, data, **options)
    assert answer.status_code == 204, answer.text
    return UUID(answer.headers["HX-Redirect"].removeprefix(f"{IMPORTS}/"))


def read(context: Context, identity: UUID) -> store.Import:
    """Return an import as it stands."""
    with context.database.begin() as c:
        [found] = [job for job, _ in store.list_newest(c, None, limit=1000) if job.id == identity]
    return found


def work(context: Context, identity: UUID) -> store.Import:
    """Do the steps of an import until it rests."""
    while (found := read(context, identity)).state in WORKING:
        do_step(context, identity)
    return found
