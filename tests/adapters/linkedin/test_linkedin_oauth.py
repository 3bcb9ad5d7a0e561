"""Consent, codes, refreshes, and account discovery; no secret in logs or reprs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.contract import Adapter, Credentials
from adapters.errors import AdapterError, CredentialsRevoked, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.linkedin import LinkedIn, client
from adapters.linkedin.checkpoint import Checkpoint, FileUpload
from adapters.linkedin.wire import StartedImage, StartedVideo
from adapters.oauth import TokenResponse
from tests.adapters.linkedin import drafts as m
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer

BACK = "https://slipway.example/back"


def granted(*scopes: str) -> Credentials:
    return replace(m.account().credentials, scopes=scopes)


def test_it_is_an_adapter(linkedin: LinkedIn) -> None:
    assert isinstance(linkedin, Adapter)


@pytest.mark.parametrize(
    ("connection", "scope"),
    [
        (
            None,
            "r_basicprofile w_member_social w_organization_social r_organization_social rw_organization_admin",
        ),
        ("person", "openid profile w_member_social"),
        ("organization", "w_organization_social r_organization_social rw_organization_admin"),
    ],
)
def test_the_consent_page(server: ScriptedServer, connection: str | None, scope: str) -> None:
    options = {"connection": connection} if connection else {}
    adapter = LinkedIn(HttpClient(), m.build_settings(server.url, **options))
    url = urlsplit(adapter.authorize_url(BACK, "s t", "challenge"))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{server.url}/www/oauth/v2/authorization"
    assert parse_qs(url.query) == {
        "response_type": ["code"],
        "client_id": ["77abc"],
        "redirect_uri": [BACK],
        "state": ["s t"],
        "scope": [scope],
    }


def test_an_unknown_connection_is_refused(server: ScriptedServer) -> None:
    adapter = LinkedIn(HttpClient(), m.build_settings(server.url, connection="showcase"))
    with pytest.raises(Rejected, match="showcase"):
        adapter.authorize_url(BACK, "s", None)


def test_a_code_buys_a_grant(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(m.GRANT)
    before = datetime.now(UTC)
    got = linkedin.exchange("the-code", BACK, None)
    assert server.calls == ["POST /www/oauth/v2/accessToken"]
    assert server.requests[0].form() == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": BACK,
        "client_id": "77abc",
        "client_secret": m.APP_SECRET,
    }
    assert got.expires_at is not None
    assert got.refresh_expires_at is not None
    assert timedelta(days=59) < got.expires_at - before <= timedelta(days=60, seconds=5)
    assert timedelta(days=364) < got.refresh_expires_at - before <= timedelta(days=365, seconds=5)
    assert got.scopes == ("w_organization_social", "r_organization_social", "rw_organization_admin")


def test_a_refresh_keeps_what_is_not_repeated(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(m.GRANT, '{"access_token":"AQV-3","expires_in":1}')
    rotated = linkedin.refresh(m.account())
    assert server.requests[0].form() == {
        "grant_type": "refresh_token",
        "refresh_token": m.REFRESH,
        "client_id": "77abc",
        "client_secret": m.APP_SECRET,
    }
    assert rotated.refresh_token is not None
    assert rotated.refresh_token.get_secret_value() == "AQR-new"
    kept = linkedin.refresh(m.account())
    assert kept.refresh_token is not None
    assert kept.refresh_token.get_secret_value() == m.REFRESH
    assert kept.scopes == ("w_member_social",)


def build_oauth_error(word: str, status: int = 400) -> Reply:
    return Reply(status=status, body=f'{{"error":"{word}","error_description":"…"}}')


@pytest.mark.parametrize(
    ("told", "error", "code"),
    [
        (build_oauth_error("invalid_grant"), CredentialsRevoked, "reconnect_required"),
        (build_oauth_error("invalid_request"), Rejected, "invalid_request"),
        (build_oauth_error("invalid_client", 401), Rejected, "app_refused"),
        (build_oauth_error("something_new"), AdapterError, "platform_error"),
        (build_oauth_error("invalid_grant", 500), Unavailable, "platform_unavailable"),
        (Reply(status=429, body=""), Unavailable, "platform_unavailable"),
        (Reply(status=503, body="<html>"), Unavailable, "platform_unavailable"),
        (Reply(body="{}"), Unavailable, "platform_unavailable"),
        (DROP, Unavailable, "platform_unavailable"),
    ],
)
def test_only_a_definite_refusal_disconnects(
    server: ScriptedServer, linkedin: LinkedIn, told: Reply, error: type[AdapterError], code: str
) -> None:
    server.enqueue(told)
    with pytest.raises(error) as raised:
        linkedin.refresh(m.account())
    assert raised.value.code == code


def test_without_a_refresh_token_a_person_is_needed(server: ScriptedServer, linkedin: LinkedIn) -> None:
    with pytest.raises(CredentialsRevoked, match="60 days"):
        linkedin.refresh(m.account(refresh=None))
    assert server.requests == []


def test_a_refused_code_is_no_revoked_account(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue(build_oauth_error("invalid_grant"))
    with pytest.raises(Rejected) as raised:
        linkedin.exchange("old", BACK, None)
    assert raised.value.code == "code_refused"


ROLES = (
    '{"elements":[{"role":"ADMINISTRATOR","organization":"urn:li:organization:1","state":"APPROVED"},'
    '{"role":"CONTENT_ADMIN","organization":"urn:li:organization:2","state":"APPROVED"},'
    '{"role":"ANALYST","organization":"urn:li:organization:3","state":"APPROVED"},'
    '{"role":"ADMINISTRATOR","organization":"urn:li:organization:4","state":"REQUESTED"},'
    '{"role":"DIRECT_SPONSORED_CONTENT_POSTER","organization":"urn:li:organization:1","state":"APPROVED"}]}'
)


def test_discover_finds_the_member(server: ScriptedServer, linkedin: LinkedIn) -> None:
    server.enqueue('{"sub":"8675309","name":"Ada Casa","email":"ada@example.com"}')
    (found,) = linkedin.discover(granted("openid", "profile", "w_member_social"))
    assert (found.remote_id, found.display_name, found.connection) == (m.MEMBER, "Ada Casa", "person")
    assert server.calls == ["GET /api/v2/userinfo"]


def test_discover_finds_the_organizations_that_may_be_posted_for(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.enqueue(
        ROLES, '{"localizedName":"Casa Inc","vanityName":"casa"}', Reply(status=403, body=m.DENIED)
    )
    one, two = linkedin.discover(
        granted("w_organization_social", "r_organization_social", "rw_organization_admin")
    )
    assert (one.remote_id, one.username, one.display_name) == ("urn:li:organization:1", "casa", "Casa Inc")
    assert (two.remote_id, two.username, two.connection) == ("urn:li:organization:2", "2", "organization")
    assert server.calls == [
        "GET /api/rest/organizationAcls",
        "GET /api/rest/organizations/1",
        "GET /api/rest/organizations/2",
    ]
    query = {"q": "roleAssignee", "state": "APPROVED", "start": "0", "count": "100"}
    assert server.requests[0].query == query


def test_discover_reads_every_page_of_roles_and_refuses_more_than_it_reads(
    server: ScriptedServer, linkedin: LinkedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (
        f'{{"elements":[{{"organization":"urn:li:organization:{n}","role":"ADMINISTRATOR"}}],"paging":{{"total":2}}}}'
        for n in (1, 2)
    )
    grant = granted("rw_organization_admin")
    server.enqueue(first, second, '{"localizedName":"One"}', '{"localizedName":"Two"}')
    assert [found.display_name for found in linkedin.discover(grant)] == ["One", "Two"]
    assert server.requests[1].query["start"] == "1"
    monkeypatch.setattr(client, "_MAX_ROLE_PAGES", 1)
    server.enqueue(first)
    with pytest.raises(Rejected, match="none was taken"):
        linkedin.discover(grant)


def test_discover_finds_both_behind_one_grant(server: ScriptedServer, linkedin: LinkedIn) -> None:
    profile = '{"id":"8675309","localizedFirstName":"Ada","localizedLastName":"Casa"}'
    server.enqueue(profile, ROLES, '{"localizedName":"Casa Inc"}', Reply(status=403, body=m.DENIED))
    found = linkedin.discover(granted("r_basicprofile", "w_member_social", "rw_organization_admin"))
    assert [(a.connection, a.display_name) for a in found] == [
        ("person", "Ada Casa"),
        ("organization", "Casa Inc"),
        ("organization", "2"),
    ]
    assert found[0].remote_id == m.MEMBER
    assert server.calls[0] == "GET /api/v2/me"


def test_the_setting_says_what_is_asked_for_where_nobody_does(server: ScriptedServer) -> None:
    asks = LinkedIn(HttpClient(), m.build_settings(server.url, ask_for="person"))
    assert "scope=openid+profile+w_member_social&" in asks.authorize_url(BACK, "s", None) + "&"


def test_discover_without_known_scopes_goes_by_what_was_asked(
    server: ScriptedServer, linkedin: LinkedIn
) -> None:
    server.enqueue('{"sub":"8675309"}', '{"elements":[]}', '{"elements":[]}')
    assert [found.connection for found in linkedin.discover(granted())] == ["person"]
    asks = LinkedIn(HttpClient(), m.build_settings(server.url, connection="organization"))
    assert asks.discover(granted()) == ()


# --- secrets ---------------------------------------------------------------------------------------------------------


def assert_no_secrets(*texts: str) -> None:
    for text in texts:
        for secret in m.SECRETS:
            assert secret not in text


def test_values_that_hold_secrets_do_not_show_them(linkedin: LinkedIn) -> None:
    video = m.VIDEO_STARTED.replace("dms-uploads/1", m.UPLOAD_SECRET).replace('n":""', f'n":"{m.APP_SECRET}"')
    begun = StartedVideo.model_validate_json(video)
    assert_no_secrets(
        repr(TokenResponse.model_validate({"access_token": m.TOKEN, "refresh_token": m.REFRESH})),
        repr(StartedImage.model_validate_json(m.IMAGE_STARTED)),
        repr(begun),
        repr(
            Checkpoint(
                media=(
                    FileUpload(
                        url=m.UPLOAD_SECRET, token=m.UPLOAD_SECRET, parts=begun.value.uploadInstructions
                    ),
                )
            )
        ),
        repr(m.account()),
        repr(linkedin),
        repr(linkedin._oauth),
        repr(linkedin._build_client(m.account())),
    )


def test_errors_do_not_repeat_what_linkedin_says(server: ScriptedServer, linkedin: LinkedIn) -> None:
    echo = f'{{"status":400,"code":"MISSING_FIELD","message":"{" ".join(m.SECRETS)}"}}'
    server.enqueue(*(Reply(status=status, body=echo) for status in (400, 401, 500)))
    for _ in range(3):
        with pytest.raises(AdapterError) as raised:
            linkedin.finalize(m.build_draft(), m.account(), m.build_done_checkpoint(m.IMAGE))
        error = raised.value
        assert_no_secrets(repr(error), str(error), str(error.next_action), repr(error.__cause__))
