"""The reachability stage: check one media or music URL, and move the posts that wait for it.

Takes undecided checks in the order of their due times, fairly between workspaces and hosts. The verdict and the moves
of all waiting deliveries are one transaction. Each waiting post is locked before its checks are read again, so that of
two verdicts stored at the same time the second sees the first. A crash leaves the check undecided: its lease expires
and it is dispatched again. The thumbnail of a good file comes after its verdict.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.errors import AdapterError, Permanent, StorageFault
from config.logging import log_event
from pipeline.domain.delivery import Mover, State
from pipeline.domain.post import backoff
from pipeline.domain.shares import Shares
from pipeline.media.fetch import Opener
from pipeline.media.probe.probe import ProbedMedia, probe
from pipeline.media.probe.range_source import ProbeLimits
from pipeline.media.url_policy import Refused, Unanswered
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.stages.delay import TooLate
from pipeline.stages.derived_images import is_converted_for_any
from pipeline.stages.post_rules import build_music_resolver, find_problems
from pipeline.stages.replay import read_content
from pipeline.stages.thumbnails import make_thumbnail
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import Check
from pipeline.store.checks.claim import ClaimedCheck, HostLimit, claim_next_check
from pipeline.store.counters.counters import STORAGE_FAULT
from pipeline.store.database import Unreachable, jsonb
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.deliveries.move import move
from pipeline.store.files import files
from pipeline.store.posts import pins as waiting

log = logging.getLogger("slipway.reachability")

PAUSES = (timedelta(seconds=5), timedelta(minutes=5))
"""First and longest pause between two tries of a URL that does not answer."""
HOLD_MARGIN = timedelta(seconds=10)
"""How much longer than its time a try may hold the slot of its host, to end and to store its finding."""
ENDLESS = timedelta(days=36_500)
"""Grace of a check that a fault of our own storage holds up: no post fails of that, unless it expires."""
NAMED_POSTS = 20
"""Posts that the line of an alarm names."""
NOT_CHECKED = "it could not be checked in time"
"""The reason of a post that fails because a fault of this installation lasted longer than its time allows."""


def run_due_checks(context: Context) -> int:
    """Try the URLs that are due, one after another, and return how many were tried.

    A message starts this on one slot, whichever check it names: which check runs is decided by due time and by the
    shares of workspaces and hosts (``limits/shared_slots.py``). It ends when no check may be claimed, or after the
    time of a slice; then another message continues it. Nothing is tried while a restore is not accepted, as a verdict
    could fail posts that are live; maintenance sends messages for due checks.
    """
    if context.send_guard.find_doubt() is not None:
        return 0
    until = time.monotonic() + context.settings.reachability.slice
    tried = 0
    while claimed := context.check_slots.claim(partial(_claim, context), slow_first=tried > 0):
        try:
            run_claimed(context, claimed.check)
        finally:
            context.check_slots.release(claimed)
        tried += 1
        if time.monotonic() > until or context.shutdown.time_left() is not None:
            context.dispatcher.send_checks([claimed.check.id])
            break
    return tried


def _claim(context: Context, shares: Shares, slow: bool) -> ClaimedCheck | None:
    limits = context.settings.reachability
    lease = timedelta(seconds=limits.lease)
    hosts = HostLimit(
        slots=limits.per_host, hold=timedelta(seconds=_get_time(context, slow=slow)) + HOLD_MARGIN
    )
    with context.database.begin() as c:
        return claim_next_check(c, lease, shares, hosts, slow=slow)


def run_claimed(context: Context, check: Check) -> str:
    """Try the URL of a claimed check once. Return the verdict, ``postponed``, or ``slow`` if it needs more time."""
    with context.shutdown.requeue_on_timeout(partial(_requeue, context, check)):
        failpoint("reachability.claimed", check.id)
        return _try_check(context, check)


def _requeue(context: Context, check: Check) -> None:
    """Give up the claim of a check at the end of this process, and dispatch the check for another one."""
    with context.database.begin() as c:
        store.requeue_check(c, check.id)
    context.dispatcher.send_checks([check.id])


def _try_check(context: Context, check: Check) -> str:
    seconds = _get_time(context, slow=check.slow)
    until = time.monotonic() + seconds
    try:
        facts, probed = _inspect(context, check, seconds)
    except (Refused, Permanent) as error:
        return _store_verdict(context, check, "refused", None, _describe_error(error))
    except StorageFault as error:
        posts = _name_posts(context, check)
        log.error("ALARM check %s waits for the file storage: %s; %s", check.id, error, posts)  # noqa: TRY400  no bug of ours
        return _postpone_or_give_up(context, check, NOT_CHECKED, fault=STORAGE_FAULT, grace=ENDLESS)
    except (Unanswered, AdapterError) as error:
        needs_time = not check.slow and time.monotonic() >= until
        return _postpone_or_give_up(context, check, _describe_error(error), needs_time=needs_time)
    except Exception as error:  # a fault of ours, which no customer is to read as one of the file
        posts = _name_posts(context, check)
        log.exception(
            "ALARM check %s failed by a fault of this installation and is tried again; %s", check.id, posts
        )
        return _postpone_or_give_up(context, check, NOT_CHECKED, fault=type(error).__name__)
    verdict = _store_verdict(context, check, "good", facts, "ok")
    if probed is not None:
        make_thumbnail(context, check.id, probed)
    return verdict


def _name_posts(context: Context, check: Check) -> str:
    """Return the first posts that wait for a check, with their deliveries and requests, for the log."""
    with suppress(Unreachable), context.database.begin() as c:
        return "; ".join(
            f"post={post.id} delivery={d.id} request_id={d.request_id or '-'}"
            for post in waiting.list_waiting(c, check.id)[:NAMED_POSTS]
            for d in waiting.list_accepted_deliveries(c, post.id)
        )
    return ""


def _get_time(context: Context, *, slow: bool) -> float:
    """Return the seconds that one try may take in all."""
    limits = context.settings.reachability
    return limits.slice if slow else min(limits.first_slice, limits.slice)


def _inspect(context: Context, check: Check, seconds: float) -> tuple[dict[str, Any], ProbedMedia | None]:
    if check.purpose == "music":
        resolver = build_music_resolver(context)
        if resolver is None:
            raise Refused("music links cannot be resolved here")
        return asdict(resolver.resolve_music(check.url)), None
    limits = ProbeLimits(seconds=seconds, memory=context.settings.reachability.probe_memory)
    opener, needs_hash = _choose_opener(context, check), partial(is_converted_for_any, context)
    probed = probe(opener, check.url, check.purpose, limits=limits, needs_hash=needs_hash)
    # only what is known: older processes read these facts too, and refuse a name that they do not know
    return {name: value for name, value in asdict(probed.facts).items() if value is not None}, probed


def _choose_opener(context: Context, check: Check) -> Opener:
    """Return the opener of the URL: uploaded files are read as the check's workspace, any other URL by the fetcher."""
    if context.files.addresses.parse_name(check.url) is None:
        return context.fetcher
    with context.database.begin() as c:
        return context.files.open_workspace(files.find_workspace_of_check(c, check.id))


def _describe_error(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "message", None) or str(error)


def _store_verdict(
    context: Context, check: Check, verdict: store.Verdict, facts: dict[str, Any] | None, seen: str
) -> str:
    failpoint("reachability.seen", check.id)
    with context.database.begin() as c:
        _decide_check(context, c, check, verdict, facts, seen)
    failpoint("reachability.decided", check.id)
    context.dispatcher.send_slot_now()
    return verdict


def _decide_check(
    context: Context,
    c: Connection,
    check: Check,
    verdict: store.Verdict,
    facts: dict[str, Any] | None,
    seen: str,
) -> None:
    if store.decide_check(c, check.id, verdict, facts=facts, seen=seen):
        for post in waiting.list_waiting(c, check.id):
            advance_post(context, c, post.id)


def _postpone_or_give_up(
    context: Context,
    check: Check,
    seen: str,
    *,
    needs_time: bool = False,
    fault: str | None = None,
    grace: timedelta | None = None,
) -> str:
    """Postpone the check while a stored post may wait for it (its due time plus a grace); otherwise decide it.

    The check is locked first: a post that pins it at the same time is either seen here or sees the verdict.
    ``needs_time``: the URL may answer if it gets more time, so it is tried again at once on one of the few slow slots.
    ``fault``: what failed here. Then the check waits without a post too, so that a request in progress is accepted and
    not refused; ``seen`` is for posts whose time is over. ``grace``: by default that of the settings.
    """
    failpoint("reachability.seen", check.id)
    grace = grace or timedelta(seconds=context.settings.reachability.grace)
    with context.database.begin() as c:
        if not store.lock_undecided(c, check.id):
            return "unanswered"
        is_patient = bool(waiting.list_within_grace(c, check.id, grace))
        is_patient = is_patient or (fault is not None and store.is_within_grace(c, check.id, grace))
        if not is_patient:
            _decide_check(context, c, check, "unanswered", None, seen)
        elif needs_time:
            store.move_to_slow_lane(c, check.id)
        else:
            _postpone(c, check, seen, grace, fault)
    failpoint("reachability.unanswered", check.id)
    if is_patient and needs_time:
        context.dispatcher.send_checks([check.id])
        return "slow"
    context.dispatcher.send_slot_now()
    return "postponed" if is_patient else "unanswered"


def _postpone(c: Connection, check: Check, seen: str, grace: timedelta, fault: str | None) -> None:
    tries = store.read_tries(c, check.id)
    wait = backoff(tries, base=PAUSES[0], cap=PAUSES[1], chance=1.0)
    store.postpone_check(c, check.id, wait, None if fault else seen, fault)
    for post in waiting.list_past_grace(c, check.id, grace):
        waiting.lock_waiting_post(c, post.id)
        # read again under the lock: an edit may have changed the post's media or time since
        if post.id in {p.id for p in waiting.list_past_grace(c, check.id, grace)}:
            for d in waiting.list_accepted_deliveries(c, post.id):
                is_past = post.is_expired or d.late_for >= grace
                if is_past and check.id in {one.id for one in d.checks.values()}:
                    error = TooLate() if post.is_expired else _build_unusable(check, seen)
                    _move(c, post.id, d, State.FAILED, error)


def advance_post(context: Context, c: Connection, post_id: UUID) -> None:
    """Move a post's accepted deliveries on after one of its checks was decided. Locks the post first.

    The post is read under its lock: an edit may have changed it since it was listed as waiting.
    """
    post = waiting.lock_waiting_post(c, post_id)
    if post is None:
        return
    deliveries = waiting.list_accepted_deliveries(c, post.id)
    accounts = {a.id: a for a in find_accounts(c, post.workspace_id, [d.account_id for d in deliveries])}
    for d in deliveries:
        bad = next((one for one in d.checks.values() if one.verdict in ("refused", "unanswered")), None)
        if bad is not None:
            _move(c, post.id, d, State.FAILED, _build_unusable(bad, bad.seen or ""))
        elif all(one.verdict is not None for one in d.checks.values()):
            _schedule_or_fail(context, c, post, d, accounts[d.account_id])


def _schedule_or_fail(
    context: Context,
    c: Connection,
    post: waiting.WaitingPost,
    d: waiting.AcceptedDelivery,
    account: AccountRow,
) -> None:
    """Schedule a delivery whose post is valid for its account, else fail it with the adapter's message."""
    own = {} if d.own is None else {d.account_id: d.own}
    content = read_content(post, own).for_account(d.account_id)
    found = find_problems(context, content, [account], d.checks)
    refused = [m for m in found if m.problem.severity == "refuse"]
    if refused:
        _move(c, post.id, d, State.FAILED, Invalid(" ".join(m.sentence for m in refused)))
    else:
        _move(c, post.id, d, State.SCHEDULED, None)


def _build_unusable(bad: Check, seen: str) -> Permanent:
    """Return the error of a delivery that waits for a bad check, with the code the request would have got."""
    code = "invalid_music_url" if bad.purpose == "music" else "media_unreachable"
    return Invalid(f"{bad.url} cannot be used: {seen}.", code=code)


def _move(
    c: Connection,
    post: UUID,
    d: waiting.AcceptedDelivery,
    target: State,
    error: Exception | None,
) -> None:
    """Move one delivery. Without *error* the stored one stays: it lets the retry of an expired post be late.

    A failed one is logged; again if the transaction dies and is repeated.
    """
    if error is not None:
        fields = {"state": target, "code": getattr(error, "code", None), "delivery": d.id, "post": post}
        log_event(log, logging.INFO, "refusal", {**fields, "request_id": d.request_id})
    move(
        c,
        delivery=d.id,
        post=post,
        origin=State.ACCEPTED,
        target=target,
        mover=Mover.REACHABILITY,
        generation=d.generation,
        changes=None if error is None else {"error": jsonb(error_to_dict(error))},
        why=None if error is None else str(error)[:500],
    )


class Invalid(Permanent):
    """The post cannot be published as it is; the code is one of the HTTP contract."""

    code = "validation_failed"
