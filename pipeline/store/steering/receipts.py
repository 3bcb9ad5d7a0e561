"""What a filter selects for a verb, and the receipt of each delivery: what became of it, and why not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.steering import Verb
from pipeline.store.auth.keys import Caller
from pipeline.store.database import plan_and_read, row, rows, run_many
from pipeline.store.deliveries.dead_letters import IS_DEAD, Cause, count_from
from pipeline.store.deliveries.listing import ListFilter, build_conditions
from pipeline.store.steering.jobs import SteeringJob

_UNSETTLED = "d.state NOT IN ('published', 'failed', 'cancelled')"
_PAUSED = "EXISTS (SELECT FROM paused_deliveries h WHERE h.delivery_id = d.id)"
_FOR_VERB: Mapping[Verb, str] = {
    Verb.CANCEL: _UNSETTLED,
    Verb.RETRY: "d.state = 'failed'",
    Verb.RESCHEDULE: _UNSETTLED,
    Verb.PAUSE: f"{_UNSETTLED} AND NOT {_PAUSED}",
    Verb.RESUME: _PAUSED,
    Verb.REPLAY: IS_DEAD,
    Verb.DISCARD: IS_DEAD,
}
"""The deliveries that a verb can act on at all; of the unsettled ones, those in flight are skipped later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of a delivery; ``outcome`` None: it has not had its turn."""

    delivery_id: UUID
    post_id: UUID
    generation: int
    outcome: str | None
    why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many deliveries and posts a filter selects for a verb, and how many are in each state."""

    deliveries: int
    posts: int
    states: Mapping[str, int]


def _build_from(caller: Caller, verb: Verb, chosen: ListFilter) -> tuple[str, dict[str, Any]]:
    clauses, values = build_conditions(replace(chosen, workspace=caller.workspace_id))
    accounts = None if caller.accounts is None else list(caller.accounts)
    sql = f"""
        FROM deliveries d JOIN posts p ON p.id = d.post_id
        WHERE p.deleted_at IS NULL AND {_FOR_VERB[verb]} AND {" AND ".join(clauses)}
          AND (CAST(:within AS uuid[]) IS NULL OR NOT EXISTS (
              SELECT FROM deliveries o WHERE o.post_id = d.post_id AND o.account_id <> ALL (CAST(:within AS uuid[]))))
    """
    return sql, {**values, "within": accounts}


def count(c: Connection, caller: Caller, verb: Verb, chosen: ListFilter) -> Count:
    """Count what a filter selects for a verb."""
    sql, values = _build_from(caller, verb, chosen)
    found = _count(c, "CAST(NULL AS uuid)", sql, values)
    return found.get(None) or Count(deliveries=0, posts=0, states={})


def count_by_workspace(
    c: Connection, verb: Verb, chosen: ListFilter, within: Collection[UUID]
) -> dict[UUID, Count]:
    """Count the same in each of these workspaces, the one with the most first; those without any are left out."""
    found = _count(c, "d.workspace_id", *_build_from_several(verb, chosen, within))
    return dict(sorted(found.items(), key=lambda one: -one[1].deliveries))


def _count(c: Connection, key: str, sql: str, values: Mapping[str, Any]) -> dict[Any, Count]:
    """Count by a key and state, and the posts of each key, in one scan."""
    found = rows(
        c,
        f"""SELECT space, state, count(*) AS n, count(DISTINCT post_id) AS posts
            FROM (SELECT {key} AS space, d.state, d.post_id {sql}) AS found
            GROUP BY GROUPING SETS ((space, state), (space)) ORDER BY space, state NULLS LAST""",
        **values,
    )
    states: dict[Any, dict[str, int]] = {}
    for one in found:
        if one.state is not None:
            states.setdefault(one.space, {})[one.state] = one.n
    return {
        one.space: Count(deliveries=one.n, posts=one.posts, states=states[one.space])
        for one in found
        if one.state is None
    }


def count_causes(c: Connection, verb: Verb, chosen: ListFilter, within: Collection[UUID]) -> list[Cause]:
    """Count the dead letters that a filter selects in these workspaces, by platform, error and obstacle."""
    return count_from(c, *_build_from_several(verb, chosen, within))


def _build_from_several(
    verb: Verb, chosen: ListFilter, within: Collection[UUID]
) -> tuple[str, dict[str, Any]]:
    clauses, values = build_conditions(chosen)
    sql = f"""FROM deliveries d JOIN posts p ON p.id = d.post_id
              WHERE p.deleted_at IS NULL AND {" AND ".join([_FOR_VERB[verb], *clauses])}
                AND d.workspace_id = ANY (CAST(:spaces AS uuid[]))"""
    return sql, {**values, "spaces": list(within)}


def select(c: Connection, caller: Caller, job: SteeringJob, limit: int) -> Sequence[UUID]:
    """Give the next deliveries that the filter selects a receipt, in the order of their ids, and return those."""
    sql, values = _build_from(caller, job.verb, job.filter)
    found = rows(
        c,
        f"""INSERT INTO steering_receipts (job_id, delivery_id, post_id, due_at, generation)
            SELECT :job, d.id, d.post_id, p.due_at, d.generation {sql}
              AND (CAST(:position AS uuid) IS NULL OR d.id > :position) AND d.created_at <= :created
            ORDER BY d.id LIMIT :n RETURNING delivery_id""",
        **values,
        job=job.id,
        position=job.position,
        created=job.created_at,
        n=limit,
    )
    return sorted(r.delivery_id for r in found)


def count_posts(c: Connection, job: UUID) -> int:
    """Count the posts of the selected deliveries."""
    found = row(c, "SELECT count(DISTINCT post_id) AS n FROM steering_receipts WHERE job_id = :id", id=job)
    return int(found.n) if found else 0


def list_matching(c: Connection, caller: Caller, job: SteeringJob, post: UUID) -> frozenset[UUID]:
    """Return the deliveries of a post that the filter selects now."""
    sql, values = _build_from(caller, job.verb, job.filter)
    found = plan_and_read(c, f"SELECT d.id {sql} AND d.post_id = :post", **values, post=post)
    return frozenset(r.id for r in found)


def list_open_posts(c: Connection, job: UUID, limit: int) -> list[UUID]:
    """Return the next posts of a job, in the order of their due times."""
    found = rows(
        c,
        """SELECT post_id FROM steering_receipts WHERE job_id = :id AND outcome IS NULL
           GROUP BY due_at, post_id ORDER BY due_at, post_id LIMIT :n""",
        id=job,
        n=limit,
    )
    return [r.post_id for r in found]


def list_open(c: Connection, job: UUID, post: UUID) -> list[Receipt]:
    """Return the receipts of a post that have no outcome, in the order of the deliveries."""
    found = rows(
        c,
        # by the keys of the deliveries: a walk along the job's receipts takes longer the more there are
        """SELECT r.* FROM (SELECT id FROM deliveries WHERE post_id = :post OFFSET 0) d, LATERAL (
               SELECT delivery_id, post_id, generation, outcome, why FROM steering_receipts
               WHERE job_id = :id AND delivery_id = d.id LIMIT 1) r
           WHERE r.outcome IS NULL ORDER BY r.delivery_id""",
        id=job,
        post=post,
    )
    return [Receipt(**r._asdict()) for r in found]


def settle(c: Connection, job: UUID, why: Mapping[UUID, str | None]) -> None:
    """Store what became of deliveries: the reason of each that was skipped, None of one that was done."""
    run_many(
        c,
        """UPDATE steering_receipts SET outcome = :outcome, why = :why
           WHERE job_id = :job AND delivery_id = :id AND coalesce(outcome, '') = '' RETURNING delivery_id""",
        [
            {"job": job, "id": identity, "outcome": "done" if reason is None else "skipped", "why": reason}
            for identity, reason in why.items()
        ],
    )


def list_receipts(
    c: Connection, job: UUID, *, outcome: str | None = None, after: UUID | None = None, limit: int
) -> list[Receipt]:
    """Return a page of receipts by delivery; *after*: the last of the page before."""
    found = rows(
        c,
        """SELECT delivery_id, post_id, generation, outcome, why FROM steering_receipts
           WHERE job_id = :id AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome)
             AND (CAST(:after AS uuid) IS NULL OR delivery_id > :after) ORDER BY delivery_id LIMIT :n""",
        id=job,
        outcome=outcome,
        after=after,
        n=limit,
    )
    return [Receipt(**r._asdict()) for r in found]


def has_generation(c: Connection, generations: Mapping[UUID, int]) -> bool:
    """Return True if every delivery has the generation that is given for it."""
    found = rows(
        c, "SELECT id, generation FROM deliveries WHERE id = ANY (CAST(:ids AS uuid[]))", ids=[*generations]
    )
    return {r.id: r.generation for r in found} == generations
