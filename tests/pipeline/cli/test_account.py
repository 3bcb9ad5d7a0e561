"""`slipway account` with tokens from standard input, whose account a real sandbox names; and a file of accounts."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import account_file
from pipeline.cli.account_file import Problem, find_repeated, read_accounts
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
        (f'{{"access_token": "{SECRET}"', "it is not JSON"),
        (tokens(expires_in=5, expires_at="2027-01-01T00:00:00Z"), "contradict each other"),
        (tokens(refresh_expires_in=-1), "refresh_expires_in: input should be greater than 0"),
        (json.dumps({"access_token": "x", SECRET: 1}), "a field is not one of access_token"),
    ],
)
def test_tokens_that_cannot_be_used_are_refused_without_showing_them(
    terminal: Terminal, workspace: str, stdin: str, said: str
) -> None:
    sentence = terminal.refusal("account add tiktok --workspace", workspace, *ADD, stdin=stdin)
    assert said in sentence
    assert SECRET not in sentence


def test_what_is_wrong_is_said_with_the_next_step(terminal: Terminal, workspace: str) -> None:
    add = ("account add tiktok --workspace", workspace, *ADD)
    assert "write it that way" in terminal.refusal(*add, "--setting", "x", stdin=tokens())
    assert "`slipway account list`" in terminal.refusal("account deactivate nobody")


def test_the_list_says_until_when_a_grant_lives_and_how_many_posts_that_endangers(
    terminal: Terminal, ledger: Ledger
) -> None:
    mine = terminal.json("workspace create Ends")["id"]
    add = ("account add tiktok --workspace", mine, "--connection", "creator", "--unchecked", "--json")
    given = tokens(refresh_token="r", expires_in=60, refresh_expires_in=86_400)
    made = json.loads(terminal.run(*add, "--remote-id", "e", "--username", "eve", stdin=given).stdout)
    ledger.posts(2, [UUID(made["id"])], due=timedelta(days=2))
    [listed] = terminal.json("account list --workspace", mine)
    assert (listed["status"], listed["endangered_posts"]) == ("active", 2)
    ends = datetime.fromisoformat(listed["grant_ends_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < ends <= timedelta(days=1)


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


def test_a_sandbox_that_is_off_or_has_no_such_platform_is_said(
    sandbox: Stack, terminal: Terminal, workspace: str
) -> None:
    words = ("account add-sandbox myspace --workspace", workspace, "--username", "ann")
    assert "tiktok" in terminal.refusal(*words)
    off = terminal.refusal(*words, SLIPWAY_SANDBOX__URL="", SLIPWAY_SANDBOX__MEDIA_URL="")
    assert "sandbox is off" in off


def issue_tokens(sandbox: Stack, username: str) -> dict[str, Any]:
    """Return the tokens that the sandbox issues to this user."""
    person = sandbox.control("POST", "accounts", {"platform": "tiktok", "username": username})
    names = ("access_token", "refresh_token", "expires_in", "refresh_expires_in", "scopes")
    return {name: person[name] for name in names}


TOKEN = "act.3rQz8Vb1Yt7LmN5pKs2Wd4Xc6"
HEAD = "platform,connection,remote_id,username,access_token"
GOOD = f"tiktok,creator,_1,ann,{TOKEN}"


def read(*lines: str, workspace: str | None = "Acme") -> list[Problem]:
    return read_accounts("\n".join(lines).encode(), workspace)[1]


def test_a_row_has_tokens_times_scopes_and_settings() -> None:
    content = (
        "\ufeffplatform,connection,remote_id,username,access_token,refresh_token,expires_in,scopes,"
        "workspace,setting.default_board,setting.long_lived\r\n"
        f'pinterest,user,7,"Ann, and ""Bob""",{TOKEN},rft,60,"pins:read, pins:write",Other,123,true\r\n\r\n'
    )
    [one], problems = read_accounts(content.encode(), "Acme")
    assert problems == []
    assert (one.line, one.fields.username, one.fields.workspace) == (2, 'Ann, and "Bob"', "Other")
    assert one.settings == {"default_board": "123", "long_lived": True}
    credentials = one.fields.to_credentials()
    assert credentials.access_token.get_secret_value() == TOKEN
    assert credentials.scopes == ("pins:read", "pins:write")
    assert credentials.expires_at is not None


def with_times(cells: str) -> list[str]:
    return [f"{HEAD},expires_in,expires_at", f"{GOOD},{cells}"]


@pytest.mark.parametrize(
    ("lines", "where", "rule", "value"),
    [
        ([HEAD, f"tiktk,creator,_1,ann,{TOKEN}"], (2, "platform"), "'tiktok'", "tiktk"),
        ([HEAD, f"tiktok,creator,,ann,{TOKEN}"], (2, "remote_id"), "it is required", None),
        ([HEAD, f"tiktok,creator,_1,a\x07n,{TOKEN}"], (2, "username"), "control character", "an"),
        ([HEAD, f"tiktok,creator,_1,{'x' * 201},{TOKEN}"], (2, "username"), "at most 200", "x" * 40 + "…"),
        ([HEAD, f"{TOKEN},creator,_1,ann,{TOKEN}"], (2, "platform"), "'tiktok'", "[redacted]"),
        ([HEAD, f"tiktok,creator,_1,{TOKEN}"], (2, ""), "it has 4 columns, the first line 5", None),
        ([HEAD, f'tiktok,creator,"_1,ann,{TOKEN}'], (2, ""), "it is not CSV", None),
        (with_times("-1,"), (2, "expires_in"), "greater than 0", "-1"),
        (with_times(",2027-01-01T00:00:00"), (2, "expires_at"), "timezone", "2027-01-01T00:00:00"),
        (with_times("5,2027-01-01T00:00:00Z"), (2, "expires_in"), "contradict each other", "5"),
        ([f"{HEAD},refresh_tokn", GOOD], (1, "column 6"), "did you mean refresh_token?", None),
        ([f"{HEAD},{TOKEN}", GOOD], (1, "column 6"), "it is one of access_token", None),
        ([f"{HEAD},platform", GOOD], (1, "column 6"), "two columns have this name", None),
        (
            ["platform,connection,remote_id,username", GOOD],
            (1, "access_token"),
            "has to name this column",
            None,
        ),
        ([f"{HEAD},setting.board", f"{GOOD},1\0002"], (2, "setting.board"), "control character", "12"),
        ([f"{HEAD},setting.\0", f"{GOOD},1"], (1, "column 6"), "", None),
    ],
)
def test_a_bad_row_or_header_is_a_problem(
    lines: list[str], where: tuple[int, str], rule: str, value: str | None
) -> None:
    [problem] = read(*lines)
    assert ((problem.line, problem.column), problem.value) == (where, value)
    assert rule in problem.rule
    assert TOKEN not in repr(problem)


def test_a_file_without_a_header_shows_none_of_its_tokens() -> None:
    problems = read(GOOD)
    assert {problem.line for problem in problems} == {1}
    assert TOKEN not in repr(problems)


def test_every_problem_of_a_file_is_reported_at_once() -> None:
    problems = read(HEAD, f"tiktk,creator,,ann,{TOKEN}", GOOD, "x")
    assert [(p.line, p.column) for p in problems] == [(2, "platform"), (2, "remote_id"), (4, "")]
    [problem] = read(HEAD, GOOD, workspace=None)
    assert (problem.column, problem.rule) == ("workspace", "it is required")


def test_one_account_twice_is_a_problem_whatever_its_workspace_is_called() -> None:
    content = "\n".join((f"{HEAD},workspace", f"{GOOD},Acme", f"{GOOD},7", f"{GOOD},Other")).encode()
    accounts, problems = read_accounts(content, None)
    assert problems == []
    [problem] = find_repeated(accounts, {"Acme": 7, "7": 7, "Other": 8})
    assert (problem.line, problem.column, problem.value) == (3, "remote_id", "_1")
    assert "line 2" in problem.rule


def test_a_file_has_a_largest_number_of_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_file, "MOST_ROWS", 2)
    assert read(HEAD, GOOD, GOOD) == []
    [problem] = read(HEAD, GOOD, GOOD, GOOD)
    assert problem.rule == "a file has at most 2 accounts: split it"


def test_bytes_that_are_no_text_are_named_by_their_line() -> None:
    [problem] = read_accounts(f"{HEAD}\n{GOOD}\n".encode() + b"\xff\n", "Acme")[1]
    assert (problem.line, problem.rule) == (3, "the file has to be UTF-8")


@given(st.binary(max_size=200), st.booleans())
def test_no_file_crashes_the_reader_or_shows_the_token(noise: bytes, first: bool) -> None:
    lines = [HEAD.encode(), noise, GOOD.encode()] if first else [noise, HEAD.encode(), GOOD.encode()]
    accounts, problems = read_accounts(b"\n".join(lines), "Acme")
    assert accounts or problems
    assert TOKEN not in repr(problems) + repr(accounts)


def test_posting_times_are_shown_set_and_dropped(terminal: Terminal, workspace: str) -> None:
    made = terminal.json("account add-sandbox tiktok --workspace", workspace, "--username", "with_times")
    times = ("account times", made["id"])
    usual = terminal.json(*times)
    assert (usual["times"], usual["time_zone"], usual["most_a_day"]) == (
        "daily 09:00 12:00 18:00",
        "UTC",
        None,
    )
    words = ("mon-fri 18:00 9:00; sat 10:00", "--time-zone", "europe/berlin", "--most-a-day", "2")
    changed = terminal.json(*times, *words, "--least-gap", "90")
    assert changed["times"] == "mon-fri 09:00 18:00; sat 10:00"
    assert (changed["time_zone"], changed["most_a_day"], changed["least_gap_minutes"]) == (
        "Europe/Berlin",
        2,
        90,
    )
    assert terminal.json(*times) == changed
    kept = terminal.json(*times, "daily 07:00", "--usual")
    assert (kept["times"], kept["time_zone"], kept["least_gap_minutes"]) == ("daily 07:00", "UTC", 60)
    shown = dict(line.split(maxsplit=1) for line in terminal.text(*times).splitlines())
    assert (shown["times"], shown["time_zone"]) == ("daily 07:00", "UTC")
    assert "most_a_day" not in shown, "none is set"
    for wrong, why in (
        (("mo 09:00",), "'mo' is no day such as mon"),
        (("--time-zone", "Europe/Berln"), "did you mean Europe/Berlin?"),
    ):
        ended = terminal.run(*times, *wrong)
        assert (ended.status, why in ended.stderr) == (2, True)
