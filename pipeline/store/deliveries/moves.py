"""Moving a delivery: claim, arm, settle, each one committed compare-and-set statement.

Every move is ``UPDATE … WHERE id AND state AND generation`` (and the fence, once claimed): zero rows means somebody
was faster, and the caller stops. Lock order everywhere: the post, then its deliveries in id order. A move that cannot
change the post's public word touches the delivery alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adapters.contract import Checkpoint
from pipeline.domain.delivery import Mover, Reason, State, require
from pipeline.domain.post import PostStatus, account_status, as_read, status_of
from pipeline.domain.retry_policy import Verdict
from pipeline.store.database import jsonb, row, rows, run_many
from pipeline.store.deliveries.claimed import HELD_COLUMNS, HELD_JOIN, ClaimedDelivery, held_rows
from pipeline.store.deliveries.ownership import RemoteIdTaken, is_remote_id_taken
from pipeline.store.recovery.epoch import NOTED, OPEN
from pipeline.store.vault import Vault

# ``state || ''``: a delivery is found by its id. Of a state the planner believes what was true at the last ANALYZE,
# hardly any row, and would walk that state's partial index, dead entries and all (measured: ten times the cost).
_CLAIM = f"""
WITH due AS (
    SELECT x.id FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[])) AS asked (id, generation)
      ON x.id = asked.id AND x.generation = asked.generation
    WHERE x.state || '' = 'queued' AND (x.crashes = 0 OR :single) AND {OPEN}
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED
), d AS (
    UPDATE deliveries u SET state = 'publishing', fence = fence + 1, lease_until = now() + :lease,
           last_attempted_at = now(), updated_at = now()
    FROM due WHERE u.id = due.id
    RETURNING u.*
), attempt AS (
    INSERT INTO attempts (delivery_id, account_id, n, generation, fence)
    SELECT d.id, d.account_id, 1 + (SELECT count(*) FROM attempts x WHERE x.delivery_id = d.id), d.generation, d.fence
    FROM d
    ON CONFLICT (delivery_id) WHERE closed_at IS NULL
    DO UPDATE SET fence = excluded.fence, generation = excluded.generation
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
    SELECT id, 'publish', 'queued', 'publishing', generation, fence FROM d
)
SELECT {HELD_COLUMNS} FROM d {HELD_JOIN}
"""

_CLAIM_LOOK = f"""
WITH due AS (
    SELECT x.id FROM deliveries x
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:generations AS int[]), CAST(:fences AS bigint[]))
      AS asked (id, generation, fence)
      ON x.id = asked.id AND x.generation = asked.generation AND x.fence = asked.fence
    WHERE x.state || '' IN ('preparing', 'processing', 'unknown') AND {OPEN}
    ORDER BY x.id FOR UPDATE OF x SKIP LOCKED
), d AS (
    UPDATE deliveries u SET fence = u.fence + 1, lease_until = now() + :lease, updated_at = now()
    FROM due WHERE u.id = due.id
    RETURNING u.*
)
SELECT {HELD_COLUMNS} FROM d {HELD_JOIN}
"""

_ARM = f"""
WITH d AS (
    UPDATE deliveries SET armed_at = now(), armed_deadline = now() + :left, checkpoint = :checkpoint,
           absent_at = NULL, working_since = now(), looks = 0, updated_at = now()
    WHERE id = :id AND state || '' = 'publishing' AND generation = :generation AND fence = :fence
      AND armed_at IS NULL AND due_at <= now() AND lease_until > now()
      AND NOT EXISTS (SELECT FROM pauses WHERE (scope, target) IN
          (('all', ''), ('platform', platform), ('workspace', workspace_id::text), ('account', account_id::text)))
      AND (deliveries.error ->> 'code' = 'expired'  -- it was held for that, and a person let it go on
           OR NOT EXISTS (SELECT FROM posts p WHERE p.id = deliveries.post_id AND p.on_late <> 'publish'
                          AND p.expires_at <= now())) IS TRUE
      AND {OPEN}
      AND (generation = 0 OR {NOTED})
    RETURNING id, armed_at
), attempt AS (
    UPDATE attempts SET armed_at = d.armed_at FROM d WHERE delivery_id = d.id AND closed_at IS NULL
)
SELECT armed_at FROM d
"""

_SETTLE = """
WITH p AS MATERIALIZED (  -- the post first: the one lock order
    SELECT id FROM posts WHERE id = :post AND CAST(:word AS text) IS NOT NULL FOR UPDATE
), d AS (
    UPDATE deliveries SET
        state = :target, reason = :reason, lease_until = CASE WHEN :target = 'queued' THEN now() + :lease END,
        next_at = CASE WHEN :settled THEN next_at ELSE greatest(now() + :wait, CAST(:not_before AS timestamptz)) END,
        spent = spent + :spent, surprises = surprises + :surprises,
        looks = CASE WHEN :target NOT IN ('preparing', 'processing', 'unknown') THEN 0
                     WHEN :looked THEN looks + 1 ELSE looks END,
        armed_at = CASE WHEN :disarm THEN NULL WHEN :reason = 'is_it_live' THEN coalesce(armed_at, now())
                        ELSE armed_at END,
        armed_deadline = CASE WHEN :disarm THEN NULL ELSE armed_deadline END,
        working_since = CASE WHEN :target IN ('preparing', 'processing', 'unknown')
                             THEN coalesce(working_since, now()) + CASE WHEN :uncounted THEN :wait ELSE interval '0' END
                             WHEN :target = 'blocked' THEN working_since END,
        absent_at = CASE WHEN :absent THEN coalesce(absent_at, now()) END,
        checkpoint = CASE WHEN :keep THEN checkpoint ELSE CAST(:checkpoint AS bytea) END,
        remote_id = coalesce(CAST(:remote_id AS text), remote_id), url = coalesce(CAST(:url AS text), url),
        delivered_as = coalesce(CAST(:delivered_as AS text), delivered_as),
        notes = CAST(:notes AS jsonb),
        published_at = CASE WHEN :target = 'published' THEN now() END,
        error = CASE WHEN :target IN ('published', 'processing') THEN NULL
                     ELSE coalesce(CAST(:error AS jsonb), error) END,
        updated_at = now()
    WHERE id = :id AND state || '' = :origin AND generation = :generation AND fence = :fence
      AND (CAST(:word AS text) IS NULL OR EXISTS (SELECT FROM p))
    RETURNING id, post_id, state, generation, fence, due_at, next_at
), post AS (
    UPDATE posts SET updated_at = now(),
           status = CASE WHEN :word = 'scheduled' AND d.due_at <= now() THEN 'pending' ELSE CAST(:word AS text) END
    FROM d WHERE posts.id = d.post_id AND CAST(:word AS text) IS NOT NULL AND posts.status <> CAST(:word AS text)
), attempt AS (
    UPDATE attempts SET closed_at = now(), outcome = :closes, error = CAST(:error AS jsonb),
           remote_id = CAST(:remote_id AS text)
    FROM d WHERE delivery_id = d.id AND closed_at IS NULL AND CAST(:closes AS text) IS NOT NULL
), move AS (
    INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
    SELECT id, :mover, :origin, state, generation, fence, :why FROM d WHERE state <> :origin
)
SELECT next_at FROM d
"""  # fifty values at the most: a statement with more is read anew by the driver each time


def claim(
    c: Connection, vault: Vault, delivery: UUID, generation: int, lease: timedelta
) -> ClaimedDelivery | None:
    """Takes a queued delivery: raises its fence, writes the lease, opens an attempt or goes on with the open one."""
    return next(iter(claim_several(c, vault, [(delivery, generation)], lease)), None)


def claim_several(
    c: Connection, vault: Vault, items: Sequence[tuple[UUID, int]], lease: timedelta
) -> list[ClaimedDelivery]:
    """Takes those of a handful that are there to be taken, in one statement.

    One that has crashed a worker before is taken only alone: the others shall not be counted for its crash. One alone
    is waited for while somebody has its row locked: its message is the only one.
    """
    single = len(items) == 1
    sql = _CLAIM.replace("SKIP LOCKED", "") if single else _CLAIM
    found = rows(
        c, sql, ids=[i for i, _ in items], generations=[g for _, g in items], lease=lease, single=single
    )
    return held_rows(found, vault)


def claim_look(
    c: Connection, vault: Vault, delivery: UUID, generation: int, fence: int, lease: timedelta
) -> ClaimedDelivery | None:
    """Takes a delivery to be looked at; the fence that the ring raised makes a second message a no-op."""
    return next(iter(claim_looks(c, vault, [(delivery, generation, fence)], lease)), None)


def claim_looks(
    c: Connection, vault: Vault, items: Sequence[tuple[UUID, int, int]], lease: timedelta
) -> list[ClaimedDelivery]:
    """Takes those of a handful that are still to be looked at, in one statement."""
    ids, generations, fences = (list(column) for column in zip(*items, strict=True))
    found = rows(c, _CLAIM_LOOK, ids=ids, generations=generations, fences=fences, lease=lease)
    return held_rows(found, vault)


def save_checkpoint(
    c: Connection, vault: Vault, held: ClaimedDelivery, checkpoint: Checkpoint, *, scratch: bool
) -> bool:
    """Commits how far the invisible work got; False when the claim is lost. ``scratch``: it began from nothing."""
    return (
        row(
            c,
            """UPDATE deliveries SET checkpoint = :checkpoint, updated_at = now(),
                      prepares = CASE WHEN NOT :scratch THEN prepares
                                      WHEN prepares_on = CURRENT_DATE THEN prepares + 1 ELSE 1 END,
                      prepares_on = CASE WHEN :scratch THEN CURRENT_DATE ELSE prepares_on END
               WHERE id = :id AND state = :state AND generation = :generation AND fence = :fence RETURNING id""",
            id=held.id,
            state=held.state,
            generation=held.generation,
            fence=held.fence,
            checkpoint=vault.seal(checkpoint, held.id),
            scratch=scratch,
        )
        is not None
    )


def arm(
    c: Connection, vault: Vault, held: ClaimedDelivery, checkpoint: Checkpoint, left: timedelta
) -> datetime | None:
    """The point of no return, committed before the visible call.

    None: not due, paused, edited, the mark is not ahead of now, or the claim is lost.

    ``left``: what remains of the slice; after it the holder sends nothing any more.
    """
    found = row(
        c,
        _ARM,
        id=held.id,
        generation=held.generation,
        fence=held.fence,
        left=left,
        checkpoint=vault.seal(checkpoint, held.id),
    )
    moment: datetime | None = None if found is None else found.armed_at
    return moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """A held delivery and what became of it, not stored yet."""

    held: ClaimedDelivery
    verdict: Verdict
    mover: Mover
    looked: bool = False
    absent: bool = False
    not_before: datetime | None = None

    def values(self, vault: Vault, origin: State, queued_lease: timedelta) -> dict[str, Any]:
        """Of the one statement that stores it."""
        held, verdict = self.held, self.verdict
        require(origin, self.mover, verdict.state)
        word = account_status(verdict.state, verdict.reason)
        # a post with one delivery reads as that one does; of others the most urgent word is the post's in any case
        known = changes_word(held, verdict, origin) if held.alone else word is PostStatus.PENDING
        return _settled(vault, held, verdict) | {
            "origin": origin,
            "mover": self.mover,
            "looked": self.looked,
            "absent": self.absent,
            "not_before": self.not_before,
            "lease": queued_lease,
            "word": word if known else None,
            "why": _why(verdict),
        }


def settle(  # noqa: PLR0913  one statement's worth of facts, all named
    c: Connection,
    vault: Vault,
    held: ClaimedDelivery,
    verdict: Verdict,
    mover: Mover,
    *,
    origin: State,
    looked: bool = False,
    absent: bool = False,
    not_before: datetime | None = None,
    queued_lease: timedelta = timedelta(minutes=5),
) -> datetime | None:
    """Stores what became of a held delivery; returns its ``next_at``, or None when the claim was lost meanwhile.

    The post's status is recomputed in the same transaction whenever its public word could change; ``needs_post`` tells
    whether that takes a transaction or the one statement alone. Raises RemoteIdTaken, with nothing stored.
    """
    one = Settling(
        held=held, verdict=verdict, mover=mover, looked=looked, absent=absent, not_before=not_before
    )
    values = one.values(vault, origin, queued_lease)
    locks = needs_post(held, verdict, origin)
    if locks:
        lock_post(c, held.post_id)
    with _remote_id_told():
        found = row(c, _SETTLE, **values)
    if found is not None and locks:
        recompute(c, held.post_id)
    return None if found is None else found.next_at


def settle_several(
    c: Connection, vault: Vault, some: Sequence[Settling], *, queued_lease: timedelta = timedelta(minutes=5)
) -> list[datetime | None]:
    """Stores several that need no look at their posts, in the caller's one transaction; else as ``settle``."""
    order = sorted(
        range(len(some)), key=lambda n: some[n].held.post_id
    )  # posts in id order: the one lock order
    with _remote_id_told():
        found = run_many(c, _SETTLE, [some[n].values(vault, some[n].held.state, queued_lease) for n in order])
    moments = {n: None if r is None else r.next_at for n, r in zip(order, found, strict=True)}
    return [moments[n] for n in range(len(some))]


@contextmanager
def _remote_id_told() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if is_remote_id_taken(error):
            raise RemoteIdTaken from error
        raise


def _settled(vault: Vault, held: ClaimedDelivery, verdict: Verdict) -> dict[str, Any]:
    """What of the statement's values the verdict says."""
    live = verdict.published
    return {
        "id": held.id,
        "post": held.post_id,
        "generation": held.generation,
        "fence": held.fence,
        "target": verdict.state,
        "reason": verdict.reason,
        "wait": verdict.wait,
        "uncounted": verdict.uncounted,
        "settled": verdict.state in (State.PUBLISHED, State.FAILED),
        "spent": int(verdict.spent),
        "surprises": int(verdict.surprise),
        "disarm": verdict.disarm,
        "closes": verdict.closes,
        "keep": verdict.checkpoint is None,
        "checkpoint": vault.seal(verdict.checkpoint, held.id) if verdict.checkpoint else None,
        "remote_id": live.remote_id if live else None,
        "url": live.url if live else None,
        "delivered_as": live.delivered_as if live else None,
        "notes": jsonb(dict(live.notes)) if live and live.notes else None,
        "error": jsonb(error_fields(verdict.error)),
    }


def changes_word(held: ClaimedDelivery, verdict: Verdict, origin: State) -> bool:
    """Whether the account reads differently afterwards: one that is held already reads as under way."""
    words = (account_status(origin, None), account_status(verdict.state, verdict.reason))
    before, after = (as_read(word, held.due_at, held.now) for word in words)
    return before is not after


def needs_post(held: ClaimedDelivery, verdict: Verdict, origin: State) -> bool:
    """Whether settling has to lock the post and look at the other deliveries (a transaction), or is one statement."""
    word = account_status(verdict.state, verdict.reason)
    return not held.alone and word is not PostStatus.PENDING and changes_word(held, verdict, origin)


def move(  # noqa: PLR0913  the same
    c: Connection,
    *,
    delivery: UUID,
    post: UUID,
    origin: State,
    target: State,
    mover: Mover,
    generation: int,
    reason: Reason | None = None,
    changes: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> bool:
    """Any other move: locks the post, moves, recomputes its status. False: somebody was faster.

    ``changes``: further columns, by trusted name (never from a request).
    """
    require(origin, mover, target)
    lock_post(c, post)
    extra = "".join(f", {name} = :{name}" for name in changes or ())
    found = row(
        c,
        f"""WITH d AS (
                UPDATE deliveries SET state = :target, reason = :reason, updated_at = now() {extra}
                WHERE id = :id AND state = :origin AND generation = :old_generation
                RETURNING id, generation, fence
            ), move AS (
                INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
                SELECT id, :mover, :origin, :target, generation, fence, :why FROM d
            )
            SELECT id FROM d""",
        id=delivery,
        origin=origin,
        target=target,
        old_generation=generation,
        mover=mover,
        reason=reason,
        why=why,
        **(changes or {}),
    )
    if found is not None:
        recompute(c, post)
    return found is not None


def lock_post(c: Connection, post: UUID) -> None:
    """Takes the post's row lock: two workers settling its last two deliveries wait for each other here."""
    row(c, "SELECT id FROM posts WHERE id = :id FOR UPDATE", id=post)


def recompute(c: Connection, post: UUID) -> PostStatus:
    """Stores the post's status from where its deliveries stand. The caller holds the post's lock."""
    words = [
        as_read(account_status(State(r.state), Reason(r.reason) if r.reason else None), r.due_at, r.now)
        for r in rows(
            c, "SELECT state, reason, due_at, now() AS now FROM deliveries WHERE post_id = :id", id=post
        )
    ]
    status = status_of(words)
    row(
        c,
        """UPDATE posts SET status = :status, updated_at = now() WHERE id = :id AND status <> :status RETURNING id""",
        id=post,
        status=status,
    )
    return status


def error_fields(error: Exception | None) -> dict[str, Any] | None:
    """A classified error as it is stored and shown: our code, class and whose fault, and theirs kept verbatim."""
    if error is None:
        return None
    kind = type(error)
    names = {k.__name__ for k in kind.__mro__}
    fault = (
        "customer" if names & {"Permanent", "NeedsPerson"} else "platform" if "Retryable" in names else "us"
    )
    if kind.__name__ == "OutcomeUnknown":
        fault = "platform"
    return {
        "code": getattr(error, "code", "internal_error"),
        "class": kind.__name__,
        "fault": fault,
        "retryable": "Retryable" in names,
        "message": str(error),
        "next_action": getattr(error, "next_action", None),
        "platform_code": getattr(error, "platform_code", None),
    }


def _why(verdict: Verdict) -> str | None:
    return None if verdict.error is None else f"{type(verdict.error).__name__}: {verdict.error}"[:500]
