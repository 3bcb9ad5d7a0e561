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


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKind:
    """What accounts of one platform look like."""

    new_id: Callable[[], str]
    scopes: tuple[str, ...]
    connection: str
    """Which of the platform's products the tokens are for."""
    access_prefix: str
    access_life: float
    """Seconds."""
    refresh_prefix: str | None = None
    """None: the platform has no refresh tokens."""
    refresh_life: float = 0.0
    issued_ago: float = 0.0
    """Seconds a token given out by the control API is already old."""


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

    def named(self, platform: str, username: str) -> Record | None:
        """The account of that platform and username, or None."""
        for account in self._store.all(_ACCOUNT).values():
            if account["platform"] == platform and account["username"] == username:
                return account
        return None

    def open(self, platform: str, username: str, wishes: Record) -> Record:
        """Make the account, or change the one that is there; `wishes`: display_name, private, options."""
        account = self.named(platform, username)
        if account is None:
            remote_id = self.kinds[platform].new_id()
            account = {"platform": platform, "remote_id": remote_id, "username": username}
            account |= {"display_name": username, "private": False, "options": {}}
        account |= wishes
        self._store.put(_ACCOUNT, f"{platform}:{account['remote_id']}", account)
        return account

    def scopes(self, account: Record) -> list[str]:
        """What the account's tokens may do; option `scopes` replaces the platform's full list."""
        return list(account["options"].get("scopes", self.kinds[account["platform"]].scopes))

    def issue(self, account: Record, *, replaces: str | None = None, age: float = 0.0) -> Record:
        """Give out tokens: `access_token`, `expires_in`, and with refresh tokens those two as well.

        `replaces`: the refresh token this rotation retires once one of the new tokens has been used; until then it
        still works, so an answer lost on the way costs nobody the account.
        """
        kind = self.kinds[account["platform"]]
        issued = {
            "access_token": self.mint(account, "access", kind.access_prefix, kind.access_life, age, replaces),
            "expires_in": int(kind.access_life - age),
        }
        if kind.refresh_prefix is not None:
            issued |= {
                "refresh_token": self.mint(
                    account, "refresh", kind.refresh_prefix, kind.refresh_life, age, replaces
                ),
                "refresh_expires_in": int(kind.refresh_life - age),
            }
        return issued

    def mint(
        self,
        account: Record,
        role: str,
        prefix: str,
        life: float,
        age: float = 0.0,
        replaces: str | None = None,
    ) -> str:
        """Make one token of `role` (access, refresh, short, code) living `life` seconds; returns its text."""
        text = prefix + secrets.token_urlsafe(30)
        issued_at = self._clock.now() - age
        record: Record = {"platform": account["platform"], "remote_id": account["remote_id"], "role": role}
        record |= {"state": "valid", "issued_at": issued_at, "expires_at": issued_at + life}
        if replaces is not None:
            record["replaces"] = replaces
        self._store.put(_TOKEN, text, record)
        return text

    def token(self, platform: str, text: str) -> Record | None:
        """What is known of a token of that platform, or None."""
        token = self._store.all(_TOKEN).get(text)
        return token if token is not None and token["platform"] == platform else None

    def state(self, token: Record) -> str:
        """`valid`, `expired` or `revoked` at this moment."""
        if token["state"] == "valid" and self._clock.now() >= token["expires_at"]:
            return "expired"
        return str(token["state"])

    def use(self, text: str, token: Record) -> None:
        """Note that a token was used: the refresh token it replaced is dead from now on."""
        replaced = token.pop("replaces", None)
        if replaced is not None:
            self._store.put(_TOKEN, text, token)
            self.drop(replaced)

    def drop(self, text: str) -> None:
        """Forget a token."""
        self._store.drop(_TOKEN, text)

    def mark(self, platform: str, remote_id: str, state: str) -> int:
        """Put the account's tokens into `state`; expiry spares refresh tokens. Returns how many were changed."""
        spared = ("refresh",) if state == "expired" else ()
        mine = [
            (text, token)
            for text, token in self._store.all(_TOKEN).items()
            if (token["platform"], token["remote_id"]) == (platform, remote_id)
            and token["role"] not in spared
        ]
        for text, token in mine:
            self._store.put(_TOKEN, text, token | {"state": state})
        return len(mine)


def digits(length: int, first: str) -> str:
    """A random decimal id of `length` digits that starts with `first`."""
    return first + "".join(secrets.choice("0123456789") for _ in range(length - len(first)))
