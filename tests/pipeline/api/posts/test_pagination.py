"""Query of GET /posts, and the cursors of lists."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.http.cursor_seal import CursorSeal
from pipeline.api.openapi.operation import list_parameters
from pipeline.api.posts.pagination import PostQuery, parse_cursor, write_cursor
from pipeline.domain.account import Plan, Subscription, WorkspaceKind
from pipeline.domain.delivery import State
from pipeline.stages.post_request import Refusal
from pipeline.store.auth.keys import Caller
from pipeline.store.deliveries.selection import Order
from pipeline.store.posts.listing import InvalidPlace

KEYS = Fernet.generate_key().decode()
ONE = UUID("0199c0de-0000-7000-8000-000000000001")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def query(**filters: Any) -> PostQuery:
    return PostQuery.model_construct(**filters)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"", query()),
        (b"status=&limit=&since=&text=&sort=", query()),
        (b"status=draft&limit=100", query(status="draft", limit=100)),
        (b"unknown=1&limit=1&&=", query(limit=1)),
        (b"since=2026-01-01T00:00:00+02:00", query(since=datetime(2025, 12, 31, 22, tzinfo=UTC))),
        (
            b"since=2026-01-01T00%3A00%3A00%2B02%3A00",
            query(since=datetime(2025, 12, 31, 22, tzinfo=UTC)),
        ),
        (b"platform=tiktok&sort=due", query(platform="tiktok", sort=Order.DUE)),
        (f"account_id={ONE}&import_id={ONE}".encode(), query(account_id=ONE, import_id=ONE)),
        (b"state=canceled&error_class=none", query(state=State.CANCELLED, error_class="none")),
        (b"held_for=paused", query(held_for="paused")),
        (b"text=spring+sale%2B%20%25", query(text="spring sale+ %")),
        ("text=Größe".encode(), query(text="Größe")),
        (b"text=Gr%C3%B6%C3%9Fe", query(text="Größe")),
        (b"external_id=a%26b", query(external_id="a&b")),
        (b"cursor=abc", query(cursor="abc")),
    ],
)
def test_read(raw: bytes, wanted: PostQuery) -> None:
    assert PostQuery.read(raw) == wanted


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"status=live", "status"),
        (b"limit=0", "limit"),
        (b"limit=ten", "limit"),
        (b"limit=+5", "limit"),
        (b"limit=" + b"9" * 5000, "limit"),
        ("limit=٣".encode(), "limit"),
        (b"limit=5&limit=6", "limit"),
        (b"since=2026-01-01T00:00:00", "since"),
        (b"since=2026-01-01T00:00:00%2002:00", "since"),
        (b"status=%ff", "status"),
        (b"status=\xff", "status"),
        (b"platform=myspace", "platform"),
        (b"account_id=me", "account_id"),
        (b"account_id=0f4f54d48cce4fb78c7bbefbcb8af812", "account_id"),
        (b"state=cancelled", "state"),
        (b"held_for=me", "held_for"),
        (b"text=" + b"x" * 201, "text"),
        (b"text=a%00b", "text"),
        (b"sort=created_at", "sort"),
        (b"sort=due&sort=created", "sort"),
        (b"since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
        (b"due_from=2026-01-01T00:00:00Z&due_to=2026-01-01T00:00:00Z", "due_to"),
    ],
)
def test_refused(raw: bytes, path: str) -> None:
    with pytest.raises(Refusal) as caught:
        PostQuery.read(raw)
    assert (caught.value.status, caught.value.code) == (422, "invalid_payload")
    assert [issue["path"] for issue in caught.value.issues] == [path]


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        (b"status=posted&state=failed", ["status", "state"]),
        (b"state=published&held_for=rate", ["state", "held_for"]),
        (b"status=canceled&error_class=Rejected", ["status", "error_class"]),
    ],
)
def test_filters_that_contradict_each_other_are_named(raw: bytes, paths: Sequence[str]) -> None:
    with pytest.raises(Refusal) as caught:
        PostQuery.read(raw)
    assert (caught.value.status, [issue["path"] for issue in caught.value.issues]) == (422, paths)
    assert "leave one out" in caught.value.issues[0]["message"]


def test_a_since_that_is_the_until_is_one_moment() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    raw = b"since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z"
    assert PostQuery.read(raw) == query(since=at, until=at)


def test_every_parameter_that_is_read_is_documented() -> None:
    parameters = [*list_parameters(PostQuery)]
    assert {p["name"] for p in parameters} == set(PostQuery.model_fields)
    assert all(p["description"] for p in parameters)


def test_a_cursor_comes_back_to_the_microsecond() -> None:
    position = (AT, uuid4())
    assert parse_cursor(write_cursor(position)) == position


def test_a_changed_cursor_is_refused() -> None:
    raw = bytearray(base64.urlsafe_b64decode(write_cursor((AT, uuid4()))))
    for at in range(len(raw)):
        changed = raw.copy()
        changed[at] ^= 1
        with pytest.raises(ValueError, match="Not a cursor"):
            parse_cursor(base64.urlsafe_b64encode(changed).decode())


# --- sealed cursors --------------------------------------------------------------------------------------------------

PLACE = ("2026-01-02 03:04:05.678901+00:00", str(ONE))


def test_a_sealed_cursor_shows_nothing_and_is_the_same_again() -> None:
    seal = CursorSeal(KEYS)
    cursor = seal.seal(PLACE, b"a list")
    assert seal.open(cursor, b"a list") == PLACE
    assert cursor == CursorSeal(KEYS).seal(PLACE, b"a list")
    assert str(ONE).encode() not in base64.urlsafe_b64decode(cursor)


def test_a_sealed_cursor_of_another_list_or_key_is_refused() -> None:
    seal, other = CursorSeal(KEYS), Fernet.generate_key().decode()
    cursor = seal.seal(PLACE, b"a list")
    for reader, bound in ((seal, b"another list"), (CursorSeal(other), b"a list")):
        with pytest.raises(InvalidPlace):
            reader.open(cursor, bound)
    assert CursorSeal(f"{other},{KEYS}").open(cursor, b"a list") == PLACE, "the keys were rotated"


def test_a_changed_sealed_cursor_is_refused() -> None:
    seal = CursorSeal(KEYS)
    raw = bytearray(base64.urlsafe_b64decode(seal.seal(PLACE, b"a list")))
    for at in range(len(raw)):
        changed = raw.copy()
        changed[at] ^= 1
        with pytest.raises(InvalidPlace):
            seal.open(base64.urlsafe_b64encode(changed).decode(), b"a list")


@given(
    st.one_of(
        st.text(max_size=80), st.binary(max_size=80).map(lambda b: base64.urlsafe_b64encode(b).decode())
    )
)
def test_what_is_no_sealed_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlace):
        CursorSeal(KEYS).open(text, b"a list")


def test_the_filter_the_order_and_the_scope_make_the_list_and_the_limit_does_not() -> None:
    caller = make_caller()
    lists = [
        (query(), caller),
        (query(status="failed"), caller),
        (query(text="failed"), caller),
        (query(external_id="failed"), caller),
        (query(account_id=ONE), caller),
        (query(import_id=ONE), caller),
        (query(sort=Order.DUE), caller),
        (query(), replace(caller, accounts=[ONE])),
        (query(), replace(caller, workspace_id=uuid4())),
    ]
    assert len({one.describe_list(who) for one, who in lists}) == len(lists)
    assert query(limit=5, cursor="x").describe_list(caller) == query().describe_list(caller)


def make_caller() -> Caller:
    return Caller(
        key_id=uuid4(),
        actor=None,
        workspace_id=uuid4(),
        kind=WorkspaceKind.WORKSPACE,
        owner_user_id=None,
        plan=Plan.BUSINESS,
        subscription=Subscription.ACTIVE,
        time_zone="UTC",
    )


@given(st.binary(max_size=80))
def test_any_query_is_read_or_refused_as_422(raw: bytes) -> None:
    for one in (raw, *(name.encode() + b"=" + raw for name in PostQuery.model_fields)):
        assert outcome(one) in {200, 422}


def outcome(raw: bytes) -> int:
    try:
        PostQuery.read(raw)
    except Refusal as refusal:
        return refusal.status
    return 200
