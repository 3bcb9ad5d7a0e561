"""What an entry has of its own: as it is stored, its positions, and which times a post has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.contract import Platform
from pipeline.domain.delivery import State
from pipeline.domain.own_content import OwnContent, find_base_due, find_next_due, place_media

NOON = datetime(2027, 2, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
VIDEO = {"type": "video", "url": "https://media.example/v.mp4"}
WHOLE = OwnContent(
    caption="x", media=VIDEO, options={Platform.YOUTUBE: {"title": "t"}}, scheduled_at=NOON, base=200
)


def own(at: datetime | None) -> OwnContent:
    return OwnContent(caption="x", scheduled_at=at)


def test_it_is_stored_and_read_as_it_was() -> None:
    assert OwnContent.from_dict(WHOLE.to_dict()) == WHOLE
    assert OwnContent.from_dict(None) is None
    assert WHOLE.to_body() == {
        "caption": "x",
        "media": VIDEO,
        "scheduled_at": "2027-02-01T12:00:00Z",
        "youtube": {"title": "t"},
    }
    assert [*WHOLE.fields] == ["caption", "media", "scheduled_at", "youtube"]


def test_media_of_accounts_never_share_positions_and_those_that_stay_keep_theirs() -> None:
    first = place_media(
        {"a": OwnContent(media=VIDEO), "b": OwnContent(caption="b"), "c": OwnContent(media=VIDEO)}
    )
    assert {key: one.base for key, one in first.items()} == {"a": 100, "b": 0, "c": 200}
    other = {**VIDEO, "url": "https://media.example/w.mp4"}
    second = place_media({"a": OwnContent(media=other), "c": OwnContent(media=VIDEO, caption="c")}, first)
    assert {key: one.base for key, one in second.items()} == {"a": 300, "c": 200}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(None, NOON + HOUR, State.SCHEDULED)], NOON),
        ([(own(NOON), NOON, State.SCHEDULED), (None, NOON + HOUR, State.SCHEDULED)], NOON + HOUR),
        ([(own(NOON), NOON, State.SCHEDULED), (own(None), NOON + HOUR, State.FAILED)], NOON + HOUR),
        ([(own(NOON + HOUR), NOON + HOUR, State.SCHEDULED)], NOON),
        (
            [
                (own(NOON), NOON, State.SCHEDULED),
                (None, NOON - HOUR, State.PUBLISHED),
                (None, NOON + HOUR, State.RETRYING),
            ],
            NOON + HOUR,
        ),
    ],
)
def test_the_posts_own_time_is_that_of_an_account_without_one(
    parts: list[tuple[OwnContent | None, datetime, State]], expected: datetime
) -> None:
    assert find_base_due(NOON, parts) == expected


def test_the_next_time_is_of_what_is_still_to_settle() -> None:
    both = [(NOON, State.PUBLISHED), (NOON + HOUR, State.SCHEDULED)]
    assert find_next_due(both) == NOON + HOUR
    assert find_next_due([(NOON, State.PUBLISHED), (NOON + HOUR, State.FAILED)]) == NOON
    assert find_next_due([]) is None
