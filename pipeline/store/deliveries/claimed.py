"""A delivery that a worker holds, with all it needs to act; and the columns that make one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.contract import Account, Checkpoint
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.store.accounts.accounts import ACCOUNT_COLUMNS, open_account
from pipeline.store.vault import Vault, VaultError

log = logging.getLogger("slipway.store")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedDelivery:
    """A delivery that this worker holds the lease of, with all it needs to act."""

    id: UUID
    post_id: UUID
    workspace_id: UUID
    account_id: UUID
    state: State
    generation: int
    fence: int
    due_at: datetime
    now: datetime
    """The database's clock at the claim."""
    lease_until: datetime
    spent: int
    surprises: int
    looks: int
    prepares: int
    """Prepares from scratch today."""
    armed_at: datetime | None
    armed_deadline: datetime | None
    working_since: datetime | None
    absent_at: datetime | None
    in_doubt: bool
    """Armed by a restore: only proof of life or a person moves it on."""
    remote_id: str | None
    url: str | None
    checkpoint: Checkpoint
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    tiktok: Mapping[str, Any] | None
    pinterest: Mapping[str, Any] | None
    account: Account
    account_status: AccountStatus
    credentials_version: int
    error: Mapping[str, Any] | None
    facts: Mapping[str, Any]
    """What the pinned checks saw, by the position of the media as text; "-1" is the music."""
    alone: bool
    """The post has this delivery only, so its status follows from this one's state."""


_OWN = """id post_id workspace_id account_id state generation fence due_at lease_until spent surprises looks armed_at
          armed_deadline working_since absent_at in_doubt remote_id url checkpoint error"""
HELD_COLUMNS = f"""{", ".join(f"d.{name}" for name in _OWN.split())}, now() AS now,
            CASE WHEN d.prepares_on = CURRENT_DATE THEN d.prepares ELSE 0 END AS prepares_today,
            p.caption, p.media, p.music_url, p.tiktok, p.pinterest,
            (SELECT coalesce(jsonb_object_agg(pc.position, k.facts), '{{}}') FROM post_checks pc
             JOIN checks k ON k.id = pc.check_id WHERE pc.post_id = p.id) AS facts,
            NOT EXISTS (SELECT FROM deliveries s WHERE s.post_id = p.id AND s.id <> d.id) AS alone,
            {ACCOUNT_COLUMNS}, a.status AS account_status, a.credentials_version"""
HELD_JOIN = "JOIN posts p ON p.id = d.post_id JOIN accounts a ON a.id = d.account_id"


def held_row(found: Any, vault: Vault) -> ClaimedDelivery:
    """A row of the columns above, opened."""
    m = found._mapping
    plain = {name: m[name] for name in ClaimedDelivery.__dataclass_fields__ if name in m}
    sealed = m["checkpoint"]
    return ClaimedDelivery(
        **{
            **plain,
            "state": State(m["state"]),
            "prepares": m["prepares_today"],
            "checkpoint": vault.open(sealed, m["id"]) if sealed else {},
            "account": open_account(found, vault),
            "account_status": AccountStatus(m["account_status"]),
        }
    )


def held_rows(found: Sequence[Any], vault: Vault) -> list[ClaimedDelivery]:
    """Those whose secrets open. The others are rescued when their lease runs out, and set aside the third time."""
    held: list[ClaimedDelivery] = []
    for one in found:
        try:
            held.append(held_row(one, vault))
        except VaultError:
            log.exception("delivery %s cannot be opened", one.id)
    return held
