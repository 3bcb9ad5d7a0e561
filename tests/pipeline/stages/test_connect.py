"""The whole OAuth flow against the sandbox's consent pages and token endpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from adapters.contract import Platform
from config.settings import Settings
from pipeline.stages.connect import finish
from pipeline.stages.consent import redirect_uri, way_back
from pipeline.stages.request import Refusal
from pipeline.store.connections import deactivate
from pipeline.store.grants import CLI
from pipeline.store.keys import revoke_key
from tests.conftest import Engines, environment_of, free_ports
from tests.pipeline.stages.consents import Home, allow, deny, query_of
from tests.pipeline.store.ledger import together
from tests.stack import FAST, Stack, running

TIKTOK, FACEBOOK, INSTAGRAM = Platform.TIKTOK, Platform.FACEBOOK, Platform.INSTAGRAM
YOUTUBE = Platform.YOUTUBE


@pytest.fixture(scope="module")
def stack(
    engines: Engines, module_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("connect")
    environment = environment_of(module_database_url, engines.valkey.url, vault_key, folder) | FAST
    with running(environment, folder, free_ports(3)) as stack:
        stack.start_sandbox()
        yield stack


@pytest.fixture
def home(stack: Stack) -> Home:
    return Home.new(stack)


def refused(status: int, code: str, home: Home, platform: Platform, state: str, *more: Any) -> str:
    """Why a state was refused; nothing may have been stored."""
    before = [(a, home.opened(a.id)[1]) for a in home.accounts()]
    with pytest.raises(Refusal) as caught:
        finish(home.stack.core, platform, state, *more)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert [(a, home.opened(a.id)[1]) for a in home.accounts()] == before
    return caught.value.message


def test_an_account_is_connected_and_its_tokens_are_sealed(home: Home) -> None:
    ann = home.person("tiktok")
    opened = home.start(TIKTOK)
    asked = query_of(opened.url)
    assert opened.url.startswith(f"{home.stack.sandbox}/tiktok-www/v2/auth/authorize/?")
    assert (
        asked["redirect_uri"]
        == opened.redirect_uri
        == f"{home.stack.api}/api/partner/v1/connect/tiktok/callback"
    )
    assert asked["state"] == opened.state
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 64)

    [one] = finish(home.stack.core, TIKTOK, opened.state, home.code("tiktok", ann))
    assert (one.username, one.connection, one.was_known) == (ann, "creator", False)
    account, version, status = home.opened(one.id)
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


def test_all_pages_are_stored_or_the_chosen_ones(home: Home) -> None:
    one, two, three = (home.person("facebook") for _ in range(3))
    url = home.start(FACEBOOK, chosen=[home.stack.remote[two]]).url
    assert [a.username for a in home.come_back(FACEBOOK, allow(url, one, two, three))] == [two]
    found = home.come_back(FACEBOOK, allow(home.start(FACEBOOK).url, one, two, three))
    assert {a.username: a.was_known for a in found} == {one: False, two: True, three: False}
    assert sorted(a.username for a in home.accounts()) == sorted([one, two, three])
    with pytest.raises(Refusal, match="about the chosen ones"):
        home.come_back(FACEBOOK, allow(home.start(FACEBOOK, chosen=["1"]).url, one))


def test_a_state_is_good_for_one_use(home: Home) -> None:
    ann = home.person("tiktok")
    opened, code = home.start(TIKTOK), home.code("tiktok", ann)

    def use() -> str:
        try:
            return finish(home.stack.core, TIKTOK, opened.state, code)[0].username
        except Refusal as refusal:
            return refusal.code

    assert sorted(together(*[use] * 8)) == sorted([ann, *["state_used"] * 7])
    refused(409, "state_used", home, TIKTOK, opened.state, home.code("tiktok", ann))


def test_a_state_is_bound_to_who_started_it_and_where(home: Home) -> None:
    ann, other = home.person("tiktok"), Home.new(home.stack)
    opened, code = home.start(TIKTOK), home.code("tiktok", ann)
    refused(403, "state_other_starter", home, TIKTOK, opened.state, code, other.key_id)
    refused(403, "state_other_starter", home, TIKTOK, opened.state, code, CLI)
    refused(400, "state_other_platform", home, INSTAGRAM, opened.state, code, home.key_id)
    refused(400, "state_unknown", home, TIKTOK, opened.state + "x", code, home.key_id)
    assert other.accounts() == []
    assert finish(home.stack.core, TIKTOK, opened.state, code, home.key_id), "none of them used it up"
    by_hand = home.start(TIKTOK, CLI)
    refused(403, "state_other_starter", home, TIKTOK, by_hand.state, code, home.key_id)
    assert finish(home.stack.core, TIKTOK, by_hand.state, home.code("tiktok", ann), CLI)


def test_a_state_dies_after_ten_minutes_and_with_its_key(home: Home) -> None:
    ann = home.person("tiktok")
    opened = home.start(TIKTOK)
    life = home.sql(
        "SELECT expires_at - created_at AS life FROM grants WHERE workspace_id = :w", w=home.workspace
    )
    assert life[0].total_seconds() == opened.lives.total_seconds() == 600  # type: ignore[index]
    home.sql("UPDATE grants SET expires_at = now() WHERE workspace_id = :w RETURNING id", w=home.workspace)
    refused(400, "state_expired", home, TIKTOK, opened.state, home.code("tiktok", ann))
    late = home.start(TIKTOK)
    with home.stack.core.database.begin() as c:
        assert revoke_key(c, home.key)
    refused(403, "state_key_revoked", home, TIKTOK, late.state, home.code("tiktok", ann))


def test_a_no_is_a_no_and_uses_the_state_up(home: Home) -> None:
    page = home.person("facebook")
    opened = home.start(FACEBOOK)
    with pytest.raises(Refusal, match="was not allowed") as caught:
        home.come_back(FACEBOOK, deny(opened.url))
    assert (caught.value.status, caught.value.code) == (403, "access_denied")
    refused(409, "state_used", home, FACEBOOK, opened.state, "any")
    with pytest.raises(Refusal, match="could not connect"):
        home.come_back(FACEBOOK, f"https://x/?error=server_error&state={home.start(FACEBOOK).state}")
    assert home.accounts() == []
    assert home.come_back(FACEBOOK, allow(home.start(FACEBOOK).url, page))


def test_the_code_of_another_redirect_is_refused(home: Home) -> None:
    page = home.person("facebook")
    opened = home.start(FACEBOOK)
    parts = urlsplit(opened.url)
    query = {**dict(parse_qsl(parts.query)), "redirect_uri": "https://evil.example/callback"}
    stolen = allow(parts._replace(query=urlencode(query)).geturl(), page)
    assert stolen.startswith("https://evil.example/callback?")
    refused(400, "code_refused", home, FACEBOOK, opened.state, query_of(stolen)["code"])


def test_a_code_of_another_grant_is_refused_where_there_is_pkce(home: Home) -> None:
    channel = home.person("youtube")
    mine, theirs = home.start(YOUTUBE), home.start(YOUTUBE)
    injected = query_of(allow(theirs.url, channel))["code"]
    refused(400, "code_refused", home, YOUTUBE, mine.state, injected)
    [one] = home.come_back(YOUTUBE, allow(home.start(YOUTUBE).url, channel))
    assert (one.connection, home.opened(one.id)[0].credentials.refresh_token is not None) == ("channel", True)


def test_connecting_again_takes_the_same_account_only(home: Home) -> None:
    ann, bob = home.person("tiktok"), home.person("tiktok")
    first = home.connect_tiktok(ann)
    home.sql(
        """UPDATE accounts SET status = 'reconnect', error = '{"code": "x"}' WHERE id = :id RETURNING id""",
        id=first.id,
    )
    opened = home.start(TIKTOK, reconnect=first.id)
    said = refused(409, "wrong_account", home, TIKTOK, opened.state, home.code("tiktok", bob))
    assert f"signed in as {bob}, but this is about {ann}" in said
    assert home.opened(first.id)[1:] == (1, "reconnect")
    again = home.connect_tiktok(ann, reconnect=first.id)
    assert (again.id, again.was_known) == (first.id, True)
    assert home.opened(first.id)[1:] == (2, "active")
    assert len(home.accounts()) == 1
    with pytest.raises(Refusal, match="There is no tiktok account"):
        Home.new(home.stack).start(TIKTOK, reconnect=first.id)
    with pytest.raises(Refusal, match="There is no instagram account"):
        home.start(INSTAGRAM, reconnect=first.id)


def test_only_the_operator_puts_an_account_back_in_use(home: Home) -> None:
    ann = home.person("tiktok")
    one = home.connect_tiktok(ann)
    with home.stack.core.database.begin() as c:
        deactivate(c, one.id)
    with pytest.raises(Refusal, match="taken out of use") as caught:
        home.start(TIKTOK, reconnect=one.id)
    assert caught.value.status == 409
    opened = home.start(TIKTOK)
    refused(409, "account_inactive", home, TIKTOK, opened.state, home.code("tiktok", ann))
    by_hand = home.start(TIKTOK, CLI, reconnect=one.id)
    assert finish(home.stack.core, TIKTOK, by_hand.state, home.code("tiktok", ann))
    assert home.opened(one.id)[2] == "active"


@pytest.mark.parametrize(
    ("fault", "step"), [("5xx", "oauth"), ("drop", "oauth"), ("effect-then-drop", "oauth"), ("5xx", "read")]
)
def test_a_platform_that_is_away_leaves_nothing(home: Home, fault: str, step: str) -> None:
    ann = home.person("facebook" if step == "oauth" else "tiktok")
    platform = FACEBOOK if step == "oauth" else TIKTOK
    home.stack.fault(platform.value, step if step == "oauth" else "any", fault, times=None)
    try:
        opened = home.start(platform)
        said = refused(
            502, "platform_unavailable", home, platform, opened.state, home.code(platform.value, ann)
        )
    finally:
        home.stack.control("DELETE", "faults")
    assert "nothing was changed" in said
    told = home.sql(
        "SELECT outcome -> 'error' ->> 'code' AS code FROM grants WHERE workspace_id = :w", w=home.workspace
    )
    assert told == ("platform_unavailable",)


def test_a_connection_that_does_not_exist_is_refused(home: Home) -> None:
    with pytest.raises(Refusal, match="creator or business"):
        home.start(TIKTOK, connection="nonsense")
    assert home.start(TIKTOK, connection="business").url


def test_no_secret_is_written_anywhere(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    page = home.person("facebook")
    with caplog.at_level(logging.DEBUG, logger="slipway"):
        opened = home.start(FACEBOOK)
        back = allow(opened.url, page)
        [one] = home.come_back(FACEBOOK, back)
        with pytest.raises(Refusal) as caught:
            home.come_back(FACEBOOK, back)
    credentials = home.opened(one.id)[0].credentials
    assert credentials.refresh_token is not None
    said = caplog.text + repr(opened) + repr(one) + repr(caught.value) + repr(way_back(urlsplit(back).query))
    assert "connected facebook account" in caplog.text
    for secret in (
        opened.state, query_of(back)["code"], credentials.access_token.get_secret_value(),
        credentials.refresh_token.get_secret_value(),
    ):  # fmt: skip
        assert secret not in said


@pytest.mark.parametrize(
    ("public", "sandbox", "found"),
    [
        ("https://post.example", "", "https://post.example"),
        ("https://post.example/slipway/", "", "https://post.example/slipway"),
        ("http://localhost:9000", "", "http://localhost:9000"),
        ("https://post.example", "http://127.0.0.1:1", "https://post.example"),
        ("", "http://127.0.0.1:1", "http://127.0.0.1:8123"),
    ],
)
def test_the_redirect_comes_from_the_settings(public: str, sandbox: str, found: str) -> None:
    s = Settings.model_validate({"api": {"public_url": public, "port": 8123}, "sandbox": {"url": sandbox}})
    assert redirect_uri(s, TIKTOK) == f"{found}/api/partner/v1/connect/tiktok/callback"


@pytest.mark.parametrize(
    "public",
    ["", "http://post.example", "post.example", "https://a:b@post.example", "https://post.example/?q=1"],
)
def test_an_unusable_public_url_is_named(public: str) -> None:
    s = Settings.model_validate({"api": {"public_url": public}})
    with pytest.raises(Refusal, match="SLIPWAY_API__PUBLIC_URL") as caught:
        redirect_uri(s, TIKTOK)
    assert caught.value.code == "not_configured"


@pytest.mark.parametrize(
    "query",
    [
        "", "code=a", "state=", "state=s", "state=s&code=", "state=s&state=t&code=a", "state=s&code=a&code=b",
        "state=s&code=" + "a" * 9000,
    ],
)  # fmt: skip
def test_a_way_back_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(Refusal) as caught:
        way_back(query)
    assert (caught.value.status, caught.value.code) == (400, "invalid_callback")


def test_what_the_platforms_send_back_is_understood() -> None:
    assert way_back("code=a%2Ab%21c&scopes=x&state=s").code == "a*b!c"
    assert way_back("error=user_cancelled_login&error_description=x&state=s").error == "user_cancelled_login"
    assert (
        way_back("error=access_denied&error_code=200&error_reason=user_denied&state=s").error
        == "access_denied"
    )
