"""Ingest of several posts at once: one transaction, an outcome for each, and no post fails because of another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.broker.queues import DELAY
from pipeline.domain.account import AccountStatus
from pipeline.runtime.context import Context
from pipeline.stages import ingest_caches
from pipeline.stages.ingest import BatchIngest, finish
from pipeline.stages.ingest_caches import AccountCache, CheckCache
from pipeline.stages.new_post import PostPlan, Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.store.accounts.grants import deactivate
from pipeline.store.checks import checks
from pipeline.store.checks.checks import Link
from pipeline.store.database import Database, Unreachable, new_id, row, rows
from pipeline.store.posts import insert_batch as group
from tests.pipeline.core_fixture import MUSIC, CoreFixture
from tests.pipeline.store.ledger import HOUR, together
from tests.stack import until

NEW = {"type": "video", "url": "https://media.example/never-seen.mp4"}


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """An account, and media with a fresh good check."""
    core.account("one")
    core.decided()
    return core


def ingest(core: CoreFixture, *requests: PostRequest) -> list[Any]:
    batch = [Submission(caller=core.caller, request=request) for request in requests]
    return list(BatchIngest(core.context).ingest(batch))


def captions(core: CoreFixture, number: int, **more: Any) -> list[PostRequest]:
    return [core.request(caption=f"number {n}", **more) for n in range(number)]


def ids(outcomes: list[Any]) -> list[Any]:
    return [outcome.id if isinstance(outcome, AcceptedPost) else None for outcome in outcomes]


# --- together --------------------------------------------------------------------------------------------------------


def test_plain_posts_are_stored_by_one_transaction(ready: CoreFixture) -> None:
    ready.account("two", Platform.FACEBOOK)
    found = ingest(ready, *captions(ready, 9, account_ids=list(ready.accounts.values())))
    assert None not in found
    with ready.context.database.begin() as c:
        stored = rows(
            c, "SELECT id, xmin::text AS txid FROM posts WHERE workspace_id = :w", w=ready.workspace
        )
    assert {r.id for r in stored} == set(ids(found))
    assert len({r.txid for r in stored}) == 1


def test_the_rows_are_those_that_one_alone_would_leave(ready: CoreFixture) -> None:
    asked: dict[str, Any] = {
        "media": {
            "type": "video",
            "url": "https://media.example/v.mp4",
            "width": 1080,
            "mime_type": 'a"\\b{},NULL',
        },
        "tiktok": {"title": 'q"u\\o{t}e,s NULL', "disable_duet": True},
        "on_late": "hold",
        "scheduled_at": ready.now() + HOUR,
        "expires_at": ready.now() + 2 * HOUR,
    }
    strange = 'NULL "quoted" \\ {brace} 日本語 \U0001f600\n'
    alone = ready.accept(caption=strange, external_id='an "id" \\', **asked)
    [together_] = ingest(ready, ready.request(caption=strange, external_id="another", **asked))
    assert together_ is not None
    assert (together_.status, together_.scheduled_at) == (alone.status, alone.scheduled_at)
    kept = "SELECT to_jsonb(p) - '{id,created_at,updated_at,external_id}'::text[] AS j FROM posts p WHERE id = :id"
    parts = """SELECT to_jsonb(d) - '{id,post_id,created_at,updated_at}'::text[] AS j, m.mover, m.target, k.position,
                      k.check_id FROM deliveries d JOIN moves m ON m.delivery_id = d.id
               JOIN post_checks k ON k.post_id = d.post_id WHERE d.post_id = :id"""
    with ready.context.database.begin() as c:
        for sql in (kept, parts):
            one, other = (rows(c, sql, id=post) for post in (alone.id, together_.id))
            assert one == other
            assert len(one) == 1


def test_a_repeat_gets_the_original_in_a_group_too(ready: CoreFixture) -> None:
    first = ready.accept(caption="number 1")
    found = ingest(ready, *captions(ready, 3))
    assert [a.duplicate for a in found if a] == [False, True, False]
    assert found[1] == replace(first, duplicate=True)


def test_one_ring_for_all_that_are_due_at_once(ready: CoreFixture) -> None:
    before = ready.messages(DELAY)
    ingest(ready, *captions(ready, 5))
    assert ready.messages(DELAY) == before + 1
    ingest(ready, *captions(ready, 5, scheduled_at=ready.now() + HOUR))
    assert ready.messages(DELAY) == before + 1


def test_a_full_day_is_told_to_those_it_is_full_for(ready: CoreFixture) -> None:
    allowed = ready.context.adapters[Platform.TIKTOK].capabilities.daily_posts
    assert allowed is not None
    due = ready.now() + 48 * HOUR
    found = ingest(ready, *captions(ready, allowed + 1, scheduled_at=due))
    assert [[w.code for w in a.warnings] for a in found if a] == [[]] * allowed + [["DAILY_QUOTA_EXCEEDED"]]
    [late] = ingest(ready, ready.request(caption="a day later", scheduled_at=due + 24 * HOUR))
    assert late is not None
    assert late.warnings == []


# --- alone -----------------------------------------------------------------------------------------------------------


def test_what_is_not_plain_is_left_alone_and_its_neighbours_are_stored(ready: CoreFixture) -> None:
    stranger = ready.ledger.account(ready.ledger.workspace())
    ready.account("gone")
    with ready.context.database.begin() as c:
        deactivate(c, ready.accounts["gone"])
    before = len(ready.posts())
    waits = "a plan that waits for its checks"
    odd: dict[str, tuple[dict[str, Any], str]] = {
        "an account of another workspace": ({"account_ids": [stranger]}, "unknown_accounts"),
        "no such account": ({"account_ids": [new_id()]}, "unknown_accounts"),
        "an inactive account": ({"account_ids": [ready.accounts["gone"]]}, "unknown_accounts"),
        "no account": ({"account_ids": []}, "missing_accounts"),
        "in the past": ({"scheduled_at": ready.now() - HOUR}, "validation_failed"),
        "over already": ({"expires_at": ready.now() - HOUR}, "validation_failed"),
        "a limit": ({"tiktok": {"privacy_level": "NOBODY"}}, "validation_failed"),
        "another platform's section": ({"pinterest": {"board_id": "b"}}, "validation_failed"),
        "no music": ({"music_url": "https://elsewhere.example/1"}, "invalid_music_url"),
        "music": ({"music_url": MUSIC}, waits),
        "media without a check": ({"media": NEW}, waits),
        "the same file as something else": (
            {"media": {"type": "slideshow", "urls": ["https://media.example/v.mp4"]}},
            waits,
        ),
    }
    good = captions(ready, len(odd) + 1)
    asked = [
        r for pair in zip(good, [ready.request(**o) for o, _ in odd.values()], strict=False) for r in pair
    ]
    found = ingest(ready, *asked, good[-1])
    assert None not in ids(found[::2])
    outcomes = [
        o.code if isinstance(o, Refusal) else waits if isinstance(o, PostPlan) else o for o in found[1::2]
    ]
    assert dict(zip(odd, outcomes, strict=True)) == {name: code for name, (_, code) in odd.items()}
    assert len(ready.posts()) == before + len(good)
    assert ready.check_ids(NEW["url"]) == [], "a plan leaves nothing"


def test_a_plan_is_stored_when_it_is_finished_and_is_idempotent_too(ready: CoreFixture) -> None:
    request = ready.request(media=NEW)
    first, second = (ingest(ready, request)[0] for _ in range(2))
    stored = finish(ready.context, first)
    assert "REACHABILITY_PENDING" in [w.code for w in stored.warnings]
    assert [d.state for d in ready.deliveries(stored.id)] == ["accepted"]
    again = finish(ready.context, second)
    assert (again.id, again.duplicate) == (stored.id, True)


def test_a_key_bound_to_accounts_names_no_other_in_a_group_either(ready: CoreFixture) -> None:
    ready.account("two")
    bound = replace(ready, caller=replace(ready.caller, accounts=(ready.accounts["one"],)))
    mine, others = (ready.request(caption=n, account_ids=[ready.accounts[n]]) for n in ("one", "two"))
    found = ingest(bound, mine, others)
    assert [isinstance(outcome, AcceptedPost) for outcome in found] == [True, False]
    assert found[1].code == "unknown_accounts"


def test_equal_requests_in_one_group_make_one_post(ready: CoreFixture) -> None:
    for known in (None, "twice"):
        one = ready.request(caption=f"equal {known}", external_id=known)
        first, *others = ingest(ready, one, one, one)
        for other in (*others, ready.accept(one)):
            assert (other.id, other.duplicate, other.scheduled_at) == (first.id, True, first.scheduled_at)


def test_one_id_for_two_bodies_in_one_group_is_a_post_and_a_refusal(ready: CoreFixture) -> None:
    one, other = (ready.request(caption=c, external_id="same") for c in ("one", "other"))
    first, second = ingest(ready, one, other)
    assert isinstance(first, AcceptedPost)
    assert (second.status, second.code) == (409, "create_failed")
    assert ready.refused(other).status == 409


def test_a_dead_posts_body_makes_a_new_one(ready: CoreFixture) -> None:
    [first] = ingest(ready, ready.request())
    assert first is not None
    with ready.context.database.begin() as c:
        row(c, "UPDATE posts SET status = 'canceled' WHERE id = :id RETURNING id", id=first.id)
    [second] = ingest(ready, ready.request())
    assert second is not None
    assert (second.id != first.id, second.duplicate) == (True, False)


def test_without_a_window_equal_bodies_are_different_posts(ready: CoreFixture) -> None:
    core = ready.with_settings(ingest={"dedupe_window": 0})
    assert len(set(ids(ingest(core, *[core.request()] * 3)))) == 3


def test_a_repeat_is_known_whatever_has_become_of_its_words(ready: CoreFixture) -> None:
    """Its time has passed: a new post with it would be refused."""
    request = ready.request(external_id="kept", scheduled_at=ready.now() + HOUR)
    first = ready.accept(request)
    late = replace(request, scheduled_at=ready.now() - HOUR)
    assert ready.refused(replace(late, external_id=None)).status == 400
    [again] = ingest(ready, late)
    assert again == replace(first, duplicate=True)


def test_a_check_is_asked_for_once_until_it_is_too_old(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()
    find = checks.find_good

    def counted(c: Connection, links: Sequence[Link], within: timedelta, own: str) -> Any:
        asked.append(len(links))
        return find(c, links, within, own)

    monkeypatch.setattr(ingest_caches, "find_good", counted)
    fresh = ready.context.settings.reachability.fresh
    good, now = CheckCache(timedelta(seconds=fresh), ""), ready.now()
    known: Link = (ready.workspace, "video", ready.request().media["url"])
    never: Link = (ready.workspace, "video", NEW["url"])
    with ready.context.database.once() as c:
        first = good.find(c, [known, never], now)
        assert good.find(c, [known], now) == first
        assert asked == [2], "the good check is cached"
        assert good.find(c, [known, never], now + timedelta(seconds=fresh)).keys() == {known}
    assert asked == [2, 2], "a missing check is asked for again, and a good one gets too old"


def test_an_account_is_read_once_until_its_row_changes(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[set[UUID]]()
    find = group.find_accounts

    def noted(c: Connection, ids: Collection[UUID]) -> Any:
        read.append(set(ids))
        return find(c, ids)

    monkeypatch.setattr(group, "find_accounts", noted)
    one, two, unknown = ready.accounts["one"], ready.account("two"), new_id()
    known = AccountCache()
    with ready.context.database.once() as c:
        for _ in range(2):
            assert known.find(c, [one, two, unknown])[1].keys() == {one, two}
        assert read == [{one, two}]
        with ready.context.database.begin() as other:
            deactivate(other, two)
        found = known.find(c, [one, two])[1]
        assert (found[one].status, found[two].status) == (AccountStatus.ACTIVE, AccountStatus.INACTIVE)
        assert read == [{one, two}, {two}], "only the changed row is read again"
        known.clear()
        assert known.find(c, [one])[1] == {one: found[one]}
    assert read == [{one, two}, {two}, {one}]


def test_more_accounts_than_are_remembered_are_all_found(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_caches, "CAPACITY", 2)
    mine = [ready.accounts["one"], *(ready.account(f"more {n}") for n in range(4))]
    known = AccountCache()
    with ready.context.database.once() as c:
        for ids in (mine[:2], mine[1:3], mine, mine[:1]):
            assert known.find(c, ids)[1].keys() == set(ids)


# --- two processes, and trouble --------------------------------------------------------------------------------------


def test_groups_with_the_same_requests_at_once_make_each_post_once(ready: CoreFixture) -> None:
    """In opposite order: the batches would deadlock if tokens were not taken in their own order."""
    for n in range(10):
        asked = [ready.request(caption=f"{n} {k}", external_id=f"{n} {k}") for k in range(12)]
        there, back = together(partial(ingest, ready, *asked), partial(ingest, ready, *asked[::-1]))
        for one, other in zip(there, back[::-1], strict=True):
            assert one.id == other.id
            assert sorted((one.duplicate, other.duplicate)) == [False, True]


def test_a_group_that_the_database_refuses_is_taken_one_by_one(ready: CoreFixture) -> None:
    poison = ready.request(caption="no \0 text holds this")
    good, before = captions(ready, 3), len(ready.posts())
    assert ingest(ready, *good[:2], poison, good[2]) == [None] * 4
    assert len(ready.posts()) == before
    assert {ready.accept(r).duplicate for r in good} == {False}
    with pytest.raises(Exception, match="NUL"):
        ready.accept(poison)


def test_a_statement_that_is_given_up_is_no_outage(ready: CoreFixture) -> None:
    """Another transaction holds a token of the batch and does not end; the batch's statement is cancelled."""
    asked, found = captions(ready, 3), list[list[Any]]()
    held = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%WITH taken%'"
    with ready.context.database.begin() as holder:
        holder.exec_driver_sql(
            "INSERT INTO replays (workspace_id, token, fingerprint, post_id) VALUES (%(w)s, %(t)s, %(s)s, %(p)s)",
            {
                "w": ready.workspace,
                "t": f"body:{asked[1].fingerprint.hex()}",
                "s": asked[1].fingerprint,
                "p": new_id(),
            },
        )
        group = Thread(target=lambda: found.append(ingest(ready, *asked)))
        group.start()
        with ready.context.database.once() as c:
            waiting = until(lambda: row(c, held), 30)
            row(c, "SELECT pg_cancel_backend(:pid)", pid=waiting.pid)
        group.join(120)
        holder.rollback()
    assert found == [[None, None, None]]
    assert ready.posts() == []


def test_a_database_that_is_away_is_told_to_all_and_nothing_is_lost(
    ready: CoreFixture, context: Context
) -> None:
    nowhere = Database("postgresql+psycopg://slipway@/x?host=/tmp/unknown-is-here")
    with pytest.raises(Unreachable):
        ingest(replace(ready, context=replace(context, database=nowhere)), ready.request())
    url = context.database.engine.url.render_as_string(hide_password=False)
    cut = Database(url, pool=1)
    lonely = replace(ready, context=replace(context, database=cut))
    first = ingest(lonely, *captions(ready, 2))
    assert None not in first
    with cut.once() as c:
        mine = row(c, "SELECT pg_backend_pid() AS pid")
    assert mine is not None
    gone = "SELECT 1 AS gone WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid)"
    with context.database.once() as c:
        row(c, "SELECT pg_terminate_backend(:pid)", pid=mine.pid)
        until(
            lambda: row(c, gone, pid=mine.pid),
            30,
        )
    with pytest.raises(Unreachable):
        ingest(lonely, *captions(ready, 2))
    again = ingest(lonely, *captions(ready, 2))
    assert ids(again) == ids(first), "the next batch has a new connection, and finds the stored posts"
    cut.close()


def test_a_refusal_of_our_own_rules_is_never_the_groups(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in one adapter's rules fails its own request."""
    adapter = ready.context.adapters[Platform.TIKTOK]
    before = adapter.problems

    def problems(self: Any, draft: Any, account: Any) -> Any:
        if draft.caption == "number 1":
            raise ZeroDivisionError("a bug")
        return before(self, draft, account)

    monkeypatch.setattr(adapter, "problems", problems)
    found = ingest(ready, *captions(ready, 3))
    assert [type(outcome) for outcome in found] == [AcceptedPost, ZeroDivisionError, AcceptedPost]
    with pytest.raises(ZeroDivisionError):
        ready.accept(captions(ready, 2)[1])
