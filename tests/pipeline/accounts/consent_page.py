"""A person at a consent page of the sandbox, and the callback that the platform sends back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import UUID, uuid4

import pytest
import requests

from adapters.contract import Account, Platform
from pipeline.accounts.account_selection import confirm_accounts
from pipeline.accounts.authorize import (
    AuthorizationStart,
    decline_authorization,
    finish_authorization,
    start_authorization,
)
from pipeline.accounts.connected_account import ConnectedAccount, PendingConfirmation
from pipeline.accounts.oauth_flow import CallbackParameters, parse_callback
from pipeline.store.accounts.accounts import AccountRow, find_accounts, read_account
from pipeline.store.accounts.oauth_sessions import Starter
from pipeline.store.auth.keys import create_key, find_caller
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import row
from tests.actors import TESTER
from tests.conftest import Engines, environment_of, free_ports
from tests.stack import FAST, Stack, run_stack


def build_stack_fixture(*, api: bool = True) -> Any:
    """Return a module's fixture: the sandbox's consent pages, and Slipway's server with the callback."""

    @pytest.fixture(scope="module")
    def stack(
        engines: Engines, module_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Stack]:
        folder = tmp_path_factory.mktemp("connect")
        environment = environment_of(module_database_url, engines.valkey.url, vault_key, folder) | FAST
        with run_stack(environment, folder, free_ports(3), forks=True) as stack:
            stack.start_sandbox()
            if api:
                stack.start_api()
            yield stack

    return stack


def grant_consent(url: str, *usernames: str, **more: str) -> str:
    """Return the address the consent page sends a person to who grants access to these accounts."""
    return visit(url, {"auto": "allow", "username": ",".join(usernames), **more})


def decline_consent(url: str) -> str:
    return visit(url, {"auto": "deny"})


def visit(url: str, answers: dict[str, str]) -> str:
    answer = requests.get(url, params=answers, allow_redirects=False, timeout=60)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def confirm_all(
    stack: Stack, platform: Platform, pending: PendingConfirmation, starter: Starter | None = None
) -> list[ConnectedAccount]:
    """Confirm everything on the page, as a user does to whom nothing is left to select."""
    assert not pending.is_choice, "several were found, and none was chosen"
    every = range(len(pending.accounts))
    confirmed = confirm_accounts(stack.context, platform, pending.session, pending.ticket, every, starter)
    return list(confirmed.accounts)


def parse_query(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


class Form(HTMLParser):
    """Parses the form of a page: its action, hidden fields, hidden accounts, and the label of each checkbox."""

    def __init__(self, page: requests.Response) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.listed: list[str] = []
        self.boxes: dict[str, str] = {}
        self._box = ""
        self.feed(page.text)
        self.action = urljoin(page.url, self.action)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = told["action"]
        elif tag == "input" and told["type"] == "hidden" and told["name"] == "account":
            self.listed.append(told["value"])
        elif tag == "input" and told["type"] == "hidden":
            self.hidden[told["name"]] = told["value"]
        elif tag == "input":
            self._box = told["value"]
            self.boxes[self._box] = ""

    def handle_data(self, data: str) -> None:
        if self._box:
            self.boxes[self._box] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._box = ""


def tick_accounts(page: requests.Response, *usernames: str, **headers: str) -> requests.Response:
    """Tick the boxes with these names and press "Connect"."""
    form = Form(page)
    ticked = [box for box, words in form.boxes.items() if any(name in words for name in usernames)]
    return _press(form, "connect", ticked, headers)


def confirm(page: requests.Response, **headers: str) -> requests.Response:
    """Press "Connect" on a page that leaves nothing to select."""
    assert page.status_code == 200, page.text
    form = Form(page)
    assert form.boxes == {}
    return _press(form, "connect", form.listed, headers)


def press_decline(page: requests.Response) -> requests.Response:
    """Press "Do not connect"."""
    form = Form(page)
    return _press(form, "decline", [*form.listed, *form.boxes], {})


def _press(form: Form, answer: str, accounts: list[str], headers: dict[str, str]) -> requests.Response:
    data = {**form.hidden, "account": accounts, "answer": answer}
    return requests.post(form.action, data=data, headers=headers, timeout=60)


@dataclass(kw_only=True)
class OAuthWorkspace:
    """A workspace with a key, on a running sandbox."""

    stack: Stack
    workspace: UUID
    name: str
    key: str
    key_id: UUID

    @property
    def public_id(self) -> str:
        return self.key.partition(".")[0]

    @classmethod
    def new(cls, stack: Stack, name: str | None = None, key_name: str = "tests") -> OAuthWorkspace:
        name = name or uuid4().hex
        with stack.context.database.begin() as c:
            workspace = create_workspace(c, name=name)
            key = create_key(c, workspace, key_name)
            caller = find_caller(c, key)
        assert caller is not None
        return cls(stack=stack, workspace=workspace, name=name, key=key, key_id=caller.key_id)

    def add_person(self, platform: str, username: str | None = None, **options: Any) -> str:
        """Create an account at the platform; return its username."""
        name = username or f"ann{uuid4().hex[:8]}"
        body = {"platform": platform, "username": name, "options": options}
        made = self.stack.control("POST", "accounts", body)
        self.stack.remote[name] = made["remote_id"]
        return name

    def create_code(self, platform: str, username: str) -> str:
        """Return a code as the consent page would, without a visit."""
        body = {"platform": platform, "remote_id": self.stack.remote[username]}
        code: str = self.stack.control("POST", "oauth/code", body)["code"]
        return code

    def start(self, platform: Platform, starter: Starter | None = None, **more: Any) -> AuthorizationStart:
        return start_authorization(
            self.stack.context, TESTER, self.workspace, platform, starter or self.key_id, **more
        )

    def finish(self, platform: Platform, url: str, starter: Starter | None = None) -> list[ConnectedAccount]:
        """Finish the authorization as the callback route does."""
        back: CallbackParameters = parse_callback(urlsplit(url).query)
        if back.code is None:
            raise decline_authorization(self.stack.context, platform, back.state, back.error or "", starter)
        pending = finish_authorization(self.stack.context, platform, back.state, back.code, starter)
        return confirm_all(self.stack, platform, pending, starter)

    def connect_tiktok(self, username: str, **more: Any) -> ConnectedAccount:
        opened = self.start(Platform.TIKTOK, **more)
        code = self.create_code("tiktok", username)
        found = finish_authorization(self.stack.context, Platform.TIKTOK, opened.state, code, self.key_id)
        [one] = confirm_all(self.stack, Platform.TIKTOK, found, self.key_id)
        return one

    def accounts(self) -> list[AccountRow]:
        with self.stack.context.database.begin() as c:
            return find_accounts(c, self.workspace)

    def read_account(self, account: UUID) -> tuple[Account, int, str]:
        with self.stack.context.database.begin() as c:
            found, version, status = read_account(c, self.stack.context.vault, account)
        return found, version, status.value

    def sql(self, statement: str, **values: object) -> object:
        """Run one statement; return its first row."""
        with self.stack.context.database.begin() as c:
            return row(c, statement, **values)
