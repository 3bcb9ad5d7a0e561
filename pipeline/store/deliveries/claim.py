"""Claim queued deliveries for publishing, and due ones for a look: one compare-and-set statement for a batch.

A claimed delivery has all that a worker needs to act on it; a message names it with ids, generation and fence.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Account, CheckpointData
from pipeline.domain.account import AccountStatus
from pipeline.domain.delivery import State
from pipeline.domain.delivery_error import Streaks, shift_streaks
from pipeline.domain.level import LEVEL
from pipeline.domain.own_content import OwnContent
from pipeline.store.accounts.accounts import ACCOUNT_COLUMNS, open_account
from pipeline.store.checks.checks import FACTS
from pipeline.store.database import execute, rows
from pipeline.store.deliveries.platform_health import BREAKER
from pipeline.store.posts.options import COLUMNS, gather_options
from pipeline.store.posts.pins import IS_USED, OWN_PIN, PINNED, PLACE
from pipeline.store.recovery.epoch import EPOCH_IS_OPEN
from pipeline.store.vault import Vault, VaultError

log = logging.getLogger("slipway.store")
Unopened = Literal["credentials", "checkpoint"] | None


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
    """The platform's own section of the request, or of the account's entry; or empty."""
    ai_generated: bool
    first_comment: str | None
    is_comment: bool
    """It is the first comment of its post's delivery to the account, and ``caption`` what the comment says."""
    comment_on: str | None
    """The remote id of the post that it is a comment on."""
    account: Account
    account_status: AccountStatus
    credentials_version: int
    error: Mapping[str, Any] | None
    streaks: Streaks
    """Streaks of unavailability. The time between ``next_at`` and the claim was a hold and is left out already."""
    facts: Mapping[str, Any]
    """The findings of the checks it goes by, by position in ``media`` as text; "-1" is the music, "-2" the cover."""
    breaker: Literal["open", "probe"] | None
    """The state of its platform's circuit breaker: closed (None), open, or open with this delivery as the probe."""
    request_id: str | None
    """The id of the request that made the post."""
    needs_approval: bool
    """It is a post that is sent only with an approval."""
    unopened: Unopened
    """What no key of the vault opens; the other one is empty then, or was opened."""
    alone: bool
    """The post has no other delivery, so its status follows from this one's state."""

    @property
    def key(self) -> Mapping[str, Any]:
        """Return the id, generation and fence by which a statement of its holder names it."""
        return {"id": self.id, "generation": self.generation, "fence": self.fence}

    @property
    def trail(self) -> str:
        """Return the fields that a log line names in addition to the delivery, so that its post can be followed."""
        return f"post={self.post_id} request_id={self.request_id or '-'}"


_OWN = """id post_id workspace_id account_id state generation fence due_at lease_until spent surprises looks armed_at
          armed_deadline working_since absent_at in_doubt remote_id url checkpoint error unavailable_since
          next_at own is_comment"""
CLAIMED_COLUMNS = f"""{", ".join(f"d.{name}" for name in _OWN.split())}, now() AS now,
            CASE WHEN d.prepares_on = CURRENT_DATE THEN d.prepares ELSE 0 END AS prepares_today,
            p.request_id, p.caption, p.media, p.music_url, {COLUMNS},
            (SELECT coalesce(jsonb_object_agg({PLACE}, {FACTS}), '{{}}') FROM post_checks pc {OWN_PIN}
             JOIN checks k ON k.id = {PINNED} WHERE pc.post_id = p.id AND {IS_USED}) AS facts,
            NOT d.is_comment AND EXISTS (SELECT FROM approvals v WHERE v.post_id = d.post_id) AS needs_approval,
            NOT EXISTS (SELECT FROM post_deliveries s WHERE s.post_id = p.id AND s.id <> d.id) AS alone,
            CASE WHEN d.is_comment THEN (SELECT s.remote_id FROM post_deliveries s
                WHERE s.post_id = d.post_id AND s.account_id = d.account_id) END AS comment_on,
            {BREAKER} AS breaker,
            {ACCOUNT_COLUMNS}, a.status AS account_status, a.credentials_version"""
CLAIMED_JOIN = "JOIN posts p ON p.id = d.post_id JOIN accounts a ON a.id = d.account_id"


_NOTHING = OwnContent()


def to_claimed(found: Any, vault: Vault) -> ClaimedDelivery:
    """Turn a row of CLAIMED_COLUMNS into a delivery. What does not open is empty, and named in ``unopened``."""
    m = gather_options(found._mapping)
    account, checkpoint, unopened = _open(found, vault)
    plain = {name: m[name] for name in ClaimedDelivery.__dataclass_fields__ if name in m}
    own = (OwnContent.from_dict(m["own"]) or _NOTHING) if m["own"] else _NOTHING
    return ClaimedDelivery(
        **{
            **plain,
            "state": State(m["state"]),
            "prepares": m["prepares_today"],
            "checkpoint": checkpoint,
            "unopened": unopened,
            "caption": own.caption or m["caption"],
            "media": own.media or m["media"],
            "options": {**m["options"], **own.options}.get(account.platform, {}),
            "first_comment": None if m["is_comment"] else own.first_comment or m["first_comment"],
            "account": account,
            "account_status": AccountStatus(m["account_status"]),
            "streaks": _read_streaks(m),
        }
    )


def _open(found: Any, vault: Vault) -> tuple[Account, CheckpointData, Unopened]:
    """Return what the secrets of a row say, and which does not open; the lost key of a vault opens neither."""
    sealed = found._mapping["checkpoint"]
    try:
        account = open_account(found, vault)
        return account, vault.open(sealed, found.id) if sealed else {}, None
    except VaultError as error:
        log.warning("delivery %s: %s", found.id, error)
    try:
        return open_account(found, vault), {}, "checkpoint"
    except VaultError:
        return open_account(found, None), {}, "credentials"


def _read_streaks(m: Mapping[str, Any]) -> Streaks:
    stored = m["unavailable_since"] or {}
    streaks = {party: datetime.fromisoformat(since) for party, since in stored.items()}
    return shift_streaks(streaks, m["now"] - m["next_at"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message, sent after the commit: ids, generation and fence, never content."""

    delivery: UUID
    platform: str
    generation: int
    fence: int

    @classmethod
    def of(cls, claimed: ClaimedDelivery) -> Message:
        """Return the message that continues a delivery after the end of a slice."""
        platform, generation, fence = claimed.account.platform, claimed.generation, claimed.fence
        return cls(delivery=claimed.id, platform=platform, generation=generation, fence=fence)


# ``state || ''`` makes the planner find a delivery by its id. By ``state`` it expects as few rows as the last ANALYZE
# saw, and walks that state's partial index with all its dead entries (measured: ten times the cost).
_CLAIM = f"""
WITH due AS (
    SELECT x.id FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[])) AS asked (id, generation)
      ON x.id = asked.id AND x.generation = asked.generation
    WHERE x.state || '' = 'queued' AND (x.crashes = 0 OR :single) AND x.level <= :level AND {EPOCH_IS_OPEN}
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED
), d AS (
    UPDATE deliveries u SET state = 'publishing', held_for = NULL, fence = fence + 1, lease_until = now() + :lease,
           last_attempted_at = now(), updated_at = now()
    FROM due WHERE u.id = due.id
    RETURNING u.*
), attempt AS (
    INSERT INTO attempts (delivery_id, account_id, n, generation, fence)
    SELECT d.id, CASE WHEN NOT is_comment THEN d.account_id END,
           1 + (SELECT count(*) FROM attempts x WHERE x.delivery_id = d.id), d.generation, d.fence
    FROM d
    ON CONFLICT (delivery_id) WHERE closed_at IS NULL
    DO UPDATE SET fence = excluded.fence, generation = excluded.generation
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
    SELECT id, 'publish', 'queued', 'publishing', generation, fence FROM d
)
SELECT {CLAIMED_COLUMNS} FROM d {CLAIMED_JOIN}
"""

_CLAIM_LOOK = f"""
WITH due AS (
    SELECT x.id FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[]), CAST(:fences AS bigint[]))
      AS asked (id, generation, fence)
      ON x.id = asked.id AND x.generation = asked.generation AND x.fence = asked.fence
    WHERE x.state || '' IN ('preparing', 'processing', 'unknown') AND x.level <= :level AND {EPOCH_IS_OPEN}
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED
), d AS (
    UPDATE deliveries u SET fence = u.fence + 1, lease_until = now() + :lease, updated_at = now()
    FROM due WHERE u.id = due.id
    RETURNING u.*
)
SELECT {CLAIMED_COLUMNS} FROM d {CLAIMED_JOIN}
"""


def claim(
    c: Connection, vault: Vault, delivery: UUID, generation: int, lease: timedelta, level: int = LEVEL
) -> ClaimedDelivery | None:
    """Claim a queued delivery: raise its fence, set the lease, and open an attempt unless one is open."""
    return next(iter(claim_batch(c, vault, [(delivery, generation)], lease, level)), None)


def claim_batch(
    c: Connection, vault: Vault, items: Sequence[tuple[UUID, int]], lease: timedelta, level: int = LEVEL
) -> list[ClaimedDelivery]:
    """Claim the deliveries of a batch that are queued and not above *level*, in one statement.

    A delivery that has crashed a worker is claimed only as a batch of one, so that its next crash counts for no other.
    A batch of one waits for a locked row instead of skipping it: no other message asks for the delivery.
    """
    single = len(items) == 1
    sql = _CLAIM.replace("SKIP LOCKED", "") if single else _CLAIM
    ids, generations = (list(column) for column in zip(*items, strict=True))
    found = rows(c, sql, ids=ids, generations=generations, lease=lease, single=single, level=level)
    if len(found) < len(items):
        _return_newer(c, level, ids)
    return [to_claimed(one, vault) for one in found]


def claim_look(
    c: Connection,
    vault: Vault,
    delivery: UUID,
    generation: int,
    fence: int,
    lease: timedelta,
    level: int = LEVEL,
) -> ClaimedDelivery | None:
    """Claim a delivery for a look. Dispatch raised the fence, so a second message for the same look claims nothing."""
    return next(iter(claim_looks(c, vault, [(delivery, generation, fence)], lease, level)), None)


def claim_looks(
    c: Connection, vault: Vault, items: Sequence[tuple[UUID, int, int]], lease: timedelta, level: int = LEVEL
) -> list[ClaimedDelivery]:
    """Claim deliveries of a batch whose look is still to be done and that are not above *level*, in one statement."""
    ids, generations, fences = (list(column) for column in zip(*items, strict=True))
    found = rows(c, _CLAIM_LOOK, ids=ids, generations=generations, fences=fences, lease=lease, level=level)
    if len(found) < len(items):
        _return_newer(c, level, ids, fences)
    return [to_claimed(one, vault) for one in found]


def _return_newer(c: Connection, level: int, ids: Sequence[UUID], fences: Sequence[int] = ()) -> None:
    """End the leases of queued deliveries, and of looks with these fences, that are above *level*.

    This process has taken their message. They get another one when a worker runs that understands them.
    """
    execute(
        c,
        """UPDATE deliveries x SET lease_until = now()
           FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS taken (id, fence)
           WHERE x.id = taken.id AND x.level > :level AND (x.state = 'queued'
                 OR x.state IN ('preparing', 'processing', 'unknown') AND x.fence = taken.fence)""",
        ids=ids,
        level=level,
        fences=list(fences),
    )
