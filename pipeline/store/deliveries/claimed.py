"""Claimed deliveries: all that a worker needs to act on one, and the columns it is read from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from adapters.contract import Account, CheckpointData
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.domain.delivery_error import Streaks, shift_streaks
from pipeline.store.accounts.accounts import ACCOUNT_COLUMNS, open_account
from pipeline.store.checks.checks import FACTS
from pipeline.store.deliveries.platform_health import BREAKER
from pipeline.store.posts.options import COLUMNS, gather_options
from pipeline.store.posts.pins import OWN_PIN, PINNED
from pipeline.store.vault import Vault, VaultError

log = logging.getLogger("slipway.store")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedDelivery:
    """A delivery that this worker holds the lease of."""

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
    """Prepares without a checkpoint today."""
    armed_at: datetime | None
    armed_deadline: datetime | None
    working_since: datetime | None
    absent_at: datetime | None
    in_doubt: bool
    """Armed by a restore: only proof that it is live, or an operator, moves it."""
    remote_id: str | None
    url: str | None
    checkpoint: CheckpointData
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    options: Mapping[str, Any]
    """The platform's own section of the request, or empty."""
    ai_generated: bool
    account: Account
    account_status: AccountStatus
    credentials_version: int
    error: Mapping[str, Any] | None
    streaks: Streaks
    """Streaks of unavailability. The time between ``next_at`` and the claim was a hold and is left out already."""
    facts: Mapping[str, Any]
    """The findings of the checks it goes by, by the media's position as text; "-1" is the music, "-2" the cover."""
    breaker: Literal["open", "probe"] | None
    """The state of its platform's circuit breaker: closed (None), open, or open with this delivery as the probe."""
    request_id: str | None
    """The id of the request that made the post."""
    alone: bool
    """The post has no other delivery, so its status follows from this one's state."""

    @property
    def trail(self) -> str:
        """Return the fields that a log line names in addition to the delivery, so that its post can be followed."""
        return f"post={self.post_id} request_id={self.request_id or '-'}"


_OWN = """id post_id workspace_id account_id state generation fence due_at lease_until spent surprises looks armed_at
          armed_deadline working_since absent_at in_doubt remote_id url checkpoint error unavailable_since
          next_at"""
CLAIMED_COLUMNS = f"""{", ".join(f"d.{name}" for name in _OWN.split())}, now() AS now,
            CASE WHEN d.prepares_on = CURRENT_DATE THEN d.prepares ELSE 0 END AS prepares_today,
            p.request_id, p.caption, p.media, p.music_url, {COLUMNS},
            (SELECT coalesce(jsonb_object_agg(pc.position, {FACTS}), '{{}}') FROM post_checks pc {OWN_PIN}
             JOIN checks k ON k.id = {PINNED} WHERE pc.post_id = p.id) AS facts,
            NOT EXISTS (SELECT FROM deliveries s WHERE s.post_id = p.id AND s.id <> d.id) AS alone,
            {BREAKER} AS breaker,
            {ACCOUNT_COLUMNS}, a.status AS account_status, a.credentials_version"""
CLAIMED_JOIN = "JOIN posts p ON p.id = d.post_id JOIN accounts a ON a.id = d.account_id"


def to_claimed(found: Any, vault: Vault) -> ClaimedDelivery:
    """Turn a row of CLAIMED_COLUMNS into a delivery. Raises VaultError when a secret does not open."""
    m = gather_options(found._mapping)
    account = open_account(found, vault)
    plain = {name: m[name] for name in ClaimedDelivery.__dataclass_fields__ if name in m}
    sealed = m["checkpoint"]
    return ClaimedDelivery(
        **{
            **plain,
            "state": State(m["state"]),
            "prepares": m["prepares_today"],
            "checkpoint": vault.open(sealed, m["id"]) if sealed else {},
            "options": m["options"].get(account.platform, {}),
            "account": account,
            "account_status": AccountStatus(m["account_status"]),
            "streaks": _read_streaks(m),
        }
    )


def _read_streaks(m: Mapping[str, Any]) -> Streaks:
    stored = m["unavailable_since"] or {}
    streaks = {party: datetime.fromisoformat(since) for party, since in stored.items()}
    return shift_streaks(streaks, m["now"] - m["next_at"])


def to_claimed_batch(found: Sequence[Any], vault: Vault) -> list[ClaimedDelivery]:
    """Return the deliveries whose secrets open. The others are rescued when their lease expires, then blocked."""
    claimed: list[ClaimedDelivery] = []
    for one in found:
        try:
            claimed.append(to_claimed(one, vault))
        except VaultError:
            log.exception("secrets of delivery %s do not open", one.id)
    return claimed
