"""`slipway user`: what an operator does about people, and what a person can do with the password that is printed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from pipeline.domain.account import Role
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.auth.sessions import find_session, start_session
from pipeline.store.auth.users import read_password, verify_password
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.waiting import until

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
    made = terminal.json("user create roles --role author --workspace Roles")
    assert (made["role"], len(made["password"])) == ("author", 24)
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


def test_a_reset_gives_a_new_password_and_ends_sessions(terminal: Terminal, ledger: Ledger) -> None:
    old = terminal.json("user create lost")["password"]
    token = log_in(ledger, "lost")
    new = terminal.json("user reset LOST")["password"]
    assert [opens(ledger, "lost", password) for password in (old, new)] == [False, True]
    with ledger.database.begin() as c:
        assert find_session(c, token) is None


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


def test_each_change_is_an_audit_row_without_a_password(terminal: Terminal, ledger: Ledger) -> None:
    made = terminal.json("user create seen --role viewer --workspace all")
    terminal.text("user grant seen admin --workspace all")
    log_in(ledger, "seen")
    terminal.text("user sessions seen --end")
    new = terminal.json("user reset seen")
    terminal.text("user disable seen")
    with ledger.database.begin() as c:
        found = list_changes(c, AuditFilter(subject=made["id"]), limit=20)
    assert [(x.kind, x.verb, x.before, x.after) for x in found] == [
        ("user", "create", {}, {"login": "seen"}),
        ("user", "grant", {"role": None}, {"role": "viewer"}),
        ("user", "grant", {"role": "viewer"}, {"role": "admin"}),
        ("user", "end sessions", {"sessions": 1}, {"sessions": 0}),
        ("user", "reset", {"password": "the old one"}, {"password": "a new one"}),
        ("user", "disable", {"disabled": False}, {"disabled": True}),
    ]
    assert {x.actor_kind for x in found} == {"command line"}
    assert not any(secret in repr(found) for secret in (made["password"], new["password"], "argon2"))


def test_what_is_wrong_is_said_with_the_next_step(terminal: Terminal) -> None:
    terminal.text("user create taken")
    assert "`slipway user reset`" in terminal.refusal("user create TAKEN")
    for words in (["disable"], ["reset"], ["sessions"]):
        assert "`slipway user list`" in terminal.refusal("user", *words, "no-such-user")
    for login in ("", "-x", "a b", "<img>", "x" * 101, "jürgen", "a\nb"):
        ended = terminal.run("user create --", login)
        assert (ended.status, "letters a to z" in ended.stderr) == (1, True), ended
    assert "`slipway workspace list`" in terminal.refusal(
        "user create nowhere --role viewer --workspace no-such"
    )
    assert "no-such-user" not in terminal.text("user list")
    assert "nowhere" not in terminal.text("user list"), "nothing is half created"
    assert terminal.run("user create x --role viewer").status == 2
    assert terminal.run("user create x --role boss --workspace all").status == 2
    assert terminal.run("user grant taken", Role.ADMIN.value).status == 2


@pytest.mark.parametrize(
    ("login", "typed", "answer"),
    [
        ("asked", ["correct horse battery", "correct horse battery"], "can log in"),
        ("short", ["short", "short"], "needs 12 to 200"),
        ("same", ["aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa"], "choose another one"),
        ("itself", ["my name is itself", "my name is itself"], "choose another one"),
    ],
)
def test_at_a_terminal_the_password_is_asked_for_and_not_shown(
    terminal: Terminal, ledger: Ledger, login: str, typed: list[str], answer: str
) -> None:
    shown = run_at_terminal(terminal, ["user", "create", login], typed)
    assert answer in shown
    assert typed[0] not in shown
    assert opens(ledger, login, typed[0]) is (answer == "can log in")


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
