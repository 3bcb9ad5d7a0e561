"""Looking at one media or music URL, and moving the posts that wait for it.

Reads undecided checks, one message per URL. The verdict and the moves of every waiting delivery are one transaction;
each waiting post is locked before its checks are read again, so that two verdicts landing together cannot both
believe the other is still open. A crash leaves the check undecided: its lease runs out and it is rung again.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform, ResolvesMusic
from adapters.errors import AdapterError, Permanent
from pipeline.context import Context
from pipeline.domain.delivery import Mover, State
from pipeline.domain.schedule import backoff
from pipeline.failpoint import failpoint
from pipeline.media.opener import Opener
from pipeline.media.probe.probe import probe
from pipeline.media.refusal import Refused, Unanswered
from pipeline.stages.platform_validation import misfits
from pipeline.stages.post_request import Content
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import Check
from pipeline.store.database import jsonb
from pipeline.store.deliveries.moves import error_fields, move
from pipeline.store.files import files
from pipeline.store.posts import awaiting_checks as waiting

log = logging.getLogger("slipway.reachability")

PAUSES = (timedelta(seconds=5), timedelta(minutes=5))
"""First and longest pause between two tries of a URL that does not answer."""


def check(context: Context, check_id: UUID) -> str | None:
    """One try of one URL: the verdict's name, ``postponed``, or None when it is decided or taken.

    None too while a restore is not accepted: a verdict would fail posts that may be live. It is rung again.
    """
    if context.send_guard.doubt() is not None:
        return None
    lease = timedelta(seconds=context.settings.reachability.lease)
    with context.database.begin() as c:
        taken = store.claim_check(c, check_id, lease)
    if taken is None:
        return None
    with context.shutdown.holding(partial(_hand_back, context, taken)):
        failpoint("reachability.claimed", taken.id)
        return _tried(context, taken)


def _hand_back(context: Context, taken: Check) -> None:
    """This process ends in the middle of it: another one tries it at once."""
    with context.database.begin() as c:
        store.give_back_check(c, taken.id)
    context.dispatcher.checks([taken.id])


def _tried(context: Context, taken: Check) -> str:
    try:
        facts = _see(context, taken)
    except (Refused, Permanent) as error:
        return _decide(context, taken, "refused", None, _sentence(error))
    except (Unanswered, AdapterError) as error:
        return _unanswered(context, taken, _sentence(error))
    except Exception as error:  # a bug of ours must not leave a post waiting for ever
        log.exception("unforeseen while checking %s", taken.id)
        return _unanswered(context, taken, f"it could not be checked ({type(error).__name__})")
    return _decide(context, taken, "good", facts, "ok")


def _see(context: Context, taken: Check) -> dict[str, Any]:
    if taken.purpose == "music":
        adapter = context.adapter(Platform.TIKTOK, context.client())
        if not isinstance(adapter, ResolvesMusic):
            raise Refused("music links cannot be resolved here")
        return asdict(adapter.resolve_music(taken.url))
    return asdict(probe(_opener(context, taken), taken.url, taken.purpose))


def _opener(context: Context, taken: Check) -> Opener:
    """Uploaded files are asked for in the name of the check's workspace; for other URLs it is all the same."""
    if context.files.addresses.name_in(taken.url) is None:
        return context.fetcher
    with context.database.begin() as c:
        return context.files.opener(files.workspace_of_check(c, taken.id))


def _sentence(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "message", None) or str(error)


def _decide(
    context: Context, taken: Check, verdict: store.Verdict, facts: dict[str, Any] | None, seen: str
) -> str:
    failpoint("reachability.seen", taken.id)
    with context.database.begin() as c:
        _conclude(context, c, taken, verdict, facts, seen)
    failpoint("reachability.decided", taken.id)
    context.dispatcher.now()
    return verdict


def _conclude(
    context: Context,
    c: Connection,
    taken: Check,
    verdict: store.Verdict,
    facts: dict[str, Any] | None,
    seen: str,
) -> None:
    if store.decide_check(c, taken.id, verdict, facts=facts, seen=seen):
        for post in waiting.posts_waiting_for(c, taken.id):
            advance(context, c, post.id)


def _unanswered(context: Context, taken: Check, seen: str) -> str:
    """Nobody answered: final for a request that waits, but posts already taken have until their time plus a grace.

    The check is locked first: a post that pins it now is either seen here, or sees what is decided here.
    """
    failpoint("reachability.seen", taken.id)
    grace = timedelta(seconds=context.settings.reachability.grace)
    with context.database.begin() as c:
        if not store.lock_undecided(c, taken.id):
            return "unanswered"
        patient = waiting.posts_still_patient(c, taken.id, grace)
        if patient:
            _postpone(c, taken, seen, grace)
        else:
            _conclude(context, c, taken, "unanswered", None, seen)
    failpoint("reachability.unanswered", taken.id)
    context.dispatcher.now()
    return "postponed" if patient else "unanswered"


def _postpone(c: Connection, taken: Check, seen: str, grace: timedelta) -> None:
    tries = store.tries_of(c, taken.id)
    wait = backoff(tries, base=PAUSES[0], cap=PAUSES[1], chance=1.0)
    store.postpone_check(c, taken.id, wait, seen)
    for post in waiting.posts_out_of_patience(c, taken.id, grace):
        waiting.locked(c, post.id)
        # asked again under its lock: an edit may have given it other media, or another time, since
        if post.id in {p.id for p in waiting.posts_out_of_patience(c, taken.id, grace)}:
            fail_post(c, post.id, *_blame(taken, seen))


def advance(context: Context, c: Connection, post_id: UUID) -> None:
    """Moves a post's accepted deliveries on, now that one of its checks is decided. Locks the post first.

    Judged is what the post says under its lock: an edit may have changed it since it was found to wait.
    """
    post = waiting.locked(c, post_id)
    if post is None:
        return
    checks = waiting.checks_of(c, post.id)
    for bad in checks.values():
        if bad.verdict in ("refused", "unanswered"):
            fail_post(c, post.id, *_blame(bad, bad.seen or ""))
            return
    if any(one.verdict is None for one in checks.values()):
        return
    _schedule(context, c, post, checks)


def _schedule(context: Context, c: Connection, post: waiting.WaitingPost, checks: dict[int, Check]) -> None:
    """All good: what fits its account is scheduled, what does not fails with the adapter's sentence."""
    content = Content(
        caption=post.caption,
        media=post.media,
        music_url=post.music_url,
        tiktok=post.tiktok,
        pinterest=post.pinterest,
    )
    facts = {n: one.media_facts for n, one in checks.items() if n >= 0}
    track = checks[-1].track if -1 in checks else None
    deliveries = waiting.accepted_deliveries(c, post.id)
    accounts = {a.id: a for a in find_accounts(c, post.workspace_id, [d.account_id for d in deliveries])}
    for d in deliveries:
        found = misfits(context, content, [accounts[d.account_id]], facts, track)
        refused = [m for m in found if m.problem.severity == "refuse"]
        if refused:
            error = Invalid(" ".join(m.sentence for m in refused))
            _move(c, post.id, d, State.FAILED, error)
        else:
            _move(c, post.id, d, State.SCHEDULED, None)


def fail_post(c: Connection, post: UUID, code: str, message: str) -> None:
    """Fails all that still waits of a post, with the code the request would have got. The caller locked the post."""
    for d in waiting.accepted_deliveries(c, post):
        _move(c, post, d, State.FAILED, Invalid(message, code=code))


def _move(
    c: Connection,
    post: UUID,
    d: waiting.AcceptedDelivery,
    target: State,
    error: Exception | None,
) -> None:
    """Without an error the one it has stays: a retry of a post that was too late says by it that it may be late."""
    move(
        c,
        delivery=d.id,
        post=post,
        origin=State.ACCEPTED,
        target=target,
        mover=Mover.REACHABILITY,
        generation=d.generation,
        changes=None if error is None else {"error": jsonb(error_fields(error))},
        why=None if error is None else str(error)[:500],
    )


def _blame(bad: Check, seen: str) -> tuple[str, str]:
    code = "invalid_music_url" if bad.purpose == "music" else "media_unreachable"
    return code, f"{bad.url} cannot be used: {seen}."


class Invalid(Permanent):
    """The post cannot go out as it is; the code is the contract's."""

    code = "validation_failed"
