"""OAuth of a channel: consent page, code exchange, refresh, discovery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from adapters.contract import Credentials
from adapters.errors import AdapterError, CredentialsRevoked, PermissionMissing, Unavailable
from adapters.youtube import YouTube
from adapters.youtube.errors import OAUTH
from adapters.youtube.oauth import SCOPES
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.youtube import examples
from tests.adapters.youtube.drafts import APP_SECRET, REFRESH, TOKEN, account

Make = Callable[..., YouTube]
TOKENS = "/google-oauth/token"
CHANNELS = "/youtube/youtube/v3/channels"
REDIRECT = "https://slipway.example/oauth/youtube"


def test_the_consent_page(server: ScriptedServer, youtube: Make) -> None:
    url = urlsplit(youtube().authorize_url(REDIRECT, "st", "challenge"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{server.url}/google-accounts/o/oauth2/v2/auth"
    assert {key: value for key, (value,) in parse_qs(url.query).items()} == {
        "client_id": "app",
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": " ".join(SCOPES),
        "access_type": "offline",
        "prompt": "consent",
        "state": "st",
        "code_challenge": "challenge",
        "code_challenge_method": "S256",
    }
    assert "code_challenge" not in youtube().authorize_url(REDIRECT, "st", None)


@pytest.mark.parametrize("verifier", [None, "verifier"])
def test_a_code_buys_a_grant(server: ScriptedServer, youtube: Make, verifier: str | None) -> None:
    server.on("POST", TOKENS, examples.CODE_TOKEN)
    got = youtube().exchange("4/code", REDIRECT, verifier)
    assert got.access_token.get_secret_value() == "ya29.new"
    assert got.refresh_token is not None
    assert got.refresh_token.get_secret_value() == "1//new"
    assert got.expires_at is not None
    assert abs(got.expires_at - datetime.now(UTC) - timedelta(seconds=3599)) < timedelta(seconds=10)
    assert (got.scopes, got.refresh_expires_at) == (SCOPES, None)
    assert server.requests[0].form() == {
        "client_id": "app",
        "client_secret": APP_SECRET,
        "grant_type": "authorization_code",
        "code": "4/code",
        "redirect_uri": REDIRECT,
        **({"code_verifier": verifier} if verifier else {}),
    }


def test_an_unticked_permission_is_noticed(server: ScriptedServer, youtube: Make) -> None:
    server.on(
        "POST", TOKENS, examples.CODE_TOKEN.replace(" https://www.googleapis.com/auth/youtube.readonly", "")
    )
    with pytest.raises(PermissionMissing, match=r"youtube\.readonly"):
        youtube().exchange("4/code", REDIRECT, None)


def test_a_refresh_keeps_the_refresh_token(server: ScriptedServer, youtube: Make) -> None:
    server.on("POST", TOKENS, examples.TOKEN)
    got = youtube().refresh(account())
    assert got.access_token.get_secret_value() == "ya29.new"
    assert got.refresh_token == SecretStr(REFRESH)
    assert server.requests[0].form() == {
        "client_id": "app",
        "client_secret": APP_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
    }


def test_a_rotated_refresh_token_wins(server: ScriptedServer, youtube: Make) -> None:
    body = examples.CODE_TOKEN.replace('"expires_in"', '"refresh_token_expires_in":604799,"expires_in"')
    server.on("POST", TOKENS, body)
    got = youtube().refresh(account())
    assert got.refresh_token == SecretStr("1//new")
    assert got.refresh_expires_at is not None
    assert got.refresh_expires_at - datetime.now(UTC) > timedelta(days=6)


@pytest.mark.parametrize("code", sorted(OAUTH))
def test_every_listed_token_error_has_its_class(server: ScriptedServer, youtube: Make, code: str) -> None:
    server.on("POST", TOKENS, Reply(f'{{"error":"{code}","error_description":"Bad Request"}}', status=400))
    with pytest.raises(OAUTH[code].error) as refusal:
        youtube().refresh(account())
    assert refusal.value.platform_code == code
    assert isinstance(refusal.value, CredentialsRevoked) is (code == "invalid_grant")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (DROP, Unavailable),
        (Reply("<html>", status=502), Unavailable),
        (Reply('{"error":"unheard_of"}', status=503), Unavailable),
        (Reply('{"error":"unheard_of"}', status=400), AdapterError),
        (Reply(status=429), Unavailable),
        (Reply("{}"), Unavailable),
    ],
)
def test_nothing_else_disconnects(
    server: ScriptedServer, youtube: Make, reply: Reply, error: type[AdapterError]
) -> None:
    server.on("POST", TOKENS, reply)
    with pytest.raises(AdapterError) as refusal:
        youtube().refresh(account())
    assert type(refusal.value) is error


def test_without_a_refresh_token_a_person_is_needed(server: ScriptedServer, youtube: Make) -> None:
    with pytest.raises(CredentialsRevoked):
        youtube().refresh(account(refresh=None))
    assert server.requests == []


def test_the_channel_of_a_grant_is_found(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", CHANNELS, examples.channels())
    credentials = Credentials(access_token=SecretStr(TOKEN))
    (found,) = youtube().discover(credentials)
    assert (found.remote_id, found.username, found.display_name) == ("UC1", "casa", "Casa")
    assert (found.connection, found.credentials) == ("channel", credentials)
    assert found.settings == {"uploads": "UU1", "long_uploads": "eligible"}
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_an_account_without_a_channel_gives_none(server: ScriptedServer, youtube: Make) -> None:
    server.on("GET", CHANNELS, '{"kind":"youtube#channelListResponse"}')
    assert list(youtube().discover(Credentials(access_token=SecretStr(TOKEN)))) == []
