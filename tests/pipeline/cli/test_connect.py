"""`slipway account connect`: a person opens the address in a browser, the command waits for the result."""

from __future__ import annotations

import getpass
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from pipeline.actions.diagnose import Finding, diagnose
from pipeline.store.audit import AuditFilter, AuditRow, list_changes
from pipeline.store.database import row
from tests.conftest import Engines
from tests.pipeline.accounts.consent_page import (
    OAuthWorkspace,
    confirm,
    decline_consent,
    grant_consent,
    press_decline,
    start_callback_server,
    tick_accounts,
)
from tests.stack import Stack


@pytest.fixture(scope="module")
def stack(
    engines: Engines, module_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("connect-cli")
    with start_callback_server(engines, module_database_url, vault_key, folder) as stack:
        yield stack


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
