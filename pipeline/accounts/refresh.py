"""Keeping accounts alive: one worker refreshes, the others wait; only a definite refusal disconnects.

A rotating refresh token is committed before anything else happens with the new access token: a crash in between would
otherwise lock the account out. An answer that was lost may have carried the only good token, so it is asked for once
more with the old one (platforms mostly honour it until the new one is used) and then no more: a token that is shown
again and again may be taken for stolen, and the whole grant with it (RFC 9700 section 4.14).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from adapters.contract import Account, Credentials
from adapters.errors import AdapterError, CredentialsRevoked, Retryable, Unavailable
from adapters.http import Answer, Client, NoAnswer
from pipeline.context import Context
from pipeline.domain.delivery import Reason, State
from pipeline.domain.retry_policy import Outcome, Verdict
from pipeline.failpoint import failpoint
from pipeline.store.accounts import accounts as store
from pipeline.store.accounts.token_expiry import History, history
from pipeline.store.database import Unreachable
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.deliveries.moves import error_fields

log = logging.getLogger("slipway.credentials")

SOON = timedelta(seconds=2)
AFTER_SILENCE = timedelta(seconds=30)
"""How long a refresh that was not answered is left alone before it is tried once more."""
MOST_UNANSWERED = 2
"""The first, and the one more with the old token."""
_OK = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turn:
    """One refresh under way: whose, and what came before it."""

    id: UUID
    version: int
    account: Account
    past: History
    ahead: bool
    """Ahead of the token's end: nobody waits for it, and the old token still works."""

    @property
    def is_risky(self) -> bool:
        """Whether asking twice with one refresh token may do harm; so it is until one was seen to stay the same."""
        return self.account.credentials.refresh_token is not None and self.past.rotates is not False

    @property
    def may_go_on(self) -> bool:
        """Whether the account can still be published to although it was not refreshed."""
        return self.ahead and self.past.is_alive


class _Witness(Client):
    """Sees whether an answer was lost: adapters tell the core only that nothing came of it."""

    unanswered = False

    def call(self, method: str, url: str, **what: Any) -> Answer:
        """As the client does."""
        try:
            return super().call(method, url, **what)
        except NoAnswer:
            self.unanswered = True
            raise


def refresh(context: Context, account_id: UUID, version: int, *, ahead: bool = False) -> AdapterError | None:
    """Refreshes this version of an account's credentials, or finds that somebody did. None: go on; else why not.

    ``ahead``: before their end, so that an account which cannot be renewed is left as it is until then.
    """
    with context.database.begin() as c:
        account, current, _ = store.read_account(c, context.vault, account_id)
        if current != version:
            return None
        if not store.claim_refresh(c, account_id, version, timedelta(seconds=context.settings.publish.lease)):
            return Unavailable("Another worker is refreshing this account.", retry_after=SOON)
        past = history(c, account_id)
    turn = _Turn(id=account_id, version=version, account=account, past=past, ahead=ahead)
    failpoint("credentials.claimed", account_id)
    if turn.is_risky and past.unanswered >= MOST_UNANSWERED:
        error: AdapterError | None = _refused(context, turn, _silent(account), unanswered=False)
    else:
        error = _ask(context, turn)
    # the account knows how it went, the delivery that asked does not yet
    failpoint("credentials.ended", account_id)
    return error


def after_expiry(context: Context, held: ClaimedDelivery, verdict: Verdict) -> Verdict:
    """A platform called the token stale: refresh it, then the delivery goes on at once, or waits for a person.

    A process about to end leaves it to the next one: what a refresh brings must be stored, or nobody has it.
    """
    if not context.may_begin():
        return verdict
    error = refresh(context, held.account_id, held.credentials_version)
    if error is None:
        return verdict
    if isinstance(error, CredentialsRevoked):
        if verdict.state is not State.RETRYING:  # an armed delivery stays what it is; the account is marked
            return replace(verdict, error=error)
        return replace(
            verdict,
            state=State.BLOCKED,
            reason=Reason.RECONNECT,
            error=error,
            spent=True,
            closes=Outcome.REFUSED,
        )
    # an app of ours that is not set up right asks seldom: it goes on by itself once an operator has mended it
    s = context.settings.publish
    usual = timedelta(seconds=s.backoff if isinstance(error, Retryable) else s.backoff_cap)
    wait = getattr(error, "retry_after", None) or usual
    return replace(verdict, wait=max(wait, verdict.wait), error=error)


def _ask(context: Context, turn: _Turn) -> AdapterError | None:
    witness = _Witness(limit=timedelta(seconds=context.settings.publish.call))
    try:
        fresh = context.adapter(turn.account.platform, witness).refresh(turn.account)
    except AdapterError as error:
        # an answer that says yes and cannot be read was lost just as well
        unanswered = witness.unanswered or error.http_status == _OK
        return _refused(context, turn, error, unanswered=unanswered)
    except Exception as error:
        log.exception("unforeseen while refreshing account %s", turn.id)
        unforeseen = Unavailable(f"The account could not be refreshed ({type(error).__name__}).")
        return _refused(context, turn, unforeseen, unanswered=True)
    failpoint("credentials.answered", turn.id)
    if not _keep(context, turn, fresh):
        log.warning("account %s was connected anew while it was being refreshed", turn.id)
    return None


def _keep(context: Context, turn: _Turn, fresh: Credentials) -> bool:
    """Commits the new credentials, patiently: nobody else has them, and the old ones may be dead."""
    old, new = turn.account.credentials.refresh_token, fresh.refresh_token
    end = time.monotonic() + context.settings.publish.lease / 2
    while True:
        try:
            with context.database.begin() as c:
                return store.store_credentials(
                    c,
                    context.vault,
                    turn.id,
                    fresh,
                    turn.version,
                    rotated=None if old is None or new is None else old != new,
                )
        except Unreachable:
            if time.monotonic() > end:
                log.critical("ALARM the new credentials of account %s could not be stored", turn.id)
                raise
            time.sleep(SOON.total_seconds())


def _refused(context: Context, turn: _Turn, error: AdapterError, *, unanswered: bool) -> AdapterError:
    """Gives the turn back. A misconfigured app of ours, or a platform that is away, disconnects nobody."""
    failpoint("credentials.refused", turn.id)
    pause = getattr(error, "retry_after", None) or timedelta(0)
    if unanswered:
        pause = max(pause, AFTER_SILENCE)
        if isinstance(error, Unavailable):
            error.retry_after = pause
    refused = isinstance(error, CredentialsRevoked)
    is_dead = refused and (_is_definite(error) or not turn.may_go_on)
    if refused and not is_dead:
        pause = max(pause, _left(turn.account))
    with context.database.begin() as c:
        store.end_refresh(c, turn.id, turn.version, unanswered=unanswered, pause=pause)
        if is_dead:
            store.mark_reconnect(c, turn.id, error_fields(error) or {}, turn.version)
    if is_dead:
        log.warning("account %s has to be connected again: %s", turn.id, error)
    elif refused:
        log.warning("account %s cannot be renewed; it has to be connected again before it ends", turn.id)
    return error


def _is_definite(error: AdapterError) -> bool:
    """Whether the platform itself said so, rather than an adapter that has nothing to ask with (LinkedIn's members)."""
    return error.platform_code is not None or error.http_status is not None


def _left(account: Account) -> timedelta:
    ends = account.credentials.expires_at
    return timedelta(0) if ends is None else ends - datetime.now(UTC)


def _silent(account: Account) -> CredentialsRevoked:
    return CredentialsRevoked(
        f"{account.platform.value} left {MOST_UNANSWERED} renewals of the account's grant unanswered.",
        code="refresh_unanswered",
        next_action="Connect the account again.",
    )
