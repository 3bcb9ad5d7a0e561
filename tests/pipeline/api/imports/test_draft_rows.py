"""Rows of drafts: they make drafts, and an update by one gives no post a time."""

from __future__ import annotations

from tests.pipeline.api.imports.importing import LATER, Importer


def test_an_update_by_a_row_of_a_draft_sends_nothing_on_its_way(importer: Importer) -> None:
    draft = importer.body(external_id="a", draft=True, scheduled_at=None)
    planned = importer.body(external_id="b", scheduled_at=LATER)
    made = importer.plan(draft, planned)
    importer.act(made["id"], "apply", {"plan": made["plan"]["hash"]})
    importer.work(made["id"])
    before = {post.external_id: (post.status, post.due_at) for post in importer.posts()}
    assert before["a"][0] == "draft"
    changed = [{**draft, "caption": "Better"}, {**planned, "draft": True, "scheduled_at": None}]
    found = importer.plan(*changed, query="?update=true")
    assert [record.verdict for record in importer.records(found["id"])] == ["accepted", "rejected"]
    importer.act(found["id"], "apply", {"plan": found["plan"]["hash"]})
    importer.work(found["id"])
    after = {post.external_id: post for post in importer.posts()}
    assert {name: (post.status, post.due_at) for name, post in after.items()} == before
    assert after["a"].caption == "Better"
