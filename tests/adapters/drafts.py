"""Accounts and checkpoints for the adapters' tests; each platform's own drafts are in ``<platform>/drafts.py``."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from adapters.contract import Account, Adapter, CheckpointData, Credentials, Draft, Pending, Platform, Ready

ARMED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NONE_TAKEN: frozenset[str] = frozenset()


def build_account(
    platform: Platform,
    connection: str,
    remote_id: str,
    token: str,
    refresh: str | None = None,
    *,
    scopes: tuple[str, ...] = (),
    settings: dict[str, Any] | None = None,
) -> Account:
    """Return an account with these tokens."""
    return Account(
        id="a1",
        platform=platform,
        connection=connection,
        remote_id=remote_id,
        username="casa",
        credentials=Credentials(
            access_token=SecretStr(token),
            refresh_token=SecretStr(refresh) if refresh else None,
            scopes=scopes,
        ),
        settings=settings or {},
    )


def through_json(checkpoint: CheckpointData) -> dict[str, Any]:
    """Return the checkpoint as another worker reads it from the store."""
    stored: dict[str, Any] = json.loads(json.dumps(checkpoint))
    return stored


def prepare_to_end(
    build: Callable[[], Adapter], draft: Draft, account: Account, checkpoint: CheckpointData | None = None
) -> dict[str, Any]:
    """Call ``prepare`` until Ready, each time by a new adapter with the last checkpoint only; return the final one."""
    result: Pending | Ready = Pending(checkpoint=checkpoint or {})
    for _ in range(100):
        if isinstance(result, Ready):
            return through_json(result.checkpoint)
        result = build().prepare(draft, account, through_json(result.checkpoint))
    raise AssertionError("prepare never returned Ready")
