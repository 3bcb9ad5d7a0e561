"""Ingest: take new posts, one or many, through every rule that needs accounts, clock or media, into one commit.

One post is a batch of one. For a whole batch the database is asked for the clock, the accounts and the known checks;
posts whose media are known to be good are stored together by one statement (group commit), and each is answered after
its commit. Idempotency is that statement's: a replay token that is taken keeps a post from being stored, and the post
that has the token is the answer. A request that breaks a rule is refused, and its neighbours are stored.

A post with media that are not known to be good stays a plan. ``finish`` opens its checks, waits for them with no
connection held, and stores it in the transaction that locks them FOR SHARE. It leaves deliveries ``scheduled`` when
every check is decided good, else ``accepted``.

A crash before the commit leaves nothing; after one between commit and answer, the client's repeat finds the post by its
token.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.ingest_caches import BatchFacts, IngestCaches
from pipeline.stages.new_post import (
    PostPlan,
    Submission,
    accept_stored,
    build_post,
    dispatch_stored,
    plan_post,
)
from pipeline.stages.post_request import AcceptanceWarning, AcceptedPost, PostRequest, Refusal
from pipeline.stages.replay import build_token, find_replay, find_replays
from pipeline.stages.rule_inputs import RuleInputs
from pipeline.stages.warnings import DailyCounts, warn_of_checks, warn_of_expiring_grant, warn_of_problems
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.database import Unreachable
from pipeline.store.posts import insert_batch as store

log = logging.getLogger("slipway.ingest")

MAX_BATCH = 64
"""Posts in one transaction: more would only make the first of them wait for the last."""

_STATEMENT_ERRORS = ("25P03", "40", "55", "57014")
"""SQLSTATEs of what ends a transaction while the server is there: our slowness, a deadlock, a lock, a time limit."""

Outcome = AcceptedPost | PostPlan | Exception
"""Stored or found · awaiting its checks: ``finish`` it · refused, or failed for a reason of its own."""


class BatchIngest:
    """Ingest of one batch after the other, with caches between them: for one thread."""

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
        except Unreachable as error:
            if not is_statement_error(error):
                raise
            log.warning("a batch of %s posts failed and is taken one by one: %s", len(batch), error)
        except Exception:
            log.exception("a batch of %s posts failed and is taken one by one", len(batch))
            self._caches.clear()
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


def _ingest(context: Context, caches: IngestCaches, batch: Sequence[Submission]) -> list[Outcome]:
    with context.database.once() as c:
        outcomes, stored = _store_batch(context, c, caches.read(c, batch), batch)
    failpoint("ingest.committed", *(o.id for o in outcomes if isinstance(o, AcceptedPost)))
    dispatch_stored(context, stored)
    return outcomes


def _store_batch(
    context: Context, c: Connection, facts: BatchFacts, batch: Sequence[Submission]
) -> tuple[list[Outcome], list[PostPlan]]:
    """Apply the rules, store the plans that are ready, and look for the posts of repeats."""
    tokens = [build_token(context, submission) for submission in batch]
    outcomes: list[Outcome] = [
        plan_submission(context, c, facts, s, t) for s, t in zip(batch, tokens, strict=True)
    ]
    ready = _pick_ready(outcomes)
    accepted = dict(zip(ready, store_plans(context, c, list(ready.values())), strict=True))
    stored = {n: answer for n, answer in accepted.items() if answer is not None}
    repeats = {n: (batch[n], t) for n, t in enumerate(tokens) if n not in stored}
    for n, answer in (stored | find_replays(context, c, repeats)).items():
        outcomes[n] = answer
    return outcomes, [ready[n] for n in stored]


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
    links = media_checks.list_links(request.media, None)
    checks = facts.checks_of(submission.workspace, links)
    try:
        accounts = rules.require_accounts(facts.accounts_of(submission), request.account_ids)
        plan = plan_post(
            context,
            submission,
            token=token,
            accounts=accounts,
            links=links,
            now=facts.now,
        )
        known = len(checks) == len(links) and request.music_url is None
        if known and inputs is not None and submission.judged == inputs.digest(submission, checks):
            plan.checks = checks
        else:
            plan.validate(context, checks if known else {})
        if request.music_url is not None:  # a bad link comes after the problems that no media fact decides
            plan.links = media_checks.list_links(
                request.media, rules.parse_music_link(context, request.music_url)
            )
        media_checks.refuse_files_of_others(context, c, submission.caller, plan.links)
    except Exception as error:  # noqa: BLE001  a refusal, or a bug in a platform's rules: other posts go on
        return error
    return plan


def _pick_ready(outcomes: Sequence[Outcome]) -> dict[int, PostPlan]:
    """Pick the plans to store now, by position."""
    plans = {n: plan for n, plan in enumerate(outcomes) if isinstance(plan, PostPlan)}
    return drop_repeats({n: plan for n, plan in plans.items() if plan.is_ready})


def drop_repeats(plans: Mapping[int, PostPlan]) -> dict[int, PostPlan]:
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
    if not warn:
        stored, _ = store.store_posts(c, posts, _window(context))
        return [
            accept_stored(plan, post, ()) if post.id in stored else None
            for plan, post in zip(plans, posts, strict=True)
        ]
    days = DailyCounts(
        context, c, [(plan.due_at, plan.accounts, plan.submission.request.options) for plan in plans]
    )
    stored, planned = store.store_posts(c, posts, _window(context), days.by_account)
    too_full = days.warn(planned)
    return [
        accept_stored(plan, post, [*_warn(plan), *too_full[n]]) if post.id in stored else None
        for n, (plan, post) in enumerate(zip(plans, posts, strict=True))
    ]


def _warn(plan: PostPlan) -> list[AcceptanceWarning]:
    grants = [
        warning for account in plan.accounts for warning in warn_of_expiring_grant(account, plan.due_at)
    ]
    return [*warn_of_checks(plan.submission.request, plan.checks), *warn_of_problems(plan.problems), *grants]


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
        [accepted] = store_plans(context, c, [plan])
    if accepted is None:
        return find_winner(context, plan.submission)
    failpoint("ingest.committed", accepted.id)
    dispatch_stored(context, [plan])
    return accepted


def find_winner(context: Context, submission: Submission) -> AcceptedPost:
    """Return the post of the equal request that took the token first. Raises Refusal if there is none yet."""
    with context.database.begin() as c:
        if winner := find_replay(context, c, submission):
            return winner
    raise Refusal(500, "create_failed", "An equal request was being stored. Repeat it.")


def build_caches(context: Context) -> IngestCaches:
    """Return empty caches."""
    fresh = timedelta(seconds=context.settings.reachability.fresh)
    return IngestCaches(fresh, context.files.addresses.public_url(""))


def _window(context: Context) -> timedelta:
    return timedelta(seconds=context.settings.ingest.dedupe_window)


def is_statement_error(error: Unreachable) -> bool:
    """Return True if the server is there and only ended this statement."""
    state = getattr(getattr(error.__cause__, "orig", None), "sqlstate", None)
    return bool(state) and str(state).startswith(_STATEMENT_ERRORS)
