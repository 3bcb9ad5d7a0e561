"""OAuth over HTTP: a client requests a consent URL, a person visits it in a browser, the callback shows a page."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests

from adapters.contract import Platform
from pipeline.domain.account import PLATFORM_NAMES
from pipeline.store.accounts.oauth_sessions import CLI
from tests.pipeline.accounts.consent_page import (
    OAuthWorkspace,
    build_stack_fixture,
    confirm,
    decline_consent,
    grant_consent,
    parse_query,
    press_decline,
    tick_accounts,
)
from tests.stack import Stack

BASE = "/api/partner/v1/connect"


stack = build_stack_fixture()


@pytest.fixture
def home(stack: Stack) -> OAuthWorkspace:
    return OAuthWorkspace.new(stack)


def start(
    home: OAuthWorkspace, platform: str, body: Any = None, key: str | None = None, **headers: str
) -> requests.Response:
    """POST /connect/{platform}."""
    return requests.post(
        f"{home.stack.api}{BASE}/{platform}",
        json=body,
        timeout=60,
        headers={"Authorization": f"Bearer {key or home.key}", **headers},
    )


def start_url(home: OAuthWorkspace, platform: str, body: Any = None, **headers: str) -> str:
    """Return the URL of the consent page."""
    answer = start(home, platform, body, **headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["expires_in"] == 600
    assert answer.headers["Cache-Control"] == "no-store"
    url: str = answer.json()["data"]["url"]
    return url


class Text(HTMLParser):
    """Parser that records the tags and words of a page, and refuses references and handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name in {"src", "href", "style"} or name.startswith("on")]
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(answer: requests.Response, status: int, *, form: bool = False) -> str:
    """Return the page's text, after the checks that hold for every page: headers, and nothing of its address in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-Id"]
    style, *others = answer.headers["Content-Security-Policy"].split("; ")[1:]
    assert re.fullmatch(r"style-src 'sha256-\S+'", style)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    action = "'self'" if form else "'none'"
    assert others == ["base-uri 'none'", f"form-action {action}", "frame-ancestors 'none'"]
    page = Text()
    page.feed(answer.text)
    assert {"html", "title", "main", "h1"} <= set(page.tags)
    assert not {"script", "img", "link", "iframe", "a"} & set(page.tags)
    assert ("form" in page.tags) is form
    for name, value in parse_query(answer.url).items():
        assert value not in answer.text, name
    return " ".join(" ".join(page.words).split())


def visit(url: str) -> requests.Response:
    return requests.get(url, timeout=60)


def test_a_browser_goes_there_and_back_and_the_accounts_are_there(home: OAuthWorkspace) -> None:
    one, two = home.add_person("facebook"), home.add_person("facebook")
    url = start_url(home, "facebook")
    answer = requests.get(url, params={"auto": "allow", "username": f"{one},{two}"}, timeout=60)
    assert answer.url.startswith(f"{home.stack.api}{BASE}/facebook/callback?")
    asked = read(answer, 200, form=True)
    assert "This login has access to 2 Facebook accounts" in asked
    assert home.accounts() == []
    chosen = tick_accounts(answer, one, two)
    text = read(chosen, 200)
    assert "2 Facebook accounts are connected" in text
    assert one in text
    assert two in text
    listed = requests.get(
        f"{home.stack.api}/api/partner/v1/accounts",
        headers={"Authorization": f"Bearer {home.key}"},
        timeout=60,
    ).json()["data"]["accounts"]
    assert sorted(a["username"] for a in listed) == sorted([one, two])
    used = read(visit(answer.url), 409)
    assert "This link was already used" in used
    assert "It connected 2 accounts; there is nothing left to do." in used
    assert "already used" in read(tick_accounts(answer, one), 409)


def test_only_what_was_ticked_is_connected(home: OAuthWorkspace) -> None:
    member, acme = home.add_person("linkedin"), home.add_person("linkedin", kind="organization")
    page = visit(grant_consent(start_url(home, "linkedin"), member))
    assert "person" in read(page, 200, form=True)
    assert "Nothing was ticked" in read(tick_accounts(page), 400)
    other = OAuthWorkspace.new(home.stack)
    assert "made with another API key" in read(
        tick_accounts(page, acme, Authorization=f"Bearer {other.key}"), 403
    )
    assert acme in read(tick_accounts(page, acme, Authorization=f"Bearer {home.key}"), 200)
    assert [a.connection for a in home.accounts()] == ["organization"]


def test_the_page_names_the_workspace_the_account_and_who_asked_and_stores_nothing_before_a_yes(
    home: OAuthWorkspace,
) -> None:
    one, two = home.add_person("facebook"), home.add_person("facebook")
    bodies = (None, {"remote_ids": ["*"]}, {"remote_ids": [home.stack.remote[one]]})
    for body, names in zip(bodies, ((one,), (one, two), (one,)), strict=True):
        page = visit(grant_consent(start_url(home, "facebook", body), *names))
        text = read(page, 200, form=True)
        told = (*names, home.name, f"the API key “tests” ({home.public_id})")
        assert all(word in text for word in told), text
        assert (
            f"This link was not begun in this browser but with the API key “tests” ({home.public_id})" in text
        )
        assert "No account is stored or changed until you press Connect" in text
        assert home.accounts() == []
        assert "was not confirmed; nothing was changed" in read(press_decline(page), 403)
        assert "This link was already used" in read(confirm(page), 409)
        assert home.accounts() == []
    done = read(confirm(visit(grant_consent(start_url(home, "facebook"), one))), 200)
    assert all(word in done for word in (one, home.name, home.public_id))
    by_hand = visit(grant_consent(home.start(Platform.FACEBOOK, CLI).url, one))
    assert "but on the command line" in read(by_hand, 200, form=True)


@pytest.mark.parametrize("form", [{}, {"grant": str(UUID(int=7)), "account": "one"}])
def test_an_answer_that_is_none_is_a_page_too(home: OAuthWorkspace, form: dict[str, str]) -> None:
    answer = requests.post(f"{home.stack.api}{BASE}/linkedin/choice", data=form, timeout=60)
    assert "The form is invalid" in read(answer, 400)


def test_the_host_header_changes_nothing(home: OAuthWorkspace) -> None:
    url = start_url(
        home, "tiktok", Host="evil.example", **{"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"}
    )
    assert parse_query(url)["redirect_uri"] == f"{home.stack.api}{BASE}/tiktok/callback"
    assert "evil" not in url


def test_every_platform_has_a_consent_page_and_its_own_way_back(home: OAuthWorkspace) -> None:
    for platform in home.stack.context.adapters:
        asked = parse_query(start_url(home, platform.value))
        assert asked["redirect_uri"] == f"{home.stack.api}{BASE}/{platform.value}/callback"
        assert (asked["response_type"], len(asked["state"])) == ("code", 43)
        assert asked.get("client_id", asked.get("client_key")) == "slipway-sandbox"


def test_the_person_said_no(home: OAuthWorkspace) -> None:
    url = start_url(home, "facebook")
    home.add_person("facebook")
    text = read(visit(decline_consent(url)), 403)
    assert "Facebook is not connected" in text
    assert "was not allowed to connect" in text
    assert home.accounts() == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?code=abcdefgh&state=unknown-state", 400),
        ("?error=%3Cscript%3Ealert(1)%3C/script%3E&state=%3Cb%3Ebold%3C/b%3E", 400),
        ("?code=%00%FF%ED%A0%80abc&state=%F0%9F%92%A9%ED%A0%80", 400),
    ],
)
def test_what_belongs_to_nobody_is_a_page_too(home: OAuthWorkspace, query: str, status: int) -> None:
    read(visit(f"{home.stack.api}{BASE}/tiktok/callback{query}"), status)
    read(visit(f"{home.stack.api}{BASE}/tiktok/callback/{query}"), status)


def test_a_client_that_takes_the_person_back_itself_must_be_the_one_that_began(home: OAuthWorkspace) -> None:
    ann, other = home.add_person("tiktok"), OAuthWorkspace.new(home.stack)
    state = parse_query(start_url(home, "tiktok"))["state"]
    back = f"{home.stack.api}{BASE}/tiktok/callback?code={home.create_code('tiktok', ann)}&state={state}"

    def as_(key: str) -> requests.Response:
        return requests.get(back, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    assert "made with another API key" in read(as_(other.key), 403)
    assert "unknown or was revoked" in read(as_("slw_live_0.wrong"), 401)
    assert "another platform" in read(visit(back.replace("/tiktok/", "/instagram/")), 400)
    page = as_(home.key)
    text = read(page, 200, form=True)
    assert "not begun in this browser" not in text
    assert "made with another API key" in read(confirm(page, Authorization=f"Bearer {other.key}"), 403)
    assert ann in read(confirm(page, Authorization=f"Bearer {home.key}"), 200)
    assert other.accounts() == []


def test_names_are_shown_as_text(home: OAuthWorkspace) -> None:
    name = f"<script>{uuid4().hex}</script>"
    home.add_person("facebook", name)
    page = visit(grant_consent(start_url(home, "facebook"), name))
    assert name in read(page, 200, form=True)
    assert name in read(confirm(page), 200)
    hostile = OAuthWorkspace.new(home.stack, name=f"<b onload=x>{uuid4().hex}", key_name="<i>key</i>")
    page = visit(grant_consent(start_url(hostile, "facebook"), name))
    for text in (read(page, 200, form=True), read(confirm(page), 200)):
        assert hostile.name in text
        assert "<i>key</i>" in text


@pytest.mark.parametrize(
    ("platform", "body", "status", "code"),
    [
        ("myspace", None, 404, "not_found"),
        ("tiktok", {"connection": "nonsense"}, 400, "validation_failed"),
        ("tiktok", {"reconnect": str(uuid4())}, 404, "not_found"),
        ("tiktok", {"redirect_uri": "https://evil.example"}, 422, "invalid_payload"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    home: OAuthWorkspace, platform: str, body: Any, status: int, code: str
) -> None:
    answer = start(home, platform, body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert home.sql("SELECT count(*) FROM grants WHERE workspace_id = :w", w=home.workspace) == (0,)


def test_a_platform_that_does_not_answer_is_said_so(home: OAuthWorkspace) -> None:
    page = home.add_person("facebook")
    home.stack.fault("facebook", "oauth", "5xx", times=None)
    try:
        assert "nothing was changed" in read(visit(grant_consent(start_url(home, "facebook"), page)), 502)
    finally:
        home.stack.control("DELETE", "faults")


def test_no_state_code_or_token_is_in_the_servers_log(home: OAuthWorkspace) -> None:
    page = home.add_person("facebook")
    url = start_url(home, "facebook")
    back = grant_consent(url, page)
    read(confirm(visit(back)), 200)
    read(visit(back), 409)
    [account] = home.accounts()
    credentials = home.read_account(account.id)[0].credentials
    log = home.stack.folder / "api.log"
    deadline = time.monotonic() + 60
    while str(account.id) not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    said = log.read_text()
    assert f"connected facebook account {account.id}" in said
    assert credentials.refresh_token is not None
    for secret in (
        *parse_query(back).values(),
        credentials.access_token.get_secret_value(),
        credentials.refresh_token.get_secret_value(),
    ):
        assert secret not in said


def test_every_platform_has_a_name_on_the_pages() -> None:
    assert set(PLATFORM_NAMES) == {p.value for p in Platform}
