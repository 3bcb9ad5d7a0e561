"""`slipway account connect` as a person uses it: the address is opened in a browser, the command sees it through."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.conftest import Engines
from tests.pipeline.accounts.consent_page import Home, allow, deny, picked, reception
from tests.stack import Stack


@pytest.fixture(scope="module")
def stack(
    engines: Engines, module_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("connect-cli")
    with reception(engines, module_database_url, vault_key, folder) as stack:
        yield stack


@pytest.fixture
def home(stack: Stack) -> Home:
    return Home.new(stack)


@contextmanager
def connecting(home: Home, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command under way, and the address it shows."""
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
    told = ""
    while "Waiting for up to 10 minutes" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    [address] = re.findall(r"^  (http\S+)$", told, re.MULTILINE)
    return str(address)


def test_it_waits_for_the_person_and_prints_the_accounts(home: Home) -> None:
    page = home.person("facebook")
    with connecting(home, "facebook", "--json") as (process, url):
        assert requests.get(allow(url, page), timeout=20).status_code == 200
        printed, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert [(a["username"], a["was"]) for a in json.loads(printed)] == [(page, "new")]
    assert [a.username for a in home.accounts()] == [page]


def test_the_person_picks_as_whom_to_publish(home: Home) -> None:
    member = home.person("linkedin")
    casa, other = (home.person("linkedin", kind="organization") for _ in range(2))
    with connecting(home, "linkedin", "--json") as (process, url):
        page = requests.get(allow(url, member), timeout=20)
        assert process.poll() is None, "it waits for the choice"
        assert picked(page, casa).status_code == 200
        printed, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert [(a["username"], a["connection"]) for a in json.loads(printed)] == [(casa, "organization")]
    assert other not in {a.username for a in home.accounts()}


def test_all_is_taken_without_asking(home: Home) -> None:
    pages = [home.person("facebook") for _ in range(2)]
    with connecting(home, "facebook", "--all", "--json") as (process, url):
        assert requests.get(allow(url, *pages), timeout=20).status_code == 200
        printed, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert {a["username"] for a in json.loads(printed)} == set(pages)


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


def test_it_says_what_went_wrong(home: Home) -> None:
    home.person("facebook")
    with connecting(home, "facebook") as (process, url):
        assert requests.get(deny(url), timeout=20).status_code == 403
        printed, told = process.communicate(timeout=20)
    assert (process.returncode, printed) == (1, "")
    assert re.search(r"^Error: facebook was not allowed to connect", told, re.MULTILINE)


def test_nobody_comes_back(home: Home) -> None:
    with connecting(home, "facebook") as (process, _):
        home.sql(
            "UPDATE grants SET expires_at = now() WHERE workspace_id = :w RETURNING id", w=home.workspace
        )
        _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "nobody came back from the platform in time" in told
