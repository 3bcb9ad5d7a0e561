"""Consent, codes, rotating refreshes, and account discovery; no secret in logs or reprs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.contract import Adapter
from adapters.errors import AdapterError, CredentialsRevoked, RateLimited, Rejected, Unavailable
from adapters.oauth import TokenResponse
from adapters.pinterest import Pinterest, limits
from adapters.pinterest.checkpoint import Checkpoint
from adapters.pinterest.wire import UploadTarget
from tests.adapters.pinterest import drafts as m
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer

BASIC = "Basic MTIzNDU2NzphcHAtc2VjcmV0LXZhbHVl"  # base64 of 1234567:app-secret-value


def test_it_is_an_adapter(pinterest: Pinterest) -> None:
    assert isinstance(pinterest, Adapter)


def test_the_consent_page(server: ScriptedServer, pinterest: Pinterest) -> None:
    url = urlsplit(pinterest.authorize_url("https://slipway.example/back", "s t", "challenge"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{server.url}/www/oauth/"
    assert parse_qs(url.query) == {
        "client_id": ["1234567"],
        "redirect_uri": ["https://slipway.example/back"],
        "response_type": ["code"],
        "scope": ["boards:read,boards:write,pins:read,pins:write,user_accounts:read"],
        "state": ["s t"],
    }


def test_a_code_buys_a_grant(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(m.GRANT)
    before = datetime.now(UTC)
    got = pinterest.exchange("the-code", "https://slipway.example/back", None)
    assert server.calls == ["POST /v5/oauth/token"]
    assert server.requests[0].headers["authorization"] == BASIC
    assert server.requests[0].form() == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": "https://slipway.example/back",
        "continuous_refresh": "true",
    }
    assert got.access_token.get_secret_value() == "pina-new"
    assert got.expires_at is not None
    assert got.refresh_expires_at is not None
    assert timedelta(days=29) < got.expires_at - before <= timedelta(days=30, seconds=5)
    assert timedelta(days=59) < got.refresh_expires_at - before <= timedelta(days=60, seconds=5)
    assert got.scopes == ("boards:read", "boards:write", "pins:read", "pins:write")


def test_a_refresh_rotates_the_refresh_token(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(m.GRANT, '{"access_token":"pina-3","expires_in":1}')
    rotated = pinterest.refresh(m.account())
    assert server.requests[0].form() == {
        "grant_type": "refresh_token",
        "refresh_token": m.REFRESH,
        "continuous_refresh": "true",
    }
    assert rotated.refresh_token is not None
    assert rotated.refresh_token.get_secret_value() == "pinr-new"
    kept = pinterest.refresh(m.account())
    assert kept.refresh_token is not None
    assert kept.refresh_token.get_secret_value() == m.REFRESH, "what is not repeated stays"
    assert kept.scopes == ("pins:write",)


@pytest.mark.parametrize(
    ("told", "error", "code"),
    [
        (
            Reply(status=400, body=m.build_error(1, "Invalid refresh token.")),
            CredentialsRevoked,
            "reconnect_required",
        ),
        (Reply(status=401, body=m.build_error(2, "Authentication failed.")), Rejected, "app_refused"),
        (Reply(status=429, body=m.build_error(8, "…")), RateLimited, "rate_limited"),
        (Reply(status=500), Unavailable, "platform_unavailable"),
        (Reply(status=404), Unavailable, "platform_unavailable"),
        (Reply(body="{}"), Unavailable, "platform_unavailable"),
        (DROP, Unavailable, "platform_unavailable"),
    ],
)
def test_only_a_definite_refusal_disconnects(
    server: ScriptedServer, pinterest: Pinterest, told: Reply, error: type[AdapterError], code: str
) -> None:
    server.enqueue(told)
    with pytest.raises(error) as raised:
        pinterest.refresh(m.account())
    assert raised.value.code == code


def test_without_a_refresh_token_a_person_is_needed(server: ScriptedServer, pinterest: Pinterest) -> None:
    with pytest.raises(CredentialsRevoked):
        pinterest.refresh(m.account(refresh=None))
    assert server.requests == []


def test_a_refused_code_is_no_revoked_account(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(Reply(status=400, body=m.build_error(1, "Invalid code.")))
    with pytest.raises(Rejected) as raised:
        pinterest.exchange("old", "https://slipway.example/back", None)
    assert raised.value.code == "code_refused"


def test_discover_finds_the_user_and_its_boards(server: ScriptedServer, pinterest: Pinterest) -> None:
    server.enqueue(
        '{"account_type":"BUSINESS","id":"2783136121146311751","username":"casa","business_name":"Casa Inc"}',
        '{"items":[{"id":"1","name":"Tiles","privacy":"PUBLIC"}],"bookmark":"more"}',
        '{"items":[{"id":"2","name":"Secret","privacy":"SECRET"}],"bookmark":null}',
    )
    (found,) = pinterest.discover(m.account().credentials)
    assert (found.remote_id, found.username, found.display_name, found.connection) == (
        "2783136121146311751",
        "casa",
        "Casa Inc",
        "user",
    )
    assert found.settings == {
        "boards": [
            {"id": "1", "name": "Tiles", "privacy": "PUBLIC"},
            {"id": "2", "name": "Secret", "privacy": "SECRET"},
        ],
        "has_more_boards": False,
    }
    assert server.calls == ["GET /v5/user_account", "GET /v5/boards", "GET /v5/boards"]
    assert server.requests[2].query["bookmark"] == "more"


def test_discover_reads_every_page_of_boards_or_says_that_there_are_more(
    server: ScriptedServer, pinterest: Pinterest, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = '{"id":"1","username":"casa"}'
    pages = [f'{{"items":[{{"id":"{n}","name":"B"}}],"bookmark":"{n}"}}' for n in range(1, 8)]
    server.enqueue(user, *pages, '{"items":[{"id":"8","name":"B"}],"bookmark":null}')
    (found,) = pinterest.discover(m.account().credentials)
    assert [board["id"] for board in found.settings["boards"]] == [str(n) for n in range(1, 9)]
    assert found.settings["has_more_boards"] is False
    monkeypatch.setattr(limits, "BOARD_PAGES", 2)
    server.enqueue(user, *pages[:2])
    (found,) = pinterest.discover(m.account().credentials)
    assert (len(found.settings["boards"]), found.settings["has_more_boards"]) == (2, True)


# --- secrets ---------------------------------------------------------------------------------------------------------


def assert_no_secrets(*texts: str) -> None:
    for text in texts:
        for secret in m.SECRETS:
            assert secret not in text


def test_values_that_hold_secrets_do_not_show_them(pinterest: Pinterest) -> None:
    assert_no_secrets(
        repr(TokenResponse.model_validate({"access_token": m.TOKEN, "refresh_token": m.REFRESH})),
        repr(UploadTarget.model_validate_json(m.REGISTERED)),
        repr(Checkpoint(upload_url=m.SIGNATURE, upload_parameters={"s": m.SIGNATURE})),
        repr(m.account()),
        repr(pinterest),
        repr(pinterest._oauth),
        repr(pinterest._build_client(m.account()).__dict__),
    )


def test_errors_do_not_repeat_what_pinterest_says(server: ScriptedServer, pinterest: Pinterest) -> None:
    echo = m.build_error(2, " ".join(m.SECRETS))
    server.enqueue(
        *(Reply(status=status, body=echo) for status in (400, 401, 500)), Reply(status=400, body=echo)
    )
    errors = []
    for _ in range(3):
        with pytest.raises(AdapterError) as raised:
            pinterest.finalize(m.post(), m.account(), {})
        errors.append(raised.value)
    with pytest.raises(AdapterError) as raised:
        pinterest.refresh(m.account())
    for error in (*errors, raised.value):
        assert_no_secrets(
            repr(error), str(error), str(error.next_action), repr(error.__cause__), str(error.platform_code)
        )
