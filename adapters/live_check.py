"""Read-only checks that find what would keep the next post of a connected account from going out.

Each platform lists its checks in ``<platform>/live_checks.py``, one ``ConnectionChecks`` per connection; its adapter
refers to them as ``live_checks``. A check reads with the account's credentials, through a ``ReadOnlyClient``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from adapters.contract import Account, PlatformSettings
from adapters.http import HttpClient, Response

POST_NOT_FOUND_AGAIN = "a post whose response was lost cannot be looked for"
"""What an account lacks without the scope that lists its posts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check. ``fail``: the next post would not go out."""

    check: str
    result: Literal["ok", "warn", "fail"]
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveCheck:
    """One read and the findings made from it; an ``AdapterError`` it raises is a ``fail`` under ``name``."""

    name: str
    """``account``, ``quota`` or ``limits``."""
    run: Callable[[HttpClient, PlatformSettings, Account], Iterator[Finding]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionChecks:
    """What an account of one connection needs, and what can be read about it without publishing."""

    connection: str
    required_scopes: tuple[str, ...]
    """Scopes without which no post goes out."""
    optional_scopes: Mapping[str, str] = field(default_factory=dict)
    """Scope -> what is missing without it; posts go out nevertheless."""
    can_discover: bool = True
    """Whether the adapter's ``discover`` can list the owner of an account's access token."""
    read_posts: tuple[str, ...] = ()
    """Ends of the paths that the vendor serves to POST only although they read."""
    checks: tuple[LiveCheck, ...] = ()


class ReadOnlyClient(HttpClient):
    """An HTTP client that refuses to send anything but reads: GET, and POST to the paths in ``read_posts``."""

    def __init__(self, *, read_posts: tuple[str, ...] = (), limit: timedelta = timedelta(seconds=20)) -> None:
        super().__init__(limit=limit)
        self._read_posts = read_posts

    def call(self, method: str, url: str, *, visible: bool = False, **options: Any) -> Response:
        """Send a read. Raises RuntimeError for a request that may change something."""
        is_read = method == "GET" or (method == "POST" and url.partition("?")[0].endswith(self._read_posts))
        if visible or not is_read:
            raise RuntimeError(f"A live check only reads; it may not send {method} to this path.")
        return super().call(method, url, visible=False, **options)


def ok(check: str, says: str) -> Finding:
    """Return a finding that stops no post."""
    return Finding(check=check, result="ok", says=says)


def quota_not_readable(what: str) -> Finding:
    """Return the finding for a quota that the platform reveals only by refusing a post."""
    return ok("quota", f"{what}: not readable; the platform refuses posts above it")
