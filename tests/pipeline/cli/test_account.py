"""`slipway account` with tokens from standard input; a real sandbox answers whose tokens they are."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import Reason, State
from pipeline.store.accounts.accounts import read_account, require_reconnect
from pipeline.store.deliveries.lease import resume_reconnected
from tests.crash_table import Crashes
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack

SECRET = "act.verysecret"
ADD = ("--connection", "creator", "--remote-id", "_000x", "--username", "xenia", "--unchecked")


@pytest.fixture(scope="module")
def workspace(terminal: Terminal) -> str:
    identity: str = terminal.json("workspace create Accounts")["id"]
    return identity


def tokens(**more: Any) -> str:
    return json.dumps({"access_token": SECRET, **more})


def revoke_grant(ledger: Ledger, account: UUID) -> None:
    with ledger.database.begin() as c:
        _, version, _ = read_account(c, ledger.vault, account)
        require_reconnect(c, account, {"code": "revoked"}, version)


def status(ledger: Ledger, account: str) -> AccountStatus:
    with ledger.database.begin() as c:
        return read_account(c, ledger.vault, UUID(account))[2]


def test_tokens_come_from_standard_input_are_sealed_and_never_shown(
    terminal: Terminal, ledger: Ledger, workspace: str
) -> None:
    words = ("account add tiktok --workspace", workspace, *ADD, "--setting", "long_lived=true", "--json")
    ended = terminal.run(*words, stdin=tokens(refresh_token="rft.1", expires_in=60, scopes=["video.publish"]))
    assert SECRET not in ended.stdout + ended.stderr
    made = json.loads(ended.stdout)
    with ledger.database.begin() as c:
        account, version, _ = read_account(c, ledger.vault, UUID(made["id"]))
    assert account.credentials.access_token.get_secret_value() == SECRET
    assert account.credentials.expires_at is not None
    assert account.credentials.expires_at - datetime.now(UTC) < timedelta(seconds=60)
    assert (account.settings, version) == ({"long_lived": True}, 1)

    again = json.loads(terminal.run(*words, stdin=tokens()).stdout)
    assert (again["id"], again["was"]) == (made["id"], "known; its tokens are replaced")


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        ("", "it is not JSON"),
        (f'{{"access_token": "{SECRET}"', "it is not JSON"),
        ("[]", "object"),
        (tokens(expires_in=5, expires_at="2027-01-01T00:00:00Z"), "contradict each other"),
        (tokens(expires_at="2027-01-01T00:00:00"), "expires_at: input should have timezone info"),
        (tokens(refresh_expires_in=-1), "refresh_expires_in: input should be greater than 0"),
        (json.dumps({"access_token": "x", SECRET: 1}), "a field is not one of access_token"),
        (json.dumps({"refresh_token": SECRET}), "access_token: field required"),
    ],
)
def test_tokens_that_cannot_be_used_are_refused_without_showing_them(
    terminal: Terminal, workspace: str, stdin: str, said: str
) -> None:
    sentence = terminal.refusal("account add tiktok --workspace", workspace, *ADD, stdin=stdin)
    assert said in sentence
    assert SECRET not in sentence


def test_what_is_wrong_is_said_with_the_next_step(terminal: Terminal, workspace: str) -> None:
    add = ("account add",)
    assert "did you mean pinterest?" in terminal.refusal(*add, "pintrest", "--workspace", workspace, *ADD)
    wrong = terminal.refusal(*add, "tiktok", "--workspace", workspace, *ADD, "--setting", "x", stdin=tokens())
    assert "write it that way" in wrong
    nobody = terminal.refusal(*add, "tiktok", "--workspace", "nobody", *ADD, stdin=tokens())
    assert "`slipway workspace list`" in nobody
    assert "`slipway account list`" in terminal.refusal("account deactivate nobody")


def test_the_list_says_until_when_a_grant_lives_and_how_many_posts_that_endangers(
    terminal: Terminal, ledger: Ledger
) -> None:
    mine = terminal.json("workspace create Ends")["id"]
    add = ("account add tiktok --workspace", mine, "--connection", "creator", "--unchecked", "--json")
    given = tokens(refresh_token="r", expires_in=60, refresh_expires_in=86_400)
    made = json.loads(terminal.run(*add, "--remote-id", "e", "--username", "eve", stdin=given).stdout)
    account = UUID(made["id"])
    ledger.post([account], due=timedelta(hours=1))
    ledger.posts(2, [account], due=timedelta(days=2))
    ledger.post([account], State.CANCELLED, due=timedelta(days=2))

    [listed] = terminal.json("account list --workspace", mine)
    assert (listed["status"], listed["endangered_posts"]) == ("active", 2)
    ends = datetime.fromisoformat(listed["grant_ends_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < ends <= timedelta(days=1)

    revoke_grant(ledger, account)
    [listed] = terminal.json("account list --workspace", mine)
    assert (listed["status"], listed["endangered_posts"]) == ("reconnect", 3)


def test_one_out_of_use_comes_back_unless_its_grant_had_died(terminal: Terminal, ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    name = str(account)
    assert terminal.json("account deactivate", name)["status"] == "inactive"
    assert status(ledger, name) is AccountStatus.INACTIVE
    post = ledger.post([account])
    ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
    assert terminal.json("account activate", name)["status"] == "active"
    assert ledger.state(post.deliveries[0]) is State.RETRYING

    revoke_grant(ledger, account)
    terminal.text("account deactivate", name)
    ended = terminal.run("account activate", name)
    assert ended.status == 1
    assert f"slipway account reconnect {name}" in ended.stderr
    assert status(ledger, name) is AccountStatus.RECONNECT


def test_what_waited_for_an_account_goes_on_though_the_command_died(
    terminal: Terminal, ledger: Ledger, crashes: Crashes
) -> None:
    account = ledger.account(ledger.workspace())
    terminal.text("account deactivate", str(account))
    post = ledger.post([account])
    ledger.put(post, State.BLOCKED, reason=Reason.RECONNECT)
    ended = terminal.run("account activate", str(account), **crashes.arm())
    assert ended.status == -signal.SIGKILL
    assert (status(ledger, str(account)), ledger.states(post)) == (AccountStatus.ACTIVE, [State.BLOCKED])
    with ledger.database.begin() as c:
        assert resume_reconnected(c, 100) == post.deliveries, "the chore lets it go on"


def test_new_tokens_of_the_same_account_let_its_posts_go_on_and_those_of_another_are_refused(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: str
) -> None:
    made = terminal.json("account add-sandbox tiktok --workspace", workspace, "--username", "ann")
    account = UUID(made["id"])
    waiting, armed = ledger.post([account]), ledger.post([account])
    ledger.put(waiting, State.BLOCKED, reason=Reason.RECONNECT)
    ledger.put(armed, State.BLOCKED, armed=True, reason=Reason.RECONNECT)
    revoke_grant(ledger, account)

    wrong = issue_tokens(sandbox, "bob")
    refused = terminal.refusal("account reconnect ann", stdin=json.dumps(wrong))
    assert "These tokens are for bob" in refused
    assert wrong["access_token"] not in refused
    assert status(ledger, made["id"]) is AccountStatus.RECONNECT
    dead = terminal.refusal("account reconnect ann", stdin=tokens())
    assert "nothing was changed" in dead

    right = issue_tokens(sandbox, "ann")
    ended = terminal.run("account reconnect ann --json", stdin=json.dumps(right))
    assert json.loads(ended.stdout)["posts_that_go_on"] == 2
    assert status(ledger, made["id"]) is AccountStatus.ACTIVE
    assert ledger.state(waiting.deliveries[0]) is State.RETRYING
    assert ledger.state(armed.deliveries[0]) is State.UNKNOWN


def test_the_sandbox_answers_a_wrong_platform_with_the_right_ones(
    sandbox: Stack, terminal: Terminal, workspace: str
) -> None:
    words = ("account add-sandbox myspace --workspace", workspace, "--username", "ann")
    assert "tiktok" in terminal.refusal(*words)


def test_without_a_sandbox_it_is_said(terminal: Terminal, workspace: str) -> None:
    words = ("account add-sandbox tiktok --workspace", workspace, "--username", "ann")
    assert "sandbox is off" in terminal.refusal(
        *words, SLIPWAY_SANDBOX__URL="", SLIPWAY_SANDBOX__MEDIA_URL=""
    )


def issue_tokens(sandbox: Stack, username: str) -> dict[str, Any]:
    """Return the tokens that the sandbox issues to this user."""
    person = sandbox.control("POST", "accounts", {"platform": "tiktok", "username": username})
    names = ("access_token", "refresh_token", "expires_in", "refresh_expires_in", "scopes")
    return {name: person[name] for name in names}
