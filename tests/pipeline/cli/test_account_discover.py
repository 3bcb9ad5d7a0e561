"""`slipway account discover` against the sandbox: every account of a login, over all pages of the platform's list."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from adapters.contract import Credentials, Platform
from pipeline.accounts.oauth_flow import build_redirect_uri
from pipeline.store.accounts.accounts import find_accounts, read_account
from tests.pipeline.accounts.consent_page import grant_consent, parse_query
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack

SEVERAL_PAGES = 230
"""More accounts than two pages of 100 show."""


def sign_in(sandbox: Stack, platform: Platform, bodies: list[dict[str, object]]) -> Credentials:
    """Create these accounts, sign in as the person who runs all of them, and return the login's tokens."""
    for body in bodies:
        sandbox.control("POST", "accounts", {"platform": platform.value, **body})
    adapter = sandbox.context.adapter(platform, sandbox.context.client())
    back = build_redirect_uri(sandbox.context.settings, platform)
    # LinkedIn's consent page is the member's, who administers the organizations
    names = [
        str(body["username"]) for body in bodies if platform is not Platform.LINKEDIN or "options" not in body
    ]
    location = grant_consent(adapter.authorize_url(back, "state", None), *names)
    return adapter.exchange(parse_query(location)["code"], back, None)


def to_json(login: Credentials) -> str:
    return json.dumps(
        {
            "access_token": login.access_token.get_secret_value(),
            "expires_at": login.expires_at.isoformat() if login.expires_at else None,
            "scopes": login.scopes,
        }
    )


@pytest.mark.parametrize(
    ("platform", "options"),
    [(Platform.FACEBOOK, {}), (Platform.LINKEDIN, {"kind": "organization"})],
)
def test_all_accounts_of_a_login_are_listed_and_then_stored_in_one_go(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, platform: Platform, options: dict[str, str]
) -> None:
    prefix = f"page{uuid4().hex[:6]}"
    names = [f"{prefix}x{number}" for number in range(SEVERAL_PAGES)]
    bodies: list[dict[str, object]] = [{"username": name, "options": options} for name in names]
    bodies += [{"username": f"{prefix}member"}] if platform is Platform.LINKEDIN else []
    login = sign_in(sandbox, platform, bodies)
    workspace = UUID(terminal.json("workspace create", prefix)["id"])
    words = ("account discover", platform.value, "--workspace", prefix, "--json")

    listed = terminal.run(*words, stdin=to_json(login))
    assert listed.status == 0, listed
    rows = json.loads(listed.stdout)
    assert "Nothing was stored" in listed.stderr
    found = {row["remote_id"] for row in rows if row["connection"] != "person"}
    assert len(found) == SEVERAL_PAGES
    with ledger.database.begin() as c:
        assert find_accounts(c, workspace) == []

    wrong = terminal.refusal(*words, "--yes", "--only", "nobody", stdin=to_json(login))
    assert "has no nobody; nothing was stored" in wrong
    one = rows[0]["remote_id"]
    assert len(json.loads(terminal.run(*words, "--yes", "--only", one, stdin=to_json(login)).stdout)) == 1

    stored = terminal.run(*words, "--yes", stdin=to_json(login))
    assert stored.status == 0, stored
    token = login.access_token.get_secret_value()
    assert token not in listed.stdout + listed.stderr + stored.stdout + stored.stderr
    was = {row["remote_id"]: row["was"] for row in json.loads(stored.stdout)}
    assert was.pop(one) == "known; its tokens are replaced"
    assert set(was.values()) == {"new"}
    with ledger.database.begin() as c:
        accounts = find_accounts(c, workspace)
        opened = [read_account(c, ledger.vault, account.id)[0] for account in accounts]
    assert len(opened) == len(rows)
    if platform is Platform.FACEBOOK:
        assert len({one.credentials.access_token.get_secret_value() for one in opened}) == SEVERAL_PAGES


def test_tokens_that_list_nothing_are_refused(sandbox: Stack, terminal: Terminal) -> None:
    terminal.json("workspace create Nobody")
    stdin = json.dumps({"access_token": "EAAdoesnotexist12345"})
    said = terminal.refusal("account discover facebook --workspace Nobody", stdin=stdin)
    assert "nothing was stored" in said
    assert "doesnotexist" not in said
