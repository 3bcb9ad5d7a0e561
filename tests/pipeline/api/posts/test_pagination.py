"""Query of GET /posts, and the cursor of its pages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.posts.pagination import PostQuery, read_query, write_cursor
from pipeline.stages.post_request import Refusal

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"", PostQuery()),
        (b"status=&limit=&since=", PostQuery()),
        (b"status=draft&limit=100", PostQuery(status="draft", limit=100)),
        (b"unknown=1&limit=1&&=", PostQuery(limit=1)),
        (b"since=2026-01-01T00:00:00+02:00", PostQuery(since=datetime(2025, 12, 31, 22, tzinfo=UTC))),
        (b"since=2026-01-01T00%3A00%3A00%2B02%3A00", PostQuery(since=datetime(2025, 12, 31, 22, tzinfo=UTC))),
        (b"until=2026-01-01T00:00:00Z", PostQuery(until=datetime(2026, 1, 1, tzinfo=UTC))),
    ],
)
def test_read(raw: bytes, wanted: PostQuery) -> None:
    assert read_query(raw) == wanted


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"status=live", "status"),
        (b"status=POSTED", "status"),
        (b"limit=0", "limit"),
        (b"limit=101", "limit"),
        (b"limit=ten", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=1.0", "limit"),
        (b"limit=+5", "limit"),
        (b"limit=" + b"9" * 5000, "limit"),
        ("limit=٣".encode(), "limit"),
        (b"limit=5&limit=6", "limit"),
        (b"since=2026-01-01T00:00:00", "since"),
        (b"since=2026-01-01", "since"),
        (b"until=now", "until"),
        (b"since=2026-01-01T00:00:00%2002:00", "since"),
        (b"status=%00", "status"),
        (b"status=%ff", "status"),
        (b"status=\xff", "status"),
        (b"cursor=x", "cursor"),
        (b"cursor=%00", "cursor"),
        (b"cursor=" + b"A" * 40, "cursor"),
        ("cursor=é".encode(), "cursor"),
        (b"cursor=" + base64.urlsafe_b64encode(b"\xff" * 28), "cursor"),
    ],
)
def test_refused(raw: bytes, path: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_query(raw)
    assert (caught.value.status, caught.value.code) == (422, "invalid_payload")
    assert [issue["path"] for issue in caught.value.issues] == [path]


def test_a_cursor_comes_back_to_the_microsecond() -> None:
    position = (AT, uuid4())
    assert read_query(b"cursor=" + write_cursor(position).encode()).before == position


def test_a_changed_cursor_is_refused() -> None:
    raw = bytearray(base64.urlsafe_b64decode(write_cursor((AT, uuid4()))))
    for at in range(len(raw)):
        changed = raw.copy()
        changed[at] ^= 1
        with pytest.raises(Refusal):
            read_query(b"cursor=" + base64.urlsafe_b64encode(changed))


@given(st.binary(max_size=80))
def test_any_query_is_read_or_refused_as_422(raw: bytes) -> None:
    for query in (raw, b"cursor=" + raw, b"limit=" + raw, b"since=" + raw):
        assert outcome(query) in {200, 422}


def outcome(query: bytes) -> int:
    try:
        read_query(query)
    except Refusal as refusal:
        return refusal.status
    return 200
