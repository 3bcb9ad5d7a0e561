"""`slipway account connect` for every product of every platform, from the consent page to encrypted tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from adapters.contract import Platform
from pipeline.store.accounts.oauth_sessions import CLI
from tests.conftest import Engines
from tests.fork_server_client import ForkServer
from tests.pipeline.accounts.consent_page import (
    OAuthWorkspace,
    confirm,
    grant_consent,
    parse_query,
    start_callback_server,
)
from tests.pipeline.cli.terminal import Terminal
from tests.stack import Stack, until

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


@pytest.fixture(scope="module")
def stack(
    engines: Engines, module_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("connect-everywhere")
    with start_callback_server(engines, module_database_url, vault_key, folder) as stack:
        yield stack


@pytest.fixture
def home(stack: Stack) -> OAuthWorkspace:
    return OAuthWorkspace.new(stack)


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
