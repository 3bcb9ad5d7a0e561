"""OAuth of both products: consent page, code exchange, refresh, discovery."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from adapters.contract import Credentials, RemoteAccount
from adapters.errors import (
    AdapterError,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.tiktok import TikTok
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import REFRESH, TOKEN, account

Make = Callable[..., TikTok]
ROOT = "/tiktok-business/open_api/v1.3"
TOKENS = "/tiktok/v2/oauth/token/"
BUSINESS_TOKENS = f"{ROOT}/tt_user/oauth2/token/"
BUSINESS_REFRESH = f"{ROOT}/tt_user/oauth2/refresh_token/"
GRANT = Credentials(access_token=SecretStr(TOKEN))


def is_close(moment: datetime | None, seconds: int) -> bool:
    return moment is not None and abs(moment - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(
        minutes=1
    )


def test_creator_consent_page_has_a_challenge_in_hex(tiktok: Make, server: ScriptedServer) -> None:
    digest = hashlib.sha256(b"verifier").digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    url = urlsplit(tiktok().authorize_url("https://slipway.example/cb", "s t", challenge))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{server.url}/tiktok-www/v2/auth/authorize/"
    assert {key: value[0] for key, value in parse_qs(url.query).items()} == {
        "client_key": "app",
        "response_type": "code",
        "scope": "user.info.basic,video.publish,video.upload,video.list",
        "redirect_uri": "https://slipway.example/cb",
        "state": "s t",
        "code_challenge": digest.hex(),
        "code_challenge_method": "S256",
    }
    hexed = tiktok().authorize_url("https://slipway.example/cb", "s", digest.hex())
    assert digest.hex() in hexed


def test_business_consent_page(tiktok: Make) -> None:
    url = urlsplit(tiktok(connection="business").authorize_url("https://slipway.example/cb/", "s", None))
    query = {key: value[0] for key, value in parse_qs(url.query).items()}
    assert query["client_key"] == "bapp"
    assert query["disable_auto_auth"] == "1"
    assert "video.publish" in query["scope"].split(",")


def test_creator_refresh_keeps_the_new_refresh_token(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", TOKENS, examples.TOKEN)
    new = tiktok().refresh(account())
    assert new.access_token.get_secret_value() == "act.new"
    assert new.refresh_token is not None
    assert new.refresh_token.get_secret_value() == "rft.new"
    assert is_close(new.expires_at, 86400)
    assert is_close(new.refresh_expires_at, 31536000)
    assert new.scopes == ("user.info.basic", "video.publish")
    assert server.requests[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert server.requests[0].form() == {
        "client_key": "app",
        "client_secret": "app-very-secret",
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
    }


def test_creator_refresh_that_repeats_nothing_keeps_what_was(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", TOKENS, '{"access_token":"act.new","expires_in":86400}')
    new = tiktok().refresh(account())
    assert new.refresh_token is not None
    assert new.refresh_token.get_secret_value() == REFRESH
    assert new.scopes == ("video.publish",)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(examples.OAUTH_ERROR % "invalid_grant", status=400), CredentialsRevoked),
        (Reply(examples.OAUTH_ERROR % "invalid_grant"), CredentialsRevoked),
        (Reply(examples.OAUTH_ERROR % "invalid_request", status=400), CredentialsRevoked),
        (Reply(examples.OAUTH_ERROR % "access_denied", status=400), CredentialsRevoked),
        (Reply(examples.OAUTH_ERROR % "invalid_client", status=401), PermissionMissing),
        (Reply(examples.OAUTH_ERROR % "unauthorized_client", status=400), PermissionMissing),
        (Reply(examples.OAUTH_ERROR % "invalid_scope", status=400), PermissionMissing),
        (Reply(examples.OAUTH_ERROR % "server_error", status=500), Unavailable),
        (Reply(examples.OAUTH_ERROR % "temporarily_unavailable", status=503), Unavailable),
        (Reply(examples.OAUTH_ERROR % "rate_limit_exceeded", status=429), RateLimited),
        (Reply("slow", status=429), Unavailable),
        (Reply(examples.OAUTH_ERROR % "something_new", status=400), AdapterError),
        (Reply("<html>", status=502), Unavailable),
        (DROP, Unavailable),
    ],
)
def test_creator_refresh_refused(
    server: ScriptedServer, tiktok: Make, reply: Reply, error: type[Exception]
) -> None:
    server.on("POST", TOKENS, reply)
    with pytest.raises(error):
        tiktok().refresh(account())


@pytest.mark.parametrize("connection", ["creator", "business"])
def test_nothing_to_refresh_with(server: ScriptedServer, tiktok: Make, connection: str) -> None:
    with pytest.raises(CredentialsRevoked):
        tiktok().refresh(account(connection, refresh=None))
    assert server.requests == []


def test_creator_exchange(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", TOKENS, examples.TOKEN)
    assert tiktok().exchange("the code", "https://slipway.example/cb", "verifier").scopes
    assert server.requests[0].form() == {
        "client_key": "app",
        "client_secret": "app-very-secret",
        "grant_type": "authorization_code",
        "code": "the code",
        "redirect_uri": "https://slipway.example/cb",
        "code_verifier": "verifier",
    }


def test_creator_discover(server: ScriptedServer, tiktok: Make) -> None:
    user = f'{{"data":{{"user":{{"open_id":"723f24d7","display_name":"Me"}}}},{examples.OK}}}'
    server.on("GET", "/tiktok/v2/user/info/", user)
    server.on("POST", "/tiktok/v2/post/publish/creator_info/query/", examples.CREATOR_INFO)
    assert tiktok().discover(GRANT) == (
        RemoteAccount(
            remote_id="723f24d7",
            username="tiktok",
            display_name="Me",
            connection="creator",
            credentials=GRANT,
        ),
    )
    assert server.requests[0].query == {"fields": "open_id,display_name"}


def test_business_exchange(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", BUSINESS_TOKENS, examples.BUSINESS_TOKEN)
    got = tiktok(connection="business").exchange("the code", "https://slipway.example/cb/", None)
    assert got.access_token.get_secret_value() == "act.…"
    assert is_close(got.refresh_expires_at, 31536000)
    assert got.scopes == ("user.info.basic", "video.list", "video.publish")
    assert server.requests[0].json() == {
        "client_id": "bapp",
        "client_secret": "business-very-secret",
        "grant_type": "authorization_code",
        "auth_code": "the code",
        "redirect_uri": "https://slipway.example/cb/",
    }


def test_business_refresh(server: ScriptedServer, tiktok: Make) -> None:
    server.on("POST", BUSINESS_REFRESH, examples.BUSINESS_TOKEN)
    new = tiktok().refresh(account("business"))
    assert new.refresh_token is not None
    assert new.refresh_token.get_secret_value() == "rft.…"
    assert server.requests[0].json()["refresh_token"] == REFRESH


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(examples.business_error(40103)), CredentialsRevoked),
        (Reply(examples.business_error(40105)), CredentialsRevoked),
        (Reply(examples.business_error(40002)), CredentialsRevoked),
        (Reply(examples.business_error(40113)), Rejected),
        (Reply("", status=404), Unavailable),
        (Reply(examples.business_error(40100)), RateLimited),
        (Reply(examples.business_error(50000)), Unavailable),
        (DROP, Unavailable),
    ],
)
def test_business_refresh_refused(
    server: ScriptedServer, tiktok: Make, reply: Reply, error: type[Exception]
) -> None:
    server.on("POST", BUSINESS_REFRESH, reply)
    with pytest.raises(error):
        tiktok().refresh(account("business"))


@pytest.mark.parametrize(
    ("profile", "username"),
    [
        (Reply('{"code":0,"message":"OK","data":{"username":"casa","display_name":"Casa"}}'), "casa"),
        (Reply(examples.business_error(40001)), ""),
        (Reply(examples.business_error(40002)), ""),
    ],
)
def test_business_discover(server: ScriptedServer, tiktok: Make, profile: Reply, username: str) -> None:
    info = (
        '{"code":0,"message":"OK","data":{"app_id":"bapp","scope":"user.info.basic","creator_id":"-000eHWs"}}'
    )
    server.on("POST", f"{ROOT}/tt_user/token_info/get/", info)
    server.on("GET", f"{ROOT}/business/get/", profile)
    (found,) = tiktok(connection="business").discover(GRANT)
    assert (found.remote_id, found.username, found.connection) == ("-000eHWs", username, "business")
    assert server.requests[0].json() == {"app_id": "bapp", "access_token": TOKEN}
    assert server.requests[1].query == {"business_id": "-000eHWs", "fields": '["username","display_name"]'}
