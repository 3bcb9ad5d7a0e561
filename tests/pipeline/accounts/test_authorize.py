"""The OAuth flow against the sandbox's consent pages and token endpoints."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from adapters.contract import Platform
from adapters.errors import CredentialsExpired, CredentialsRevoked
from adapters.oauth import RevokesGrants
from config.settings import Settings
from pipeline.accounts.authorize import finish_authorization
from pipeline.accounts.oauth_flow import build_redirect_uri, parse_callback
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.grants import deactivate
from pipeline.store.accounts.oauth_sessions import ALL, CLI
from pipeline.store.auth.keys import revoke_key
from tests.pipeline.accounts.consent_page import (
    OAuthWorkspace,
    confirm_all,
    decline_consent,
    grant_consent,
    parse_query,
)
from tests.pipeline.store.ledger import together

TIKTOK, FACEBOOK, INSTAGRAM = Platform.TIKTOK, Platform.FACEBOOK, Platform.INSTAGRAM
YOUTUBE = Platform.YOUTUBE


def refused(status: int, code: str, home: OAuthWorkspace, platform: Platform, state: str, *more: Any) -> str:
    """Why a state was refused; nothing may have been stored."""
    before = [(a, home.read_account(a.id)[1]) for a in home.accounts()]
    with pytest.raises(Refusal) as caught:
        finish_authorization(home.stack.context, platform, state, *more)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert [(a, home.read_account(a.id)[1]) for a in home.accounts()] == before
    return caught.value.message


def test_an_account_is_connected_and_its_tokens_are_sealed(home: OAuthWorkspace) -> None:
    ann = home.add_person("tiktok")
    opened = home.start(TIKTOK)
    asked = parse_query(opened.url)
    assert opened.url.startswith(f"{home.stack.sandbox}/tiktok-www/v2/auth/authorize/?")
    assert (
        asked["redirect_uri"]
        == opened.redirect_uri
        == f"{home.stack.api}/api/partner/v1/connect/tiktok/callback"
    )
    assert asked["state"] == opened.state
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 64)

    found = finish_authorization(home.stack.context, TIKTOK, opened.state, home.create_code("tiktok", ann))
    assert home.accounts() == []
    [one] = confirm_all(home.stack, TIKTOK, found)
    assert (one.username, one.connection, one.was_known) == (ann, "creator", False)
    account, version, status = home.read_account(one.id)
    assert (version, status, account.remote_id) == (1, "active", home.stack.remote[ann])
    token = account.credentials.access_token.get_secret_value()
    assert token.startswith("act.")
    stored = repr(home.sql("SELECT * FROM accounts WHERE id = :id", id=one.id))
    grant = repr(
        home.sql("SELECT * FROM grants WHERE workspace_id = :w AND verifier IS NULL", w=home.workspace)
    )
    assert ann in stored
    assert ann in grant
    assert token not in stored + grant
    assert opened.state not in grant


def test_all_pages_are_stored_or_the_chosen_ones(home: OAuthWorkspace) -> None:
    one, two, three = (home.add_person("facebook") for _ in range(3))
    url = home.start(FACEBOOK, chosen=[home.stack.remote[two]]).url
    assert [a.username for a in home.finish(FACEBOOK, grant_consent(url, one, two, three))] == [two]
    found = home.finish(FACEBOOK, grant_consent(home.start(FACEBOOK, chosen=ALL).url, one, two, three))
    assert {a.username: a.was_known for a in found} == {one: False, two: True, three: False}
    assert sorted(a.username for a in home.accounts()) == sorted([one, two, three])
    with pytest.raises(Refusal, match="about the chosen ones"):
        home.finish(FACEBOOK, grant_consent(home.start(FACEBOOK, chosen=["1"]).url, one))


def test_an_app_that_may_not_ask_for_that_is_told_so(home: OAuthWorkspace) -> None:
    opened = home.start(Platform.LINKEDIN)
    with pytest.raises(Refusal, match="The app there lacks a permission"):
        home.finish(Platform.LINKEDIN, f"https://x/?error=unauthorized_scope_error&state={opened.state}")


def test_a_state_is_good_for_one_use(home: OAuthWorkspace) -> None:
    ann = home.add_person("tiktok")
    opened, code = home.start(TIKTOK), home.create_code("tiktok", ann)

    def use() -> str:
        try:
            return finish_authorization(home.stack.context, TIKTOK, opened.state, code).accounts[0].username
        except Refusal as refusal:
            return refusal.code

    assert sorted(together(*[use] * 8)) == sorted([ann, *["state_used"] * 7])
    refused(409, "state_used", home, TIKTOK, opened.state, home.create_code("tiktok", ann))


def test_a_state_is_bound_to_who_started_it_and_where(home: OAuthWorkspace) -> None:
    ann, other = home.add_person("tiktok"), OAuthWorkspace.new(home.stack)
    opened, code = home.start(TIKTOK), home.create_code("tiktok", ann)
    refused(403, "state_other_starter", home, TIKTOK, opened.state, code, other.key_id)
    refused(403, "state_other_starter", home, TIKTOK, opened.state, code, CLI)
    refused(400, "state_other_platform", home, INSTAGRAM, opened.state, code, home.key_id)
    refused(400, "state_unknown", home, TIKTOK, opened.state + "x", code, home.key_id)
    assert other.accounts() == []
    # none of them used it up
    found = finish_authorization(home.stack.context, TIKTOK, opened.state, code, home.key_id)
    assert [a.username for a in found.accounts] == [ann]
    by_hand = home.start(TIKTOK, CLI)
    refused(403, "state_other_starter", home, TIKTOK, by_hand.state, code, home.key_id)
    code = home.create_code("tiktok", ann)
    found = finish_authorization(home.stack.context, TIKTOK, by_hand.state, code, CLI)
    assert [a.username for a in found.accounts] == [ann]


def test_a_state_dies_after_ten_minutes_and_with_its_key(home: OAuthWorkspace) -> None:
    ann = home.add_person("tiktok")
    opened = home.start(TIKTOK)
    life = home.sql(
        "SELECT expires_at - created_at AS life FROM grants WHERE workspace_id = :w", w=home.workspace
    )
    assert life[0].total_seconds() == opened.lifetime.total_seconds() == 600  # type: ignore[index]
    home.sql("UPDATE grants SET expires_at = now() WHERE workspace_id = :w RETURNING id", w=home.workspace)
    refused(400, "state_expired", home, TIKTOK, opened.state, home.create_code("tiktok", ann))
    late = home.start(TIKTOK)
    with home.stack.context.database.begin() as c:
        assert revoke_key(c, home.key)
    refused(403, "state_key_revoked", home, TIKTOK, late.state, home.create_code("tiktok", ann))


def test_a_no_is_a_no_and_uses_the_state_up(home: OAuthWorkspace) -> None:
    page = home.add_person("facebook")
    opened = home.start(FACEBOOK)
    with pytest.raises(Refusal, match="was not allowed") as caught:
        home.finish(FACEBOOK, decline_consent(opened.url))
    assert (caught.value.status, caught.value.code) == (403, "access_denied")
    refused(409, "state_used", home, FACEBOOK, opened.state, "any")
    with pytest.raises(Refusal, match="could not connect"):
        home.finish(FACEBOOK, f"https://x/?error=server_error&state={home.start(FACEBOOK).state}")
    assert home.accounts() == []
    assert home.finish(FACEBOOK, grant_consent(home.start(FACEBOOK).url, page))


def test_the_code_of_another_redirect_is_refused(home: OAuthWorkspace) -> None:
    page = home.add_person("facebook")
    opened = home.start(FACEBOOK)
    parts = urlsplit(opened.url)
    query = {**dict(parse_qsl(parts.query)), "redirect_uri": "https://evil.example/callback"}
    stolen = grant_consent(parts._replace(query=urlencode(query)).geturl(), page)
    assert stolen.startswith("https://evil.example/callback?")
    refused(400, "code_refused", home, FACEBOOK, opened.state, parse_query(stolen)["code"])


def test_a_code_of_another_grant_is_refused_where_there_is_pkce(home: OAuthWorkspace) -> None:
    channel = home.add_person("youtube")
    mine, theirs = home.start(YOUTUBE), home.start(YOUTUBE)
    injected = parse_query(grant_consent(theirs.url, channel))["code"]
    refused(400, "code_refused", home, YOUTUBE, mine.state, injected)
    [one] = home.finish(YOUTUBE, grant_consent(home.start(YOUTUBE).url, channel))
    assert (one.connection, home.read_account(one.id)[0].credentials.refresh_token is not None) == (
        "channel",
        True,
    )


def test_connecting_again_takes_the_same_account_only(home: OAuthWorkspace) -> None:
    ann, bob = home.add_person("tiktok"), home.add_person("tiktok")
    first = home.connect_tiktok(ann)
    home.sql(
        """UPDATE accounts SET status = 'reconnect', error = '{"code": "x"}' WHERE id = :id RETURNING id""",
        id=first.id,
    )
    opened = home.start(TIKTOK, reconnect=first.id)
    said = refused(409, "wrong_account", home, TIKTOK, opened.state, home.create_code("tiktok", bob))
    assert f"signed in as {bob}, but this is about {ann}" in said
    assert home.read_account(first.id)[1:] == (1, "reconnect")
    again = home.connect_tiktok(ann, reconnect=first.id)
    assert (again.id, again.was_known) == (first.id, True)
    assert home.read_account(first.id)[1:] == (2, "active")
    assert len(home.accounts()) == 1
    with pytest.raises(Refusal, match="There is no tiktok account"):
        OAuthWorkspace.new(home.stack).start(TIKTOK, reconnect=first.id)
    with pytest.raises(Refusal, match="There is no instagram account"):
        home.start(INSTAGRAM, reconnect=first.id)


def test_only_the_operator_puts_an_account_back_in_use(home: OAuthWorkspace) -> None:
    ann = home.add_person("tiktok")
    one = home.connect_tiktok(ann)
    with home.stack.context.database.begin() as c:
        deactivate(c, one.id)
    with pytest.raises(Refusal, match="taken out of use") as caught:
        home.start(TIKTOK, reconnect=one.id)
    assert caught.value.status == 409
    opened = home.start(TIKTOK)
    refused(409, "account_inactive", home, TIKTOK, opened.state, home.create_code("tiktok", ann))
    by_hand = home.start(TIKTOK, CLI, reconnect=one.id)
    found = finish_authorization(home.stack.context, TIKTOK, by_hand.state, home.create_code("tiktok", ann))
    assert home.read_account(one.id)[2] == "inactive"
    confirm_all(home.stack, TIKTOK, found)
    assert home.read_account(one.id)[2] == "active"


@pytest.mark.parametrize(
    ("fault", "step"), [("5xx", "oauth"), ("drop", "oauth"), ("effect-then-drop", "oauth"), ("5xx", "read")]
)
def test_a_platform_that_is_away_leaves_nothing(home: OAuthWorkspace, fault: str, step: str) -> None:
    ann = home.add_person("facebook" if step == "oauth" else "tiktok")
    platform = FACEBOOK if step == "oauth" else TIKTOK
    home.stack.fault(platform.value, step if step == "oauth" else "any", fault, times=None)
    try:
        opened = home.start(platform)
        said = refused(
            502, "platform_unavailable", home, platform, opened.state, home.create_code(platform.value, ann)
        )
    finally:
        home.stack.control("DELETE", "faults")
    assert "nothing was changed" in said
    told = home.sql(
        "SELECT outcome -> 'error' ->> 'code' AS code FROM grants WHERE workspace_id = :w", w=home.workspace
    )
    assert told == ("platform_unavailable",)


def test_a_connection_that_does_not_exist_is_refused(home: OAuthWorkspace) -> None:
    with pytest.raises(Refusal, match="creator or business"):
        home.start(TIKTOK, connection="nonsense")
    assert home.start(TIKTOK, connection="business").url


def test_no_secret_is_written_anywhere(home: OAuthWorkspace, caplog: pytest.LogCaptureFixture) -> None:
    page = home.add_person("facebook")
    with caplog.at_level(logging.DEBUG, logger="slipway"):
        opened = home.start(FACEBOOK)
        back = grant_consent(opened.url, page)
        [one] = home.finish(FACEBOOK, back)
        with pytest.raises(Refusal) as caught:
            home.finish(FACEBOOK, back)
    credentials = home.read_account(one.id)[0].credentials
    assert credentials.refresh_token is not None
    said = (
        caplog.text
        + repr(opened)
        + repr(one)
        + repr(caught.value)
        + repr(parse_callback(urlsplit(back).query))
    )
    assert "connected facebook account" in caplog.text
    for secret in (
        opened.state,
        parse_query(back)["code"],
        credentials.access_token.get_secret_value(),
        credentials.refresh_token.get_secret_value(),
    ):
        assert secret not in said


@pytest.mark.parametrize(
    ("public", "sandbox", "found"),
    [
        ("https://post.example/slipway/", "", "https://post.example/slipway"),
        ("http://localhost:9000", "", "http://localhost:9000"),
        ("https://post.example", "http://127.0.0.1:1", "https://post.example"),
        ("", "http://127.0.0.1:1", "http://127.0.0.1:8123"),
    ],
)
def test_the_redirect_comes_from_the_settings(public: str, sandbox: str, found: str) -> None:
    s = Settings.model_validate({"api": {"public_url": public, "port": 8123}, "sandbox": {"url": sandbox}})
    assert build_redirect_uri(s, TIKTOK) == f"{found}/api/partner/v1/connect/tiktok/callback"


@pytest.mark.parametrize(
    "public",
    ["", "http://post.example", "post.example", "https://a:b@post.example", "https://post.example/?q=1"],
)
def test_an_unusable_public_url_is_named(public: str) -> None:
    files = {"public_url": "https://files.example"}
    s = Settings.model_validate({"api": {"public_url": public}, "files": files})
    with pytest.raises(Refusal, match="SLIPWAY_API__PUBLIC_URL") as caught:
        build_redirect_uri(s, TIKTOK)
    assert caught.value.code == "not_configured"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=s&code=",
        "state=s&state=t&code=a",
        "state=s&code=a&code=b",
        "state=s&code=" + "a" * 9000,
    ],
)
def test_a_way_back_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_callback(query)
    assert (caught.value.status, caught.value.code) == (400, "invalid_callback")


def test_what_the_platforms_send_back_is_understood() -> None:
    assert parse_callback("code=a%2Ab%21c&scopes=x&state=s").code == "a*b!c"
    assert (
        parse_callback("error=user_cancelled_login&error_description=x&state=s").error
        == "user_cancelled_login"
    )
    assert (
        parse_callback("error=access_denied&error_code=200&error_reason=user_denied&state=s").error
        == "access_denied"
    )


@pytest.mark.parametrize("platform", [Platform.TIKTOK, Platform.YOUTUBE, FACEBOOK])
def test_a_revoked_grant_is_dead_at_its_platform(home: OAuthWorkspace, platform: Platform) -> None:
    url = home.start(platform, chosen=ALL).url
    [account] = home.finish(platform, grant_consent(url, home.add_person(platform)))
    opened, _, _ = home.read_account(account.id)
    adapter = home.stack.context.adapter(platform, home.stack.context.client())
    assert isinstance(adapter, RevokesGrants)
    assert adapter.revoke(opened)
    for call in (adapter.refresh, adapter.revoke):
        with pytest.raises((CredentialsRevoked, CredentialsExpired)):
            call(opened)
