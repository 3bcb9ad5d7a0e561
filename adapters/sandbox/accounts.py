"""The people of the sandbox: their accounts, and the tokens that act for them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.sandbox.clock import Clock
    from adapters.sandbox.store import Record, Store

_ACCOUNT = "account"
_TOKEN = "token"  # noqa: S105 - the kind of a record
_CARRIED = ("scopes", "acts_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKind:
    """What accounts of one platform look source."""

    new_id: Callable[[Record], str]
    """Given the account's options."""
    scopes: tuple[str, ...] | Callable[[Record], tuple[str, ...]]
    """All that a token of the control API may do; a function where the options decide."""
    connection: str | Callable[[Record], str]
    """Which of the platform's products the tokens are for; a function where the options decide."""
    access_prefix: str
    access_life: float | None
    """Seconds; None: until something else ends it."""
    refresh_prefix: str | None = None
    """None: the platform has no refresh tokens."""
    refresh_life: float | None = None
    """Seconds; None: until something else ends it."""
    has_refresh_token: Callable[[Record], bool] = lambda _: True
    """Whether this account gets a refresh token, where the platform has them."""
    initial_age: float = 0.0
    """Seconds a token given out by the control API is already old."""
    provision: Callable[[Record], Record] | None = None
    """Makes what an account made by the control API needs; returns the settings to store beside it."""


class Accounts:
    """Accounts by platform and remote id; tokens by their text."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Take up the accounts that `store` has kept."""
        self._store = store
        self._clock = clock
        self.kinds: dict[str, AccountKind] = {}

    def define(self, platform: str, kind: AccountKind) -> None:
        """Let the control API make accounts of `platform`."""
        self.kinds[platform] = kind

    def find(self, platform: str, remote_id: str) -> Record | None:
        """One account, or None."""
        return self._store.get(_ACCOUNT, f"{platform}:{remote_id}")

    def find_by_username(self, platform: str, username: str) -> Record | None:
        """The account of that platform and username, or None."""
        for account in self._store.get_all(_ACCOUNT).values():
            if account["platform"] == platform and account["username"] == username:
                return account
        return None

    def ensure(self, platform: str, username: str, wishes: Record) -> Record:
        """Make the account, or change the one that is there; `wishes`: display_name, private, options."""
        account = self.find_by_username(platform, username)
        if account is None:
            remote_id = self.kinds[platform].new_id(wishes.get("options", {}))
            account = {"platform": platform, "remote_id": remote_id, "username": username}
            account |= {"display_name": username, "private": False, "options": {}}
        account |= wishes
        self._store.put(_ACCOUNT, f"{platform}:{account['remote_id']}", account)
        return account

    def list_scopes(self, account: Record) -> list[str]:
        """What the account's tokens may do; option `scopes` replaces the platform's full list."""
        scopes = self.kinds[account["platform"]].scopes
        usual = scopes if isinstance(scopes, tuple) else scopes(account["options"])
        return list(account["options"].get("scopes", usual))

    def list_granted_scopes(self, token: Record, account: Record) -> list[str]:
        """What this one token may do: what a consent page has granted, else all the account may."""
        return list(token["scopes"]) if "scopes" in token else self.list_scopes(account)

    def get_connection(self, account: Record) -> str:
        """Which of the platform's products the account's tokens are for."""
        connection = self.kinds[account["platform"]].connection
        return connection if isinstance(connection, str) else connection(account["options"])

    def issue_tokens(
        self, account: Record, *, replaces: str | None = None, age: float = 0.0, source: Record | None = None
    ) -> Record:
        """Give out tokens: `access_token`, `expires_in`, and with refresh tokens those two as well.

        `replaces`: the refresh token this rotation retires once one of the new tokens has been used; until then it
        still works, so an answer lost on the way costs nobody the account. `source`: the code or token that this is
        given for; what it may do and for whom is carried over. What does not expire has no `…expires_in`.
        """
        kind = self.kinds[account["platform"]]
        more = {name: source[name] for name in _CARRIED if name in source} if source is not None else {}
        if replaces is not None:
            more["replaces"] = replaces
        access = self.create_token(account, "access", kind.access_prefix, kind.access_life, age, more)
        issued: Record = {"access_token": access}
        if kind.access_life is not None:
            issued["expires_in"] = int(kind.access_life - age)
        if kind.refresh_prefix is not None and kind.has_refresh_token(account):
            issued["refresh_token"] = self.create_token(
                account, "refresh", kind.refresh_prefix, kind.refresh_life, age, more
            )
            if kind.refresh_life is not None:
                issued["refresh_expires_in"] = int(kind.refresh_life - age)
        return issued

    def create_token(
        self,
        account: Record,
        role: str,
        prefix: str,
        life: float | None,
        age: float = 0.0,
        more: Record | None = None,
    ) -> str:
        """Make one token of `role` (access, refresh, short, code) living `life` seconds; returns its text.

        `more` is kept with it: `scopes`, `replaces`, and `acts_for` ("platform:remote_id"), the accounts it is good
        for beside its own.
        """
        text = prefix + secrets.token_urlsafe(30)
        issued_at = self._clock.now() - age
        record: Record = {"platform": account["platform"], "remote_id": account["remote_id"], "role": role}
        record |= {"state": "valid", "issued_at": issued_at, **(more or {})}
        record["expires_at"] = None if life is None else issued_at + life
        self._store.put(_TOKEN, text, record)
        return text

    def find_token(self, platform: str, text: str) -> Record | None:
        """What is known of a token that is good for that platform, or None."""
        token = self._store.get_all(_TOKEN).get(text)
        if token is None or token["platform"] == platform:
            return token
        for other in token.get("acts_for", ()):
            named, _, remote_id = other.partition(":")
            if named == platform:
                return token | {"platform": platform, "remote_id": remote_id}
        return None

    def get_token_state(self, token: Record) -> str:
        """`valid`, `expired` or `revoked` at this moment."""
        ends = token["expires_at"]
        if token["state"] == "valid" and ends is not None and self._clock.now() >= ends:
            return "expired"
        return str(token["state"])

    def use_token(self, text: str, token: Record) -> None:
        """Note that a token was used: the refresh token it replaced is dead from now on."""
        replaced = token.pop("replaces", None)
        if replaced is not None:
            self._store.put(_TOKEN, text, token)
            self.drop_token(replaced)

    def drop_token(self, text: str) -> None:
        """Forget a token."""
        self._store.drop(_TOKEN, text)

    def set_token_state(self, platform: str, remote_id: str, state: str) -> int:
        """Put the account's tokens into `state`; expiry spares refresh tokens. Returns how many were changed."""
        spared = ("refresh",) if state == "expired" else ()
        mine = [
            (text, token)
            for text, token in self._store.get_all(_TOKEN).items()
            if token["role"] not in spared
            and (
                (token["platform"], token["remote_id"]) == (platform, remote_id)
                or f"{platform}:{remote_id}" in token.get("acts_for", ())
            )
        ]
        for text, token in mine:
            self._store.put(_TOKEN, text, token | {"state": state})
        return len(mine)


def random_digits(length: int, first: str) -> str:
    """A random decimal id of `length` digits that starts with `first`."""
    return first + "".join(secrets.choice("0123456789") for _ in range(length - len(first)))
