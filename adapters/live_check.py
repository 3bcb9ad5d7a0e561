"""Read-only checks that find what would keep the next post of a connected account from going out.

Each platform lists its checks in ``<platform>/adapter.py``, one ``ConnectionChecks`` per connection; its adapter
refers to them as ``live_checks``. ``check_account`` runs them with the account's credentials, after the checks that
every platform shares: expiry, scopes, and the owner of the token.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from adapters.contract import Account, Adapter, PlatformSettings
from adapters.errors import AdapterError, CredentialsExpired, CredentialsRevoked
from adapters.http import HttpClient, Response

POST_NOT_FOUND_AGAIN = "a post whose response was lost cannot be looked for"
"""The consequence of lacking the scope that lists an account's posts."""
EXPIRES_SOON = timedelta(days=7)
RETIRES_SOON = timedelta(days=92)
"""How long before its retirement an API version is warned of: three months."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check. ``fail``: the next post would not go out; ``unknown``: only a live post can tell."""

    check: str
    """``account``, ``token``, ``version``, ``scopes``, ``quota``, ``limits`` or ``post``."""
    result: Literal["ok", "warn", "fail", "unknown"]
    says: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveCheck:
    """One read and the findings it yields; an ``AdapterError`` it raises becomes a ``fail`` of ``name``."""

    name: str
    run: Callable[[HttpClient, PlatformSettings, Account], Iterator[Finding]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionChecks:
    """The needs of an account of one connection, and the checks of it that need no publishing."""

    connection: str
    required_scopes: tuple[str, ...]
    """Scopes without which no post goes out."""
    optional_scopes: Mapping[str, str] = field(default_factory=dict)
    """Scope -> the feature that is missing without it; posts go out nevertheless."""
    can_discover: bool = True
    """True if the adapter's ``discover`` can list the owner of an account's access token."""
    read_posts: tuple[str, ...] = ()
    """Ends of the paths that the vendor serves to POST only although they read."""
    checks: tuple[LiveCheck, ...] = ()
    only_live_post: tuple[str, ...] = ()
    """Questions that no read can decide, as the README's "Never tried live" words them."""


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


def warn(check: str, says: str) -> Finding:
    """Return a finding that stops no post yet, or only part of the service."""
    return Finding(check=check, result="warn", says=says)


def fail(check: str, says: str) -> Finding:
    """Return a finding that stops the next post."""
    return Finding(check=check, result="fail", says=says)


def check_version(version: str, retirements: Mapping[str, date], today: date) -> Finding:
    """Return a finding about an API version: ``fail`` if it is retired, ``warn`` if it soon is, or its date unknown."""
    retires = retirements.get(version)
    newest = max(retirements, key=lambda name: retirements[name])
    if retires is None:
        return warn("version", f"no retirement date of API version {version!r} is known; {newest} has one")
    if retires <= today:
        return fail("version", f"API version {version} was retired on {retires}; set {newest}")
    if retires - today <= RETIRES_SOON:
        return warn("version", f"API version {version} is retired on {retires}; set {newest} before")
    return ok("version", f"API version {version} is served until {retires} at least")


def quota_not_readable(quota: str) -> Finding:
    """Return the finding for a quota that the platform reports only by refusing a post."""
    return ok("quota", f"{quota}: cannot be read; the platform refuses posts above it")


def list_questions(adapter: type[Adapter], connections: Collection[str]) -> list[Finding]:
    """Return what only a live post can tell of these connections, or of all if none is given; each question once."""
    chosen = [c for c in adapter.live_checks if not connections or c.connection in connections]
    questions = dict.fromkeys(question for checks in chosen for question in checks.only_live_post)
    return [Finding(check="post", result="unknown", says=question) for question in questions]


def check_account(
    adapter: type[Adapter], settings: PlatformSettings, account: Account, limit: timedelta
) -> Iterator[Finding]:
    """Yield the findings of one account; *limit* bounds each request.

    Each check runs by itself, so that one refusal hides no other. No token is refreshed, as that could rotate it.
    """
    yield _check_expiry(account)
    if adapter.capabilities.retirements:
        yield check_version(settings.version, adapter.capabilities.retirements, datetime.now(UTC).date())
    checks = next((c for c in adapter.live_checks if c.connection == account.connection), None)
    if checks is None:
        yield fail("account", f"{account.connection!r} is no connection that this version knows")
        return
    yield from _check_scopes(account, checks)
    settings = replace(settings, options={**settings.options, "connection": account.connection})
    client = ReadOnlyClient(read_posts=checks.read_posts, limit=limit)
    if checks.can_discover:
        owner = _check_owner(adapter(client, settings), account)
        yield owner
        if owner.check == "token":  # the token has expired: the platform would refuse every further read
            return
    for check in checks.checks:
        yield from _run_check(check, client, settings, account)


def _run_check(
    check: LiveCheck, client: HttpClient, settings: PlatformSettings, account: Account
) -> Iterator[Finding]:
    try:
        yield from check.run(client, settings, account)
    except (CredentialsExpired, CredentialsRevoked) as error:
        yield _report_expired_token(account, str(error))
    except AdapterError as error:
        yield fail(check.name, str(error))


def _check_owner(adapter: Adapter, account: Account) -> Finding:
    """Return whose token it is, by the adapter's own discovery."""
    try:
        found = adapter.discover(account.credentials)
    except CredentialsExpired as error:
        return _report_expired_token(account, str(error))
    except AdapterError as error:
        return fail("account", str(error))
    if account.remote_id in {owner.remote_id for owner in found}:
        return ok("account", "the token is this account's")
    owners = ", ".join(owner.username or owner.remote_id for owner in found) or "no account"
    return fail("account", f"the token is for {owners}, not for this account")


def _report_expired_token(account: Account, reason: str) -> Finding:
    if account.credentials.refresh_token is not None:
        return warn("token", f"{reason}: it is renewed before the next post; nothing more was read")
    return fail("token", f"{reason}: connect the account again")


def _check_scopes(account: Account, checks: ConnectionChecks) -> Iterator[Finding]:
    granted = set(account.credentials.scopes)
    if not granted:
        yield warn("scopes", "the platform did not report the granted scopes")
        return
    if missing := [scope for scope in checks.required_scopes if scope not in granted]:
        yield fail("scopes", f"not granted: {', '.join(missing)}; connect the account again")
    else:
        yield ok("scopes", "all that publishing needs is granted")
    for scope, consequence in checks.optional_scopes.items():
        if scope not in granted:
            yield warn("scopes", f"{scope} is not granted: {consequence}")


def _check_expiry(account: Account) -> Finding:
    now, credentials = datetime.now(UTC), account.credentials
    expires, renewable_until = credentials.expires_at, credentials.refresh_expires_at
    if expires is not None and expires <= now and credentials.refresh_token is None:
        return fail("token", f"it expired at {expires:%Y-%m-%d %H:%M} UTC and cannot be renewed")
    if renewable_until is not None and renewable_until <= now:
        says = f"it could be renewed until {renewable_until:%Y-%m-%d %H:%M} UTC; connect the account again"
        return fail("token", says)
    end = renewable_until or (None if credentials.refresh_token else expires)
    if end is None:
        return ok("token", "the grant does not expire by time")
    result = warn if end - now < EXPIRES_SOON else ok
    return result("token", f"the grant lives until {end:%Y-%m-%d %H:%M} UTC")
