"""`slipway account import|discover` against the sandbox: a dry run first, then all accounts or none, no token shown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.contract import Credentials, Platform
from pipeline.accounts.oauth_flow import build_redirect_uri
from pipeline.store.accounts.accounts import AccountRow, find_accounts, read_account
from pipeline.store.accounts.grants import deactivate
from tests.fork_server_client import Result
from tests.pipeline.accounts.consent_page import grant_consent, parse_query
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.stack import Stack

KINDS = ("tiktok", "tiktok_business", "instagram", "facebook", "youtube", "pinterest", "linkedin")
COLUMNS = (
    "platform",
    "connection",
    "remote_id",
    "username",
    "access_token",
    "refresh_token",
    "expires_in",
    "scopes",
)


@pytest.fixture
def workspace(terminal: Terminal) -> UUID:
    return UUID(terminal.json("workspace create", f"import-{uuid4().hex[:8]}")["id"])


def create(sandbox: Stack, kind: str) -> dict[str, Any]:
    """Create an account in the sandbox; return it as a row of a file."""
    made = sandbox.control("POST", "accounts", {"platform": kind, "username": f"{kind}{uuid4().hex[:6]}"})
    return {**made, "platform": kind.partition("_")[0], "scopes": " ".join(made.get("scopes") or ())}


def write_csv(rows: Sequence[Mapping[str, Any]], *more: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS, *more], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def run(terminal: Terminal, workspace: UUID, rows: Sequence[Mapping[str, Any]], *more: str) -> Result:
    """Import the rows from standard input; no token may be printed."""
    words = ("account import - --workspace", str(workspace), "--json", *more)
    ended = terminal.run(*words, stdin=write_csv(rows))
    secrets = [str(row[name]) for row in rows for name in COLUMNS[4:6] if row.get(name)]
    assert [secret for secret in secrets if secret in ended.stdout + ended.stderr] == []
    return ended


def list_stored(ledger: Ledger, workspace: UUID) -> list[AccountRow]:
    with ledger.database.begin() as c:
        return find_accounts(c, workspace)


def test_a_dry_run_stores_nothing_and_yes_stores_all_of_them_sealed(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: UUID
) -> None:
    rows = [create(sandbox, kind) for kind in KINDS]
    dry = run(terminal, workspace, rows)
    assert dry.status == 0, dry
    assert "Nothing was stored: this was a dry run." in dry.stderr
    assert [(row["line"], row["was"], row["id"]) for row in json.loads(dry.stdout)] == [
        (line, "new", None) for line in range(2, len(KINDS) + 2)
    ]
    assert list_stored(ledger, workspace) == []

    stored = run(terminal, workspace, rows, "--yes")
    assert stored.status == 0, stored
    by_id = {row["remote_id"]: row for row in rows}
    for printed in json.loads(stored.stdout):
        with ledger.database.begin() as c:
            account, version, _ = read_account(c, ledger.vault, UUID(printed["id"]))
        given = by_id[account.remote_id]
        assert (account.platform, account.connection, version) == (
            given["platform"],
            given["connection"],
            1,
        )
        assert account.credentials.access_token.get_secret_value() == given["access_token"]
        assert account.credentials.scopes == tuple(given["scopes"].split())
    assert len(list_stored(ledger, workspace)) == len(KINDS)


def test_a_known_account_gets_the_new_tokens(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: UUID
) -> None:
    [row] = rows = [create(sandbox, "youtube")]
    assert run(terminal, workspace, rows, "--yes").status == 0
    [before] = list_stored(ledger, workspace)
    with ledger.database.begin() as c:
        deactivate(c, before.id)
    [said] = json.loads(run(terminal, workspace, rows).stdout)
    assert said["was"] == "known; its tokens are replaced (inactive); it is active again"
    [after] = json.loads(run(terminal, workspace, [{**row, "username": "renamed"}], "--yes").stdout)
    assert after["id"] == str(before.id)
    assert [one.username for one in list_stored(ledger, workspace)] == ["renamed"]


def test_one_bad_row_keeps_all_from_being_stored_and_every_problem_is_printed(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: UUID
) -> None:
    good = create(sandbox, "tiktok")
    rows = [good, {**good, "connection": "shop"}, good, {**good, "workspace": "Nowhere"}]
    words = ("account import - --workspace", str(workspace), "--json --yes")
    ended = terminal.run(" ".join(words), stdin=write_csv(rows, "workspace"))
    assert ended.status == 1
    assert "3 problems in the file; nothing was stored." in ended.stderr
    problems = {(p["line"], p["column"]): (p["rule"], p["value"]) for p in json.loads(ended.stdout)}
    assert problems[3, "connection"] == ("accounts of tiktok are connected as creator or business", "shop")
    assert problems[4, "remote_id"] == ("line 2 has this account already", good["remote_id"])
    assert problems[5, "workspace"][1] == "Nowhere"
    assert list_stored(ledger, workspace) == []
    assert "The file has no account" in terminal.refusal(*words[:2], stdin=",".join(COLUMNS))


def test_tokens_of_another_account_or_revoked_ones_are_found_before_anything_is_stored(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: UUID
) -> None:
    good, other, page = create(sandbox, "tiktok"), create(sandbox, "tiktok"), create(sandbox, "facebook")
    dead = create(sandbox, "instagram")
    body = {"platform": "instagram", "remote_id": dead["remote_id"], "state": "revoked"}
    sandbox.control("POST", "tokens", body)
    rows = [
        good,
        {**other, "access_token": create(sandbox, "tiktok")["access_token"]},
        {**page, "access_token": create(sandbox, "facebook")["access_token"]},
        dead,
        {**create(sandbox, "youtube"), "scopes": "something.else"},
    ]
    ended = run(terminal, workspace, rows, "--yes")
    assert ended.status == 1, ended
    problems = json.loads(ended.stdout)
    assert {problem["line"] for problem in problems} == {3, 4, 5, 6}
    assert {(problem["column"], problem["value"]) for problem in problems} == {("access_token", None)}
    assert "not for this account" in next(p["rule"] for p in problems if p["line"] == 3)
    assert list_stored(ledger, workspace) == []
    assert run(terminal, workspace, rows, "--yes", "--unchecked").status == 0
    assert len(list_stored(ledger, workspace)) == len(rows)


@pytest.fixture
def refused_by_the_database(ledger: Ledger) -> Iterator[str]:
    """The username of an account that the database does not take."""
    name = "refused"
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$"
        )
        c.exec_driver_sql(
            f"""CREATE TRIGGER refuse BEFORE INSERT ON accounts FOR EACH ROW WHEN (NEW.username = '{name}')
                EXECUTE FUNCTION refuse()"""
        )
    yield name
    with ledger.database.begin() as c:
        c.exec_driver_sql("DROP FUNCTION refuse() CASCADE")


def test_an_import_that_dies_between_two_accounts_leaves_nothing(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: UUID, refused_by_the_database: str
) -> None:
    given = sorted((create(sandbox, "youtube") for _ in range(3)), key=lambda one: str(one["remote_id"]))
    given[-1]["username"] = refused_by_the_database
    assert run(terminal, workspace, given, "--yes").status != 0
    assert list_stored(ledger, workspace) == []
    assert run(terminal, workspace, given[:2], "--yes").status == 0


SEVERAL_PAGES = 230
"""More accounts than two pages of 100 show."""


def sign_in(sandbox: Stack, platform: Platform, bodies: list[dict[str, object]]) -> Credentials:
    """Create these accounts, sign in as the person who runs all of them, and return the login's tokens."""
    for body in bodies:
        sandbox.control("POST", "accounts", {"platform": platform.value, **body})
    adapter = sandbox.context.adapter(platform, sandbox.context.client())
    back = build_redirect_uri(sandbox.context.settings, platform)
    names = [str(body["username"]) for body in bodies]
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


def test_all_accounts_of_a_login_are_listed_and_then_stored_in_one_go(
    sandbox: Stack, terminal: Terminal, ledger: Ledger
) -> None:
    prefix = f"page{uuid4().hex[:6]}"
    login = sign_in(
        sandbox, Platform.FACEBOOK, [{"username": f"{prefix}x{number}"} for number in range(SEVERAL_PAGES)]
    )
    workspace = UUID(terminal.json("workspace create", prefix)["id"])
    words, stdin = ("account discover facebook --json --workspace", prefix), to_json(login)

    listed = terminal.run(*words, stdin=stdin)
    assert listed.status == 0, listed
    rows = json.loads(listed.stdout)
    assert "Nothing was stored" in listed.stderr
    assert len({row["remote_id"] for row in rows}) == SEVERAL_PAGES
    assert list_stored(ledger, workspace) == []

    wrong = terminal.refusal(*words, "--yes", "--only", "nobody", stdin=stdin)
    assert "has no nobody; nothing was stored" in wrong
    one = rows[0]["remote_id"]
    assert len(json.loads(terminal.run(*words, "--yes", "--only", one, stdin=stdin).stdout)) == 1

    stored = terminal.run(*words, "--yes", stdin=stdin)
    assert stored.status == 0, stored
    token = login.access_token.get_secret_value()
    assert token not in listed.stdout + listed.stderr + stored.stdout + stored.stderr
    was = {row["remote_id"]: row["was"] for row in json.loads(stored.stdout)}
    assert was.pop(one) == "known; its tokens are replaced"
    assert set(was.values()) == {"new"}
    accounts = list_stored(ledger, workspace)
    with ledger.database.begin() as c:
        opened = [read_account(c, ledger.vault, account.id)[0] for account in accounts]
    assert len({one.credentials.access_token.get_secret_value() for one in opened}) == SEVERAL_PAGES


def test_tokens_that_list_nothing_are_refused(sandbox: Stack, terminal: Terminal, workspace: UUID) -> None:
    stdin = json.dumps({"access_token": "EAAdoesnotexist12345"})
    said = terminal.refusal("account discover facebook --workspace", str(workspace), stdin=stdin)
    assert "nothing was stored" in said
    assert "doesnotexist" not in said


def test_a_row_sets_when_its_account_posts(
    sandbox: Stack, terminal: Terminal, ledger: Ledger, workspace: UUID
) -> None:
    row = {**create(sandbox, "tiktok"), "times": "mon-fri 09:00", "most_a_day": "1"}
    words = ("account import - --yes --json --workspace", str(workspace))
    ended = terminal.run(*words, stdin=write_csv([row], "times", "most_a_day"))
    assert ended.status == 0, ended
    [stored] = list_stored(ledger, workspace)
    assert stored.posting_times["most_a_day"] == 1
    assert stored.posting_times["times"]["friday"] == ["09:00"]
    row["times"] = "mon-fri 9"
    refused = terminal.run(*words, stdin=write_csv([row], "times", "most_a_day"))
    [problem] = json.loads(refused.stdout)
    assert (problem["column"], problem["value"]) == ("times", "mon-fri 9")
