"""`slipway account connect`: an address to open in a browser, consent at each product, and encrypted tokens."""

from __future__ import annotations

import getpass
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.contract import Platform
from pipeline.actions.diagnose import Finding, diagnose
from pipeline.store.accounts.oauth_sessions import CLI
from pipeline.store.audit import AuditFilter, AuditRow, list_changes
from tests.pipeline.accounts.consent_page import (
    OAuthWorkspace,
    build_stack_fixture,
    confirm,
    decline_consent,
    grant_consent,
)
from tests.stack import Stack

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
    pages = [home.add_person("facebook") for _ in range(2)]
    with connecting(home, "facebook", "--all", "--json") as (process, url):
        asked = requests.get(grant_consent(url, *pages), timeout=60)
        assert process.poll() is None, "it waits for the confirmation"
        assert confirm(asked).status_code == 200
        printed, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert {a["username"]: a["was"] for a in json.loads(printed)} == dict.fromkeys(pages, "new")
    assert {a.username for a in home.accounts()} == set(pages)
    audited = {(x.verb, x.kind, x.actor_kind, x.address) for x in list_audit(home)}
    assert audited == {
        ("begin", "sign-in", "command line", f"{getpass.getuser()}@{socket.gethostname()}"),
        ("connect", "account", "command line", "127.0.0.1"),
    }, "who typed the command, and where the browser confirmed it"


def list_audit(home: OAuthWorkspace) -> list[AuditRow]:
    with home.stack.context.database.begin() as c:
        return list_changes(c, AuditFilter(workspace=home.workspace), limit=10)


def test_a_grant_that_has_ended_fails_the_doctor_until_its_command_has_run(home: OAuthWorkspace) -> None:
    person = home.add_person("tiktok")
    account = home.connect_tiktok(person).id
    home.sql("UPDATE accounts SET status = 'reconnect' WHERE id = :id RETURNING id", id=account)
    [found] = list_ended_grants(home)
    assert found.says == f"The grant of tiktok {person} has ended; 0 posts need it."
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


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.platform}-{way.connection}")
def test_each_product_connects_the_right_account_and_the_same_one_again(
    home: OAuthWorkspace, way: Way
) -> None:
    name, remote_id = way.add_person(home)

    def connect(person: str, **more: Any) -> requests.Response:
        begun = home.start(way.platform, CLI, **more)
        return confirm(requests.get(grant_consent(begun.url, person), timeout=60))

    assert connect(name, connection=way.connection).status_code == 200
    [stored] = home.accounts()
    assert (stored.remote_id, stored.connection, stored.platform) == (remote_id, way.connection, way.platform)
    account, version, status = home.read_account(stored.id)
    credentials = account.credentials
    assert (version, status, credentials.refresh_token is not None) == (1, "active", way.refreshes)
    everything = repr(home.sql("SELECT a.*, g.* FROM accounts a, grants g WHERE a.id = :id", id=stored.id))
    for secret in filter(None, (credentials.access_token, credentials.refresh_token)):
        assert secret.get_secret_value() not in everything, "sealed at rest"

    stranger, _ = way.add_person(home)
    begun = home.start(way.platform, CLI, reconnect=stored.id)
    refused = requests.get(grant_consent(begun.url, stranger), timeout=60)
    assert (refused.status_code, "but this is about" in refused.text) == (409, True)
    assert connect(name, reconnect=stored.id).status_code == 200
    assert (home.read_account(stored.id)[1:], len(home.accounts())) == ((2, "active"), 1)
    assert home.read_account(stored.id)[0].credentials.access_token != credentials.access_token
