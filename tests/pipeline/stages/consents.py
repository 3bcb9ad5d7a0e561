"""A person at a consent page of the sandbox, and what the platform sends them back with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import requests

from adapters.contract import Account, Platform
from pipeline.stages.connect import Connected, Started, decline, finish, start
from pipeline.stages.consent import WayBack, way_back
from pipeline.store.accounts import AccountRow, find_accounts, read_account
from pipeline.store.database import row
from pipeline.store.grants import Starter
from pipeline.store.keys import create_key, find_caller
from pipeline.store.workspaces import create_workspace
from tests.stack import Stack


def allow(url: str, *usernames: str, **more: str) -> str:
    """Where the consent page sends a person who lets the app act for these accounts."""
    return sent_back(url, {"auto": "allow", "username": ",".join(usernames), **more})


def deny(url: str) -> str:
    return sent_back(url, {"auto": "deny"})


def sent_back(url: str, answers: dict[str, str]) -> str:
    answer = requests.get(url, params=answers, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def query_of(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass(kw_only=True)
class Home:
    """A workspace with a key, on a running sandbox."""

    stack: Stack
    workspace: UUID
    key: str
    key_id: UUID

    @classmethod
    def new(cls, stack: Stack) -> Home:
        with stack.core.database.begin() as c:
            workspace = create_workspace(c, name=uuid4().hex)
            key = create_key(c, workspace, "tests")
            caller = find_caller(c, key)
        assert caller is not None
        return cls(stack=stack, workspace=workspace, key=key, key_id=caller.key_id)

    def person(self, platform: str, username: str | None = None) -> str:
        """Makes an account over there; its username."""
        name = username or f"ann{uuid4().hex[:8]}"
        made = self.stack.control("POST", "accounts", {"platform": platform, "username": name})
        self.stack.remote[name] = made["remote_id"]
        return name

    def code(self, platform: str, username: str) -> str:
        """A code as the consent page would hand it back, without going there."""
        body = {"platform": platform, "remote_id": self.stack.remote[username]}
        code: str = self.stack.control("POST", "oauth/code", body)["code"]
        return code

    def start(self, platform: Platform, starter: Starter | None = None, **more: Any) -> Started:
        return start(
            self.stack.core, self.workspace, platform, starter or self.key_id, **more
        )  # fmt: skip

    def come_back(self, platform: Platform, url: str, starter: Starter | None = None) -> list[Connected]:
        """Takes a person in, as the callback does."""
        back: WayBack = way_back(urlsplit(url).query)
        if back.code is None:
            raise decline(self.stack.core, platform, back.state, back.error or "", starter)
        return finish(self.stack.core, platform, back.state, back.code, starter)

    def connect_tiktok(self, username: str, **more: Any) -> Connected:
        opened = self.start(Platform.TIKTOK, **more)
        [one] = finish(
            self.stack.core, Platform.TIKTOK, opened.state, self.code("tiktok", username), self.key_id
        )
        return one

    def accounts(self) -> list[AccountRow]:
        with self.stack.core.database.begin() as c:
            return find_accounts(c, self.workspace)

    def opened(self, account: UUID) -> tuple[Account, int, str]:
        with self.stack.core.database.begin() as c:
            found, version, status = read_account(c, self.stack.core.vault, account)
        return found, version, status.value

    def sql(self, statement: str, **values: object) -> object:
        """One statement; its first row."""
        with self.stack.core.database.begin() as c:
            return row(c, statement, **values)
