"""`slipway workspace|key|user`, and the broker that is rebuilt: what an operator sets up, and what it opens."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from uuid import UUID

import pytest

from config.settings import load
from pipeline.domain.account import Role, UnusablePassword, require_password
from pipeline.domain.delivery import State
from pipeline.store.auth.keys import find_caller
from pipeline.store.auth.sessions import find_session, start_session
from pipeline.store.auth.users import read_password, verify_password
from pipeline.wiring import build_context
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.waiting import until


def test_a_workspace_changes_plan_and_keeps_its_subscription_unless_told(terminal: Terminal) -> None:
    made = terminal.json("workspace create Acme --time-zone Europe/Berlin")
    assert (made["kind"], made["plan"], made["time_zone"]) == ("workspace", "business", "Europe/Berlin")
    late = terminal.json("workspace set-plan Acme professional --subscription past_due")
    assert (late["plan"], late["subscription"]) == ("professional", "past_due")
    moved = terminal.json("workspace set-plan", made["id"], "scheduler")
    assert (moved["plan"], moved["subscription"]) == ("scheduler", "past_due")


def test_what_is_wrong_is_said_with_the_next_step(terminal: Terminal, empty_database_url: str) -> None:
    refused = terminal.run("workspace create x --time-zone Europe/Berln")
    assert (refused.status, "did you mean Europe/Berlin?" in refused.stderr) == (2, True)
    assert "`slipway workspace list`" in terminal.refusal("workspace set-plan nobody creator")
    assert "`slipway key list`" in terminal.refusal("key revoke slw_live_0")
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    assert "does not answer" in terminal.refusal("workspace list", SLIPWAY_STORE__URL=nowhere)
    assert "`slipway migrate`" in terminal.refusal("key list", SLIPWAY_STORE__URL=empty_database_url)


def test_a_key_is_shown_once_and_is_no_longer_let_in_once_revoked(terminal: Terminal, ledger: Ledger) -> None:
    terminal.text("workspace create Keys")
    done = terminal.run("key create Keys --name reporting")
    key = done.stdout.strip()
    public, _, secret = key.partition(".")
    assert "shown only once" in done.stderr
    listed = terminal.text("key list Keys --json")
    assert public in listed
    assert "reporting" in listed
    assert secret not in listed
    with ledger.database.begin() as c:
        assert find_caller(c, key) is not None
    terminal.text("key revoke", public)
    with ledger.database.begin() as c:
        assert find_caller(c, key) is None
    assert terminal.json("key list Keys")[0]["revoked_at"].endswith("Z")


def test_a_key_is_made_for_less_and_listed_so(terminal: Terminal, ledger: Ledger) -> None:
    made = terminal.json("workspace create Less")
    account = ledger.account(UUID(made["id"]))
    [name] = [a["username"] for a in terminal.json("account list --workspace Less")]
    words = ("key create Less --account", name)
    less = terminal.json(*words, "--read-only", "--account", str(account), "--expires", "90d", "--bulk")
    with ledger.database.begin() as c:
        caller = find_caller(c, less["key"])
    assert caller is not None
    assert (caller.read_only, caller.accounts, caller.bulk) == (True, (account,), True)
    [listed] = terminal.json("key list Less")
    assert (listed["read_only"], listed["accounts"]) == (True, [str(account)])
    assert listed["expires_at"] == less["expires_at"]
    assert "read, 1 account, bulk" in terminal.text("key list Less")
    agent = terminal.json(*words, "--agent", "--ahead-days", "7")
    found = [agent[n] for n in ("posts_per_day", "lead_minutes", "ahead_days", "needs_approval")]
    assert found == [20, 30, 7, True]
    assert "approves nothing" in terminal.run("key set", agent["public_id"], "--may-approve", "yes").stderr
    assert "--agent needs --account" in terminal.run("key create Less --agent").stderr
    stranger = str(ledger.account(ledger.workspace()))
    assert "`slipway account list`" in terminal.refusal("key create Less --account", stranger)
    ended = terminal.run("key create Less --expires 2001-01-01T00:00:00Z")
    assert (ended.status, "is in the past" in ended.stderr) == (2, True)


def test_a_new_key_has_a_rate_and_its_limits_can_be_changed(terminal: Terminal) -> None:
    terminal.text("workspace create Rates")
    made = [
        terminal.json("key create Rates", *options)["posts_per_minute"]
        for options in ((), ("--bulk",), ("--posts-per-minute", "0"), ("--posts-per-minute", "default"))
    ]
    assert made == [6000, None, 0, None]
    server = {"SLIPWAY_API__POSTS_PER_MINUTE": "100"}
    assert terminal.json("key create Rates", **server)["posts_per_minute"] is None
    one = terminal.json("key create Rates --posts-per-day 500 --music-required yes")
    assert (one["posts_per_day"], one["music_required"]) == (500, True)
    known = one["public_id"]
    changed = terminal.json("key set", known, "--posts-per-minute", "60", "--music-required", "default")
    found = [changed[name] for name in ("posts_per_minute", "posts_per_day", "music_required")]
    assert found == [60, 500, None]
    assert "60 a minute, 500 a day" in terminal.text("key list Rates")
    assert "name a limit" in terminal.refusal("key set", known)
    assert "0 to 1000000" in terminal.run("key set", known, "--posts-per-minute", "1000001").stderr


ROOT = Path(__file__).parents[3]


def opens(ledger: Ledger, login: str, password: str) -> bool:
    """Return True if the password is the user's."""
    with ledger.database.begin() as c:
        stored = read_password(c, login)
    return verify_password(stored.password_hash if stored else None, password)


def log_in(ledger: Ledger, login: str) -> str:
    """Start a session and return its token."""
    with ledger.database.begin() as c:
        stored = read_password(c, login)
        assert stored is not None
        token = start_session(c, stored, "10.0.0.1", "a browser")
    assert token is not None
    return token


def test_a_generated_password_is_printed_once_and_opens(terminal: Terminal, ledger: Ledger) -> None:
    done = terminal.run("user create Ann")
    password = done.stdout.strip()
    assert (done.status, len(password)) == (0, 24)
    assert "shown only once" in done.stderr
    assert opens(ledger, "ann", password)
    assert not opens(ledger, "ann", password + "x")
    listed = terminal.text("user list --json") + terminal.text("user list")
    assert "ann" in listed
    assert password not in listed


def test_roles_are_given_and_taken(terminal: Terminal) -> None:
    workspace = terminal.json("workspace create Roles")["id"]
    assert terminal.json("user create roles --role author --workspace Roles")["role"] == "author"
    terminal.text("user grant roles viewer --workspace all")
    [listed] = [user for user in terminal.json("user list") if user["login"] == "roles"]
    assert listed["roles"] == {workspace: "author", "all": "viewer"}
    terminal.text("user grant roles none --workspace Roles")
    terminal.text("user grant roles admin --workspace all")
    assert "admin in all" in terminal.text("user list")


def test_a_disabled_user_is_out_at_once_and_an_enabled_one_logs_in_again(
    terminal: Terminal, ledger: Ledger
) -> None:
    terminal.text("user create out")
    token = log_in(ledger, "out")
    assert terminal.json("user disable out") == {"login": "out", "disabled": True}
    with ledger.database.begin() as c:
        assert find_session(c, token) is None
        assert read_password(c, "out") is None
    terminal.text("user enable out")
    with ledger.database.begin() as c:
        assert find_session(c, token) is None
        assert read_password(c, "out") is not None


def test_sessions_are_listed_and_ended(terminal: Terminal, ledger: Ledger) -> None:
    terminal.text("user create many")
    tokens = [log_in(ledger, "many") for _ in range(2)]
    listed = terminal.json("user sessions many")
    assert [(one["login"], one["address"], one["browser"]) for one in listed] == [
        ("many", "10.0.0.1", "a browser")
    ] * 2
    assert not any(token in terminal.text("user sessions --json") for token in tokens)
    assert terminal.json("user sessions many --end") == {"login": "many", "ended": 2}
    assert terminal.json("user sessions many") == []
    assert terminal.run("user sessions --end").status == 2


def test_what_is_wrong_with_a_user_is_said_with_the_next_step(terminal: Terminal) -> None:
    terminal.text("user create taken")
    assert "`slipway user reset`" in terminal.refusal("user create TAKEN")
    assert "`slipway user list`" in terminal.refusal("user disable no-such-user")
    for login in ("", "-x", "a b", "x" * 101, "jürgen", "a\nb"):
        ended = terminal.run("user create --", login)
        assert (ended.status, "letters a to z" in ended.stderr) == (1, True), ended
    nowhere = ("user create nowhere --role viewer --workspace no-such",)
    assert "`slipway workspace list`" in terminal.refusal(*nowhere)
    assert "nowhere" not in terminal.text("user list"), "nothing is half created"
    assert terminal.run("user create x --role viewer").status == 2
    assert terminal.run("user grant taken", Role.ADMIN.value).status == 2


def test_at_a_terminal_the_password_is_asked_for_and_not_shown(terminal: Terminal, ledger: Ledger) -> None:
    typed = "correct horse battery"
    shown = run_at_terminal(terminal, ["user", "create", "asked"], [typed, typed])
    assert "can log in" in shown
    assert typed not in shown
    assert opens(ledger, "asked", typed)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "needs 12 to 200"),
        ("a" * 15, "choose another one"),
        ("my name is itself", "choose another one"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str, why: str) -> None:
    with pytest.raises(UnusablePassword, match=why):
        require_password(password, "itself")


def run_at_terminal(terminal: Terminal, words: list[str], typed: list[str]) -> str:
    """Run a command with a terminal as its input and output, type lines, and return what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=terminal.environment,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(theirs)
    shown, left = b"", list(typed)
    while chunk := _read(ours):
        shown += chunk
        if left and chunk.rstrip().endswith(b":"):
            until(lambda: not termios.tcgetattr(ours)[3] & termios.ECHO, 60, lambda: "the echo stays on")
            os.write(ours, left.pop(0).encode() + b"\n")
    os.close(ours)
    process.wait(60)
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other end is closed
        return b""


def test_a_workspace_says_what_becomes_of_late_posts(terminal: Terminal) -> None:
    made = terminal.json("workspace create Late")
    assert terminal.json("workspace set-late Late hold --after 2h")["late"] == "hold after 2:00:00"
    terminal.text("workspace set-late", made["id"], "publish")
    [found] = [w for w in terminal.json("workspace list") if w["id"] == made["id"]]
    assert found["late"] == "publish"
    for words in (("hold",), ("publish", "--after", "2h"), ("skip", "--after", "0s")):
        assert "--after 2h" in terminal.refusal("workspace set-late Late", *words)


def test_the_broker_is_rung_full_again(terminal: Terminal, ledger: Ledger) -> None:
    kept = build_context(load(terminal.environment))
    assert kept.send_guard.may_send(), "a worker keeps the mark: nothing is released before"
    kept.database.close()
    ledger.fresh(State.QUEUED)
    ledger.fresh()
    assert terminal.json("broker rebuild") == {"deliveries": 1, "looks": 0, "checks": 0, "released": 1}
    assert "deliveries" in terminal.text("broker rebuild --per-second 5000")
    nowhere = "redis+socket:///tmp/nobody-is-here?virtual_host=0"
    away = terminal.run("broker rebuild", SLIPWAY_BROKER__URL=nowhere)
    assert away.status == 1
    assert "Error: The broker is unreachable. Nothing is lost" in away.stderr


def test_a_narrower_mandate_pauses_what_its_key_has_scheduled(terminal: Terminal, ledger: Ledger) -> None:
    made = terminal.json("workspace create Bound")
    workspace = UUID(made["id"])
    limits = "--lead-minutes 30 --ahead-days 60 --kinds video --options tiktok.title,first_comment"
    key = terminal.json(f"key create Bound --name agent {limits}")
    assert (key["lead_minutes"], key["kinds"]) == (30, ["video"])
    account = ledger.account(workspace)
    with ledger.database.begin() as c:
        caller = find_caller(c, key["key"])
    assert caller is not None
    posts = [ledger.post([account], State.SCHEDULED) for _ in range(3)]
    for n, post in enumerate(posts[:2]):
        ledger.update("posts", post.id, f"key_id = '{caller.key_id}', workspace_id = '{workspace}'")
        ledger.change(post.deliveries[0], f"due_at = now() + interval '{10 + 20 * n} days'")
    for paused in (1, 0):
        found = terminal.json("key set", key["public_id"], *["--ahead-days", "20", "--options", "none"])
        assert (found["ahead_days"], found["options"], found["paused"]) == (20, [], paused)
    [pause] = terminal.json("pause list")
    assert (pause["scope"], pause["holds"]) == ("delivery", 1)
    assert pause["why"] == f"The mandate of key {key['public_id']} was changed, and excludes it."
    shown = " ".join(terminal.text("key list Bound").split())
    assert "due in 30 minutes or later; due within 20 days; kinds: video; options: none" in shown
    refused = terminal.run("key set", key["public_id"], "--options", "tiktok.titel")
    assert refused.status == 2
    assert "'tiktok.titel' is not known: did you mean tiktok.title?" in " ".join(refused.stderr.split())
