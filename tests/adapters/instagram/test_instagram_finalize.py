"""``media_publish``: one changing request, and what each response to it proves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.contract import Pending
from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.graph_errors import BASE_TABLE
from adapters.http import HttpClient
from adapters.instagram import Instagram
from adapters.instagram.errors import TABLE
from tests.adapters.instagram.drafts import (
    CONTAINER,
    IG,
    MEDIA_ID,
    NOT_READY,
    PUBLISHED,
    account,
    build_settings,
    photo_post,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer, closed_port

READY = {"quota_read": True, "container": CONTAINER}


def test_the_visible_call_is_one_request_and_hands_back_the_media_id(
    server: ScriptedServer, instagram: Instagram, client: HttpClient
) -> None:
    server.enqueue(PUBLISHED)
    result = instagram.finalize(photo_post(), account(), READY)
    assert result == Pending(checkpoint={**READY, "media_id": MEDIA_ID}, wait=timedelta(0))
    assert server.calls == [f"POST /graph/v25.0/{IG}/media_publish"]
    assert server.requests[0].json() == {"creation_id": CONTAINER}
    assert [visible for _, _, visible in client.calls] == [True]


def test_facebook_login_publishes_on_its_own_host(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(PUBLISHED)
    instagram.finalize(photo_post(), account("facebook_login"), READY)
    assert server.calls == [f"POST /facebook_graph/v25.0/{IG}/media_publish"]


def test_what_is_live_already_is_never_sent_again(server: ScriptedServer, instagram: Instagram) -> None:
    live = {**READY, "media_id": MEDIA_ID}
    assert instagram.finalize(photo_post(), account(), live) == Pending(checkpoint=live)
    assert server.requests == []


def test_without_a_container_nothing_is_sent(server: ScriptedServer, instagram: Instagram) -> None:
    with pytest.raises(Unavailable):
        instagram.finalize(photo_post(), account(), {"quota_read": True})
    assert server.requests == []


REFUSALS: list[tuple[int, int | None, type[AdapterError]]] = [
    (1, 2207057, Rejected),
    (9, 2207042, RateLimited),
    (25, 2207050, Rejected),
    (100, 2207023, Rejected),
    (100, 2207028, Rejected),
    (100, 2207035, Rejected),
    (100, 2207036, Rejected),
    (100, 2207037, Rejected),
    (100, 2207040, Rejected),
    (352, 2207026, Rejected),
    (9007, 2207027, Unavailable),
    (36000, 2207004, Rejected),
    (36001, 2207005, Rejected),
    (36003, 2207009, Rejected),
    (36004, 2207010, Rejected),
    (190, None, CredentialsRevoked),
    (190, 463, CredentialsExpired),
    (190, 467, CredentialsExpired),
    (190, 999, CredentialsExpired),
    (190, 458, CredentialsRevoked),
    (190, 460, CredentialsRevoked),
    (190, 492, CredentialsRevoked),
    (102, None, CredentialsExpired),
    (2635, None, AppRefused),
    (2500, None, AppRefused),
    (3, None, PermissionMissing),
    (10, None, PermissionMissing),
    (200, None, PermissionMissing),
    (299, 77, PermissionMissing),
    *[(code, None, RateLimited) for code in (4, 17, 32, 341, 613, 80002)],
]

UNCLEAR: list[tuple[int, int | None]] = [
    (-1, None),
    (-1, 2207001),
    (-1, 2207032),
    (-1, 2207053),
    (-2, 2207003),
    (-2, 2207020),
    (4, 2207051),
    (352, 2207081),
    (368, None),
    (368, 1390008),
    (24, 2207006),
    (24, 2207008),
    (9004, 2207052),
    (1, None),
    (2, None),
    (100, None),
    (100, 33),
    (4, 12345),
    (9007, None),
    (9007, 2207028),
    (36003, None),
    (31337, None),
    (31337, 2207009),
]


@pytest.mark.parametrize(("code", "subcode", "expected"), REFUSALS)
def test_a_listed_refusal_was_given_before_acting(
    server: ScriptedServer,
    instagram: Instagram,
    code: int,
    subcode: int | None,
    expected: type[AdapterError],
) -> None:
    server.enqueue(Reply(status=400, body=build_error(code, subcode)))
    with pytest.raises(expected) as caught:
        instagram.finalize(photo_post(), account(), READY)
    assert type(caught.value) is expected
    assert caught.value.platform_code == (f"{code}/{subcode}" if subcode else str(code))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("code", "subcode"), UNCLEAR)
def test_everything_else_leaves_the_outcome_unknown(
    server: ScriptedServer, instagram: Instagram, code: int, subcode: int | None
) -> None:
    server.enqueue(Reply(status=400, body=build_error(code, subcode)))
    with pytest.raises(OutcomeUnknown):
        instagram.finalize(photo_post(), account(), READY)
    assert len(server.requests) == 1


def test_every_row_of_the_table_is_tried_above() -> None:
    tried = {(code, subcode) for code, subcode, _ in REFUSALS} | set(UNCLEAR)
    session = {(code, sub) for code in (102, 190) for sub in (458, 459, 460, 464, 492)}
    shared = {pair for pair in BASE_TABLE if pair[0] in {*range(200, 300), *range(80001, 80015)}}
    rows = {(code, subcode or None) for code, subcode in TABLE if not isinstance(subcode, str)}
    # of 2207081 no page names the code: it is tried with another's
    assert rows - session - shared - {(-2, None), (None, 2207081)} <= tried


@pytest.mark.parametrize("row", [row for row in TABLE.values() if not row.before_acting])
def test_no_row_that_proves_nothing_is_a_wait_or_a_reconnect(row: object) -> None:
    kind = getattr(row, "error", AdapterError)
    assert issubclass(kind, (Unavailable, Rejected))


@pytest.mark.parametrize(
    "answer",
    [
        Reply(drop=True),
        Reply(status=500, body=build_error(2, transient=True)),
        Reply(status=500, body=build_error(190, 463)),
        Reply(status=503, body=build_error(4)),
        Reply(status=502, body="<html>"),
        Reply(status=400, body="not json"),
        Reply(status=404, body=""),
        Reply(status=400, body=build_error(36003, 2207009, transient=True)),
        Reply(body=""),
        Reply(body="{}"),
        Reply(body='{"id":null}'),
        Reply(body="<html>fine</html>"),
        Reply(status=302, body="", headers={"Location": "/elsewhere"}),
    ],
)
def test_an_unclear_answer_is_never_read_as_a_refusal(
    server: ScriptedServer, instagram: Instagram, answer: Reply
) -> None:
    server.enqueue(answer)
    with pytest.raises(OutcomeUnknown):
        instagram.finalize(photo_post(), account(), READY)
    assert len(server.requests) == 1


def test_a_call_that_never_left_is_unavailable(client: HttpClient) -> None:
    with closed_port() as base, pytest.raises(Unavailable):
        Instagram(client, build_settings(base)).finalize(photo_post(), account(), READY)


def test_a_right_to_send_that_ran_out_sends_nothing(server: ScriptedServer) -> None:
    late = Instagram(HttpClient(may_send=lambda: False), build_settings(server.url))
    with pytest.raises(Unavailable):
        late.finalize(photo_post(), account(), READY)
    assert server.requests == []


def test_the_vendors_example_of_not_ready_un_arms(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(Reply(status=400, body=NOT_READY))
    with pytest.raises(Unavailable) as caught:
        instagram.finalize(photo_post(), account(), READY)
    assert caught.value.platform_code == "9007/2207027"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, timedelta(minutes=5)),
        ({"Retry-After": "120"}, timedelta(seconds=120)),
        (
            {"X-Business-Use-Case-Usage": '{"1":[{"type":"x","estimated_time_to_regain_access":7}]}'},
            timedelta(minutes=7),
        ),
    ],
)
def test_a_throttle_waits_as_long_as_it_says(
    server: ScriptedServer, instagram: Instagram, headers: dict[str, str], wait: timedelta
) -> None:
    server.enqueue(Reply(status=403, body=build_error(4, transient=True), headers=headers))
    with pytest.raises(RateLimited) as caught:
        instagram.finalize(photo_post(), account(), READY)
    assert caught.value.retry_after == wait


def test_the_daily_limit_is_asked_again_hourly(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(Reply(status=400, body=build_error(9, 2207042)))
    with pytest.raises(RateLimited) as caught:
        instagram.finalize(photo_post(), account(), READY)
    assert caught.value.retry_after == timedelta(hours=1)


@pytest.mark.parametrize("status", [429, 401, 400, 403, 404])
@pytest.mark.parametrize("body", ["", "{}", "<html>", '{"error":{}}'])
def test_a_bare_status_is_no_refusal(
    server: ScriptedServer, instagram: Instagram, status: int, body: str
) -> None:
    server.enqueue(Reply(status=status, body=body))
    with pytest.raises(OutcomeUnknown):
        instagram.finalize(photo_post(), account(), READY)


PREPARE_ROWS: list[tuple[int, int | None, type[AdapterError]]] = [
    *REFUSALS,
    (-1, None, Unavailable),
    (-1, 2207001, Unavailable),
    (-1, 2207032, Unavailable),
    (-1, 2207053, Unavailable),
    (-2, None, Unavailable),
    (-2, 2207003, Unavailable),
    (-2, 2207020, Unavailable),
    (4, 2207051, Rejected),
    (352, 2207081, Rejected),
    (368, None, Rejected),
    (368, 1390008, Rejected),
    (24, 2207006, Unavailable),
    (24, 2207008, Unavailable),
    (9004, 2207052, Unavailable),
    (1, None, Unavailable),
    (2, None, Unavailable),
    (100, None, Rejected),
    (4, 12345, RateLimited),
    (31337, None, AdapterError),
]


@pytest.mark.parametrize(("code", "subcode", "expected"), PREPARE_ROWS)
def test_each_row_at_a_container(
    server: ScriptedServer,
    instagram: Instagram,
    code: int,
    subcode: int | None,
    expected: type[AdapterError],
) -> None:
    server.enqueue(Reply(status=400, body=build_error(code, subcode)))
    with pytest.raises(expected) as caught:
        instagram.prepare(photo_post(), account(), {"quota_read": True})
    assert type(caught.value) is expected
