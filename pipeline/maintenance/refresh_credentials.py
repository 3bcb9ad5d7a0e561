"""Refresh tokens before they expire, so that no delivery meets an expired one. Some cannot be refreshed afterwards.

Tokens of sign-ins that were not confirmed in time are deleted.
"""

from __future__ import annotations

import time
from uuid import UUID

from pipeline.accounts.refresh import refresh
from pipeline.runtime.context import Context
from pipeline.store.accounts import token_expiry as store
from pipeline.store.accounts.oauth_sessions import expire_sessions

BATCH = 50
MOST_SECONDS = 40.0
"""How long one run begins new batches: less than the minute until the next run."""


def refresh_credentials(context: Context) -> int:
    """Return how many accounts were refreshed. Each is refreshed once a run, even if it stays due."""
    with context.database.begin() as c:
        expire_sessions(c)
    end, done = time.monotonic() + MOST_SECONDS, 0
    seen: set[UUID] = set()
    while time.monotonic() < end:
        with context.database.begin() as c:
            soon = [one for one in store.list_due_refreshes(c, BATCH) if one[0] not in seen]
        if not soon:
            break
        seen.update(account for account, _ in soon)
        done += sum(
            context.may_begin() and refresh(context, account, version, ahead=True) is None
            for account, version in soon
        )
    return done
