"""`slipway account connect`: an address to open in a browser, consent at each product, and encrypted tokens."""

from __future__ import annotations

import getpass
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from adapters.contract import Platform
from pipeline.actions.diagnose import Finding, diagnose
from pipeline.store.accounts.oauth_sessions import CLI
from pipeline.store.audit import AuditFilter, AuditRow, list_changes
from pipeline.store.database import row
from tests.fork_server_client import ForkServer
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
from tests.pipeline.cli.terminal import Terminal
from tests.stack import Stack, until

stack = build_stack_fixture()


@pytest.fixture
def home(stack: Stack) -> OAuthWorkspace:
    return OAuthWorkspace.new(stack)


@contextmanager
def connecting(home: OAuthWorkspace, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command; yield it and the address that it prints."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipeline.cli",
            "account",
            "connect",
            *words,
            "--workspace",
            str(home.workspace),
        ],
        env=home.stack.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        yield process, _address(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    stderr = ""
    while "Waiting for up to 10 minutes" not in stderr:
        line = process.stderr.readline()
        assert line, stderr
        stderr += line
    [address] = re.findall(r"^  (http\S+)$", stderr, re.MULTILINE)
    return str(address)


def test_it_waits_for_the_person_and_prints_the_accounts(home: OAuthWorkspace) -> None:
    page = home.add_person("facebook")
    with connecting(home, "facebook", "--json") as (process, url):
        asked = requests.get(grant_consent(url, page), timeout=60)
        assert process.poll() is None, "it waits for the confirmation"
        assert confirm(asked).status_code == 200
        printed, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert [(a["username"], a["was"]) for a in json.loads(printed)] == [(page, "new")]
    assert [a.username for a in home.accounts()] == [page]
    assert [(x.verb, x.kind, x.actor_kind, x.address) for x in list_audit(home)] == [
        ("begin", "sign-in", "command line", f"{getpass.getuser()}@{socket.gethostname()}"),
        ("connect", "account", "command line", "127.0.0.1"),
    ], "who typed the command, and where the browser confirmed it"


def list_audit(home: OAuthWorkspace) -> list[AuditRow]:
    with home.stack.context.database.begin() as c:
        return list_changes(c, AuditFilter(workspace=home.workspace), limit=10)


def test_the_person_picks_as_whom_to_publish(home: OAuthWorkspace) -> None:
    member = home.add_person("linkedin")
    casa, other = (home.add_person("linkedin", kind="organization") for _ in range(2))
    with connecting(home, "linkedin", "--json") as (process, url):
        page = requests.get(grant_consent(url, member), timeout=60)
        assert process.poll() is None, "it waits for the choice"
        assert tick_accounts(page, casa).status_code == 200
        printed, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert [(a["username"], a["connection"]) for a in json.loads(printed)] == [(casa, "organization")]
    assert other not in {a.username for a in home.accounts()}


def test_all_is_taken_with_one_confirmation(home: OAuthWorkspace) -> None:
    pages = [home.add_person("facebook") for _ in range(2)]
    with connecting(home, "facebook", "--all", "--json") as (process, url):
        assert confirm(requests.get(grant_consent(url, *pages), timeout=60)).status_code == 200
        printed, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert {a["username"] for a in json.loads(printed)} == set(pages)


def test_a_person_who_does_not_confirm_ends_the_command(home: OAuthWorkspace) -> None:
    page = home.add_person("facebook")
    with connecting(home, "facebook") as (process, url):
        asked = requests.get(grant_consent(url, page), timeout=60)
        assert press_decline(asked).status_code == 403
        printed, stderr = process.communicate(timeout=60)
    assert (process.returncode, printed, home.accounts()) == (1, "", [])
    assert "Error: The facebook sign-in was not confirmed; nothing was changed." in stderr


@pytest.mark.parametrize(
    "ended",
    [
        "UPDATE accounts SET status = 'reconnect' WHERE id = :id RETURNING id",
        """UPDATE accounts SET expires_at = now() - interval '1 minute', refresh_expires_at = NULL, renewable = false
           WHERE id = :id RETURNING id""",
    ],
)
def test_a_grant_that_has_ended_fails_the_doctor_until_its_command_has_run(
    home: OAuthWorkspace, ended: str
) -> None:
    person = home.add_person("tiktok")
    account = home.connect_tiktok(person).id
    with home.stack.context.database.begin() as c:
        row(c, ended, id=account)
    [found] = list_ended_grants(home)
    assert found.says == f"The grant of tiktok {person} has ended; 0 posts need it."
    assert found.command is not None
    command = f"slipway account connect tiktok --workspace {home.workspace} --reconnect {account}"
    assert found.command == command
    with connecting(home, "tiktok", "--reconnect", str(account)) as (process, url):
        assert confirm(requests.get(grant_consent(url, person), timeout=60)).status_code == 200
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert list_ended_grants(home) == []


def list_ended_grants(home: OAuthWorkspace) -> list[Finding]:
    found = [one for one in diagnose(home.stack.context) if one.part == "grants"]
    return [one for one in found if one.result == "fail"]


def test_the_old_name_is_gone() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "connect", "tiktok"],
        check=False,
        text=True,
        capture_output=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
    )
    assert ran.returncode == 2
    assert "There is no command 'connect'." in ran.stderr


def test_it_says_what_went_wrong(home: OAuthWorkspace) -> None:
    home.add_person("facebook")
    with connecting(home, "facebook") as (process, url):
        assert requests.get(decline_consent(url), timeout=60).status_code == 403
        printed, stderr = process.communicate(timeout=60)
    assert (process.returncode, printed) == (1, "")
    assert re.search(r"^Error: facebook was not allowed to connect", stderr, re.MULTILINE)


def test_nobody_comes_back(home: OAuthWorkspace) -> None:
    with connecting(home, "facebook") as (process, _):
        home.sql(
            "UPDATE grants SET expires_at = now() WHERE workspace_id = :w RETURNING id", w=home.workspace
        )
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the browser did not return from the platform in time" in stderr


GUARD = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One product of a platform: who signs in, and which account is connected."""

    platform: Platform
    connection: str
    signs_in: tuple[str, ...]
    """The sandbox's accounts of one person, by the sandbox's platform names; the first signs in on the consent page."""
    is_for: int = 0
    """The one of them that is connected."""
    refreshes: bool = True
    """Whether it has a refresh token (Instagram and LinkedIn have none, or only for partners)."""

    def add_person(self, home: OAuthWorkspace) -> tuple[str, str]:
        """Create the person's accounts; return the name to sign in with and the expected remote id."""
        first, *others = self.signs_in
        if self.connection == "organization":
            acme = home.add_person("linkedin", kind="organization")
            return home.add_person("linkedin", administers=[acme]), home.stack.remote[acme]
        name, ids = home.add_person(first), []
        ids.append(home.stack.remote[name])
        for other in others:
            home.add_person(other, name)
            ids.append(home.stack.remote[name])
        return name, ids[self.is_for]


WAYS = (
    Way(platform=Platform.TIKTOK, connection="creator", signs_in=("tiktok",)),
    Way(platform=Platform.TIKTOK, connection="business", signs_in=("tiktok_business",)),
    Way(platform=Platform.INSTAGRAM, connection="instagram_login", signs_in=("instagram",), refreshes=False),
    Way(
        platform=Platform.INSTAGRAM,
        connection="facebook_login",
        signs_in=("facebook", "instagram"),
        is_for=1,
        refreshes=False,
    ),
    Way(platform=Platform.FACEBOOK, connection="page", signs_in=("facebook",)),
    Way(platform=Platform.YOUTUBE, connection="channel", signs_in=("youtube",)),
    Way(platform=Platform.PINTEREST, connection="user", signs_in=("pinterest",)),
    Way(platform=Platform.LINKEDIN, connection="person", signs_in=("linkedin",), refreshes=False),
    Way(platform=Platform.LINKEDIN, connection="organization", signs_in=("linkedin",), refreshes=False),
)


def address(terminal: Terminal) -> str:
    """Return the address that the running command asks to open."""
    told = terminal.folder / "stderr"
    until(lambda: told.is_file() and "Waiting for up to 10 minutes" in told.read_text(), GUARD)
    [found] = re.findall(r"^  (http\S+)$", told.read_text(), re.MULTILINE)
    return str(found)


def visit(url: str, **headers: str) -> tuple[int, str]:
    """Return the status and text of a page."""
    answer = requests.get(url, headers=headers, timeout=GUARD)
    return answer.status_code, answer.text


def connected_by_command(home: OAuthWorkspace, way: Way, terminal: Terminal, name: str) -> str:
    """Run the command until it prints accounts; return the address that the browser returned with."""
    words = ("account", "connect", way.platform, "--connection", way.connection, "--json", "--workspace")
    with ThreadPoolExecutor(1) as threads:
        running_ = threads.submit(terminal.run, *words, str(home.workspace))
        url = address(terminal)
        back = grant_consent(url, name)
        asked, brought = parse_query(url), parse_query(back)
        assert (brought["state"], len(brought["state"])) == (asked["state"], 43)
        assert back.startswith(asked["redirect_uri"])
        assert (
            asked["redirect_uri"].rstrip("/")
            == f"{home.stack.api}/api/partner/v1/connect/{way.platform}/callback"
        )
        theirs = visit(back, Authorization=f"Bearer {home.key}")
        assert theirs[0] == 403, "the command line began, no key may finish"
        other = Platform.TIKTOK if way.platform is not Platform.TIKTOK else Platform.YOUTUBE
        assert visit(back.replace(f"/{way.platform}/", f"/{other}/"))[0] == 400, "no other platform either"
        page = requests.get(back, timeout=GUARD)
        assert page.status_code == 200, "and none of them used it up"
        assert home.accounts() == []
        assert confirm(page).status_code == 200
        ended = running_.result(GUARD)
    assert ended.status == 0, ended
    assert [one["connection"] for one in json.loads(ended.stdout)] == [way.connection]
    return back


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.platform}-{way.connection}")
def test_consent_redirect_exchange_discovery_and_the_same_account_again(
    home: OAuthWorkspace, fork_server: ForkServer, tmp_path: Path, way: Way
) -> None:
    terminal = Terminal(environment=home.stack.environment, fork_server=fork_server, folder=tmp_path)
    name, remote_id = way.add_person(home)
    back = connected_by_command(home, way, terminal, name)

    [stored] = home.accounts()
    assert (stored.remote_id, stored.connection, stored.platform) == (remote_id, way.connection, way.platform)
    account, version, status = home.read_account(stored.id)
    credentials = account.credentials
    assert (version, status, credentials.refresh_token is not None) == (1, "active", way.refreshes)
    everything = repr(home.sql("SELECT a.*, g.* FROM accounts a, grants g WHERE a.id = :id", id=stored.id))
    for secret in filter(None, (credentials.access_token, credentials.refresh_token)):
        assert secret.get_secret_value() not in everything, "sealed at rest"
    assert parse_query(back)["state"] not in everything
    assert visit(back)[0] == 409, "a state is good for one use"

    late = home.start(way.platform, CLI, connection=way.connection)
    home.sql("UPDATE grants SET expires_at = now() WHERE used_at IS NULL RETURNING id")
    assert "ten minutes" in visit(grant_consent(late.url, name))[1]

    stranger, _ = way.add_person(home)
    status_code, page = visit(grant_consent(home.start(way.platform, CLI, reconnect=stored.id).url, stranger))
    assert (status_code, "but this is about" in page) == (409, True), (
        "only the same account is connected again"
    )
    assert (home.read_account(stored.id)[1:], len(home.accounts())) == ((1, "active"), 1)
    again = grant_consent(home.start(way.platform, CLI, reconnect=stored.id).url, name)
    assert confirm(requests.get(again, timeout=GUARD)).status_code == 200
    assert (home.read_account(stored.id)[1:], len(home.accounts())) == ((2, "active"), 1)
    assert home.read_account(stored.id)[0].credentials.access_token != credentials.access_token
