"""Posts that are exported read as the bodies that made them, from both formats."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.contract import Platform
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.imports.cells import restore
from pipeline.imports.columns import Format, build_columns
from pipeline.imports.export import ExportFormat, ExportWriter, build_body, name_accounts
from pipeline.stages.ingest import accept
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.posts.views import PostView
from pipeline.store.posts.views import read_post as find_post
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.imports.conftest import Files
from tests.pipeline.store.ledger import HOUR

COLUMNS = build_columns(PostBody)
FORMATS = [ExportFormat.NDJSON, ExportFormat.CSV]
HOSTILE = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    core.account("one")
    core.account("two", Platform.TIKTOK)
    return core


def body(core: CoreFixture, **more: Any) -> dict[str, Any]:
    return {
        "caption": f"A post {uuid4()}",
        "media": {"type": "video", "url": "https://media.example/v.mp4"},
        "accounts": [{"id": str(core.accounts["one"])}],
        "scheduled_at": "2090-01-01T15:00:00.123456Z",
        **more,
    }


def store(core: CoreFixture, sent: dict[str, Any]) -> PostView:
    accepted = accept(core.context, core.caller, read_post(sent, Rules()))
    with core.context.database.begin() as c:
        found = find_post(c, core.workspace, accepted.id)
    assert found is not None
    return found


def accounts(core: CoreFixture) -> list[AccountRow]:
    with core.context.database.begin() as c:
        return find_accounts(c, core.workspace)


def export(core: CoreFixture, form: ExportFormat, *posts: PostView) -> bytes:
    writer = ExportWriter(form, COLUMNS, accounts(core))
    return writer.begin() + writer.write(posts)


BODIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a slideshow": {"media": {"type": "slideshow", "urls": [f"https://m.example/{n}.jpg" for n in range(3)]}},
    "a URL with a bar": {"media": {"type": "slideshow", "urls": ["https://m.example/a|b.jpg"]}},
    "facts of the media": {
        "media": {"type": "video", "url": "https://m.example/v.mp4", "duration_sec": 12.5}
    },
    "options": {"tiktok": {"title": "t", "disable_duet": True, "privacy_level": "SELF_ONLY"}},
    "a late policy": {"on_late": "skip", "expires_at": "2090-01-02T00:00:00Z"},
    "an external id": {"external_id": "+4917012345"},
    "two accounts": {"accounts": "both"},
    **{
        f"a caption {caption!r}": {"caption": caption}
        for caption in (
            HOSTILE,
            "''=1",
            "a\nb\r\nc",
            'say "hi", | ; ä 日本 😀',
        )
    },
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", BODIES)
def test_what_is_exported_reads_as_the_body_that_was_sent(
    ready: CoreFixture, files: Files, name: str, form: ExportFormat
) -> None:
    more = dict(BODIES[name])
    if more.get("accounts") == "both":
        more["accounts"] = [{"id": str(ready.accounts[n])} for n in ("one", "two")]
    sent = body(ready, **more)
    post = store(ready, sent)
    [row] = files.read(export(ready, form, post), Format(form))
    assert not row.issues
    assert row.post_id == str(post.id)
    assert row.body is not None
    by_name = {named["account"]: str(i) for i, named in name_accounts(accounts(ready)).items()}
    ids = [{"id": one.get("id") or by_name[one["account"]]} for one in row.body["accounts"]]
    read = read_post({**row.body, "accounts": ids}, Rules())
    assert read.fingerprint == read_post(sent, Rules()).fingerprint
    assert read.external_id == sent.get("external_id")


def cells(core: CoreFixture, *posts: PostView) -> list[dict[str, str]]:
    text = export(core, ExportFormat.CSV, *posts).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_no_cell_is_a_formula(ready: CoreFixture) -> None:
    sent = body(ready, caption=HOSTILE, external_id="@SUM(1)", tiktok={"title": "-2+3"})
    [row] = cells(ready, store(ready, sent))
    assert [row[name] for name in ("caption", "external_id", "tiktok.title")] == [
        f"'{HOSTILE}",
        "'@SUM(1)",
        "'-2+3",
    ]
    assert not [cell for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert restore(row["caption"]) == HOSTILE


def test_the_columns_are_those_of_an_import_with_id_and_status(ready: CoreFixture) -> None:
    post = store(ready, body(ready))
    [row] = cells(ready, post)
    names = [name for name in COLUMNS.names if name not in ("local_time", "time_zone")]
    assert list(row) == ["post_id", "status", *names]
    assert (row["post_id"], row["status"]) == (str(post.id), "scheduled")
    assert row["scheduled_at"] == "2090-01-01T15:00:00.123456Z"
    [line] = export(ready, ExportFormat.NDJSON, post).decode().splitlines()
    assert json.loads(line) == {
        "post_id": str(post.id),
        "status": "scheduled",
        **body(ready),
        "caption": post.caption,
    }


def test_an_account_has_its_name_where_that_is_one_accounts_only(ready: CoreFixture) -> None:
    found = {account.id: account for account in accounts(ready)}
    one, two = (ready.accounts[name] for name in ("one", "two"))
    name = f"tiktok:{found[one].username}"
    [row] = cells(ready, store(ready, body(ready)))
    assert row["accounts"] == name
    ready.run("UPDATE accounts SET username = upper(:name) WHERE id = :id", name=found[one].username, id=two)
    [row] = cells(ready, store(ready, body(ready)))
    assert UUID(row["accounts"]) == one


def test_an_immediate_post_has_the_time_it_was_due(ready: CoreFixture) -> None:
    post = store(ready, body(ready, scheduled_at=None))
    assert build_body(post)["scheduled_at"].endswith("Z")
    assert post.due_at < ready.now() + HOUR
