"""Ingest of many posts that one client sends at once: the rules of `ingest.py`, one transaction, and no waiting.

The media that are not known to be good get their checks opened in that transaction, and the deliveries that need them
are stored ``accepted``. Opened checks stay locked until the commit, so none gets a verdict that the posts miss.

A crash before the commit leaves nothing. After one between commit and dispatch, maintenance dispatches the checks and
the sweep the posts; the client's repeat finds every post by its token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import media_checks
from pipeline.stages.ingest import (
    Outcome,
    build_caches,
    drop_repeats,
    is_statement_error,
    plan_submission,
    store_plans,
)
from pipeline.stages.ingest_caches import IngestCaches
from pipeline.stages.new_post import PostPlan, Submission, dispatch_stored
from pipeline.stages.post_request import AcceptedPost, Refusal
from pipeline.stages.replay import Replayed, build_token, find_replays
from pipeline.stages.rule_inputs import RuleInputs
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Link
from pipeline.store.database import Unreachable

log = logging.getLogger("slipway.ingest")

Entry = Submission | Refusal
"""A post of a batch, or why it could not be read."""
Claim = Callable[[Connection], None]
"""Claims an Idempotency-Key for the batch."""
Result = AcceptedPost | Exception
"""A post that was stored or found, or why it was not."""


@dataclass
class BatchRefused(Exception):
    """Nothing of an atomic batch was stored, because these of its posts, by position, were refused."""

    failures: Mapping[int, Exception]


def claim_nothing(_c: Connection) -> None:
    """Claim no Idempotency-Key."""


def ingest_bulk(
    context: Context, batch: Sequence[Entry], *, atomic: bool = False, claim: Claim = claim_nothing
) -> Sequence[Result]:
    """Store the posts of a batch that break no rule, and return a result for each entry, in order.

    ``atomic``: all or none; a post that was accepted before counts as good. Raises BatchRefused then, and Unreachable
    when nothing was stored. A batch whose statement fails is tried once more: atomic as a whole, otherwise post by
    post, so that whichever is at fault harms no other. ``claim`` comes first in each transaction; what it raises is
    raised.
    """
    try:
        return _ingest(context, batch, atomic=atomic, claim=claim)
    except (BatchRefused, Replayed, Refusal):
        raise
    except Unreachable as error:
        if not is_statement_error(error):
            raise
        log.warning("a batch of %s posts failed and is tried again: %s", len(batch), error)
    except Exception:
        log.exception("a batch of %s posts failed and is tried again", len(batch))
    if atomic:
        return _ingest(context, batch, atomic=True, claim=claim)
    return [_ingest_alone(context, entry, claim) for entry in batch]


def _ingest_alone(context: Context, entry: Entry, claim: Claim) -> Result:
    try:
        [result] = _ingest(context, [entry], atomic=False, claim=claim)
    except Replayed:
        raise
    except Exception as error:  # noqa: BLE001  it is this post's result; the others go on
        return error
    return result


def _ingest(context: Context, batch: Sequence[Entry], *, atomic: bool, claim: Claim) -> list[Result]:
    with context.database.begin() as c:
        claim(c)
        results, stored = store_batch(context, c, plan_batch(context, c, batch, build_caches(context)))
        failures = {n: result for n, result in enumerate(results) if isinstance(result, Exception)}
        if atomic and failures:
            raise BatchRefused(failures)  # rolls back
    failpoint("ingest.committed", *(r.id for r in results if isinstance(r, AcceptedPost)))
    dispatch_bulk(context, stored)
    return results


def dispatch_bulk(context: Context, stored: Sequence[PostPlan]) -> None:
    """Dispatch the work of stored posts and of the checks they opened, after their commit."""
    dispatch_stored(context, stored)
    opened = {k.id: k.tries for plan in stored for k in plan.checks.values() if k.verdict is None}
    context.dispatcher.send_new_checks(opened, bulk=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedBatch:
    """A batch that the rules were applied to, by position."""

    outcomes: Mapping[int, Outcome]
    tokens: Mapping[int, tuple[Submission, str | None]]
    """The posts that could be read, each with what a repeat of it is recognised by."""


def plan_batch(
    context: Context,
    c: Connection,
    batch: Sequence[Entry],
    caches: IngestCaches,
    caller: Caller | None = None,
) -> PlannedBatch:
    """Apply the rules that the known facts decide; nothing is changed.

    ``caller``: of all the posts, where rows of an import that were validated by the same facts are not validated again.
    """
    posts = {n: entry for n, entry in enumerate(batch) if isinstance(entry, Submission)}
    facts = caches.read(c, list(posts.values()))
    inputs = None if caller is None else RuleInputs(context, caller, facts)
    tokens = {n: (post, build_token(context, post)) for n, post in posts.items()}
    outcomes: dict[int, Outcome] = {n: entry for n, entry in enumerate(batch) if isinstance(entry, Refusal)}
    outcomes |= {
        n: plan_submission(context, c, facts, post, token, inputs) for n, (post, token) in tokens.items()
    }
    return PlannedBatch(outcomes=outcomes, tokens=tokens)


def store_batch(
    context: Context, c: Connection, planned: PlannedBatch, *, warn: bool = True
) -> tuple[list[Result], list[PostPlan]]:
    """Find the posts of repeats, open the missing checks, and store the other posts.

    Return a result for each entry, in order, and the plans to dispatch after the commit. ``warn``: as ``store_plans``.
    """
    outcomes, tokens = dict(planned.outcomes), planned.tokens
    # a post that can be stored at once is looked for only if its token turns out to be taken
    is_ready = {n for n, outcome in outcomes.items() if isinstance(outcome, PostPlan) and outcome.is_ready}
    outcomes |= find_replays(context, c, {n: some for n, some in tokens.items() if n not in is_ready})
    plans = drop_repeats({n: plan for n, plan in sorted(outcomes.items()) if isinstance(plan, PostPlan)})
    refused = _open_checks(context, c, plans)
    outcomes |= refused
    plans = {n: plan for n, plan in plans.items() if n not in refused}
    accepted = dict(zip(plans, store_plans(context, c, list(plans.values()), warn=warn), strict=True))
    stored = {n: post for n, post in accepted.items() if post is not None}
    outcomes |= stored
    # equal to an earlier post of the batch, or to one that was stored before
    left = {n: tokens[n] for n, outcome in outcomes.items() if isinstance(outcome, PostPlan)}
    outcomes |= find_replays(context, c, left)
    return [_to_result(outcomes[n]) for n in range(len(outcomes))], [plans[n] for n in stored]


def _open_checks(context: Context, c: Connection, plans: Mapping[int, PostPlan]) -> dict[int, Exception]:
    """Give every plan a check of each link, and return why plans do not fit what is known of their media now."""
    waiting = {n: plan for n, plan in plans.items() if not plan.is_ready}
    requested: dict[Link, datetime | None] = {}
    for plan in waiting.values():
        for _, purpose, url in plan.links:
            link = (plan.submission.workspace, purpose, url)
            requested[link] = min(plan.due_at, requested.get(link) or plan.due_at)
    checks = media_checks.open_distinct_checks(context, c, requested, bulk=True)
    refused: dict[int, Exception] = {}
    for n, plan in waiting.items():
        try:
            plan.validate(context, {k: checks[plan.submission.workspace, p, url] for k, p, url in plan.links})
        except Exception as error:  # noqa: BLE001  a refusal, or a bug in a platform's rules: other posts go on
            refused[n] = error
    return refused


def _to_result(outcome: Outcome) -> Result:
    if isinstance(outcome, PostPlan):
        return Refusal(500, "create_failed", "An equal request was being stored. Repeat it.")
    return outcome
