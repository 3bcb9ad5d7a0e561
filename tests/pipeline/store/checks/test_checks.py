from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from adapters.contract import MediaFacts, Track
from pipeline.domain.delivery import State
from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import Check
from pipeline.store.database import hash_text, new_id, row, rows
from pipeline.store.posts import pins as waiting
from pipeline.store.posts.insert_batch import NewDelivery, store_posts
from tests.pipeline.single_check import claim_check
from tests.pipeline.store.ledger import HOUR, Ledger, Post, make_post, together

FACTS = {"content_type": "video/mp4", "bytes": 9}
LEASE = timedelta(minutes=3)
GRACE = timedelta(minutes=15)


def url() -> str:
    return f"https://media.example/{new_id()}.mp4"


def opened(ledger: Ledger, workspace: UUID, where: str) -> Check:
    return ledger.do(store.open_check, workspace, "video", where)


def decide(ledger: Ledger, check: UUID, verdict: store.Verdict = "good") -> bool:
    return ledger.do(
        store.decide_check, check, verdict, facts=FACTS if verdict == "good" else None, seen="ok"
    )


# --- one check per URL -----------------------------------------------------------------------------------------------


def test_sixteen_requests_open_one_check(shared: Ledger) -> None:
    workspace = shared.workspace()
    for _ in range(5):
        where = url()
        got = together(*[partial(opened, shared, workspace, where)] * 16)
        assert len({check.id for check in got}) == 1


def test_two_requests_with_the_same_new_urls_in_url_order_both_get_them(shared: Ledger) -> None:
    workspace = shared.workspace()
    for _ in range(10):
        urls = sorted((url() for _ in range(4)), key=hash_text)

        def ask(urls: list[str] = urls) -> list[UUID]:
            return [shared.do(store.open_check, workspace, "video", u).id for u in urls]

        one, two = together(ask, ask)
        assert one == two


def test_a_check_is_of_one_workspace_and_one_purpose(shared: Ledger) -> None:
    where = url()
    one, two = shared.workspace(), shared.workspace()
    assert opened(shared, one, where).id == opened(shared, one, where).id
    assert opened(shared, one, where).id != opened(shared, two, where).id
    assert shared.do(store.open_check, one, "music", where).id != opened(shared, one, where).id


def test_one_that_nobody_answered_is_tried_later_and_says_what_was_seen(shared: Ledger) -> None:
    workspace = shared.workspace()
    where = url()
    check = opened(shared, workspace, where).id
    with shared.database.begin() as c:
        claim_check(c, check)
        store.postpone_check(c, check, HOUR, "no answer")
        assert check not in store.list_due_checks(c, 1000)
        assert store.read_checks(c, [check])[check].seen == "no answer"
        again = store.open_check(c, workspace, "video", where)
        assert (again.id, again.seen) == (check, None), "a new request has it tried again"


# --- decided once, then never changed --------------------------------------------------------------------------------


def test_of_sixteen_verdicts_the_first_counts(shared: Ledger) -> None:
    workspace = shared.workspace()
    for _ in range(5):
        check = opened(shared, workspace, url()).id
        assert sum(together(*[partial(decide, shared, check)] * 16)) == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda c, check: store.postpone_check(c, check, HOUR, "no answer"),
        store.move_to_slow_lane,
        store.requeue_check,
    ],
    ids=["postponed", "needs more time", "given back"],
)
def test_a_holder_that_is_late_changes_neither_a_decided_check_nor_another(
    shared: Ledger, end: Callable[[Connection, UUID], None]
) -> None:
    workspace = shared.workspace()
    decided, other = (opened(shared, workspace, url()).id for _ in range(2))
    decide(shared, decided)
    with shared.database.begin() as c:
        claim_check(c, other)
        sql = "SELECT * FROM checks WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id"
        before = rows(c, sql, ids=[decided, other])
        end(c, decided)
        assert rows(c, sql, ids=[decided, other]) == before


@pytest.mark.parametrize(
    "change", ["verdict = 'refused'", "facts = '{}'", "seen = 'x'", "tries = 9", "verdict = NULL"]
)
def test_a_decided_check_never_changes(shared: Ledger, change: str) -> None:
    check = opened(shared, shared.workspace(), url()).id
    assert decide(shared, check)
    with pytest.raises(DBAPIError, match="is decided and never changes"), shared.database.begin() as c:
        c.exec_driver_sql(f"UPDATE checks SET {change} WHERE id = %(id)s", {"id": check})  # noqa: S608


def test_after_a_verdict_the_next_request_opens_another_check(shared: Ledger) -> None:
    workspace, where = shared.workspace(), url()
    first = opened(shared, workspace, where)
    decide(shared, first.id, "refused")
    assert opened(shared, workspace, where).id != first.id


def test_a_good_one_is_used_again_while_it_is_fresh_and_a_bad_one_never(shared: Ledger) -> None:
    workspace, where = shared.workspace(), url()
    check = opened(shared, workspace, where).id
    minutes = timedelta(minutes=10)

    def fresh(
        within: timedelta = minutes, whose: UUID = workspace, purpose: store.Purpose = "video"
    ) -> Check | None:
        found = shared.do(store.find_good, [(whose, purpose, where)], within).values()
        return next((check for check, _ in found), None)

    assert fresh() is None, "not decided yet"
    decide(shared, check)
    found = fresh()
    assert found is not None
    assert found.media_facts == MediaFacts(content_type="video/mp4", bytes=9)
    assert fresh(within=timedelta(0)) is None
    assert fresh(whose=shared.workspace()) is None
    assert fresh(purpose="image") is None
    newer = opened(shared, workspace, where).id
    decide(shared, newer)
    again = fresh()
    assert again is not None
    assert again.id == newer
    for verdict in ("refused", "unanswered"):
        bad = url()
        decide(shared, opened(shared, workspace, bad).id, verdict)
        assert not shared.do(store.find_good, [(workspace, "video", bad)], minutes)


def test_facts_are_of_media_or_of_music() -> None:
    track = {"post_id": "1", "sound_id": "2", "title": "t", "artist": "a", "link": "l"}
    music = Check(id=new_id(), purpose="music", url="u", verdict="good", facts=track, seen="ok")
    assert music.track == Track(**track)
    assert music.media_facts is None
    media = Check(id=new_id(), purpose="video", url="u", verdict="good", facts=FACTS, seen="ok")
    assert media.track is None
    nothing = Check(id=new_id(), purpose="video", url="u", verdict=None, facts=None, seen=None)
    assert (nothing.track, nothing.media_facts) == (None, None)


# --- a check that is decided while a post is stored ------------------------------------------------------------------


def accept(ledger: Ledger, account: UUID, checks: list[UUID]) -> Post:
    """As ingest does: the open checks locked and read, then the post stored, in one transaction."""
    with ledger.database.begin() as c:
        seen = store.read_checks(c, checks, lock=True)
        good = all(seen[k].verdict == "good" for k in checks)
        at = row(c, "SELECT now() AS now, workspace_id FROM accounts WHERE id = :id", id=account)
        assert at is not None
        delivery = NewDelivery(
            id=new_id(),
            account_id=account,
            platform="tiktok",
            next_at=at.now,
            state="scheduled" if good else "accepted",
        )
        post = make_post(at.workspace_id, checks=dict(enumerate(checks)), deliveries=[delivery])
        store_posts(c, [post], timedelta(0))
    return Post(id=post.id, workspace=post.workspace_id, deliveries=[delivery.id])


def verdict(ledger: Ledger, check: UUID) -> None:
    """As reachability does: the verdict and the moves of all that wait for it, in one transaction."""
    with ledger.database.begin() as c:
        assert store.decide_check(c, check, "good", facts=FACTS, seen="ok")
        for post in waiting.list_waiting(c, check):
            assert waiting.lock_waiting_post(c, post.id) is not None
            for d in waiting.list_accepted_deliveries(c, post.id):
                if all(k.verdict == "good" for k in d.checks.values()):
                    c.exec_driver_sql(
                        "UPDATE deliveries SET state = 'scheduled' WHERE id = %(id)s", {"id": d.id}
                    )


def test_a_verdict_between_reading_and_storing_never_strands_a_post(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    for _ in range(50):
        check = opened(shared, workspace, url()).id
        post, _ = together(partial(accept, shared, account, [check]), partial(verdict, shared, check))
        assert isinstance(post, Post)
        assert shared.states(post) == [State.SCHEDULED]


@contextmanager
def impatient(ledger: Ledger) -> Iterator[Connection]:
    """A connection that gives up soon where it has to wait for another."""
    with ledger.database.engine.connect() as c:
        c.exec_driver_sql("SET lock_timeout = '100ms'")
        yield c
        c.rollback()


def test_a_post_that_pins_a_check_makes_its_verdict_wait(shared: Ledger) -> None:
    """What the lock is for, without luck: while the post is being stored, the verdict cannot land."""
    workspace = shared.workspace()
    check = opened(shared, workspace, url()).id
    with shared.database.begin() as storing:
        store.read_checks(storing, [check], lock=True)
        with impatient(shared) as deciding, pytest.raises(DBAPIError, match="lock timeout"):
            store.decide_check(deciding, check, "good", facts=FACTS, seen="ok")
        with shared.database.begin() as other:  # another post may pin it at the same time
            assert store.read_checks(other, [check], lock=True)[check].verdict is None


def test_while_nobody_answers_no_post_can_join_unseen(shared: Ledger) -> None:
    check = opened(shared, shared.workspace(), url()).id
    with shared.database.begin() as concluding:
        assert store.lock_undecided(concluding, check)
        with impatient(shared) as storing, pytest.raises(DBAPIError, match="lock timeout"):
            store.read_checks(storing, [check], lock=True)
    decide(shared, check, "unanswered")
    assert not shared.do(store.lock_undecided, check)


# --- waiting posts ---------------------------------------------------------------------------------------------------


def test_who_waits_for_a_check_and_who_has_no_patience_left(shared: Ledger) -> None:
    workspace = shared.workspace()
    account = shared.account(workspace)
    check = opened(shared, workspace, url()).id
    patient = shared.post([account], State.ACCEPTED, due=-timedelta(minutes=10), checks={0: check})
    impatient = shared.post([account], State.ACCEPTED, due=-timedelta(minutes=20), checks={0: check})
    shared.post([account], State.SCHEDULED, checks={0: check})
    with shared.database.begin() as c:
        assert [p.id for p in waiting.list_waiting(c, check)] == sorted([patient.id, impatient.id])
        assert [p.id for p in waiting.list_within_grace(c, check, GRACE)] == [patient.id]
        assert [p.id for p in waiting.list_past_grace(c, check, GRACE)] == [impatient.id]


def test_the_net_finds_posts_whose_checks_are_all_decided_behind_any_number_that_wait(ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    open_, done = ledger.check(workspace, url()), ledger.check(workspace, url())
    decide(ledger, done)
    ledger.posts(1200, [account], State.ACCEPTED, checks={0: done, 1: open_})
    stranded = ledger.post([account], State.ACCEPTED, checks={0: done})
    with ledger.database.begin() as c:
        assert waiting.list_stranded(c, 10) == [], "they are given a moment"
        c.exec_driver_sql("UPDATE deliveries SET updated_at = now() - interval '11 seconds'")
        assert [p.id for p in waiting.list_stranded(c, 10)] == [stranded.id]
