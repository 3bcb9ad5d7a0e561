"""Accounts, pauses and counts for the pages that show them, with names that are hostile."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from adapters.contract import Credentials, Platform, RemoteAccount
from pipeline.runtime.context import Context
from pipeline.store.accounts.accounts import add_account, require_reconnect
from pipeline.store.database import row
from pipeline.store.rollups.settled_counts import (
    ALL_WORKSPACES,
    DAY,
    HOUR,
    LATENESS,
    Span,
    add_settled,
    find_start,
)

HOSTILE = "<img src=x onerror=document.title='owned'>"


def add_named(
    context: Context, workspace: UUID, name: str = HOSTILE, platform: Platform = Platform.LINKEDIN
) -> UUID:
    """Add an account with this display name, username and error."""
    with context.database.begin() as c:
        remote = RemoteAccount(
            connection="person",
            remote_id=f"urn:li:person:{os.urandom(6).hex()}",
            username=name,
            display_name=name,
            credentials=Credentials(access_token=SecretStr("dummy")),
            settings={},
        )
        account = add_account(c, context.vault, workspace, platform, remote)
        require_reconnect(c, account, {"message": name, "code": "revoked"}, 1)
    return account


def end_grant(context: Context, account: UUID, left: timedelta) -> None:
    with context.database.begin() as c:
        row(
            c,
            "UPDATE accounts SET expires_at = now() + CAST(:left AS interval) WHERE id = :id RETURNING id",
            id=account,
            left=left,
        )


def count_some(context: Context, workspace: UUID) -> None:
    """Store a month of counts, as the export of moves would have made them."""
    now = datetime.now(UTC)
    counts: dict[Span, int] = {}
    for minutes, number in ((HOUR, 30), (DAY, 35)):
        for n in range(number):
            start = find_start(now - n * timedelta(minutes=minutes), minutes)
            for who in (workspace, ALL_WORKSPACES):
                for platform in ("tiktok", "instagram"):
                    key = (who, minutes, start, platform)
                    counts[Span(*key, "published", "")] = 40 + (n * 7) % 23
                    counts[Span(*key, LATENESS, "0.25")] = 30 + (n * 7) % 23
                    counts[Span(*key, LATENESS, "1.0")] = 10
                    if n % 5 == 0:
                        counts[Span(*key, "failed", "Rejected")] = 3
                        counts[Span(*key, "failed", "RateLimited")] = 1
    with context.database.begin() as c:
        add_settled(c, counts)
