"""Accounts of the sandbox and their OAuth tokens."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.sandbox.store import Record, Store

if TYPE_CHECKING:
    from adapters.sandbox.context import Clock

_ACCOUNT = "account"
_TOKEN = "token"  # noqa: S105 - the kind of a record
_INHERITED = ("scopes", "acts_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKind:
    """The accounts and tokens of one platform."""

    scopes: tuple[str, ...] | Callable[[Record], tuple[str, ...]]
    """Scopes of tokens issued by the control API; a function of the account's options where they decide."""
    connection: str | Callable[[Record], str]
    """Product of the platform that the tokens belong to; a function of the account's options where they decide."""
    access_prefix: str
    id_prefix: str = ""
    """The beginning of a remote id; `id_digits` digits in all, or `id_bytes` random bytes in base64 after it."""
    id_digits: int = 0
    id_bytes: int = 0
    new_id: Callable[[Record], str] | None = None
    """Return a new remote id, given the account's options, in place of the above."""
    access_life: float | None = None
    """Seconds; None: does not expire."""
    refresh_prefix: str | None = None
    """None: the platform has no refresh tokens."""
    refresh_life: float | None = None
    """Seconds; None: does not expire."""
    has_refresh_token: Callable[[Record], bool] = lambda _: True
    """Return whether the account gets a refresh token, if the platform has them."""
    initial_age: float = 0.0
    """Age in seconds of a token when the control API issues it."""
    get_user: Callable[[Record], str] | None = None
    """Return the id of the account's user, on a platform that calls an app whose user removes it."""
    provision: Callable[[Record], Record] | None = None
    """Create what an account of the control API needs; return the settings to store with it."""

    def make_id(self, options: Record) -> str:
        """Return a new remote id for an account with these options."""
        if self.new_id is not None:
            return self.new_id(options)
        if self.id_digits:
            return random_digits(self.id_digits, self.id_prefix)
        return self.id_prefix + secrets.token_urlsafe(self.id_bytes)


class Accounts:
    """Store accounts by platform and remote id, and tokens by their text."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Use the accounts and tokens in `store`."""
        self._store = store
        self._clock = clock
        self.kinds: dict[str, AccountKind] = {}

    def define(self, platform: str, kind: AccountKind) -> None:
        """Register how accounts of `platform` are created."""
        self.kinds[platform] = kind

    def find(self, platform: str, remote_id: str) -> Record | None:
        """Return the account, or None."""
        return self._store.get(_ACCOUNT, f"{platform}:{remote_id}")

    def find_by_username(self, platform: str, username: str) -> Record | None:
        """Return the account of that platform and username, or None."""
        return next((one for one in self.list_all(platform) if one["username"] == username), None)

    def list_all(self, platform: str) -> list[Record]:
        """Return the accounts of a platform, oldest first."""
        return [one for one in self._store.get_all(_ACCOUNT).values() if one["platform"] == platform]

    def ensure(self, platform: str, username: str, changes: Record) -> Record:
        """Create the account or update the existing one; `changes`: display_name, private, options."""
        account = self.find_by_username(platform, username)
        if account is None:
            remote_id = self.kinds[platform].make_id(changes.get("options", {}))
            account = {"platform": platform, "remote_id": remote_id, "username": username}
            account |= {"display_name": username, "private": False, "options": {}}
        account |= changes
        self._store.put(_ACCOUNT, f"{platform}:{account['remote_id']}", account)
        return account

    def list_scopes(self, account: Record) -> list[str]:
        """Return the scopes of the account's tokens; option `scopes` replaces the platform's full list."""
        scopes = self.kinds[account["platform"]].scopes
        default = scopes if isinstance(scopes, tuple) else scopes(account["options"])
        return list(account["options"].get("scopes", default))

    def list_granted_scopes(self, token: Record, account: Record) -> list[str]:
        """Return the scopes of one token: the ones granted on a consent page, else all of the account."""
        return list(token["scopes"]) if "scopes" in token else self.list_scopes(account)

    def get_connection(self, account: Record) -> str:
        """Return the product of the platform that the account's tokens belong to."""
        connection = self.kinds[account["platform"]].connection
        return connection if isinstance(connection, str) else connection(account["options"])

    def issue_tokens(
        self,
        account: Record,
        *,
        replaces: str | None = None,
        age: float = 0.0,
        source: Record | None = None,
        with_refresh_token: bool = True,
    ) -> Record:
        """Issue an access token, and a refresh token where the account gets one.

        Returns `access_token`, `expires_in`, `refresh_token`, `refresh_expires_in`; a token that does not expire has
        no `…expires_in`. `replaces`: the refresh token of this rotation. It remains valid until a new token is used,
        so that a lost response does not lose the account. `source`: the code or token exchanged here; its scopes and
        `acts_for` carry over.
        """
        kind = self.kinds[account["platform"]]
        more = {name: source[name] for name in _INHERITED if name in source} if source is not None else {}
        if replaces is not None:
            more["replaces"] = replaces
        access = self.create_token(account, "access", kind.access_prefix, kind.access_life, age, more)
        issued: Record = {"access_token": access}
        if kind.access_life is not None:
            issued["expires_in"] = int(kind.access_life - age)
        if with_refresh_token and kind.refresh_prefix is not None and kind.has_refresh_token(account):
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
        """Create a token of `role` (access, refresh, short, code) valid for `life` seconds; return its text.

        `more` is stored with it: `scopes`, `replaces`, and `acts_for` ("platform:remote_id"), further accounts that it
        gives access to.
        """
        text = prefix + secrets.token_urlsafe(30)
        issued_at = self._clock.now() - age
        record: Record = {"platform": account["platform"], "remote_id": account["remote_id"], "role": role}
        record |= {"state": "valid", "issued_at": issued_at, **(more or {})}
        record["expires_at"] = None if life is None else issued_at + life
        self._store.put(_TOKEN, text, record)
        return text

    def find_token(self, platform: str, text: str) -> Record | None:
        """Return the record of a token that gives access to that platform, or None."""
        token = self._store.get_all(_TOKEN).get(text)
        if token is None or token["platform"] == platform:
            return token
        for other in token.get("acts_for", ()):
            other_platform, _, remote_id = other.partition(":")
            if other_platform == platform:
                return token | {"platform": platform, "remote_id": remote_id}
        return None

    def get_token_state(self, token: Record) -> str:
        """Return `valid`, `expired` or `revoked`, by the sandbox's clock."""
        expires_at = token["expires_at"]
        if token["state"] == "valid" and expires_at is not None and self._clock.now() >= expires_at:
            return "expired"
        return str(token["state"])

    def use_token(self, text: str, token: Record) -> None:
        """Record the use of a token: the refresh token that it replaces stops working."""
        replaced = token.pop("replaces", None)
        if replaced is not None:
            self._store.put(_TOKEN, text, token)
            self.drop_token(replaced)

    def drop_token(self, text: str) -> None:
        """Delete a token."""
        self._store.drop(_TOKEN, text)

    def revoke_token(self, text: str, token: Record) -> None:
        """Revoke one token, and none of its account's others."""
        self._store.put(_TOKEN, text, token | {"state": "revoked"})

    def set_token_state(self, platform: str, remote_id: str, state: str) -> int:
        """Set the state of the account's tokens and return their number; `expired` leaves refresh tokens valid."""
        account, changed = f"{platform}:{remote_id}", 0
        for text, token in list(self._store.get_all(_TOKEN).items()):
            accounts = (f"{token['platform']}:{token['remote_id']}", *token.get("acts_for", ()))
            if account in accounts and not (state == "expired" and token["role"] == "refresh"):
                self._store.put(_TOKEN, text, token | {"state": state})
                changed += 1
        return changed


def random_digits(length: int, first: str) -> str:
    """Return a random decimal id of `length` digits that starts with `first`."""
    return first + "".join(secrets.choice("0123456789") for _ in range(length - len(first)))
