"""Refresh an account's credentials: one worker refreshes, the others wait; only a definite refusal disconnects.

A rotated refresh token is committed before the new access token is used: a crash in between would lock the account out.
A lost answer may have carried the only valid refresh token. It is asked for once more with the old one, which most
platforms accept until the new one is used, and then no more: a refresh token that is presented again and again may be
taken for stolen, and all of its tokens revoked (RFC 9700 section 4.14).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from adapters.contract import Account, Credentials
from adapters.errors import AdapterError, AppRefused, CredentialsRevoked, Retryable, Unavailable
from adapters.http import HttpClient, NoResponse, Response
from pipeline.domain.delivery import Reason, State
from pipeline.domain.retry_policy import evaluate_refresh_error
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.platform_limits import build_retry_policy, build_retry_state
from pipeline.store.accounts import accounts as store
from pipeline.store.accounts.grants import RefreshHistory, read_refresh_history
from pipeline.store.database import Unreachable
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.vault import VaultError

log = logging.getLogger("slipway.credentials")

RETRY_PAUSE = timedelta(seconds=2)
UNANSWERED_PAUSE = timedelta(seconds=30)
"""How long to wait after an unanswered refresh before it is tried once more."""
MAX_UNANSWERED = 2
"""The first refresh, and one more with the old token."""
_OK = 200
IN_PROGRESS = "refresh_in_progress"
"""Code of Unavailable while another worker refreshes the account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _PendingRefresh:
    """One refresh that is under way, and the history of those before it."""

    id: UUID
    version: int
    account: Account
    past: RefreshHistory
    ahead: bool
    """The refresh is made before the token expires: no delivery waits for it, and the old token still works."""

    @property
    def is_risky(self) -> bool:
        """Return True if using one refresh token twice may do harm: unless the platform is known not to rotate it."""
        return self.account.credentials.refresh_token is not None and self.past.rotates is not False

    @property
    def may_go_on(self) -> bool:
        """Return True if the account can still be published to without the refresh."""
        return self.ahead and self.past.is_alive


class _ResponseTracker(HttpClient):
    """A client that records whether a response was lost: adapters report a lost one as any other failure."""

    unanswered = False

    def call(self, method: str, url: str, **what: Any) -> Response:
        """Make the call; record it if there is no response."""
        try:
            return super().call(method, url, **what)
        except NoResponse:
            self.unanswered = True
            raise


def refresh(context: Context, account_id: UUID, version: int, *, ahead: bool = False) -> AdapterError | None:
    """Refresh this version of an account's credentials. Return None if they are fresh now, else why they are not.

    Another worker may have refreshed them since *version* was read. *ahead*: before they expire; an account that cannot
    be refreshed then stays connected until they do.
    """
    with context.database.begin() as c:
        try:
            account, current, _ = store.read_account(c, context.vault, account_id)
        except VaultError:
            return Unavailable("No key of the vault opens the credentials of this account.")
        if current != version:
            return None
        if not store.claim_refresh(c, account_id, version, timedelta(seconds=context.settings.publish.lease)):
            return Unavailable(
                "Another worker is refreshing this account.", code=IN_PROGRESS, retry_after=RETRY_PAUSE
            )
        past = read_refresh_history(c, account_id)
    pending = _PendingRefresh(id=account_id, version=version, account=account, past=past, ahead=ahead)
    failpoint("credentials.claimed", account_id)
    if pending.is_risky and past.unanswered >= MAX_UNANSWERED:
        error: AdapterError | None = _end_refused(
            context, pending, _make_unanswered(account), unanswered=False
        )
    else:
        error = _request(context, pending)
    # a crash here: the result is stored with the account, and the delivery is claimed again
    failpoint("credentials.ended", account_id)
    return error


def refresh_expired(context: Context, claimed: ClaimedDelivery, verdict: Verdict) -> Verdict:
    """Refresh after a platform reported an expired token; return the verdict: continue, wait, or block for an operator.

    During a shutdown the refresh is left to another process: its result must be stored, or the account is locked out.
    """
    if not context.may_begin():
        return verdict
    error = refresh(context, claimed.account_id, claimed.credentials_version)
    if error is None:
        return verdict
    if isinstance(error, CredentialsRevoked):
        if verdict.state is not State.RETRYING:  # an armed delivery keeps its state; the account is marked
            return replace(verdict, error=error)
        return replace(
            verdict,
            state=State.BLOCKED,
            reason=Reason.RECONNECT,
            error=error,
            spent=True,
            closes=Outcome.REFUSED,
        )
    if isinstance(error, Unavailable) and error.code != IN_PROGRESS and verdict.state is State.RETRYING:
        settings, can = context.settings, context.adapters[claimed.account.platform].capabilities
        state = build_retry_state(claimed, settings, can)
        return evaluate_refresh_error(verdict, error, state, build_retry_policy(settings, can))
    # a misconfigured app retries seldom, and recovers by itself once an operator has corrected it
    s = context.settings.publish
    usual = timedelta(seconds=s.backoff if isinstance(error, Retryable) else s.backoff_cap)
    wait = getattr(error, "retry_after", None) or usual
    return replace(verdict, wait=max(wait, verdict.wait), error=error)


def _request(context: Context, pending: _PendingRefresh) -> AdapterError | None:
    client = _ResponseTracker(limit=timedelta(seconds=context.settings.publish.call))
    try:
        fresh = context.adapter(pending.account.platform, client).refresh(pending.account)
    except AdapterError as error:
        # a success response that cannot be parsed is as good as lost
        unanswered = client.unanswered or error.http_status == _OK
        return _end_refused(context, pending, error, unanswered=unanswered)
    except Exception as error:
        log.exception("unexpected error while refreshing account %s", pending.id)
        unexpected = Unavailable(f"The account could not be refreshed ({type(error).__name__}).")
        return _end_refused(context, pending, unexpected, unanswered=True)
    failpoint("credentials.answered", pending.id)
    if not _store_credentials(context, pending, fresh):
        log.warning(
            "account %s was connected again during its refresh; the refreshed token is dropped", pending.id
        )
    return None


def _store_credentials(context: Context, pending: _PendingRefresh, fresh: Credentials) -> bool:
    """Commit the new credentials; retry for half a lease: no other copy exists, and the old ones may be invalid."""
    old, new = pending.account.credentials.refresh_token, fresh.refresh_token
    end = time.monotonic() + context.settings.publish.lease / 2
    while True:
        try:
            with context.database.begin() as c:
                return store.store_credentials(
                    c,
                    context.vault,
                    pending.id,
                    fresh,
                    pending.version,
                    rotated=None if old is None or new is None else old != new,
                )
        except Unreachable:
            if time.monotonic() > end:
                log.critical("ALARM the new credentials of account %s could not be stored", pending.id)
                raise
            time.sleep(RETRY_PAUSE.total_seconds())


def _end_refused(
    context: Context, pending: _PendingRefresh, error: AdapterError, *, unanswered: bool
) -> AdapterError:
    """End a failed refresh. A misconfigured app or an unreachable platform never disconnects an account."""
    failpoint("credentials.refused", pending.id)
    if isinstance(error, AppRefused):
        context.health.record_app_refusal(pending.account.platform, error)
    pause = getattr(error, "retry_after", None) or timedelta(0)
    if unanswered:
        pause = max(pause, UNANSWERED_PAUSE)
        if isinstance(error, Unavailable):
            error.retry_after = pause
    refused = isinstance(error, CredentialsRevoked)
    is_dead = refused and (_is_definite(error) or not pending.may_go_on)
    if refused and not is_dead:
        pause = max(pause, _compute_lifetime_left(pending.account))
    with context.database.begin() as c:
        store.end_refresh(c, pending.id, pending.version, unanswered=unanswered, pause=pause)
        if is_dead:
            store.require_reconnect(c, pending.id, error_to_dict(error) or {}, pending.version)
    if is_dead:
        log.warning("account %s has to be connected again: %s", pending.id, error)
    elif refused:
        log.warning(
            "account %s cannot be refreshed; it has to be connected again before its token expires",
            pending.id,
        )
    return error


def _is_definite(error: AdapterError) -> bool:
    """Return True if the platform refused, not an adapter without a refresh token to send (LinkedIn's members)."""
    return error.platform_code is not None or error.http_status is not None


def _compute_lifetime_left(account: Account) -> timedelta:
    ends = account.credentials.expires_at
    return timedelta(0) if ends is None else ends - datetime.now(UTC)


def _make_unanswered(account: Account) -> CredentialsRevoked:
    return CredentialsRevoked(
        f"{account.platform.value} left {MAX_UNANSWERED} refreshes of the account's token unanswered.",
        code="refresh_unanswered",
        next_action="Connect the account again.",
    )
