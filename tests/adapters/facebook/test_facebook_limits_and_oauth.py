"""Limits, and the OAuth flow of Pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from adapters import graph_oauth
from adapters.contract import Adapter, Credentials, Draft
from adapters.errors import AdapterError, CredentialsRevoked, PermissionMissing, Rejected, Unavailable
from adapters.facebook import Facebook
from adapters.facebook.errors import TABLE
from tests.adapters.facebook.drafts import (
    PAGE,
    SECRET,
    TOKEN,
    USER_TOKEN,
    account,
    image,
    photos,
    reel,
    video,
)
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

MIB = 1024 * 1024
LONG = '{"access_token":"EAA-long","token_type":"bearer","expires_in":5183944}'


def of_image(**facts: Any) -> Draft:
    return replace(photos(1), media=(image(**facts),))


@pytest.mark.parametrize(
    "draft",
    [
        photos(1),
        photos(10),
        of_image(bytes=10 * MIB),
        of_image(content_type="image/gif"),
        reel(),
        reel(video(bytes=10 * 1024**3, duration=14400.0)),
        reel(video(duration=None, width=None)),
        reel(replace(video(), facts=None)),
    ],
)
def test_what_facebook_takes_is_let_through(facebook: Facebook, draft: Draft) -> None:
    assert facebook.problems(draft, account()) == []


@pytest.mark.parametrize(
    ("draft", "field", "found"),
    [
        (of_image(bytes=10 * MIB + 1), "media.urls[0]", 10 * MIB + 1),
        (of_image(content_type="image/webp"), "media.urls[0]", "image/webp"),
        (reel(video(bytes=10 * 1024**3 + 1)), "media.url", 10 * 1024**3 + 1),
        (reel(video(duration=14401.0)), "media.url", 14401.0),
        (replace(photos(2), media=(image(), video())), "media.urls[1]", "video"),
    ],
)
def test_over_a_limit_is_one_problem_and_no_request(
    server: ScriptedServer, facebook: Facebook, draft: Draft, field: str, found: object
) -> None:
    (problem,) = facebook.problems(draft, account())
    assert (problem.severity, problem.field, problem.found) == ("refuse", field, found)
    assert str(found) in problem.message
    assert server.requests == []


def test_it_is_an_adapter(facebook: Facebook) -> None:
    assert isinstance(facebook, Adapter)


def test_only_refusals_given_before_acting_end_a_visible_call() -> None:
    passing = {pair for pair, row in TABLE.items() if row.error is Unavailable}
    assert passing
    assert not any(TABLE[pair].before_acting for pair in passing)


def test_consent(facebook: Facebook) -> None:
    url = urlsplit(facebook.authorize_url("https://app.example.com/back", "s", None))
    assert url.path == "/www/v25.0/dialog/oauth"
    assert parse_qs(url.query)["scope"] == ["pages_show_list,pages_read_engagement,pages_manage_posts"]


def test_a_code_becomes_a_long_user_token(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue('{"access_token":"EAA-short","token_type":"bearer"}', LONG)
    credentials = facebook.exchange("code", "https://app.example.com/back", None)
    assert credentials.app_id == "990602627938098", "its calls carry the proof of the app secret"
    assert credentials.access_token.get_secret_value() == "EAA-long"
    assert server.calls == ["GET /graph/v25.0/oauth/access_token"] * 2


def page(number: str, tasks: str) -> str:
    return f'{{"id":"{number}","name":"Page {number}","access_token":"EAA-{number}","tasks":[{tasks}]}}'


def test_pages_come_with_their_own_tokens(server: ScriptedServer, facebook: Facebook) -> None:
    usable = page(PAGE, '"MANAGE","CREATE_CONTENT"')
    server.enqueue(
        f'{{"data":[{usable}],"paging":{{"cursors":{{"after":"QVFI"}},"next":"https://x/next"}}}}',
        f'{{"data":[{page("2", chr(34) + "ANALYZE" + chr(34))}]}}',
    )
    dies = datetime.now(UTC) + timedelta(days=60)
    (found,) = facebook.discover(Credentials(access_token=SecretStr(USER_TOKEN), expires_at=dies))
    assert (found.remote_id, found.username, found.connection) == (PAGE, f"Page {PAGE}", "page")
    kept = found.credentials
    assert kept.access_token.get_secret_value() == f"EAA-{PAGE}"
    assert kept.refresh_token is not None
    assert kept.refresh_token.get_secret_value() == USER_TOKEN
    assert (kept.expires_at, kept.refresh_expires_at) == (None, dies)
    assert server.requests[1].query["after"] == "QVFI"
    assert USER_TOKEN not in repr(found)


def test_more_pages_than_are_read_are_refused_and_not_cut(
    server: ScriptedServer, facebook: Facebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_oauth, "_MAX_LISTS", 2)
    more = f'{{"data":[{{"id":"{PAGE}"}}],"paging":{{"cursors":{{"after":"QVFI"}},"next":"https://x/next"}}}}'
    server.enqueue(more, more)
    with pytest.raises(Rejected, match="none was taken"):
        facebook.discover(Credentials(access_token=SecretStr(USER_TOKEN)))


def test_pages_of_a_business_are_found_through_the_token(server: ScriptedServer, facebook: Facebook) -> None:
    scopes = f'{{"data":{{"granular_scopes":[{{"scope":"pages_manage_posts","target_ids":["{PAGE}"]}}]}}}}'
    alone = f'{{"id":"{PAGE}","name":"P","access_token":"EAA-p"}}'
    server.enqueue('{"data":[]}', scopes, alone)
    (found,) = facebook.discover(Credentials(access_token=SecretStr(USER_TOKEN)))
    assert found.remote_id == PAGE
    assert server.calls == [
        "GET /graph/v25.0/me/accounts",
        "GET /graph/v25.0/debug_token",
        f"GET /graph/v25.0/{PAGE}",
    ]
    assert server.requests[1].query["access_token"] == f"990602627938098|{SECRET}"


def test_refresh_makes_a_new_page_token(server: ScriptedServer, facebook: Facebook) -> None:
    server.enqueue(LONG, f'{{"id":"{PAGE}","name":"P","access_token":"EAA-p2"}}')
    fresh = facebook.refresh(account())
    assert fresh.access_token.get_secret_value() == "EAA-p2"
    assert fresh.refresh_token is not None
    assert fresh.refresh_token.get_secret_value() == "EAA-long"
    assert fresh.refresh_expires_at is not None
    assert fresh.scopes == ("pages_manage_posts",)
    assert server.requests[0].query["fb_exchange_token"] == USER_TOKEN


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([Reply(status=400, body=build_error(190, 463))], CredentialsRevoked),
        ([Reply(body=LONG), Reply(status=400, body=build_error(190))], CredentialsRevoked),
        ([Reply(body=LONG), Reply(body=f'{{"id":"{PAGE}"}}')], PermissionMissing),
        ([Reply(status=500)], Unavailable),
    ],
)
def test_a_refresh_that_fails(
    server: ScriptedServer, facebook: Facebook, script: list[Reply], expected: type[AdapterError]
) -> None:
    server.enqueue(*script)
    with pytest.raises(expected) as caught:
        facebook.refresh(account())
    assert TOKEN not in repr(caught.value)
    assert USER_TOKEN not in repr(caught.value)


def test_a_page_without_a_kept_user_token_needs_its_person(
    server: ScriptedServer, facebook: Facebook
) -> None:
    with pytest.raises(CredentialsRevoked):
        facebook.refresh(account(refresh_token=None))
    assert server.requests == []
