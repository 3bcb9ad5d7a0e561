"""What a person confirms, or does not, after a sign-in; and what they read at a link that cannot be used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from adapters.contract import Platform
from pipeline.accounts.account_selection import confirm_accounts, decline_accounts
from pipeline.accounts.authorize import finish_authorization
from pipeline.accounts.connected_account import PendingConfirmation
from pipeline.accounts.oauth_flow import parse_callback
from pipeline.maintenance.prepare_ahead import refresh_credentials
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.oauth_sessions import ALL, CLI, read_session_status
from tests.pipeline.accounts.consent_page import OAuthWorkspace, confirm_all, grant_consent
from tests.pipeline.store.ledger import together

TIKTOK, FACEBOOK, INSTAGRAM = Platform.TIKTOK, Platform.FACEBOOK, Platform.INSTAGRAM


def offered(home: OAuthWorkspace, platform: Platform, url: str) -> PendingConfirmation:
    """What a person may choose from; nothing is stored yet, and no token stands anywhere in the clear."""
    back = parse_callback(urlsplit(url).query)
    found = finish_authorization(home.stack.context, platform, back.state, back.code or "")
    stored = repr(home.sql("SELECT * FROM grants WHERE id = :id", id=found.session))
    for one in found.accounts:
        assert one.credentials.access_token.get_secret_value() not in stored + repr(found)
    assert found.ticket not in stored + repr(found)
    return found


def test_the_person_picks_once_and_only_what_was_offered(home: OAuthWorkspace) -> None:
    one, two = home.add_person("facebook"), home.add_person("facebook")
    choice = offered(home, FACEBOOK, grant_consent(home.start(FACEBOOK).url, one, two))
    assert home.accounts() == []
    context, place = home.stack.context, [a.username for a in choice.accounts].index(two)

    def refusal(*args: Any) -> tuple[int, str]:
        with pytest.raises(Refusal) as caught:
            confirm_accounts(context, *args)
        return caught.value.status, caught.value.code

    assert refusal(FACEBOOK, choice.session, choice.ticket, ()) == (400, "nothing_picked")
    assert refusal(FACEBOOK, choice.session, choice.ticket, (7,)) == (400, "nothing_picked")
    assert refusal(FACEBOOK, choice.session, choice.ticket + "x", (0,)) == (400, "state_unknown")
    assert refusal(FACEBOOK, uuid4(), choice.ticket, (0,)) == (400, "state_unknown")
    assert refusal(INSTAGRAM, choice.session, choice.ticket, (0,)) == (400, "state_other_platform")
    assert refusal(FACEBOOK, choice.session, choice.ticket, (0,), CLI) == (403, "state_other_starter")

    def use() -> str:
        try:
            stored = confirm_accounts(context, FACEBOOK, choice.session, choice.ticket, (place,))
            return stored.accounts[0].username
        except Refusal as refused:
            return refused.code

    assert sorted(together(*[use] * 4)) == sorted([two, *["state_used"] * 3])
    [stored] = home.accounts()
    assert stored.username == two
    token = choice.accounts[place].credentials.access_token
    assert home.read_account(stored.id)[0].credentials.access_token == token


def test_a_choice_dies_after_ten_minutes_and_its_tokens_go(home: OAuthWorkspace) -> None:
    pages = [home.add_person("facebook") for _ in range(2)]
    opened = home.start(FACEBOOK)
    choice = offered(home, FACEBOOK, grant_consent(opened.url, *pages))
    home.sql(
        "UPDATE grants SET used_at = now() - interval '601 s' WHERE id = :id RETURNING id", id=choice.session
    )

    def use() -> str:
        with pytest.raises(Refusal, match="has expired") as caught:
            confirm_accounts(home.stack.context, FACEBOOK, choice.session, choice.ticket, (0, 1))
        return caught.value.code

    assert use() == "state_expired"
    with home.stack.context.database.begin() as c:
        assert read_session_status(c, opened.state, timedelta(minutes=2)).is_over
    refresh_credentials(home.stack.context)
    assert use() == "state_expired"
    told = home.sql(
        "SELECT outcome #>> '{error,code}', outcome ? 'offered' FROM grants WHERE id = :id", id=choice.session
    )
    assert told == ("not_confirmed", False)
    assert home.accounts() == []


def test_a_person_who_does_not_confirm_leaves_nothing(home: OAuthWorkspace) -> None:
    ann = home.add_person("tiktok")
    opened = home.start(TIKTOK)
    code = home.create_code("tiktok", ann)
    pending = finish_authorization(home.stack.context, TIKTOK, opened.state, code)
    with pytest.raises(Refusal, match="not known"):
        decline_accounts(home.stack.context, TIKTOK, pending.session, "wrong")
    declined = decline_accounts(home.stack.context, TIKTOK, pending.session, pending.ticket)
    assert (declined.status, declined.code, home.accounts()) == (403, "access_denied", [])
    with pytest.raises(Refusal, match="already used"):
        confirm_all(home.stack, TIKTOK, pending)
    with home.stack.context.database.begin() as c:
        status = read_session_status(c, opened.state, timedelta(minutes=2))
    assert status.outcome == {"error": {"code": "access_denied", "message": declined.message}}
    assert home.accounts() == []


@pytest.mark.parametrize("named", ["one", "all", "again"])
def test_nothing_is_stored_before_the_person_confirms_whatever_was_asked_for(
    home: OAuthWorkspace, named: str
) -> None:
    page = home.add_person("facebook")
    known = home.finish(FACEBOOK, grant_consent(home.start(FACEBOOK).url, page)) if named == "again" else []
    requests: dict[str, dict[str, Any]] = {
        "one": {"chosen": [home.stack.remote[page]]},
        "all": {"chosen": ALL},
        "again": {"reconnect": known[0].id if known else None},
    }
    before = [(a, home.read_account(a.id)[1]) for a in home.accounts()]
    pending = offered(home, FACEBOOK, grant_consent(home.start(FACEBOOK, **requests[named]).url, page))
    assert (pending.is_choice, [a.username for a in pending.accounts]) == (False, [page])
    assert (pending.origin.workspace, pending.origin.key) == (home.name, f"“tests” ({home.public_id})")
    assert [(a, home.read_account(a.id)[1]) for a in home.accounts()] == before
    assert [a.username for a in confirm_all(home.stack, FACEBOOK, pending)] == [page]


def test_a_link_that_cannot_be_used_says_what_to_do(home: OAuthWorkspace) -> None:
    ann = home.add_person("tiktok")

    def reason(state: str) -> str:
        with pytest.raises(Refusal) as caught:
            finish_authorization(home.stack.context, TIKTOK, state, home.create_code("tiktok", ann))
        return caught.value.message

    opened = home.start(TIKTOK)
    pending = finish_authorization(home.stack.context, TIKTOK, opened.state, home.create_code("tiktok", ann))
    assert "waits for your confirmation: go back to the page" in reason(opened.state)
    confirm_all(home.stack, TIKTOK, pending)
    done = reason(opened.state)
    assert "It connected 1 account; there is nothing left to do." in done
    assert "Start again" not in done
    for starter, step in (
        (
            home.key_id,
            f"ask who sent you the link for a new one, made with the API key “tests” ({home.public_id})",
        ),
        (CLI, f"run `slipway account connect tiktok --workspace {home.name}`"),
    ):
        late = home.start(TIKTOK, starter)
        home.sql(
            "UPDATE grants SET expires_at = now() WHERE used_at IS NULL AND workspace_id = :w RETURNING id",
            w=home.workspace,
        )
        assert (
            reason(late.state) == f"This link has expired: it is valid for ten minutes. Start again: {step}."
        )
        refused_ = home.start(TIKTOK, starter)
        with pytest.raises(Refusal, match="was not allowed"):
            home.finish(TIKTOK, f"https://x/?error=access_denied&state={refused_.state}")
        again = reason(refused_.state)
        assert "Nothing was connected: tiktok was not allowed to connect" in again
        assert again.endswith(f"{step}.")


@pytest.mark.parametrize("picks", ["person", "organization"])
def test_one_linkedin_login_publishes_as_member_or_as_organization(home: OAuthWorkspace, picks: str) -> None:
    ann = home.add_person("linkedin")
    acme = home.add_person("linkedin", kind="organization")
    choice = offered(home, Platform.LINKEDIN, grant_consent(home.start(Platform.LINKEDIN).url, ann))
    found = [(a.connection, a.username) for a in choice.accounts]
    assert ("person", ann) in found
    assert ("organization", acme) in found
    place = found.index((picks, ann if picks == "person" else acme))
    stored = confirm_accounts(home.stack.context, Platform.LINKEDIN, choice.session, choice.ticket, (place,))
    [one] = stored.accounts
    assert (one.connection, one.remote_id) == (picks, choice.accounts[place].remote_id)
    assert [a.remote_id for a in home.accounts()] == [one.remote_id]
