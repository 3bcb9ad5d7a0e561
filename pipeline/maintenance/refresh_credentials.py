"""Refresh tokens before they expire, so that no delivery meets an expired one. Some cannot be refreshed afterwards.

Tokens of sign-ins that were not confirmed in time are deleted.
"""

from __future__ import annotations

from pipeline.accounts.refresh import refresh
from pipeline.context import Context
from pipeline.store.accounts import token_expiry as store
from pipeline.store.accounts.oauth_sessions import expire_sessions

BATCH = 50


def refresh_credentials(context: Context) -> int:
    """Return how many accounts were refreshed."""
    with context.database.begin() as c:
        expire_sessions(c)
        soon = store.list_due_refreshes(c, BATCH)
    return sum(
        context.may_begin() and refresh(context, account, version, ahead=True) is None
        for account, version in soon
    )
