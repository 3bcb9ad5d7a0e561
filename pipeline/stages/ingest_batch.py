"""Group commit: posts that arrive together are stored by one transaction; each is answered only after its commit.

Only what is plain goes this way: a request that breaks no rule and whose media are all known to be good, or a repeat.
Nobody is asked beforehand whether it is one: a token that is taken keeps a post from being stored, and then the post
that has it is looked up. Everything else (refusals, media to be looked at) is left to ``ingest.accept``, one by one, in
the order of the contract. So is a group that the database refused: whoever was at fault then harms nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import DailyPer, Platform
from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.ingest_caches import GoodChecks, KnownAccounts
from pipeline.stages.new_post import Draught, drawn, new_post, repeated, ring, taken, token_of
from pipeline.stages.platform_validation import misfits
from pipeline.stages.post_request import Accepted, PostRequest, Refusal, Warned
from pipeline.stages.warnings import daily_posts, of_day, of_grant, of_misfits
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.database import Unreachable
from pipeline.store.deliveries.daily_quota import planned_in_day
from pipeline.store.deliveries.ownership import accounts_within
from pipeline.store.posts import insert_batch as store
from pipeline.store.posts.posts import NewPost

log = logging.getLogger("slipway.ingest")

MOST = 64
"""Posts in one transaction: more would only make the first of them wait for the last."""

_DAY = timedelta(days=1)
_NOT_AWAY = ("40", "55", "57014")
"""SQLSTATE classes of what a statement, not the server, ran into: a deadlock, a lock, a time limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request of a group."""

    caller: Caller
    request: PostRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What the database says about a whole group."""

    now: datetime
    accounts: Mapping[UUID, AccountRow]
    checks: Mapping[store.Link, Check]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """A post that breaks no rule, and what its client should know."""

    draught: Draught
    post: NewPost
    warnings: list[Warned]


class GroupCommit:
    """Takes groups, one after the other: for one thread."""

    def __init__(self, context: Context) -> None:
        self._core = context
        self._known = KnownAccounts()
        self._good = GoodChecks(timedelta(seconds=context.settings.reachability.fresh))

    def take(self, group: Sequence[Asked]) -> list[Accepted | None]:
        """The answers, in order; None = this one is to be taken alone. Raises Unreachable, for all of them."""
        try:
            with self._core.database.once() as c:
                answers, stored = _worked(self._core, c, self._ask(c, group), group)
        except Unreachable as error:
            if not _refused(error):
                raise
            log.warning("a group of %s posts is taken one by one: %s", len(group), error)
            return [None] * len(group)
        except Exception:
            log.exception("a group of %s posts is taken one by one", len(group))
            self._known.forget()
            self._good.forget()
            return [None] * len(group)
        failpoint("ingest.committed")
        ring(self._core, stored)
        return answers

    def _ask(self, c: Connection, group: Sequence[Asked]) -> _Known:
        """One question for the clock and the accounts, whatever the size of the group, and for what is not known."""
        wanted = {
            (a.caller.workspace_id, purpose, url)
            for a in group
            for _, purpose, url in links.links_of(a.request.media, None)
        }
        now, accounts = self._known.find(c, {i for a in group for i in a.request.account_ids})
        return _Known(now=now, accounts=accounts, checks=self._good.find(c, wanted, now))


def _worked(
    context: Context, c: Connection, known: _Known, group: Sequence[Asked]
) -> tuple[list[Accepted | None], list[Draught]]:
    tokens = [token_of(context, asked.caller, asked.request) for asked in group]
    candidates: dict[int, _Candidate] = {}
    mine: set[tuple[UUID, str]] = set()
    for n, (asked, token) in enumerate(zip(group, tokens, strict=True)):
        found = _judged(context, known, asked, token)
        if found is not None and _first(mine, found.post):
            candidates[n] = found
    stored = _store(context, c, list(candidates.values()))
    answers: list[Accepted | None] = [None] * len(group)
    for n, candidate in candidates.items():
        if candidate.post.id in stored:
            answers[n] = taken(candidate.draught, candidate.post, candidate.warnings)
    repeats = {n: t for n, t in enumerate(tokens) if answers[n] is None and t is not None}
    for n, answer in _repeated(context, c, group, repeats):
        answers[n] = answer
    return answers, [k.draught for k in candidates.values() if k.post.id in stored]


def _repeated(
    context: Context, c: Connection, group: Sequence[Asked], tokens: Mapping[int, str]
) -> Iterator[tuple[int, Accepted]]:
    """Of those that were not stored: the posts that equal requests made."""
    if not tokens:
        return
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    names = {n: (group[n].caller.workspace_id, token) for n, token in tokens.items()}
    replays = store.find_replays(c, list(dict.fromkeys(names.values())), window)
    for n, name in names.items():
        found = replays.get(name)
        if found is not None and found.body_sha256 == group[n].request.body_sha256:
            yield n, repeated(found.post_id, due_at=found.due_at, created_at=found.created_at)


def _judged(context: Context, known: _Known, asked: Asked, token: str | None) -> _Candidate | None:
    """A post that may be stored, or None: for ``accept``, which knows what to say and to whom to ring."""
    caller, request = asked.caller, asked.request
    checks = _checks_of(known, asked)
    if checks is None or request.music_url is not None:
        return None
    try:
        accounts = rules.chosen(_visible(known, asked), request.account_ids)
        draught = drawn(context, caller, request, token=token, accounts=accounts, now=known.now)
        draught.checks = checks
        problems = misfits(context, request, accounts, links.facts_of(checks), None)
    except Refusal:
        return None
    except Exception:
        log.exception("a post is taken on its own: its rules could not be asked")
        return None
    if any(rules.refuses(context, m) for m in problems):
        return None
    grants = [w for a in accounts for w in of_grant(a, draught.due_at)]
    return _Candidate(
        draught=draught, post=new_post(context, draught), warnings=[*of_misfits(problems), *grants]
    )


def _visible(known: _Known, asked: Asked) -> dict[UUID, AccountRow]:
    """The accounts that this caller may name."""
    mine = asked.caller.workspace_id
    ids = accounts_within(asked.request.account_ids, asked.caller.accounts) or ()
    found = [a for a in map(known.accounts.get, ids) if a is not None]
    return {a.id: a for a in found if a.workspace_id == mine}


def _checks_of(known: _Known, asked: Asked) -> dict[int, Check] | None:
    """A good check of each of its media; None when one is missing."""
    checks = {}
    for position, purpose, url in links.links_of(asked.request.media, None):
        found = known.checks.get((asked.caller.workspace_id, purpose, url))
        if found is None:
            return None
        checks[position] = found
    return checks


def _first(mine: set[tuple[UUID, str]], post: NewPost) -> bool:
    """Whether no neighbour has this post's token: who comes second finds the first one's post, once it is stored."""
    if post.replay_token is None:
        return True
    token = (post.workspace_id, post.replay_token)
    if token in mine:
        return False
    mine.add(token)
    return True


def _store(context: Context, c: Connection, candidates: Sequence[_Candidate]) -> set[UUID]:
    """The one commit: a single statement, which is its own transaction."""
    if not candidates:
        return set()
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    days = [
        (candidate, account)
        for candidate in candidates
        for account in candidate.draught.accounts
        if daily_posts(context, account) is not None
    ]
    own = [(k, account) for k, account in days if _per(context, account) == "account"]
    shared = [(k, account) for k, account in days if _per(context, account) != "account"]
    of_app = [planned_in_day(c, a.id, k.post.due_at, _per(context, a)) for k, a in shared]
    stored, of_accounts = store.store_posts(
        c, [k.post for k in candidates], window, [(account.id, k.post.due_at) for k, account in own]
    )
    _warn_of_days(context, own + shared, of_accounts + of_app)
    return stored


def _per(context: Context, account: AccountRow) -> DailyPer:
    return context.adapters[account.platform].capabilities.daily_per


def _warn_of_days(
    context: Context, days: Iterable[tuple[_Candidate, AccountRow]], planned: Iterable[int]
) -> None:
    """As if they had been stored one after the other: each counts itself and its neighbours before it."""
    before: dict[UUID | Platform, list[datetime]] = {}
    for (candidate, account), stored in zip(days, planned, strict=True):
        due = candidate.post.due_at
        whose = account.id if _per(context, account) == "account" else account.platform
        mine = before.setdefault(whose, [])
        mine.append(due)
        count = stored + sum(due - _DAY < other <= due for other in mine)
        candidate.warnings.extend(of_day(context, account, count))


def _refused(error: Unreachable) -> bool:
    """Whether the server is there and has only turned this statement down."""
    state = getattr(getattr(error.__cause__, "orig", None), "sqlstate", None)
    return bool(state) and str(state).startswith(_NOT_AWAY)
