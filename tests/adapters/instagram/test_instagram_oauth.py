"""OAuth through Instagram Login and Facebook Login, and token refresh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from adapters.contract import Credentials
from adapters.errors import AdapterError, CredentialsRevoked, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.instagram import Instagram
from tests.adapters.instagram.drafts import IG, REFRESHED, SECRET, TOKEN, account, build_settings
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.scripted_server import Reply, ScriptedServer

BACK = "https://app.example.com/back"


@pytest.fixture
def facebook_login(server: ScriptedServer, client: HttpClient) -> Instagram:
    return Instagram(client, build_settings(server.url, connection="facebook_login"))


def lives_sixty_days(credentials: Credentials) -> bool:
    assert credentials.expires_at is not None
    left = credentials.expires_at - datetime.now(UTC)
    return timedelta(seconds=5183900) < left <= timedelta(seconds=5183944)


def test_consent_through_instagram(instagram: Instagram) -> None:
    url = urlsplit(instagram.authorize_url(BACK, "st&te", None))
    assert url.path == "/www/oauth/authorize"
    assert parse_qs(url.query) == {
        "client_id": ["990602627938098"],
        "redirect_uri": [BACK],
        "response_type": ["code"],
        "scope": ["instagram_business_basic,instagram_business_content_publish"],
        "state": ["st&te"],
    }


def test_consent_through_facebook(facebook_login: Instagram) -> None:
    url = urlsplit(facebook_login.authorize_url(BACK, "s", None))
    assert url.path == "/facebook_www/v25.0/dialog/oauth"
    assert "instagram_content_publish" in parse_qs(url.query)["scope"][0]


@pytest.mark.parametrize(
    "short",
    [
        '{"access_token":"IGQ-short","user_id":17841405822304914,"permissions":["instagram_business_basic"]}',
        '{"data":[{"access_token":"IGQ-short","user_id":"178","permissions":"instagram_business_basic"}]}',
    ],
)
def test_a_code_becomes_a_token_of_sixty_days(
    server: ScriptedServer, instagram: Instagram, short: str
) -> None:
    server.enqueue(short, REFRESHED)
    credentials = instagram.exchange("AQB-code#_", BACK, None)
    assert credentials.access_token.get_secret_value() == "IGAA-new-token"
    assert lives_sixty_days(credentials)
    assert server.calls == ["POST /api/oauth/access_token", "GET /graph/access_token"]
    assert server.requests[0].form() == {
        "client_id": "990602627938098",
        "client_secret": SECRET,
        "grant_type": "authorization_code",
        "redirect_uri": BACK,
        "code": "AQB-code",
    }
    assert server.requests[1].query == {
        "grant_type": "ig_exchange_token",
        "client_secret": SECRET,
        "access_token": "IGQ-short",
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            Reply(status=400, body='{"error_type":"OAuthException","code":400,"error_message":"used"}'),
            Rejected,
        ),
        (Reply(status=500, body=""), Unavailable),
        (Reply(body="{}"), Unavailable),
        (Reply(body="<html>"), Unavailable),
        (Reply(status=429, body=""), Unavailable),
        (Reply(drop=True), Unavailable),
    ],
)
def test_a_code_that_is_not_taken(
    server: ScriptedServer, instagram: Instagram, answer: Reply, expected: type[AdapterError]
) -> None:
    server.enqueue(answer)
    with pytest.raises(expected) as caught:
        instagram.exchange("code-value", BACK, None)
    assert SECRET not in repr(caught.value)


def test_a_facebook_code_becomes_a_long_user_token(server: ScriptedServer, facebook_login: Instagram) -> None:
    server.enqueue('{"access_token":"EAA-short","token_type":"bearer","expires_in":5000}', REFRESHED)
    credentials = facebook_login.exchange("code", BACK, None)
    assert lives_sixty_days(credentials)
    assert server.calls == ["GET /facebook_graph/v25.0/oauth/access_token"] * 2
    assert server.requests[0].query["code"] == "code"
    assert server.requests[1].query == {
        "grant_type": "fb_exchange_token",
        "client_id": "990602627938098",
        "client_secret": SECRET,
        "fb_exchange_token": "EAA-short",
    }


@pytest.mark.parametrize(
    "result",
    [
        f'{{"data":[{{"user_id":"{IG}","username":"slipway","name":"Slip Way"}}]}}',
        f'{{"user_id":"{IG}","username":"slipway","name":"Slip Way","id":"app-scoped"}}',
    ],
)
def test_the_account_behind_an_instagram_token(
    server: ScriptedServer, instagram: Instagram, result: str
) -> None:
    server.enqueue(result)
    (found,) = instagram.discover(Credentials(access_token=SecretStr(TOKEN)))
    assert (found.remote_id, found.username, found.connection) == (IG, "slipway", "instagram_login")
    assert server.calls == ["GET /graph/v25.0/me"]
    assert TOKEN not in repr(found)


PAGE = (
    '{"id":"134895793791914","name":"Metricsaurus","access_token":"EAA-page",'
    f'"instagram_business_account":{{"id":"{IG}","username":"slipway"}}}}'
)
PAGE_ALONE = '{"id":"2","name":"No Instagram","access_token":"EAA-page2"}'


def test_the_accounts_behind_a_facebook_token(server: ScriptedServer, facebook_login: Instagram) -> None:
    server.enqueue(f'{{"data":[{PAGE},{PAGE_ALONE}]}}')
    (found,) = facebook_login.discover(Credentials(access_token=SecretStr("EAA-user")))
    assert (found.remote_id, found.connection) == (IG, "facebook_login")
    assert found.credentials.access_token.get_secret_value() == "EAA-user"
    assert found.settings == {"page_id": "134895793791914"}


def test_an_empty_list_is_read_through_the_tokens_own_scopes(
    server: ScriptedServer, facebook_login: Instagram
) -> None:
    scopes = (
        '{"data":{"granular_scopes":[{"scope":"pages_show_list","target_ids":["134895793791914"]},'
        '{"scope":"pages_read_engagement","target_ids":["134895793791914"]},'
        '{"scope":"instagram_basic","target_ids":["17841405822304914"]}]}}'
    )
    server.enqueue('{"data":[]}', scopes, PAGE)
    (found,) = facebook_login.discover(Credentials(access_token=SecretStr("EAA-user")))
    assert found.remote_id == IG
    assert server.calls[1:] == [
        "GET /facebook_graph/v25.0/debug_token",
        "GET /facebook_graph/v25.0/134895793791914",
    ]
    assert server.requests[1].query == {
        "input_token": "EAA-user",
        "access_token": f"990602627938098|{SECRET}",
    }


def test_refresh_of_an_instagram_token(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(REFRESHED)
    credentials = instagram.refresh(account())
    assert credentials.access_token.get_secret_value() == "IGAA-new-token"
    assert lives_sixty_days(credentials)
    assert server.calls == ["GET /graph/refresh_access_token"]
    assert server.requests[0].query == {"grant_type": "ig_refresh_token", "access_token": TOKEN}


def test_refresh_of_a_facebook_token(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(REFRESHED)
    assert lives_sixty_days(instagram.refresh(account("facebook_login")))
    assert server.requests[0].query["fb_exchange_token"] == TOKEN


@pytest.mark.parametrize("connection", ["instagram_login", "facebook_login"])
@pytest.mark.parametrize("subcode", [None, 463, 460])
def test_a_dead_token_needs_its_person(
    server: ScriptedServer, instagram: Instagram, connection: str, subcode: int | None
) -> None:
    server.enqueue(Reply(status=400, body=build_error(190, subcode)))
    with pytest.raises(CredentialsRevoked) as caught:
        instagram.refresh(account(connection))
    assert TOKEN not in repr(caught.value)
    assert caught.value.next_action


def test_a_passing_failure_at_refresh_revokes_nothing(server: ScriptedServer, instagram: Instagram) -> None:
    server.enqueue(Reply(status=500, body=""))
    with pytest.raises(Unavailable):
        instagram.refresh(account())


def test_a_token_too_young_to_refresh_is_asked_for_later(
    server: ScriptedServer, instagram: Instagram
) -> None:
    server.enqueue(Reply(status=400, body=build_error(100)))
    with pytest.raises(Unavailable) as caught:
        instagram.refresh(account())
    assert (caught.value.code, caught.value.retry_after) == ("refresh_too_early", timedelta(hours=1))
