"""What a listing proves about a delivery that a restore left in doubt, and the sentence a person reads about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.contract import CannotTell, Published
from adapters.listing import Asked, ListedPost, Listing, compare_lengths, read_pages
from pipeline.domain.delivery_error import make_restored
from pipeline.domain.restore import evaluate_listing, split_candidates
from pipeline.store.deliveries.error_fields import error_to_dict
from tests.adapters.conformance.post_cases import make_facts

SINCE = datetime(2027, 2, 1, 3, tzinfo=UTC)
DUE = SINCE + timedelta(hours=2, milliseconds=700)
UNTIL = DUE + timedelta(hours=1)
SAME = ListedPost(
    remote_id="1",
    url="https://i.example/1",
    created_at=DUE,
    same_caption=True,
    same_kind=True,
    same_media=True,
)
NONE = "It lists none that could be this one, which proves nothing"
ASKED = "Instagram was asked for the account's posts since 2027-02-01 03:00:00 UTC"


def judge(*posts: ListedPost, is_twin: bool = False, **more: Any) -> Published | CannotTell:
    listing = Listing(posts=posts, **more)
    return evaluate_listing(
        listing, "Instagram", since=SINCE, due=DUE, until=UNTIL, taken={"taken"}, is_twin=is_twin
    )


def made(seconds: float, name: str = "1", **more: Any) -> ListedPost:
    return replace(SAME, remote_id=name, created_at=DUE + timedelta(seconds=seconds), **more)


@pytest.mark.parametrize("second", [-5.7, 0, 3605])
def test_made_between_the_due_time_and_the_restore_by_the_platforms_clock_it_is_published(
    second: float,
) -> None:
    assert judge(made(second)) == Published(remote_id="1", url="https://i.example/1")


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (judge(), f"{ASKED}. It lists none that could be this one, which proves nothing."),
        (judge(made(0, "taken")), f"{ASKED}. It lists none that could be this one, which proves nothing."),
        (
            judge(made(0, is_marked=False)),
            f"{ASKED}. It lists none that could be this one, which proves nothing.",
        ),
        *(
            (judge(one), f"{ASKED}. {NONE}; 1 more differs in text, kind, media or time.")
            for one in (made(-5.8), made(0, same_kind=False), made(0, same_media=False))
        ),
        (
            judge(replace(SAME, created_at=None)),
            f"{ASKED}. It lists 1 that could be this one; nothing proves it.",
        ),
        (
            judge(made(3606), made(0, "2", same_caption=False)),
            f"{ASKED}. {NONE}; 2 more differ in text, kind, media or time.",
        ),
        (
            judge(made(0, same_media=None), made(0, "2", same_caption=False)),
            f"{ASKED}. It lists 1 that could be this one; nothing proves it; "
            "1 more differs in text, kind, media or time.",
        ),
        (judge(made(0), made(9, "2")), f"{ASKED}. It lists 2 that could be this one; nothing proves it."),
        (
            judge(*(made(n, str(n)) for n in range(12))),
            f"{ASKED}. It lists 12 that could be this one; nothing proves it.",
        ),
        (
            judge(made(0), asked=Asked.PART, reason="there are more"),
            f"{ASKED}, but not to the end (there are more). It lists 1 that could be this one; nothing proves it.",
        ),
        (
            judge(made(0), is_twin=True),
            f"{ASKED}. It lists 1 that could be this one; nothing proves it. "
            "Another post with this text may have gone out on this account too.",
        ),
        (
            judge(made(0, is_marked=True), made(1, "2", is_marked=True)),
            f"{ASKED}. It lists 2 that could be this one; nothing proves it.",
        ),
        (judge(asked=Asked.NEVER, reason="it has no list"), "Instagram cannot be asked: it has no list."),
        (judge(asked=Asked.NOT, reason="not permitted"), "Instagram was not asked: not permitted."),
    ],
)
def test_the_sentence_says_whether_it_was_asked_and_what_it_lists(
    result: Published | CannotTell, sentence: str
) -> None:
    assert isinstance(result, CannotTell)
    assert result.reason == sentence


def test_all_candidates_are_shown_in_the_order_of_how_well_they_match() -> None:
    posts = [
        made(-9, "early"),
        made(0, "another text", same_caption=False),
        made(0, "nothing agrees", same_caption=False, same_kind=False, same_media=False),
        made(60, "a minute later", same_media=None),
        made(1, "a second later", same_media=None),
        replace(SAME, remote_id="no time", same_media=None, created_at=None),
        made(0, "text not shown", same_caption=None),
        made(0, "marked", same_caption=False, is_marked=True),
        made(0, "marked too", same_caption=False, is_marked=True),
        *(made(n, f"another {n}", same_caption=False, same_media=False) for n in range(30)),
    ]
    for some in (posts, posts[::-1]):
        result = judge(*some)
        assert isinstance(result, CannotTell)
        assert len(result.candidates) == len(posts), "none is hidden"
        stored = error_to_dict(make_restored(result.reason, result.candidates))
        likely, unlikely = ([one["remote_id"] for one in part] for part in split_candidates(stored))
        assert sorted(likely[:2]) == ["marked", "marked too"]
        assert likely[2:] == ["a second later", "a minute later", "no time", "text not shown"]
        assert unlikely[:2] == ["early", "another text"]
        assert unlikely[-1] == "nothing agrees"
        assert [one["remote_id"] for one in (stored or {})["candidates"]] == likely + unlikely


def test_candidates_that_an_earlier_version_stored_are_shown() -> None:
    old = {"remote_id": "1", "same_caption": True}
    assert split_candidates({"candidates": [old]}) == ([old], [])
    assert split_candidates(None) == split_candidates({}) == ([], [])


def test_pages_are_read_until_the_first_that_ends_before_the_time() -> None:
    pages = {None: ([9, 8], "b"), "b": ([7, 3], "c"), "c": ([2], None)}
    read: list[str | None] = []

    def read_page(cursor: str | None) -> tuple[list[int], str | None]:
        read.append(cursor)
        return pages[cursor]

    def get_time(second: int) -> datetime:
        return SINCE + timedelta(seconds=second)

    found, listing = read_pages(read_page, get_time, get_time(5))
    assert (found, listing.asked, read) == ([9, 8, 7], Asked.ALL, [None, "b"])
    found, listing = read_pages(lambda _: ([9], "more"), get_time, SINCE)
    assert (len(found), listing.asked) == (5, Asked.PART)


@pytest.mark.parametrize(("seconds", "same"), [(5, True), (6.0, True), (6.1, False), (None, None), (0, None)])
def test_a_length_agrees_to_the_second_and_one_that_is_not_shown_does_not(
    seconds: float | None, *, same: bool | None
) -> None:
    assert compare_lengths(seconds, make_facts("sample.mp4", 1)) is same
    assert compare_lengths(5, None) is None
