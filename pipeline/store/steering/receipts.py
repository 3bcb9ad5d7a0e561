"""The deliveries that a filter selects for a verb, and the receipt of each: what became of it, and why not.

Paused deliveries: release and arm pass over them until they are resumed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.steering import Verb
from pipeline.store import selection
from pipeline.store.arrays import Records
from pipeline.store.auth.keys import Caller
from pipeline.store.database import execute, jsonb, plan_and_read, read_all, read_column, rows, run_many
from pipeline.store.deliveries.dead_letters import IS_DEAD
from pipeline.store.deliveries.holds import IS_UNAPPROVED
from pipeline.store.deliveries.ownership import Scope
from pipeline.store.deliveries.selection import POSTED, ListFilter, select_posted
from pipeline.store.posts.undo_log import Before, Befores, dump_before, load_before
from pipeline.store.selection import Keyset, Where, equal, where, where_given
from pipeline.store.steering.jobs import SteeringJob


def pause_deliveries(c: Connection, ids: Sequence[UUID], job: UUID, why: str) -> None:
    """Pause deliveries, whose rows the caller has locked."""
    pause_each(c, dict.fromkeys(ids, (job, why)))


_PAUSES = Records("delivery_id uuid, job_id uuid, why text")


def pause_each(c: Connection, paused: Mapping[UUID, tuple[UUID, str]]) -> frozenset[UUID]:
    """Pause locked deliveries, each by a job and for a reason; return those that were not paused before."""
    sql = f"""INSERT INTO paused_deliveries ({_PAUSES.columns}) SELECT * FROM {_PAUSES}
              ON CONFLICT DO NOTHING RETURNING delivery_id"""
    return frozenset(
        read_column(c, sql, **_PAUSES.bind((one, job, why) for one, (job, why) in paused.items()))
    )


def pause_again(c: Connection, befores: Befores, ids: Collection[UUID]) -> frozenset[UUID]:
    """Pause these deliveries again, as they were paused before; return those that were not paused by now."""
    found = {one: (befores[one].paused_by, befores[one].paused_why) for one in ids if one in befores}
    return pause_each(c, {one: (job, why) for one, (job, why) in found.items() if job and why is not None})


def resume_deliveries(c: Connection, ids: Sequence[UUID], *, only: UUID | None = None) -> frozenset[UUID]:
    """Resume deliveries: what the pause held is not taken for late, and their streaks of unavailability end.

    *only*: those that this job paused. Returns those that were paused.
    """
    found = read_column(
        c,
        """WITH lifted AS (
               DELETE FROM paused_deliveries WHERE delivery_id = ANY (CAST(:ids AS uuid[]))
                 AND job_id = coalesce(CAST(:only AS uuid), job_id) RETURNING delivery_id, since
           ), streaks AS (
               UPDATE post_deliveries d SET unavailable_since = NULL FROM lifted
               WHERE d.id = lifted.delivery_id AND d.state IN ('scheduled', 'retrying')
                 AND d.unavailable_since IS NOT NULL
           )
           INSERT INTO seen_pauses (scope, target, since, seen_at)
           SELECT 'delivery', delivery_id::text, since, clock_timestamp() FROM lifted
           ON CONFLICT (scope, target, since) DO UPDATE SET seen_at = excluded.seen_at RETURNING target""",
        ids=list(ids),
        only=only,
    )
    return frozenset(map(UUID, found))


_UNSETTLED = "d.state NOT IN ('published', 'failed', 'cancelled')"
_PAUSED = "EXISTS (SELECT FROM paused_deliveries h WHERE h.delivery_id = d.id)"
_ACTS_ON: Mapping[Verb, str] = {
    Verb.CANCEL: _UNSETTLED,
    Verb.RETRY: "d.state = 'failed'",
    Verb.RESCHEDULE: _UNSETTLED,
    Verb.PAUSE: _UNSETTLED,
    Verb.RESUME: _PAUSED,
    Verb.REPLAY: IS_DEAD,
    Verb.DISCARD: IS_DEAD,
    Verb.APPROVE: f"{_UNSETTLED} AND {IS_UNAPPROVED}",
}
"""The deliveries that a verb can act on at all; unsettled ones in flight are skipped later."""


def _build_pending(*verbs: Verb) -> str:
    """Return a query of the deliveries that jobs with these verbs have yet to act on."""
    return f"""SELECT r.delivery_id FROM steering_jobs j JOIN steering_receipts r ON r.job_id = j.id
               WHERE j.workspace_id = ANY (CAST(:within AS uuid[])) AND j.state = 'working'
                 AND j.verb IN ({", ".join(f"'{verb}'" for verb in verbs)}) AND r.outcome IS NULL"""


_RETRIED = f"d.id IN ({_build_pending(Verb.RETRY, Verb.REPLAY, Verb.UNDO)})"
_SELECTS: Mapping[Verb, str] = {
    **_ACTS_ON,
    Verb.CANCEL: f"({_UNSETTLED} OR {_RETRIED})",
    Verb.RESCHEDULE: f"({_UNSETTLED} OR {_RETRIED})",
    Verb.PAUSE: f"({_UNSETTLED} AND NOT {_PAUSED} OR {_RETRIED} OR d.id IN ({_build_pending(Verb.RESUME)}))",
    Verb.RESUME: f"""d.id IN (SELECT delivery_id FROM paused_deliveries UNION ALL {_build_pending(Verb.PAUSE)}
                             UNION ALL {_build_pending(Verb.UNDO)} AND j.arguments ->> 'undone' = 'resume')""",
}
"""The deliveries that a verb selects: it can act on them, or will when the jobs before it have acted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The outcome of a delivery; ``outcome`` None: it has not had its turn."""

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


def _select(caller: Caller, condition: str, chosen: ListFilter) -> Where:
    return _select_within(condition, chosen, Scope(within=[caller.workspace_id], accounts=caller.accounts))


def _select_within(condition: str, chosen: ListFilter, scope: Scope) -> Where:
    return select_posted(replace(chosen, workspace=None, scope=scope), condition)


def count(
    c: Connection, caller: Caller, verb: Verb, chosen: ListFilter, *, token: str | None = None
) -> Count:
    """Count what a filter selects for a verb; with *token* also keep which deliveries it is, in the same statement."""
    kept = {"token": token, "w": caller.workspace_id, "key": caller.stored_key}
    selected = _select(caller, _SELECTS[verb], chosen) & where(**kept)
    found = _count(c, "CAST(NULL AS uuid)", selected, "" if token is None else _KEEP)
    return found.get(None) or Count(deliveries=0, posts=0, states={})


_KEEP = """, kept AS (
    INSERT INTO steering_counts (workspace_id, token, key_id, deliveries, generations)
    SELECT :w, :token, :key,
        coalesce(array_agg(id ORDER BY id), '{}'), coalesce(array_agg(generation ORDER BY id), '{}') FROM found)"""


def count_by_workspace(
    c: Connection, verb: Verb, chosen: ListFilter, within: Collection[UUID]
) -> dict[UUID, Count]:
    """Count the same in each of these workspaces, the one with the most first; workspaces without any are left out."""
    found = _count(c, "d.workspace_id", _select_within(_SELECTS[verb], chosen, Scope(within=list(within))))
    return dict(sorted(found.items(), key=lambda one: -one[1].deliveries))


def _count(c: Connection, key: str, selected: Where, keep: str = "") -> dict[Any, Count]:
    """Count by a key and state, and the posts of each key, in one scan."""
    found = rows(
        c,
        f"""WITH found AS MATERIALIZED (
                SELECT {key} AS space, d.id, d.generation, d.state, d.post_id
                FROM {POSTED} WHERE {selected}) {keep}
            SELECT space, state, count(*) AS n, count(DISTINCT post_id) AS posts FROM found
            GROUP BY GROUPING SETS ((space, state), (space)) ORDER BY space, state NULLS LAST""",
        **selected.values,
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


def drop_old_counts(c: Connection, caller: Caller, most: int) -> None:
    """Keep only the newest counts of a caller: each holds what it selected."""
    execute(
        c,
        """DELETE FROM steering_counts WHERE (workspace_id, token) IN (
               SELECT workspace_id, token FROM steering_counts
               WHERE workspace_id = :w AND key_id IS NOT DISTINCT FROM :key
               ORDER BY made_at DESC OFFSET :n FOR UPDATE SKIP LOCKED)""",
        w=caller.workspace_id,
        key=caller.stored_key,
        n=most,
    )


def select(c: Connection, job: UUID) -> None:
    """Give each delivery of the count that a new job confirms a receipt, as it was counted, and drop the count.

    Receipts are there when the job is, so what it selects never changes.
    """
    execute(
        c,
        """WITH counted AS (
               DELETE FROM steering_counts k USING steering_jobs j
               WHERE j.id = :job AND k.workspace_id = j.workspace_id AND k.token = j.token
               RETURNING k.deliveries, k.generations
           ), made AS (
               INSERT INTO steering_receipts (job_id, delivery_id, post_id, due_at, generation)
               SELECT :job, d.id, d.post_id, p.due_at, s.generation
               FROM counted, unnest(counted.deliveries, counted.generations) AS s (id, generation)
               JOIN post_deliveries d ON d.id = s.id JOIN posts p ON p.id = d.post_id
               RETURNING post_id
           )
           UPDATE steering_jobs SET (selected, posts) = (SELECT count(*), count(DISTINCT post_id) FROM made)
           WHERE id = :job""",
        job=job,
    )


def take(c: Connection, job: UUID, verbs: Collection[Verb]) -> None:
    """Have earlier jobs with these verbs skip what a new job selects. The caller has locked them."""
    execute(
        c,
        """WITH taken AS (
               UPDATE steering_receipts r SET outcome = 'skipped', why = :why
               FROM steering_jobs new, steering_jobs e, steering_receipts mine
               WHERE new.id = :job AND e.workspace_id = new.workspace_id AND e.state = 'working'
                 AND e.verb = ANY (CAST(:verbs AS text[])) AND mine.job_id = new.id
                 AND r.job_id = e.id AND r.delivery_id = mine.delivery_id AND r.outcome IS NULL
               RETURNING r.job_id)
           UPDATE steering_jobs j SET skipped = skipped + t.n
           FROM (SELECT job_id, count(*) AS n FROM taken GROUP BY job_id) AS t WHERE j.id = t.job_id""",
        job=job,
        verbs=list(verbs),
        why=f"taken: The later job {job} has it.",
    )


def wait(c: Connection, job: UUID) -> None:
    """Have a new job wait for the earlier ones that have yet to act on a delivery that it selects.

    A job waits only for jobs that were there before it, so none waits for itself, however long the chain.
    """
    execute(
        c,
        """UPDATE steering_jobs new SET waits_for = ARRAY(
               SELECT e.id FROM steering_jobs e
               WHERE e.workspace_id = new.workspace_id AND e.state = 'working' AND e.id <> new.id AND EXISTS (
                   SELECT FROM steering_receipts r
                   JOIN steering_receipts mine ON mine.job_id = :job AND mine.delivery_id = r.delivery_id
                   WHERE r.job_id = e.id AND r.outcome IS NULL))
           WHERE new.id = :job""",
        job=job,
    )


def carry(c: Connection, job: UUID, done: Collection[UUID]) -> None:
    """Let jobs that wait for a job know deliveries as it left them: what it did is no change to them.

    To an undo it is one: it undoes nothing that changed since.
    """
    execute(
        c,
        """UPDATE steering_receipts r SET generation = d.generation
           FROM steering_jobs later, steering_receipts mine JOIN post_deliveries d ON d.id = mine.delivery_id
           WHERE mine.job_id = :job AND mine.delivery_id = ANY (CAST(:done AS uuid[]))
             AND later.state = 'working' AND :job = ANY (later.waits_for) AND r.job_id = later.id
             AND later.verb <> 'undo'
             AND r.delivery_id = mine.delivery_id AND r.outcome IS NULL
             AND r.generation = mine.generation AND d.generation <> mine.generation""",
        job=job,
        done=list(done),
    )


def list_matching(c: Connection, caller: Caller, job: SteeringJob, post: UUID) -> frozenset[UUID]:
    """Return the deliveries of a post that the filter selects now."""
    selected = _select(caller, _ACTS_ON[job.verb], job.filter) & where("d.post_id = :post", post=post)
    found = plan_and_read(c, f"SELECT d.id FROM {POSTED} WHERE {selected}", **selected.values)
    return frozenset(r.id for r in found)


def list_open_posts(c: Connection, job: UUID, limit: int) -> list[UUID]:
    """Return the next posts of a job, in the order of their due times."""
    return read_column(
        c,
        """SELECT post_id FROM steering_receipts WHERE job_id = :id AND outcome IS NULL
           GROUP BY due_at, post_id ORDER BY due_at, post_id LIMIT :n""",
        id=job,
        n=limit,
    )


def list_open(c: Connection, job: UUID, post: UUID) -> list[Receipt]:
    """Return the receipts of a post that have no outcome, in the order of the deliveries."""
    return read_all(
        c,
        Receipt,
        # by the keys of the deliveries: a walk along the job's receipts takes longer the more there are
        """SELECT r.* FROM (SELECT id FROM post_deliveries WHERE post_id = :post OFFSET 0) d, LATERAL (
               SELECT delivery_id, post_id, generation, outcome, why FROM steering_receipts
               WHERE job_id = :id AND delivery_id = d.id LIMIT 1) r
           WHERE r.outcome IS NULL ORDER BY r.delivery_id""",
        id=job,
        post=post,
    )


def settle(c: Connection, job: UUID, why: Mapping[UUID, str | None], befores: Befores) -> None:
    """Store what became of deliveries: the reason of each that was skipped, None of one that was done.

    *befores*: the deliveries before that, for an undo.
    """
    kept = {one: jsonb(dump_before(before)) for one, before in befores.items() if why.get(one, "") is None}
    run_many(
        c,
        """UPDATE steering_receipts SET outcome = :outcome, why = :why, before = :before, settled_at = clock_timestamp()
           WHERE job_id = :job AND delivery_id = :id AND coalesce(outcome, '') = '' RETURNING delivery_id""",
        [
            {
                "job": job,
                "id": identity,
                "outcome": "done" if reason is None else "skipped",
                "why": reason,
                "before": kept.get(identity),
            }
            for identity, reason in why.items()
        ],
    )


def read_befores(c: Connection, job: UUID, deliveries: Collection[UUID]) -> dict[UUID, Before]:
    """Return these deliveries as they were before a job acted on them."""
    found = rows(
        c,
        """SELECT delivery_id, before FROM steering_receipts
           WHERE job_id = :job AND delivery_id = ANY (CAST(:ids AS uuid[])) AND before IS NOT NULL""",
        job=job,
        ids=list(deliveries),
    )
    return {r.delivery_id: load_before(r.before) for r in found}


_BY_DELIVERY = Keyset({"delivery_id": "uuid"})


def list_receipts(
    c: Connection, job: UUID, *, outcome: str | None = None, after: UUID | None = None, limit: int
) -> list[Receipt]:
    """Return a page of receipts by delivery; *after*: the last of the page before."""
    of_outcome = where_given({"outcome": "outcome = :outcome"}, outcome=outcome)
    chosen, start = equal(job_id=job) & of_outcome, None if after is None else [after]
    return selection.select(
        c, Receipt, "steering_receipts", chosen, by=_BY_DELIVERY, after=start, limit=limit
    )


def has_generation(c: Connection, generations: Mapping[UUID, int]) -> bool:
    """Return True if every delivery has the generation that is given for it."""
    sql = "SELECT id, generation FROM post_deliveries WHERE id = ANY (CAST(:ids AS uuid[]))"
    return dict(rows(c, sql, ids=[*generations])) == generations
