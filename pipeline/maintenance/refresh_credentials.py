"""Refreshes tokens before they run out, so that no post finds a stale one. Some cannot be refreshed once dead."""

from __future__ import annotations

from pipeline.accounts.refresh import refresh
from pipeline.context import Context
from pipeline.store.accounts import token_expiry as store

BATCH = 50


def refresh_credentials(context: Context) -> int:
    """How many accounts were refreshed."""
    with context.database.begin() as c:
        soon = store.expiring(c, BATCH)
    return sum(
        context.may_begin() and refresh(context, account, version, ahead=True) is None
        for account, version in soon
    )
