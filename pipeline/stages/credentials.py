"""Keeping accounts alive: one worker refreshes, the others wait; only a definite refusal disconnects.

A rotating refresh token is committed before anything else happens with the new access token: a crash in between would
otherwise lock the account out.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from adapters.errors import AdapterError, CredentialsRevoked, Unavailable
from pipeline.core import Core
from pipeline.domain.delivery import Reason, State
from pipeline.domain.verdict import Outcome, Verdict
from pipeline.failpoint import failpoint
from pipeline.store import accounts as store
from pipeline.store.deliveries import Held, error_fields

log = logging.getLogger("slipway.credentials")

SOON = timedelta(seconds=2)


def refresh(core: Core, account_id: UUID, version: int) -> AdapterError | None:
    """Refreshes this version of an account's credentials, or finds that somebody did. None: go on; else why not."""
    with core.database.begin() as c:
        account, current, _ = store.read_account(c, core.vault, account_id)
        if current != version:
            return None
        if not store.claim_refresh(c, account_id, version, timedelta(seconds=core.settings.publish.lease)):
            return Unavailable("Another worker is refreshing this account.", retry_after=SOON)
    failpoint("credentials.claimed")
    try:
        fresh = core.adapter(account.platform, core.client()).refresh(account)
    except AdapterError as error:
        _refused(core, account_id, version, error)
        return error
    except Exception as error:
        log.exception("unforeseen while refreshing account %s", account_id)
        unforeseen = Unavailable(f"The account could not be refreshed ({type(error).__name__}).")
        _refused(core, account_id, version, unforeseen)
        return unforeseen
    failpoint("credentials.answered")
    with core.database.begin() as c:
        if not store.store_credentials(c, core.vault, account_id, fresh, version):
            log.warning("account %s was connected anew while it was being refreshed", account_id)
    return None


def after_expiry(core: Core, held: Held, verdict: Verdict) -> Verdict:
    """A platform called the token stale: refresh it, then the delivery goes on at once, or waits for a person."""
    error = refresh(core, held.account_id, held.credentials_version)
    if error is None:
        return verdict
    if isinstance(error, CredentialsRevoked):
        if verdict.state is not State.RETRYING:  # an armed delivery stays what it is; the account is marked
            return replace(verdict, error=error)
        return replace(
            verdict, state=State.BLOCKED, reason=Reason.RECONNECT, error=error, spent=True,
            closes=Outcome.REFUSED,
        )  # fmt: skip
    wait = getattr(error, "retry_after", None) or timedelta(seconds=core.settings.publish.backoff)
    return replace(verdict, wait=max(wait, verdict.wait), error=error)


def _refused(core: Core, account_id: UUID, version: int, error: AdapterError) -> None:
    with core.database.begin() as c:
        store.end_refresh(c, account_id)
        if isinstance(error, CredentialsRevoked):  # a misconfigured app of ours disconnects nobody
            store.mark_reconnect(c, account_id, error_fields(error) or {}, version)
            log.warning("account %s has to be connected again: %s", account_id, error)
