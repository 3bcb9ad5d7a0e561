"""What was exported and is imported again is all duplicates; what was changed in between is an edit."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pipeline.store.deliveries.move import recompute_post_status
from tests.pipeline.api.imports.importing import Importer, write_lines
from tests.pipeline.api.imports.test_applying import apply
from tests.pipeline.api.running_server import BASE, ask

ARMED = "state = 'processing', armed_at = now(), armed_deadline = now()"


def export(importer: Importer, form: str) -> bytes:
    url = f"{importer.server.url}{BASE}/posts/export?format={form}"
    answer = importer.server.http.get(url, headers=importer.tenant.headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_is_all_duplicates(importer: Importer, form: str) -> None:
    server, key = importer.server, importer.tenant.key
    server.post(importer.body(1), key)
    server.post(importer.body(2, external_id="x", tiktok={"privacy_level": "SELF_ONLY"}), key)
    edited = server.post(importer.body(3, external_id="y"), key).json()["data"]["id"]
    json_type = {"Content-Type": "application/json"}
    server.send("PATCH", f"{BASE}/posts/{edited}", key, b'{"caption": "by hand"}', **json_type)
    server.post(importer.body(4, scheduled_at=None), key)
    identity = importer.upload(export(importer, form), f"?format={form}")
    found = importer.work(identity)
    assert found["counts"] == {"rows": 4, "accepted": 0, "duplicate": 4, "rejected": 0}, importer.records(
        identity
    )
    assert {r.post_id for r in importer.records(identity)} == {p.id for p in importer.posts()}
    assert apply(importer, found)["result"] == {}


def test_a_row_that_was_changed_in_an_export_edits_its_post(importer: Importer) -> None:
    importer.server.post(importer.body(1), importer.tenant.key)
    row = json.loads(export(importer, "ndjson"))
    changed = {**row, "caption": "Better"}
    refused = importer.plan(changed)
    assert refused["counts"]["rejected"] == 1
    assert "has another body" in importer.records(refused["id"])[0].issues[0]["message"]
    assert apply(importer, importer.plan(changed, query="?update=true"))["result"] == {"edited": 1}
    [post] = importer.posts()
    assert post.caption == "Better"
    again = importer.plan(changed, query="?update=true")
    assert again["plan"]["duplicate"] == 1, "the same file edits nothing twice"


_ONE = "UPDATE deliveries SET {} WHERE post_id = :id"


@pytest.mark.parametrize(
    ("change", "more", "code"),
    [
        (_ONE.format(ARMED), {}, "post_in_flight"),
        (_ONE.format("state = 'published', published_at = now(), remote_id = 'x'"), {}, "validation_failed"),
        (_ONE.format("level = 99"), {}, "newer_version"),
        ("SELECT :id", {"external_id": "other"}, "external_id_immutable"),
    ],
    ids=["armed", "published", "newer", "external_id"],
)
def test_an_update_that_the_edit_refuses_is_never_accepted_and_says_what_the_edit_says(
    importer: Importer, change: str, more: dict[str, str], code: str
) -> None:
    server, key = importer.server, importer.tenant.key
    post = server.post(importer.body(1, external_id="x"), key).json()["data"]["id"]
    row = json.loads(export(importer, "ndjson"))
    with server.context.database.begin() as c:
        c.execute(text(change), {"id": UUID(post)})
        recompute_post_status(c, UUID(post))
    changed = {"caption": "Better", "scheduled_at": "2031-06-01T10:00:00Z", **more}
    by_external_id = {name: value for name, value in row.items() if name != "post_id"}
    bodies = [row] if more else [row, by_external_id]
    planned: dict[str, Any] = {}
    for body in bodies:
        planned = importer.plan({**body, **changed}, query="?update=true")
        assert (planned["plan"]["changed"], planned["counts"]["rejected"]) == (0, 1)
        answer = ask(server, key, "PATCH", f"/posts/{post}", changed).json()
        [issue] = importer.records(planned["id"])[0].issues
        assert (issue["code"], issue["message"]) == (code, _message_of(answer))
        assert answer["error_code"] == code
    assert apply(importer, planned)["result"] == {}


def _message_of(answer: dict[str, Any]) -> str:
    issues = answer.get("issues")
    return str(issues[0]["message"] if issues else answer["message"])


def test_a_row_with_the_id_of_no_post_of_the_workspace_is_a_new_post(importer: Importer) -> None:
    stranger = Importer(server=importer.server, tenant=importer.server.tenant())
    foreign = stranger.server.post(stranger.body(1), stranger.tenant.key).json()["data"]["id"]
    for post_id in (str(uuid4()), foreign):
        identity = importer.upload(write_lines({**importer.body(1, external_id=post_id), "post_id": post_id}))
        assert importer.work(UUID(str(identity)))["plan"]["new"] == 1
