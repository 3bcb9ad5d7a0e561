"""GET /posts by its filters over HTTP: what each selects, and what no filter, cursor or text may show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from pipeline.api.http.response_models import Success
from pipeline.api.posts.response_models import PostPage
from tests.pipeline.api.http.test_key_restrictions import created
from tests.pipeline.api.running_server import ABSENT, Server, code

LATER, LAST = "2090-01-01T00:00:00Z", "2090-03-01T00:00:00Z"


def ask(server: Server, key: str, **query: str) -> dict[str, Any]:
    answer = server.get(f"/posts?{urlencode(query)}", key)
    assert answer.status_code == 200, answer.text
    Success[PostPage].model_validate_json(answer.content)
    data: dict[str, Any] = answer.json()["data"]
    return data


def ids(server: Server, key: str, **query: str) -> list[str]:
    """Return the posts of all pages."""
    found: list[str] = []
    page = ask(server, key, **query)
    while True:
        found += [post["id"] for post in page["posts"]]
        if page["next_cursor"] is None:
            return found
        page = ask(server, key, **{**query, "cursor": page["next_cursor"]})


def change(server: Server, post: str, assignments: str, **values: Any) -> None:
    with server.context.database.begin() as c:
        sql = f"UPDATE deliveries SET {assignments} WHERE post_id = :id"  # noqa: S608  of this file
        c.execute(text(sql), {"id": post, **values})


def test_each_parameter_selects_what_it_says(server: Server) -> None:
    tenant = server.tenant()
    old = created(server, tenant, "tiktok", caption="Frühling, 20 % off", scheduled_at=LAST)
    both = created(server, tenant, "tiktok", "instagram", external_id="order 7")
    failed = created(server, tenant, "instagram", caption="A mug")
    error = '{"class": "Rejected", "code": "too_long", "message": "It is too long."}'
    change(server, failed, "state = 'failed', error = CAST(:e AS jsonb)", e=error)
    server.sql("UPDATE posts SET status = 'failed' WHERE id = :id", id=failed)
    server.sql("UPDATE posts SET import_id = :id WHERE id = :id", id=old)
    cases: Mapping[tuple[tuple[str, str], ...], list[str]] = {
        (): [failed, both, old],
        (("platform", "tiktok"),): [both, old],
        (("account_id", tenant.accounts["instagram"]),): [failed, both],
        (("account_id", tenant.accounts["tiktok"]), ("platform", "instagram")): [],
        (("external_id", "order 7"),): [both],
        (("external_id", "order"),): [],
        (("import_id", old),): [old],
        (("state", "failed"),): [failed],
        (("state", "accepted"), ("platform", "instagram")): [both],
        (("held_for", "checking"),): [both, old],
        (("held_for", "none"),): [failed],
        (("error_class", "Rejected"),): [failed],
        (("error_class", "none"), ("sort", "due")): [both, old],
        (("due_from", "2090-02-01T00:00:00+02:00"),): [old],
        (("due_to", LAST), ("sort", "created")): [failed, both],
        (("text", "FRÜHLING, 20 %"),): [old],
        (("text", "order 7"),): [both],
        (("status", "scheduled"), ("sort", "due")): [both, old],
        (("since", LATER), ("sort", "due")): [],
        (("until", LATER), ("sort", "due"), ("text", "mug")): [failed],
    }
    for query, wanted in cases.items():
        assert ids(server, tenant.key, **dict(query), limit="1") == wanted, query
    summary = ask(server, tenant.key, state="failed")["summary"]
    assert summary["total"] == 3, "the other filters do not change the totals"
    assert ask(server, tenant.key, since=LATER)["summary"]["total"] == 0


def test_a_draft_is_listed_last_by_due_time_and_in_no_span_of_it(server: Server) -> None:
    tenant = server.tenant()
    draft = created(server, tenant, "tiktok", draft=True, scheduled_at=None)
    post = created(server, tenant, "tiktok")
    for query in ({}, {"platform": "tiktok"}):
        assert ids(server, tenant.key, **query, sort="due", limit="1") == [post, draft]
        assert ids(server, tenant.key, **query, sort="due", due_from="2030-01-01T00:00:00Z") == [post]
        assert ids(server, tenant.key, **query, due_from="2030-01-01T00:00:00Z") == [post]
        assert ids(server, tenant.key, **query, status="draft", text="hello") == []
        assert ids(server, tenant.key, **query, status="draft", sort="due") == [draft]


def test_a_cursor_goes_on_with_its_own_list_only(server: Server) -> None:
    tenant, other = server.tenant(), server.tenant()
    for who in (tenant, other):
        for n in range(3):
            created(server, who, "tiktok", caption=f"hello {n}")
    bound = server.key(tenant, "tiktok")
    for query in ({}, {"state": "accepted"}):
        cursor = ask(server, tenant.key, **query, limit="1")["next_cursor"]
        assert len(ask(server, tenant.key, **query, limit="2", cursor=cursor)["posts"]) == 2
        for key, changed in (
            (tenant.key, {"platform": "tiktok"}),
            (tenant.key, {"until": LAST}),
            (other.key, {}),
            (bound, {}),
        ):
            refused = server.get(f"/posts?{urlencode({**query, **changed, 'cursor': cursor})}", key)
            assert code(refused) == (422, "invalid_payload"), (query, changed)
            assert [issue["path"] for issue in refused.json()["issues"]] == ["cursor"]
            assert "with the same filters and sort" in refused.json()["message"]


def test_no_filter_shows_a_post_of_another_workspace(server: Server) -> None:
    tenant, stranger = server.tenant(), server.tenant()
    post = created(server, tenant, "tiktok", external_id="secret-1", caption="Our secret")
    server.sql("UPDATE posts SET import_id = :id WHERE id = :id", id=post)
    for query, nothing in (
        ({"account_id": tenant.accounts["tiktok"]}, {"account_id": ABSENT}),
        ({"external_id": "secret-1"}, {"external_id": "secret-2"}),
        ({"import_id": post}, {"import_id": ABSENT}),
        ({"text": "Our secret"}, {"text": "no secret"}),
        ({"text": post}, {"text": ABSENT}),
    ):
        for sort in ("created", "due"):
            assert ids(server, tenant.key, **query, sort=sort) == [post] or query == {"text": post}
            foreign, absent = (
                server.get(f"/posts?{urlencode({**one, 'sort': sort})}", stranger.key)
                for one in (query, nothing)
            )
            assert foreign.json()["data"]["posts"] == []
            assert foreign.content == absent.content


def test_a_restricted_key_filters_what_it_sees(server: Server) -> None:
    tenant = server.tenant()
    bound, instagram = server.key(tenant, "tiktok"), tenant.accounts["instagram"]
    created(server, tenant, "tiktok", "instagram", external_id="shared", caption="Spring here")
    created(server, tenant, "instagram", external_id="theirs", caption="Spring there")
    mine = created(server, tenant, "tiktok", by=bound, external_id="shared", caption="Spring sale")
    for query in (
        {"platform": "tiktok"},
        {"account_id": tenant.accounts["tiktok"], "sort": "due"},
        {"external_id": "shared"},
        {"text": "spring"},
        {"state": "accepted", "limit": "1"},
        {"held_for": "checking", "sort": "due", "limit": "1"},
        {"sort": "due", "until": LAST},
    ):
        assert ids(server, bound, **query) == [mine], query
    for query in ({"account_id": instagram}, {"platform": "instagram"}, {"external_id": "theirs"}):
        assert ids(server, bound, **query) == []
    assert len(ids(server, tenant.key, external_id="shared")) == 2, (
        "its workspace sees that of the bound key too"
    )


HOSTILE = ("%", "\\", "'; DROP TABLE posts; --", "%(text)s", ":text", "\u202e\u0301", "[[:alpha:]]")


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_words(server: Server, words: str) -> None:
    tenant = server.tenant()
    post = created(server, tenant, "tiktok", caption=f"so {words} so")
    created(server, tenant, "tiktok", caption="A mug")
    assert ids(server, tenant.key, text=words, sort="due") == [post]
    assert ids(server, tenant.key, external_id=words[:100], error_class=words[:100]) == []
