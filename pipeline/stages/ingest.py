"""Ingest: take new posts, 1 to 500, through every rule that needs accounts, clock or media, into one commit.

One post is a batch of one; requests that arrive together, a batch of one client and the rows of an import are planned
by one function and stored by another. For a whole batch the database is asked for the clock, the accounts and the known
checks; its posts are stored together by one statement (group commit), and each is answered after its commit.
Idempotency is that statement's: a replay token that is taken keeps a post from being stored, and the post that has the
token is the answer. A post that breaks a rule is refused, and its neighbours are stored.

Media that are not known to be good make the difference. A request waits for its checks: its post stays a plan, which
``finish`` stores after it has opened the checks and waited for them with no connection held, in the transaction that
locks them FOR SHARE; its deliveries are ``scheduled`` when every check is decided good, else ``accepted``. A batch of
one client waits for nothing: its checks are opened in its transaction, and stay locked until the commit, so that none
gets a verdict that the posts miss.

A crash before the commit leaves nothing. After one between commit and dispatch, maintenance dispatches the checks and
the sweep the posts; the client's repeat finds every post by its token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.new_post import (
    BatchFacts,
    IngestCaches,
    PostPlan,
    RuleInputs,
    Submission,
    accept_stored,
    build_caches,
    build_post,
    dispatch_stored,
    plan_post,
)
from pipeline.stages.post_request import AcceptedPost, PostRequest, Refusal
from pipeline.stages.posting_times import assign_times
from pipeline.stages.replay import Replayed, build_token, find_replay, find_replays, refuse_erased
from pipeline.stages.warnings import DailyCounts, list_gaps, warn_of_neighbours_together, warn_of_plan
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check, Link
from pipeline.store.database import Unreachable
from pipeline.store.posts import insert_batch as store

log = logging.getLogger("slipway.ingest")

MAX_BATCH = 64
"""Requests in one transaction: more would only make the first of them wait for the last."""

_STATEMENT_ERRORS = ("25P03", "40", "55", "57014")
"""SQLSTATEs that end a transaction while the server is there: our slowness, a deadlock, a lock, a time limit."""

Entry = Submission | Refusal
"""A post of a batch, or why it could not be read."""
Result = AcceptedPost | Exception
"""A post that was stored or found, or why it was not: refused, or failed for a reason of its own."""
Outcome = Result | PostPlan
"""A result, or a plan that awaits its checks: ``finish`` it."""
Claim = Callable[[Connection], None]
"""Claims an Idempotency-Key for the batch."""


@dataclass
class BatchRefused(Exception):
    """Nothing of an atomic batch was stored, because these of its posts, by position, were refused."""

    failures: Mapping[int, Exception]


class BatchIngest:
    """Ingest of requests that arrive together, with caches between batches: for one thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._caches = build_caches(context)

    def ingest(self, batch: Sequence[Submission]) -> Sequence[Outcome | None]:
        """Return an outcome for each submission, in order. Raises Unreachable for all of them.

        None stands for each of a batch that failed as a whole: ``accept`` them one by one, so that whichever is at
        fault harms no other.
        """
        try:
            return _ingest(self._context, self._caches, batch)
        except Exception as error:  # noqa: BLE001  logged or raised
            _log_or_raise(error, batch)
        self._caches = build_caches(self._context)
        return [None] * len(batch)


def accept(context: Context, caller: Caller, request: PostRequest) -> AcceptedPost:
    """Store one post, or find the one an equal request made. Raises Refusal (nothing is stored) and Unreachable."""
    submission = Submission(caller=caller, request=request)
    [outcome] = _ingest(context, build_caches(context), [submission])
    return finish(context, outcome)


def finish(context: Context, outcome: Outcome) -> AcceptedPost:
    """Return the accepted post, after waiting for its checks where it needs to. Raises what the outcome holds."""
    if isinstance(outcome, PostPlan):
        return _store_checked(context, outcome)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def ingest_bulk(
    context: Context, batch: Sequence[Entry], *, atomic: bool = False, claim: Claim | None = None
) -> Sequence[Result]:
    """Store the posts of a batch that break no rule, and return a result for each entry, in order.

    ``atomic``: all or none; a post that was accepted before counts as good. Raises BatchRefused then, and Unreachable
    when nothing was stored. A batch whose statement fails is tried once more: atomic as a whole, otherwise post by
    post, so that whichever is at fault harms no other. ``claim`` comes first in each transaction; what it raises is
    raised.
    """
    try:
        return _ingest_bulk(context, batch, atomic=atomic, claim=claim)
    except Exception as error:  # noqa: BLE001  logged or raised
        _log_or_raise(error, batch)
    if atomic:
        return _ingest_bulk(context, batch, atomic=True, claim=claim)
    return [_ingest_alone(context, entry, claim) for entry in batch]


def _log_or_raise(error: Exception, batch: Sequence[Entry]) -> None:
    """Log the error of a whole batch, which is then tried again. Raise refusals, and an unreachable database."""
    is_unreachable = isinstance(error, Unreachable) and not is_statement_error(error)
    if is_unreachable or isinstance(error, BatchRefused | Replayed | Refusal):
        raise error
    level = logging.WARNING if isinstance(error, Unreachable) else logging.ERROR
    log.log(level, "a batch of %s posts failed and is tried again", len(batch), exc_info=error)


def _ingest_alone(context: Context, entry: Entry, claim: Claim | None) -> Result:
    try:
        [result] = _ingest_bulk(context, [entry], atomic=False, claim=claim)
    except Replayed:
        raise
    except Exception as error:  # noqa: BLE001  it is this post's result; the others go on
        return error
    return result


def _ingest(context: Context, caches: IngestCaches, batch: Sequence[Submission]) -> list[Outcome]:
    with context.database.once() as c:
        outcomes, stored = _store(context, c, plan_batch(context, c, batch, caches))
    _announce(context, outcomes, stored)
    return outcomes


def _ingest_bulk(
    context: Context, batch: Sequence[Entry], *, atomic: bool, claim: Claim | None
) -> list[Result]:
    with context.database.begin() as c:
        if claim is not None:
            claim(c)
        results, stored = store_batch(context, c, plan_batch(context, c, batch, build_caches(context)))
        failures = {n: result for n, result in enumerate(results) if isinstance(result, Exception)}
        if atomic and failures:
            raise BatchRefused(failures)  # rolls back
    _announce(context, results, stored)
    return results


def _announce(context: Context, outcomes: Sequence[Outcome], stored: Sequence[PostPlan]) -> None:
    failpoint("ingest.committed", *(o.id for o in outcomes if isinstance(o, AcceptedPost)))
    dispatch_batch(context, stored)


def dispatch_batch(context: Context, stored: Sequence[PostPlan]) -> None:
    """Dispatch the work of stored posts and of the checks they opened, after their commit."""
    dispatch_stored(context, stored)
    opened = {k.id: k.tries for plan in stored for k in plan.checks.values() if k.verdict is None}
    if opened:
        context.dispatcher.send_new_checks(opened, bulk=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedBatch:
    """A batch that the rules were applied to, by position."""

    outcomes: Mapping[int, Outcome]
    tokens: Mapping[int, tuple[Submission, str | None]]
    """The posts that could be read, each with the token by which a repeat of it is recognised."""


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
    if facts.versions.has_erased:
        outcomes |= refuse_erased(c, {n: one for n, one in outcomes.items() if isinstance(one, PostPlan)})
    return PlannedBatch(outcomes=outcomes, tokens=tokens)


def store_batch(
    context: Context, c: Connection, planned: PlannedBatch, *, warn: bool = True
) -> tuple[list[Result], list[PostPlan]]:
    """Find the posts of repeats, open the missing checks, and store the other posts.

    Return a result for each entry, in order, and the plans to dispatch after the commit. ``warn``: as ``store_plans``.
    """
    outcomes, stored = _store(context, c, planned, opens_checks=True, warn=warn)
    return [_being_stored() if isinstance(one, PostPlan) else one for one in outcomes], stored


def _store(
    context: Context,
    c: Connection,
    planned: PlannedBatch,
    *,
    opens_checks: bool = False,
    warn: bool = True,
) -> tuple[list[Outcome], list[PostPlan]]:
    """Store the posts that can be stored now; without ``opens_checks`` a post that is not ready stays a plan."""
    outcomes, tokens = dict(planned.outcomes), planned.tokens
    ready = {n for n, outcome in outcomes.items() if isinstance(outcome, PostPlan) and outcome.is_ready}
    # a post that can be stored at once is looked for only if its token turns out to be taken
    sought = {n: some for n, some in tokens.items() if opens_checks and n not in ready}
    outcomes |= find_replays(context, c, sought)
    plans = _drop_repeats(
        {n: o for n, o in outcomes.items() if isinstance(o, PostPlan) and (opens_checks or n in ready)}
    )
    if opens_checks:
        refused: dict[int, Exception] = _open_checks(context, c, plans)
        plans = {n: plan for n, plan in plans.items() if n not in refused}
        refused |= assign_times(c, plans)
        outcomes |= refused
        plans = {n: plan for n, plan in plans.items() if n not in refused}
    accepted = dict(zip(plans, store_plans(context, c, list(plans.values()), warn=warn), strict=True))
    stored = {n: post for n, post in accepted.items() if post is not None}
    outcomes |= stored
    # equal to an earlier post of the batch, or to one that was stored before
    left = {n for n in tokens if n not in stored and (n not in sought or isinstance(outcomes[n], PostPlan))}
    outcomes |= find_replays(context, c, {n: tokens[n] for n in left})
    return [outcomes[n] for n in range(len(outcomes))], [plans[n] for n in stored]


def plan_submission(
    context: Context,
    c: Connection,
    facts: BatchFacts,
    submission: Submission,
    token: str | None,
    inputs: RuleInputs | None = None,
) -> Outcome:
    """Apply every rule that the known facts decide, in the order of the contract.

    ``inputs``: of this batch; then the platforms' rules are left out for a post that was validated by the same ones.
    """
    request = submission.request
    links = media_checks.list_links(request.media, None, request.own.values())
    checks = facts.checks_of(submission.workspace, links)
    try:
        accounts = rules.require_accounts(facts.accounts_of(submission), request.account_ids)
        plan = plan_post(context, submission, token=token, accounts=accounts, links=links, now=facts.now)
        known = len(checks) == len(links) and request.music_url is None
        if known and inputs is not None and submission.judged == inputs.digest(submission, checks):
            plan.checks = checks
        else:
            plan.validate(context, checks if known else {})
        if request.music_url is not None:  # a bad link comes after the problems that no media fact decides
            music = rules.parse_music_link(context, request.music_url)
            plan.links = media_checks.list_links(request.media, music, request.own.values())
        media_checks.refuse_files_of_others(context, c, submission.caller, plan.links)
    except Exception as error:  # noqa: BLE001  a refusal, or a bug in a platform's rules: other posts go on
        return error
    return plan


def _open_checks(context: Context, c: Connection, plans: Mapping[int, PostPlan]) -> dict[int, Exception]:
    """Give every plan a check of each link, and return the refusals of plans by the known facts of their media."""
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


def _drop_repeats(plans: Mapping[int, PostPlan]) -> dict[int, PostPlan]:
    """Return the plans without those whose request equals an earlier one: they then find its post."""
    first: dict[int, PostPlan] = {}
    seen: set[tuple[UUID, str | None]] = set()
    for n, plan in plans.items():
        name = (plan.submission.workspace, plan.token)
        if plan.token is None or name not in seen:
            first[n] = plan
        seen.add(name)
    return first


def store_plans(
    context: Context, c: Connection, plans: Sequence[PostPlan], *, warn: bool = True
) -> list[AcceptedPost | None]:
    """Store posts by one statement; None for each whose token another request has taken.

    ``warn``: whether the answers carry warnings, for which the days of the accounts are counted.
    """
    if not plans:
        return []
    posts = [plan.post or build_post(context, plan) for plan in plans]
    drafts = [[one.inbox_draft for one in post.deliveries] for post in posts]
    counted = zip(plans, drafts, strict=True) if warn else ()
    days = DailyCounts(context, c, [[*zip(p.accounts, p.dues.values(), d, strict=True)] for p, d in counted])
    gaps = list_gaps(plans) if warn else {}
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    stored, planned, found = store.store_posts(c, posts, window, days.by_account, gaps)
    too_full = days.warn(planned)
    alike = warn_of_neighbours_together(plans, posts, stored, found) if warn else {}
    return [
        accept_stored(plan, post, [*warn_of_plan(plan), *too_full[n], *alike[n]] if warn else ())
        if post.id in stored
        else None
        for n, (plan, post) in enumerate(zip(plans, posts, strict=True))
    ]


def _store_checked(context: Context, plan: PostPlan) -> AcceptedPost:
    """Open the checks of a plan, wait for them, and store it in the transaction that locks them."""
    workspace = plan.submission.workspace
    with context.database.begin() as c:
        checks: Mapping[int, Check] = media_checks.open_checks(
            context, c, workspace, plan.links, due_at=plan.due_at, bulk=plan.submission.caller.bulk
        )
    plan.validate(context, checks)
    if media_checks.list_undecided(checks):
        checks = media_checks.await_checks(context, checks, bulk=plan.submission.caller.bulk)
        media_checks.refuse_unreachable(checks)
        plan.validate(context, checks)
    with context.database.begin() as c:
        # from here to the commit no verdict lands, or the post would wait for one that has been given already
        checks = media_checks.lock_checks(c, workspace, checks)
        media_checks.refuse_unreachable(checks)
        plan.validate(context, checks)
        for refusal in assign_times(c, {0: plan}).values():
            raise refusal
        [accepted] = store_plans(context, c, [plan])
    if accepted is None:
        return _find_winner(context, plan.submission)
    failpoint("ingest.committed", accepted.id)
    dispatch_stored(context, [plan])
    return accepted


def _find_winner(context: Context, submission: Submission) -> AcceptedPost:
    """Return the post of the equal request that took the token first. Raises Refusal if there is none yet."""
    with context.database.begin() as c:
        if winner := find_replay(context, c, submission):
            return winner
    raise _being_stored()


def _being_stored() -> Refusal:
    return Refusal(500, "create_failed", "An equal request was being stored. Repeat it.")


def is_statement_error(error: Unreachable) -> bool:
    """Return True if the server is there and only ended this statement."""
    state = getattr(getattr(error.__cause__, "orig", None), "sqlstate", None)
    return bool(state) and str(state).startswith(_STATEMENT_ERRORS)
