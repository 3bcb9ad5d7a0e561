"""Ingest of a batch of one client: one transaction, no waiting for checks, and no double post under any order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from threading import Thread
from typing import Any

import pytest

from pipeline.broker.queues import REACHABILITY_BULK
from pipeline.stages.ingest import BatchRefused, Result, ingest_bulk
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.stages.reachability import _decide_check
from pipeline.store.checks import checks
from pipeline.store.database import new_id, row
from tests.pipeline.core_fixture import GOOD_VIDEO, MUSIC, CoreFixture
from tests.pipeline.store.ledger import HOUR, together
from tests.stack import until


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """An account, and media with a fresh good check."""
    core.account("one")
    core.decided()
    return core


def ingest(core: CoreFixture, *requests: PostRequest, atomic: bool = False) -> Sequence[Any]:
    batch = [Submission(caller=core.caller, request=request) for request in requests]
    return ingest_bulk(core.context, batch, atomic=atomic)


def new_media(n: int) -> dict[str, Any]:
    return {
        "type": "slideshow",
        "urls": [f"https://media.example/new-{n}.jpg", "https://media.example/new.jpg"],
    }


def kinds(results: Sequence[Result]) -> list[str]:
    return [r.code if isinstance(r, Refusal) else type(r).__name__ for r in results]


def test_unknown_media_wait_for_checks_that_are_dispatched_as_bulk_work(ready: CoreFixture) -> None:
    before = ready.messages(REACHABILITY_BULK)
    found = ingest(
        ready, *(ready.request(caption=f"{n}", media=new_media(n)) for n in range(4)), ready.request()
    )
    states = [ready.deliveries(post.id)[0].state for post in found]
    assert states == ["accepted"] * 4 + ["scheduled"]
    assert ready.messages(REACHABILITY_BULK) == before + 5, "one of each URL"


def test_the_earliest_post_gives_its_check_the_due_time(ready: CoreFixture) -> None:
    late, early = ready.now() + 9 * HOUR, ready.now() + 2 * HOUR
    ingest(
        ready, *(ready.request(caption=str(at), media=new_media(1), scheduled_at=at) for at in (late, early))
    )
    [check] = ready.check_ids("https://media.example/new.jpg")
    with ready.context.database.begin() as c:
        found = row(c, "SELECT due_at FROM checks WHERE id = :id", id=check)
    assert found is not None
    assert found.due_at == early


def test_a_music_link_is_checked_too(ready: CoreFixture) -> None:
    [post] = ingest(ready, ready.request(music_url=MUSIC))
    assert ready.deliveries(post.id)[0].state == "accepted"
    assert len(ready.check_ids(MUSIC)) == 1


def test_a_repeat_opens_no_check(ready: CoreFixture) -> None:
    request = ready.request(media=new_media(1))
    [first] = ingest(ready, request)
    for url in new_media(1)["urls"]:
        [known] = ready.check_ids(url)
        with ready.context.database.begin() as c:
            checks.decide_check(c, known, "refused", facts=None, seen="404")
    [again] = ingest(ready, request)
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
        [first] = ingest(ready, one)
        found: list[Any] = together(partial(ingest, ready, other), partial(decide, url))
        decide(url)
        for post in (first, *found[0]):
            assert ready.deliveries(post.id)[0].state == "scheduled"


def test_batches_with_the_same_requests_at_once_make_each_post_once(ready: CoreFixture) -> None:
    """In opposite order: the batches would deadlock if checks and tokens were not taken in an order of their own."""
    for n in range(10):
        asked = [
            ready.request(caption=f"{n} {k}", external_id=f"{n} {k}", media=new_media(100 * n + k))
            for k in range(12)
        ]
        there, back = together(
            partial(ingest, ready, *asked), partial(ingest, ready, *asked[::-1], atomic=True)
        )
        for one, other in zip(there, back[::-1], strict=True):
            assert one.id == other.id
            assert sorted((one.duplicate, other.duplicate)) == [False, True]


def test_a_batch_that_the_database_refuses_is_taken_post_by_post(ready: CoreFixture) -> None:
    poison = ready.request(caption="no \0 text holds this")
    good = [ready.request(caption=f"number {n}") for n in range(3)]
    found = ingest(ready, *good[:2], poison, good[2])
    assert [isinstance(result, AcceptedPost) for result in found] == [True, True, False, True]
    assert "NUL" in str(found[2])
    before = ready.posts()
    with pytest.raises(Exception, match="NUL"):
        ingest(ready, ready.request(caption="beside it"), poison, atomic=True)
    assert ready.posts() == before


def test_a_batch_whose_statement_is_given_up_is_tried_again(ready: CoreFixture) -> None:
    """Another transaction holds a token of the batch; the batch's statement is cancelled, and the token is freed."""
    held = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%WITH taken%'"
    for atomic in (False, True):
        asked, found = [ready.request(caption=f"{atomic} {n}") for n in range(3)], list[Any]()
        with ready.context.database.begin() as holder:
            holder.exec_driver_sql(
                "INSERT INTO replays (workspace_id, token, fingerprint, post_id) VALUES (%s, %s, %s, %s)",
                (ready.workspace, f"body:{asked[1].fingerprint.hex()}", asked[1].fingerprint, new_id()),
            )
            batch = Thread(
                target=lambda a, f, x: f.extend(ingest(ready, *a, atomic=x)), args=(asked, found, atomic)
            )
            batch.start()
            with ready.context.database.once() as c:
                waiting = until(lambda: row(c, held), 30)
                row(c, "SELECT pg_cancel_backend(:pid)", pid=waiting.pid)
            holder.rollback()
        batch.join(120)
        assert kinds(found) == ["AcceptedPost"] * 3


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
