"""Log a user in: count the try, check the password, start a session.

A try is counted before its password is checked, so that concurrent tries do not exceed the limit. Unknown logins take
the same steps, as long. No database connection is held while a password is hashed.

In a browser where this login was right before, its own tries count in place of the address's: wrong passwords of others
behind the same address do not keep its user out.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from pipeline.domain.account import MAX_PASSWORD
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.audit import record_change
from pipeline.store.auth.login_tries import (
    count_try,
    forget_tries,
    list_known,
    name_address,
    name_browser,
    name_login,
    remember,
    take_back_try,
)
from pipeline.store.auth.sessions import delete_ended, start_session
from pipeline.store.auth.users import (
    StoredPassword,
    hash_password,
    is_outdated,
    read_password,
    upgrade_hash,
    verify_password,
)


class MustWait(Exception):
    """This login, or this address, has had its tries: the argument says which of them."""


class WrongPassword(Exception):
    """No user who may log in has this login and password."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginTry:
    """The input of a user, and where it came from."""

    login: str
    password: str
    address: str
    agent: str
    request_id: str | None = None
    browser: str = ""
    """The token that the browser keeps for the form; empty without one."""
    known: AbstractSet[str] = frozenset()
    """Which of its origins have logged in before, from `recognize`."""

    @property
    def origins(self) -> list[str]:
        """Where it comes from: the address, then the browser with this login."""
        return [
            name_address(self.address),
            *([name_browser(self.browser, self.login)] if self.browser else []),
        ]

    @property
    def origin(self) -> str:
        """The origin that its tries are counted for: the browser if it is known, else the address."""
        first, last = self.origins[0], self.origins[-1]
        return last if last in self.known else first

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose tries are counted; in one order, so that no two tries wait for each other."""
        return self.origin, name_login(self.login)


def recognize(c: Connection, given: LoginTry) -> LoginTry:
    """Return the try with its origins that have logged in before."""
    return replace(given, known=list_known(c, given.origins))


def log_in(context: Context, given: LoginTry) -> str:
    """Return the token of a new session. Raises MustWait, WrongPassword."""
    _count(context, given)
    with context.database.once() as c:
        stored = read_password(c, given.login)
    is_right = verify_password(stored.password_hash if stored else None, given.password[: MAX_PASSWORD + 1])
    if stored is None or not is_right:
        raise WrongPassword
    renewed = hash_password(given.password) if is_outdated(stored.password_hash) else None
    return _start(context, given, stored, renewed)


def _count(context: Context, given: LoginTry) -> None:
    """Count a try at the address and at the login. Raises MustWait; then neither is counted."""
    with context.database.begin() as c:
        delete_ended(c)
        for subject in given.subjects:
            if not count_try(c, subject):
                raise MustWait(subject.partition(" ")[0])


def _start(context: Context, given: LoginTry, stored: StoredPassword, renewed: str | None) -> str:
    """Start the session, if neither password nor user was changed since they were read. Raises WrongPassword.

    *renewed*: the password's hash with today's parameters, if it has others.
    """
    origin, login = given.subjects
    with context.database.begin() as c:
        if renewed is not None:
            stored = upgrade_hash(c, stored, renewed)
        token = start_session(c, stored, given.address, given.agent)
        if token is None:
            raise WrongPassword
        actor = Actor(
            kind="user",
            name=given.login,
            id=stored.user_id,
            address=given.address,
            request_id=given.request_id,
        )
        record_change(
            c, actor, "start", "session", None, after={"login": given.login, "browser": given.agent}
        )
        take_back_try(c, origin)
        forget_tries(c, login)
        remember(c, given.origins)
    return token
