"""Connect accounts: send a user to a platform's consent page, and store, sealed, what they authorize there.

``start_authorization`` and ``finish_authorization`` may run in different processes. They share an OAuth session, a row
that is used once. No database connection is held during a call to the platform. A crash in ``finish_authorization``
leaves a used session and nothing stored: the user starts again. No account is stored before the user has
confirmed, on our own page, which accounts of which workspace (``account_selection``).
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
from pipeline.accounts.account_selection import filter_candidates, format_account_name, offer_candidates
from pipeline.accounts.connected_account import START_AGAIN, PendingConfirmation, refuse_unusable
from pipeline.accounts.oauth_flow import (
    DENIED,
    NOT_GRANTED,
    FlowSecrets,
    build_redirect_uri,
    create_flow_secrets,
)
from pipeline.domain.account import AccountStatus
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts import oauth_sessions as store
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.accounts.oauth_sessions import CLI, LIFETIME, OAuthSession, Starter
from pipeline.store.audit import record_change
from pipeline.store.deliveries.ownership import Accounts, restrict_accounts

log = logging.getLogger("slipway.connect")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorizationStart:
    """Where to send the user, and the state they bring back; valid for ``lifetime``."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    redirect_uri: str
    lifetime: timedelta = LIFETIME


def start_authorization(
    context: Context,
    actor: Actor,
    workspace: UUID,
    platform: Platform,
    starter: Starter,
    *,
    connection: str | None = None,
    reconnect: UUID | None = None,
    chosen: Sequence[str] | None = None,
    within: Accounts = None,
) -> AuthorizationStart:
    """Open an OAuth session, valid for ten minutes and one use.

    *reconnect*: an account of the workspace. *chosen*: the remote ids that may be stored, ``*`` for all; None: the
    user selects if there are several. *within*: the accounts that the API key is restricted to.

    Raises Refusal: 400 for an invalid request, 404 if there is no such account, 409 if it was taken out of use, 500
    ``not_configured`` with the setting's name.
    """
    if platform not in context.adapters:
        raise Refusal(400, "validation_failed", f"{platform.value} accounts cannot be connected yet.")
    if reconnect:
        mine = restrict_accounts([reconnect], within) or ()
        connection = _find_account_to_reconnect(
            context, workspace, platform, reconnect, mine, starter
        ).connection
    url, callback, secrets = _build_authorization(context, platform, connection)
    with context.database.begin() as c:
        session = store.open_session(
            c,
            context.vault,
            workspace=workspace,
            platform=platform,
            connection=connection,
            starter=starter,
            account=reconnect,
            chosen=chosen,
            redirect_uri=callback,
            state=secrets.state,
            verifier=secrets.verifier,
        )
        asked = {"platform": platform, "connection": connection, "reconnect": reconnect, "only": chosen}
        record_change(c, actor, "begin", "sign-in", session, workspace, after=asked)
    return AuthorizationStart(url=url, state=secrets.state, redirect_uri=callback)


def finish_authorization(
    context: Context, platform: Platform, state: str, code: str, starter: Starter | None = None
) -> PendingConfirmation:
    """Use the session, exchange the code, and find the accounts it gives access to, for the user to confirm.

    *starter* None: a browser, identified by the state alone. Raises Refusal, with nothing stored: 400, 403 or 409 for a
    state that cannot be used, 409 ``wrong_account`` for another account than the one to reconnect, 400
    ``code_refused``, 403 ``permission_missing``, 502 ``platform_unavailable``.
    """
    session = _use_session(context, platform, state, starter)
    failpoint("connect.used")
    with _record_failure(context, session):
        found = _discover_accounts(context, session, code)
        failpoint("connect.answered")
        with context.database.begin() as c:
            known = find_accounts(c, session.workspace_id)
            return offer_candidates(c, context, session, filter_candidates(session, found, known))


def decline_authorization(
    context: Context, platform: Platform, state: str, error: str, starter: Starter | None = None
) -> Refusal:
    """Use the session that a user or platform declined; return the refusal. Raises as ``finish_authorization``."""
    session = _use_session(context, platform, state, starter)
    name = platform.value
    if error in DENIED:
        message = f"{name} was not allowed to connect; nothing was changed. {START_AGAIN}"
        refusal = Refusal(403, "access_denied", message)
    else:
        log.warning("%s returned the OAuth error %.60r", name, error)
        message = f"{name} could not connect the account; nothing was changed. {NOT_GRANTED.get(error, START_AGAIN)}"
        refusal = Refusal(502, "platform_refused", message)
    _end_with_refusal(context, session, refusal)
    return refusal


def _find_account_to_reconnect(
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
        raise Refusal(
            409, "account_inactive", f"{format_account_name(found[0])} was taken out of use by the operator."
        )
    return found[0]


def _build_adapter(context: Context, platform: Platform, connection: str | None) -> Adapter:
    settings = context.platform_settings[platform]
    if connection is not None:
        settings = replace(settings, options={**settings.options, "connection": connection})
    return context.adapters[platform](context.client(), settings)


def can_authorize(context: Context, platform: Platform) -> bool:
    """Return True if this server is set up to send users to the platform's consent page."""
    try:
        _build_authorization(context, platform, None)
    except Refusal:
        return False
    return True


def _build_authorization(
    context: Context, platform: Platform, connection: str | None
) -> tuple[str, str, FlowSecrets]:
    """Return the address of the consent page, the callback and the secrets of the flow. Raises Refusal."""
    callback, secrets = build_redirect_uri(context.settings, platform), create_flow_secrets()
    try:
        url = _build_adapter(context, platform, connection).authorize_url(
            callback, secrets.state, secrets.challenge
        )
    except AdapterError as error:
        raise Refusal(400, "validation_failed", error.message) from None
    _require_app(platform, url)
    return url, callback, secrets


def _require_app(platform: Platform, url: str) -> None:
    """Raise Refusal 500 if no app is configured: without one, the platform shows an error page."""
    given = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if not (given.get("client_id") or given.get("client_key")):
        setting = f"SLIPWAY_{platform.name}__APP_ID"
        raise Refusal(
            500,
            "not_configured",
            f"{setting} (or that of this connection) is empty: register an app at {platform.value} first.",
        )


def _use_session(context: Context, platform: Platform, state: str, starter: Starter | None) -> OAuthSession:
    with refuse_unusable(platform, "sign-in"), context.database.begin() as c:
        return store.use_session(c, context.vault, platform, state, starter)


@contextmanager
def _record_failure(context: Context, session: OAuthSession) -> Iterator[None]:
    """End the session with the error that the block raises, for the client that polls it."""
    try:
        yield
    except Refusal as refusal:
        _end_with_refusal(context, session, refusal)
        raise
    except Exception:
        _end_with_refusal(
            context,
            session,
            Refusal(
                500,
                "internal_error",
                f"An unexpected error happened in Slipway; nothing was changed. {START_AGAIN}",
            ),
        )
        raise


def _end_with_refusal(context: Context, session: OAuthSession, refusal: Refusal) -> None:
    failpoint("connect.noting")
    with context.database.begin() as c:
        store.end_session(c, session.id, {"error": {"code": refusal.code, "message": refusal.message}})


def _discover_accounts(context: Context, session: OAuthSession, code: str) -> Sequence[RemoteAccount]:
    adapter = _build_adapter(context, session.platform, session.connection)
    try:
        credentials = adapter.exchange(code, session.redirect_uri, session.verifier.get_secret_value())
        return adapter.discover(credentials)
    except AdapterError as error:
        log.warning("connecting a %s account failed: %r", session.platform.value, error)
        raise _to_refusal(error) from None


def _to_refusal(error: AdapterError) -> Refusal:
    message = f"{error.message.rstrip('.')}; nothing was changed. {error.next_action or START_AGAIN}"
    # credential errors concern the code here: there is no account's token yet
    if isinstance(error, Permanent | CredentialsRevoked | CredentialsExpired):
        return Refusal(400, "code_refused", message)
    if isinstance(error, NeedsPerson):
        return Refusal(403, error.code, message)
    return Refusal(502, "platform_unavailable", message)
