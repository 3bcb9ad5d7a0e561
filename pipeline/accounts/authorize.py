"""Connecting accounts: a person is sent to a platform's consent page, and what they allow there is stored, sealed.

``start`` and ``finish`` may run in different processes; what joins them is a row of ``grants``, used once. No database
connection is held while the platform is asked. A crash in ``finish`` leaves a used grant and nothing stored: the person
starts again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from adapters.contract import Adapter, Platform, RemoteAccount
from adapters.errors import AdapterError, CredentialsExpired, CredentialsRevoked, NeedsPerson, Permanent
from pipeline.accounts.account_choice import is_to_pick, offered
from pipeline.accounts.account_selection import name_of, storable
from pipeline.accounts.connected_account import AGAIN, Choice, Connected, keep, refusal_of
from pipeline.accounts.oauth_flow import DENIED, NOT_GRANTED, new_secrets, redirect_uri
from pipeline.context import Context
from pipeline.domain.account import AccountStatus
from pipeline.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts import oauth_sessions as store
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.accounts.oauth_sessions import CLI, LIFE, Grant, GrantRefused, Starter
from pipeline.store.deliveries.ownership import Accounts, accounts_within
from pipeline.store.vault import VaultError

log = logging.getLogger("slipway.connect")


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """Where to send the person, and the state they will bring back; good for ``lives``."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    redirect_uri: str
    lives: timedelta = LIFE


def start(
    context: Context,
    workspace: UUID,
    platform: Platform,
    starter: Starter,
    *,
    connection: str | None = None,
    reconnect: UUID | None = None,
    chosen: Sequence[str] | None = None,
    within: Accounts = None,
) -> Started:
    """Opens a grant, good for ten minutes and one use.

    ``reconnect``: an account of the workspace. ``chosen``: remote ids that may be stored, ``*`` for all; else the
    person picks. ``within``: the only accounts that exist for who asks.

    Raises Refusal: 400 for what cannot be asked, 404 when there is no such account, 409 when it is out of use, 500
    ``not_configured`` with the setting's name.
    """
    if platform not in context.adapters:
        raise Refusal(400, "validation_failed", f"{platform.value} accounts cannot be connected yet.")
    mine = accounts_within([reconnect] if reconnect else [], within) or ()
    known = _to_reconnect(context, workspace, platform, reconnect, mine, starter) if reconnect else None
    connection = known.connection if known else connection
    back, secrets = redirect_uri(context.settings, platform), new_secrets()
    try:
        url = _adapter(context, platform, connection).authorize_url(back, secrets.state, secrets.challenge)
    except AdapterError as error:
        raise Refusal(400, "validation_failed", error.message) from None
    _require_app(platform, url)
    with context.database.begin() as c:
        store.open_grant(
            c,
            context.vault,
            workspace=workspace,
            platform=platform,
            connection=connection,
            starter=starter,
            account=reconnect,
            chosen=chosen,
            redirect_uri=back,
            state=secrets.state,
            verifier=secrets.verifier,
        )
    return Started(url=url, state=secrets.state, redirect_uri=back)


def finish(
    context: Context, platform: Platform, state: str, code: str, starter: Starter | None = None
) -> list[Connected] | Choice:
    """Uses the grant up, asks the platform whose accounts the code opens, and stores them, or lets the person choose.

    ``starter`` None: a browser, known by its state alone. Raises Refusal: 400, 403 or 409 for a state that cannot be
    used, 409 ``wrong_account`` when another account than the one to reconnect came back, 400 ``code_refused``, 403
    ``permission_missing``, 502 ``platform_unavailable``. Nothing is stored then.
    """
    grant = _used(context, platform, state, starter)
    failpoint("connect.used")
    with _noted(context, grant):
        found = _ask(context, grant, code)
        failpoint("connect.answered")
        with context.database.begin() as c:
            known = find_accounts(c, grant.workspace_id)
            usable = storable(grant, found, known)
            if is_to_pick(grant, usable):
                return offered(c, context, grant, usable)
            connected = keep(c, context, grant, usable, known)
    for one in connected:
        log.info("connected %s account %s for workspace %s", platform.value, one.id, grant.workspace_id)
    return connected


def decline(
    context: Context, platform: Platform, state: str, error: str, starter: Starter | None = None
) -> Refusal:
    """Uses the grant up that the person, or the platform, said no to. Returns what to tell; raises as ``finish``."""
    grant = _used(context, platform, state, starter)
    name = platform.value
    if error in DENIED:
        said = f"{name} was not allowed to connect; nothing was changed. {AGAIN}"
        refusal = Refusal(403, "access_denied", said)
    else:
        log.warning("%s sent a person back with error %.60r", name, error)
        said = f"{name} could not connect the account; nothing was changed. {NOT_GRANTED.get(error, AGAIN)}"
        refusal = Refusal(502, "platform_refused", said)
    _note(context, grant, refusal)
    return refusal


def _to_reconnect(
    context: Context,
    workspace: UUID,
    platform: Platform,
    account: UUID,
    mine: Sequence[UUID],
    starter: Starter,
) -> AccountRow:
    with context.database.begin() as c:
        found = find_accounts(c, workspace, mine)
    if not found or found[0].platform is not platform:
        raise Refusal(404, "not_found", f"There is no {platform.value} account {account} here.")
    if found[0].status is AccountStatus.INACTIVE and starter != CLI:
        raise Refusal(409, "account_inactive", f"{name_of(found[0])} was taken out of use by the operator.")
    return found[0]


def _adapter(context: Context, platform: Platform, connection: str | None) -> Adapter:
    told = context.platform_settings[platform]
    if connection is not None:
        told = replace(told, options={**told.options, "connection": connection})
    return context.adapters[platform](context.client(), told)


def _require_app(platform: Platform, url: str) -> None:
    """A consent page for no app is a dead end: the operator has not said who we are there."""
    given = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if not (given.get("client_id") or given.get("client_key")):
        setting = f"SLIPWAY_{platform.name}__APP_ID"
        raise Refusal(
            500,
            "not_configured",
            f"{setting} (or that of this connection) is empty: register an app at {platform.value} first.",
        )


def _used(context: Context, platform: Platform, state: str, starter: Starter | None) -> Grant:
    try:
        with context.database.begin() as c:
            return store.use_grant(c, context.vault, platform, state, starter)
    except GrantRefused as error:
        log.warning("a state was refused for %s: %s", platform.value, error.reason.value)
        raise refusal_of(error) from None
    except VaultError:
        raise Refusal(409, "state_unusable", f"The keys were changed meanwhile. {AGAIN}") from None


@contextmanager
def _noted(context: Context, grant: Grant) -> Iterator[None]:
    """Whatever goes wrong is left with the grant, for whoever waits for it."""
    try:
        yield
    except Refusal as refusal:
        _note(context, grant, refusal)
        raise
    except Exception:
        _note(context, grant, Refusal(500, "internal_error", f"Something went wrong here. {AGAIN}"))
        raise


def _note(context: Context, grant: Grant, refusal: Refusal) -> None:
    failpoint("connect.noting")
    with context.database.begin() as c:
        store.end_grant(c, grant.id, {"error": {"code": refusal.code, "message": refusal.message}})


def _ask(context: Context, grant: Grant, code: str) -> Sequence[RemoteAccount]:
    adapter = _adapter(context, grant.platform, grant.connection)
    try:
        credentials = adapter.exchange(code, grant.redirect_uri, grant.verifier.get_secret_value())
        return adapter.discover(credentials)
    except AdapterError as error:
        log.warning("%s did not connect an account: %r", grant.platform.value, error)
        raise _of_platform(error) from None


def _of_platform(error: AdapterError) -> Refusal:
    said = f"{error.message.rstrip('.')}; nothing was changed. {error.next_action or AGAIN}"
    if isinstance(
        error, Permanent | CredentialsRevoked | CredentialsExpired
    ):  # a code is no account's token yet
        return Refusal(400, "code_refused", said)
    if isinstance(error, NeedsPerson):
        return Refusal(403, error.code, said)
    return Refusal(502, "platform_unavailable", said)
