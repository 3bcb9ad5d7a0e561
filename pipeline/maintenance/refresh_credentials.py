"""Refreshes tokens before they run out, so that no post finds a stale one. Some cannot be refreshed once dead."""

from __future__ import annotations

from pipeline.accounts.refresh import refresh
from pipeline.context import Core
from pipeline.store.accounts import token_expiry as store

BATCH = 50


def refresh_credentials(core: Core) -> int:
    """How many accounts were refreshed."""
    with core.database.begin() as c:
        soon = store.expiring(c, BATCH)
    return sum(
        core.may_begin() and refresh(core, account, version, ahead=True) is None for account, version in soon
    )
