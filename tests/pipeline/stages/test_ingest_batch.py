"""Ingest of several posts at once, requests together or a batch of one client.

One transaction, an outcome for each, and no post fails because of another, nor is made twice under any order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.broker.queues import DELAY, REACHABILITY_BULK
from pipeline.domain.account import AccountStatus
from pipeline.runtime.context import Context
from pipeline.stages import new_post
from pipeline.stages.ingest import BatchIngest, BatchRefused, Result, finish, ingest_bulk
from pipeline.stages.new_post import AccountCache, CheckCache, PostPlan, Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.stages.reachability import _decide_check
from pipeline.store.accounts.grants import deactivate
from pipeline.store.checks import checks
from pipeline.store.checks.checks import Link
from pipeline.store.database import Database, Unreachable, new_id, row, rows
from pipeline.store.posts import insert_batch as group
from tests.pipeline.core_fixture import GOOD_VIDEO, MUSIC, CoreFixture
from tests.pipeline.store.ledger import HOUR, together
from tests.stack import until

NEW = {"type": "video", "url": "https://media.example/never-seen.mp4"}


def ingest(core: CoreFixture, *requests: PostRequest) -> list[Any]:
    batch = [Submission(caller=core.caller, request=request) for request in requests]
    return list(BatchIngest(core.context).ingest(batch))


def bulk(core: CoreFixture, *requests: PostRequest, atomic: bool = False) -> Sequence[Any]:
    batch = [Submission(caller=core.caller, request=request) for request in requests]
    return ingest_bulk(core.context, batch, atomic=atomic)


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
    assert replace(found[1], warnings=first.warnings) == replace(first, duplicate=True)


def test_one_ring_for_all_that_are_due_at_once(ready: CoreFixture) -> None:
    before = ready.messages(DELAY)
    ingest(ready, *captions(ready, 5))
    assert ready.messages(DELAY) == before + 1
    ingest(ready, *captions(ready, 5, scheduled_at=ready.now() + HOUR))
    assert ready.messages(DELAY) == before + 1


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


def test_a_check_is_asked_for_once_until_it_is_too_old(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()
    find = checks.find_good

    def counted(c: Connection, links: Sequence[Link], within: timedelta, own: str) -> Any:
        asked.append(len(links))
        return find(c, links, within, own)

    monkeypatch.setattr(new_post, "find_good", counted)
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
        known = AccountCache()
        assert known.find(c, [one])[1] == {one: found[one]}
    assert read == [{one, two}, {two}, {one}]


def test_more_accounts_than_are_remembered_are_all_found(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_post, "CAPACITY", 2)
    mine = [ready.accounts["one"], *(ready.account(f"more {n}") for n in range(4))]
    known = AccountCache()
    with ready.context.database.once() as c:
        for ids in (mine[:2], mine[1:3], mine, mine[:1]):
            assert known.find(c, ids)[1].keys() == set(ids)


# --- two processes, and trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ways",
    [(ingest, ingest), (bulk, partial(bulk, atomic=True))],
    ids=["requests together", "batches of one client"],
)
def test_batches_with_the_same_requests_at_once_make_each_post_once(
    ready: CoreFixture, ways: tuple[Callable[..., Any], Callable[..., Any]]
) -> None:
    """In opposite order: they would deadlock if checks and tokens were not taken in an order of their own."""
    one_way, other_way = ways
    for n in range(10):
        media = [new_media(100 * n + k) if one_way is bulk else None for k in range(12)]
        asked = [
            ready.request(caption=f"{n} {k}", external_id=f"{n} {k}", **({"media": m} if m else {}))
            for k, m in enumerate(media)
        ]
        there, back = together(partial(one_way, ready, *asked), partial(other_way, ready, *asked[::-1]))
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


@pytest.mark.parametrize(
    "way", [ingest, bulk, partial(bulk, atomic=True)], ids=["requests", "bulk", "atomic"]
)
def test_a_statement_that_is_given_up_is_no_outage(ready: CoreFixture, way: Callable[..., Any]) -> None:
    """Another transaction holds a token of the batch, and the batch's statement is cancelled.

    Requests are then taken one by one, a batch of one client is tried again: the token is freed by then.
    """
    asked, found = captions(ready, 3), list[list[Any]]()
    held = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%WITH taken%'"
    with ready.context.database.begin() as holder:
        holder.exec_driver_sql(
            "INSERT INTO replays (workspace_id, token, fingerprint, post_id) VALUES (%s, %s, %s, %s)",
            (ready.workspace, f"body:{asked[1].fingerprint.hex()}", asked[1].fingerprint, new_id()),
        )
        batch = Thread(target=lambda: found.append(list(way(ready, *asked))))
        batch.start()
        with ready.context.database.once() as c:
            waiting = until(lambda: row(c, held), 30)
            row(c, "SELECT pg_cancel_backend(:pid)", pid=waiting.pid)
        if way is ingest:
            batch.join(120)
        holder.rollback()
    batch.join(120)
    if way is ingest:
        assert (found, ready.posts()) == ([[None, None, None]], [])
    else:
        assert kinds(found[0]) == ["AcceptedPost"] * 3


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


# --- a batch of one client -------------------------------------------------------------------------------------------


def new_media(n: int) -> dict[str, Any]:
    return {
        "type": "slideshow",
        "urls": [f"https://media.example/new-{n}.jpg", "https://media.example/new.jpg"],
    }


def kinds(results: Sequence[Result]) -> list[str]:
    return [r.code if isinstance(r, Refusal) else type(r).__name__ for r in results]


def test_unknown_media_wait_for_checks_that_are_dispatched_as_bulk_work(ready: CoreFixture) -> None:
    before = ready.messages(REACHABILITY_BULK)
    found = bulk(
        ready, *(ready.request(caption=f"{n}", media=new_media(n)) for n in range(4)), ready.request()
    )
    states = [ready.deliveries(post.id)[0].state for post in found]
    assert states == ["accepted"] * 4 + ["scheduled"]
    assert ready.messages(REACHABILITY_BULK) == before + 5, "one of each URL"


def test_the_earliest_post_gives_its_check_the_due_time(ready: CoreFixture) -> None:
    late, early = ready.now() + 9 * HOUR, ready.now() + 2 * HOUR
    bulk(
        ready, *(ready.request(caption=str(at), media=new_media(1), scheduled_at=at) for at in (late, early))
    )
    [check] = ready.check_ids("https://media.example/new.jpg")
    with ready.context.database.begin() as c:
        found = row(c, "SELECT due_at FROM checks WHERE id = :id", id=check)
    assert found is not None
    assert found.due_at == early


def test_a_music_link_is_checked_too(ready: CoreFixture) -> None:
    [post] = bulk(ready, ready.request(music_url=MUSIC))
    assert ready.deliveries(post.id)[0].state == "accepted"
    assert len(ready.check_ids(MUSIC)) == 1


def test_a_repeat_opens_no_check(ready: CoreFixture) -> None:
    request = ready.request(media=new_media(1))
    [first] = bulk(ready, request)
    for url in new_media(1)["urls"]:
        [known] = ready.check_ids(url)
        with ready.context.database.begin() as c:
            checks.decide_check(c, known, "refused", facts=None, seen="404")
    [again] = bulk(ready, request)
    assert (again.id, again.duplicate) == (first.id, True)
    assert len(ready.check_ids("https://media.example/new.jpg")) == 1


def test_a_verdict_beside_the_batch_is_never_missed(ready: CoreFixture) -> None:
    """The verdict comes while the posts are stored: it moves them, or they were stored by it."""

    def decide(url: str) -> None:
        with ready.context.database.begin() as c:
            found = row(c, "SELECT id FROM checks WHERE url = :u AND verdict IS NULL", u=url)
            if found is not None:
                check = checks.read_checks(c, [found.id])[found.id]
                _decide_check(ready.context, c, check, "good", GOOD_VIDEO, "ok")

    for n in range(10):
        url = f"https://media.example/raced-{n}.mp4"
        one, other = (
            ready.request(caption=f"{n} {k}", media={"type": "video", "url": url}) for k in range(2)
        )
        [first] = bulk(ready, one)
        found: list[Any] = together(partial(bulk, ready, other), partial(decide, url))
        decide(url)
        for post in (first, *found[0]):
            assert ready.deliveries(post.id)[0].state == "scheduled"


def test_a_batch_that_the_database_refuses_is_taken_post_by_post(ready: CoreFixture) -> None:
    poison = ready.request(caption="no \0 text holds this")
    good = [ready.request(caption=f"number {n}") for n in range(3)]
    found = bulk(ready, *good[:2], poison, good[2])
    assert [isinstance(result, AcceptedPost) for result in found] == [True, True, False, True]
    assert "NUL" in str(found[2])
    before = ready.posts()
    with pytest.raises(Exception, match="NUL"):
        bulk(ready, ready.request(caption="beside it"), poison, atomic=True)
    assert ready.posts() == before


def test_an_atomic_batch_names_all_that_is_refused(ready: CoreFixture) -> None:
    unread = Refusal(422, "invalid_payload", "caption: It is required.")
    good = Submission(caller=ready.caller, request=ready.request())
    past = Submission(
        caller=ready.caller, request=ready.request(caption="x", scheduled_at=ready.now() - HOUR)
    )
    with pytest.raises(BatchRefused) as caught:
        ingest_bulk(ready.context, [unread, good, past], atomic=True)
    assert {n: getattr(error, "code", None) for n, error in caught.value.failures.items()} == {
        0: "invalid_payload",
        2: "validation_failed",
    }
    assert ready.posts() == []
    assert kinds(ingest_bulk(ready.context, [unread, good, past])) == [
        "invalid_payload",
        "AcceptedPost",
        "validation_failed",
    ]
