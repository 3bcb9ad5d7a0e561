"""Times of single accounts that an edit sets: the next free posting times, or those of before a change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.post_changes import Change, Undoing
from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.own_content import OwnContent
from pipeline.domain.posting_times import AutoTime
from pipeline.stages.mandate import find_earliest
from pipeline.stages.posting_times import find_times, lock_taken
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.posts.actions import LockedPost


def fix_times(c: Connection, caller: Caller, post: LockedPost, change: Change) -> Change:
    """Return the change with the times that are free now. Raises Refusal if an account has none within a year.

    What the post itself has taken is free for it, and for nobody else until the commit.
    """
    own = {p.account_id: p.own for p in post.deliveries if p.own is not None}
    own = dict(change.own) if "accounts" in change.given else own
    asked = _list_asked(post, change, own)
    if not asked:
        return change
    accounts = {account.id: account for account in find_accounts(c, caller.workspace_id, list(asked))}
    taken = lock_taken(c, asked, post.now)
    for part in post.deliveries:
        if part.state not in SETTLED and part.due_at in taken.get(part.account_id, ()):
            taken[part.account_id].remove(part.due_at)
    known = {i: auto for i, auto in asked.items() if i in accounts}
    found = find_times(known, accounts, caller.time_zone, taken, find_earliest(caller, post.now))
    if len(found) == 1 and not own and "accounts" not in change.given:
        return replace(change, auto=None, scheduled_at=next(iter(found.values())))
    timed = {i: replace(own.get(i) or OwnContent(), scheduled_at=at, auto=None) for i, at in found.items()}
    return replace(
        change,
        auto=None,
        given=(change.given - {"scheduled_at"}) | {"accounts"},
        account_ids=change.account_ids or _list_present(post),
        own={**own, **timed},
        shifts=False,
    )


def _list_present(post: LockedPost) -> list[UUID]:
    return [part.account_id for part in post.deliveries if part.state is not State.CANCELLED]


def _list_asked(post: LockedPost, change: Change, own: Mapping[UUID, OwnContent]) -> dict[UUID, AutoTime]:
    """Return the accounts whose times are to be found: not of what they have published."""
    published = {part.account_id for part in post.deliveries if part.state is State.PUBLISHED}
    asked: dict[UUID, AutoTime] = {}
    for account in change.account_ids if "accounts" in change.given else _list_present(post):
        entry = own.get(account)
        has_time = entry is not None and entry.scheduled_at is not None and "accounts" in change.given
        auto = entry.auto if entry is not None and entry.auto is not None else change.auto
        if auto is not None and not has_time and account not in published:
            asked[account] = auto
    return asked


def move_singly(post: LockedPost, undoes: Undoing) -> Change:
    """Return the edit that gives each account its earlier time, as its own."""
    there = [part for part in post.deliveries if part.state is not State.CANCELLED]
    own = {part.account_id: part.own for part in there if part.own is not None}
    for part in there:
        if part.id in undoes.befores:
            at = undoes.befores[part.id].due_at
            own[part.account_id] = replace(part.own or OwnContent(), scheduled_at=at)
    accounts = [part.account_id for part in there]
    return Change(given=frozenset({"accounts"}), account_ids=accounts, own=own, undoes=undoes)
