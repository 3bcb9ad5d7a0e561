"""The site fixture: a running server, its users, and clients that are logged in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import requests

from pipeline.dashboard.visitor import derive_csrf
from pipeline.domain.account import Role
from pipeline.store.auth.sessions import start_session
from pipeline.store.auth.users import StoredPassword, create_user, hash_password, set_role
from tests.pipeline.api.running_server import Server, Tenant

HOME, LOGIN = "/dashboard/", "/dashboard/login"
PASSWORD = "correct horse battery"
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@cache
def _hash() -> str:
    return hash_password(PASSWORD)


class Client(requests.Session):
    """A client of one server, whose paths it takes. It sends the Origin header, as browsers do."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.headers["Origin"] = url

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:
        """Send a request; a path is one of the server's."""
        return super().request(method, urljoin(self._url, url), *args, **{"timeout": 30, **more})


@dataclass(frozen=True, kw_only=True)
class Someone:
    """A user with a password."""

    id: UUID
    login: str
    password: str = PASSWORD


@dataclass(kw_only=True)
class Site:
    """A running dashboard, and one workspace with its accounts."""

    server: Server
    tenant: Tenant

    @property
    def url(self) -> str:
        return self.server.url

    def add_user(self, roles: Mapping[UUID | None, Role] | None = None, login: str = "") -> Someone:
        """Add a user with these roles by workspace; None: in all workspaces."""
        login = login or f"user-{os.urandom(4).hex()}"
        with self.server.context.database.begin() as c:
            identity = create_user(c, login, _hash())
            for workspace, role in (roles or {}).items():
                set_role(c, identity, workspace, role)
        return Someone(id=identity, login=login)

    def open(self) -> Client:
        """Return a client that is not logged in."""
        return Client(self.url)

    def try_login(self, session: Client, login: str, password: str, **more: str) -> requests.Response:
        """Send the form for logging in; follow no redirect."""
        form = {
            "csrf": find_token(session.get(LOGIN)),
            "login": login,
            "password": password,
        }
        return session.post(LOGIN, {**form, **more}, allow_redirects=False)

    def log_in(self, user: Someone) -> Client:
        """Return a client with a new session of the user, which sends its token with every request.

        The session is started in the database: hashing a password takes longer than most tests.
        """
        session, token = self.open(), self.start_session(user)
        session.cookies.set("slipway", token, domain="127.0.0.1", path="/")
        session.headers["X-CSRF-Token"] = derive_csrf(token)
        return session

    def start_session(self, user: Someone) -> str:
        """Start a session of the user and return its token."""
        with self.server.context.database.begin() as c:
            stored = StoredPassword(user_id=user.id, password_hash=_hash())
            token = start_session(c, stored, "127.0.0.1", "a browser")
        assert token is not None
        return token


def find_token(page: requests.Response) -> str:
    """Return the token in a form of the page."""
    found = _TOKEN.search(page.text)
    assert found is not None, page.text
    return found[1]
