"""Neighbours: another post of an account within its least gap, or with its caption or media within a day, is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.domain.neighbours import MOST
from pipeline.domain.own_content import OwnContent
from pipeline.stages.ingest import BatchIngest, ingest_bulk
from pipeline.stages.new_post import Submission
from pipeline.stages.post_request import AcceptanceWarning, AcceptedPost, PostRequest
from tests.pipeline.core_fixture import VIDEO, CoreFixture
from tests.pipeline.store.ledger import HOUR

OTHER = {"type": "video", "url": "https://media.example/other.mp4"}
CLOSE, CAPTION, MEDIA = "POSTS_TOO_CLOSE", "SAME_CAPTION", "SAME_MEDIA"
DAY = 24 * HOUR
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
CASES: dict[str, tuple[timedelta, dict[str, Any], str, list[str]]] = {
    "the gap is kept": (HOUR, {"caption": "b", "media": OTHER}, "", []),
    "the gap is not kept": (HOUR - SECOND, {"caption": "b", "media": OTHER}, "", [CLOSE]),
    "nor before it": (SECOND - HOUR, {"caption": "b", "media": OTHER}, "", [CLOSE]),
    "a gap of its own": (
        3 * HOUR,
        {"caption": "b", "media": OTHER},
        """UPDATE accounts SET posting_times = '{"least_gap_minutes": 181}' WHERE id = :one""",
        [CLOSE],
    ),
    "a gap of days": (
        3 * DAY,
        {},
        """UPDATE accounts SET posting_times = '{"least_gap_minutes": 10080}' WHERE id = :one""",
        [CLOSE],
    ),
    "no gap, and the same time": (
        0 * HOUR,
        {"caption": "b", "media": OTHER},
        """UPDATE accounts SET posting_times = '{"least_gap_minutes": 0}' WHERE id = :one""",
        [CLOSE],
    ),
    "the caption within a day": (DAY - SECOND, {"media": OTHER}, "", [CAPTION]),
    "the media within a day": (SECOND - DAY, {"caption": "b"}, "", [MEDIA]),
    "both a day later": (DAY, {}, "", []),
    "all at once": (HOUR - SECOND, {}, "", [CLOSE, CAPTION, MEDIA]),
    "no caption": (
        2 * HOUR,
        {"caption": "", "media": OTHER},
        "UPDATE deliveries SET caption_digest = NULL",
        [],
    ),
    "published": (
        2 * HOUR,
        {},
        "UPDATE deliveries SET state = 'published', published_at = now() WHERE account_id = :one",
        [CAPTION, MEDIA],
    ),
    "canceled": (2 * HOUR, {}, "UPDATE deliveries SET state = 'cancelled' WHERE account_id = :one", []),
    "failed": (2 * HOUR, {}, "UPDATE deliveries SET state = 'failed' WHERE account_id = :one", []),
    "a draft": (2 * HOUR, {"draft": True, "scheduled_at": None}, "", []),
}


@pytest.fixture
def core(ready: CoreFixture) -> CoreFixture:
    ready.decided(OTHER["url"])
    return ready


def codes(warnings: Sequence[AcceptanceWarning]) -> list[str]:
    return [w.code for w in warnings]


def requests(core: CoreFixture, apart: timedelta, more: dict[str, Any]) -> list[PostRequest]:
    """Return a request, and another one for *apart* later."""
    due = core.now() + 10 * DAY
    return [core.request(scheduled_at=due), core.request(**{"scheduled_at": due + apart, **more})]


@pytest.mark.parametrize("case", CASES)
def test_neighbours_that_are_stored_are_told(core: CoreFixture, case: str) -> None:
    apart, more, change, expected = CASES[case]
    first, second = requests(core, apart, more)
    other = core.accept(first)
    assert other.warnings == []
    if change:
        core.run(change, one=core.accounts["one"]) if ":one" in change else core.run(change)
    found = core.accept(second)
    assert codes(found.warnings) == expected
    assert all(f"post {other.id}" in w.message and "tiktok account" in w.message for w in found.warnings)
    again = core.accept(second)
    assert (again.duplicate, codes(again.warnings)) == (True, expected), "a repeat is told the same"


@pytest.mark.parametrize("case", [name for name, (*_, change, _) in CASES.items() if not change])
def test_neighbours_of_one_batch_are_told_to_the_later(core: CoreFixture, case: str) -> None:
    apart, more, _, expected = CASES[case]
    batch = [Submission(caller=core.caller, request=one) for one in requests(core, apart, more)]
    first, second = ingest_bulk(core.context, batch)
    assert isinstance(first, AcceptedPost)
    assert isinstance(second, AcceptedPost)
    assert (codes(first.warnings), codes(second.warnings)) == ([], expected)
    assert all(f"post {first.id}" in w.message for w in second.warnings)


def test_requests_together_are_told_of_each_other_unless_one_was_not_stored(core: CoreFixture) -> None:
    stored, later = requests(core, 2 * HOUR, {})
    core.accept(replace(stored, external_id="a"))
    core.run("UPDATE deliveries SET state = 'cancelled' WHERE account_id = :one", one=core.accounts["one"])
    batch = [Submission(caller=core.caller, request=one) for one in (replace(stored, external_id="a"), later)]
    repeat, found = BatchIngest(core.context).ingest(batch)
    assert isinstance(repeat, AcceptedPost)
    assert isinstance(found, AcceptedPost)
    assert (repeat.duplicate, found.warnings) == (True, [])


def test_an_account_is_compared_by_what_it_publishes(core: CoreFixture) -> None:
    one, two = core.accounts["one"], core.account("two", Platform.FACEBOOK)
    due = core.now() + 10 * DAY
    own = {two: OwnContent(caption="of two", media=OTHER, base=100)}
    core.accept(scheduled_at=due, account_ids=[one, two], own=own)
    found = core.accept(scheduled_at=due + 2 * HOUR, account_ids=[two], caption="of two", media=OTHER)
    assert codes(found.warnings) == [CAPTION, MEDIA]
    third = core.accept(scheduled_at=due + 4 * HOUR, account_ids=[one, two], own=own, caption="c")
    assert [(w.code, w.field) for w in third.warnings] == [
        (MEDIA, "media"),
        (CAPTION, f"accounts[{two}].caption"),
        (MEDIA, f"accounts[{two}].media"),
    ]


def test_the_nearest_is_named_and_no_more_than_some_are_read(core: CoreFixture) -> None:
    due = core.now() + 10 * DAY
    core.accept(scheduled_at=due - 3 * HOUR, caption="far")
    near = core.accept(scheduled_at=due + 2 * HOUR)
    [caption, media] = core.accept(scheduled_at=due).warnings
    assert [str(near.id) in w.message for w in (caption, media)] == [True, True]
    asked = core.request(scheduled_at=due - 90 * MINUTE, caption="far", media=OTHER)
    seen = core.accept(asked)
    assert codes(seen.warnings) == [CAPTION]
    core.run("UPDATE deliveries SET state = 'cancelled' WHERE post_id = :id", id=seen.id)
    for n in range(MOST):
        core.accept(scheduled_at=due - 2 * HOUR + n * SECOND, caption=f"b {n}", media=OTHER)
    found = codes(core.accept(replace(asked, external_id="again")).warnings)
    assert [code for code in found if code in (CLOSE, CAPTION, MEDIA)] == [CLOSE, MEDIA]


def test_a_restricted_key_is_not_told_which_post_it_is(core: CoreFixture) -> None:
    first, second = requests(core, HOUR - SECOND, {"media": OTHER})
    other = core.accept(first)
    bound = replace(core.caller, accounts=[core.accounts["one"]])
    for _ in range(2):
        [found] = ingest_bulk(core.context, [Submission(caller=bound, request=second)])
        assert isinstance(found, AcceptedPost)
        assert codes(found.warnings) == [CLOSE, CAPTION]
        assert all("another post" in w.message and str(other.id) not in w.message for w in found.warnings)


def read_digests(core: CoreFixture, post: UUID) -> list[tuple[int | None, int | None]]:
    return [(d.caption_digest, d.media_digest) for d in core.deliveries(post)]


def test_empty_content_has_no_digest_and_equal_content_one(core: CoreFixture) -> None:
    first = core.accept(caption="", media={"type": "video", "url": VIDEO})
    second = core.accept(caption="b", media={"type": "video", "url": VIDEO, "width": 1080})
    [(empty, shown)], [(caption, same)] = read_digests(core, first.id), read_digests(core, second.id)
    assert (empty, shown) == (None, same)
    assert None not in (caption, same)
