"""Find the next free posting times of accounts, for posts that ask for them.

The accounts are locked until the commit, so that of requests that arrive together each finds the times that the others
have taken; the times of a post that is moved or cancelled are free again, as they follow from its deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.own_content import OwnContent
from pipeline.domain.posting_times import LONGEST_GAP, AutoTime, PostingTimes
from pipeline.stages.mandate import find_earliest, refuse_beyond_mandate
from pipeline.stages.new_post import PostPlan
from pipeline.stages.post_request import PostRequest, Refusal
from pipeline.stages.post_rules import build_refusal, describe_account
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.accounts.posting_times import list_taken, lock_accounts
from pipeline.store.health import database_now

LOOK_BACK = LONGEST_GAP + timedelta(days=2)
"""How long before the first time posts matter: a gap, and the rest of its day."""


def find_times(
    asked: Mapping[UUID, AutoTime],
    accounts: Mapping[UUID, AccountRow],
    zone: str,
    taken: dict[UUID, list[datetime]],
    now: datetime,
) -> dict[UUID, datetime]:
    """Return the next free time of each account that asks, and add it to *taken*. Raises Refusal if there is none."""
    found: dict[UUID, datetime] = {}
    for identity, auto in asked.items():
        account = accounts[identity]
        times = PostingTimes.from_dict(account.posting_times, zone)
        after = now if auto.after is None else max(auto.after, now)
        free = times.find_free(after, taken.get(identity, ()))
        if free is None:
            message = (
                f"{describe_account(account)} has no free posting time within a year of {after.isoformat()}."
            )
            raise build_refusal("scheduled_at", message)
        taken.setdefault(identity, []).append(free)
        found[identity] = free
    return found


def lock_taken(c: Connection, accounts: Iterable[UUID], since: datetime) -> dict[UUID, list[datetime]]:
    """Lock the accounts, and return the times that their posts have taken around *since* and later."""
    ids = sorted(set(accounts))
    lock_accounts(c, ids)
    return dict(list_taken(c, ids, since - LOOK_BACK))


def refuse_taken(
    c: Connection, accounts: Iterable[AccountRow], dues: Mapping[UUID, datetime], zone: str, now: datetime
) -> None:
    """Raise Refusal if a post of an account is due within its least gap of the time that *dues* has for it.

    Until the commit no other post that asks for a free time takes it.
    """
    asked = {account.id: account for account in accounts if account.id in dues}
    taken = lock_taken(c, asked, now)
    for identity, account in asked.items():
        times = PostingTimes.from_dict(account.posting_times, zone)
        if times.is_close(dues[identity], taken.get(identity, ())):
            message = (
                f"{describe_account(account)}: another post has taken {dues[identity].isoformat()} since."
            )
            raise build_refusal("scheduled_at", message)


def assign_times(
    c: Connection, plans: Mapping[int, PostPlan], taken: dict[UUID, list[datetime]] | None = None
) -> dict[int, Refusal]:
    """Give the plans that ask for it the times of their accounts, in order; return the refusals of the others.

    ``taken``: the times that are taken, where the accounts are not locked because nothing is stored.
    """
    asking = {n: plan for n, plan in plans.items() if plan.submission.request.autos}
    if not asking:
        return {}
    now, refused = database_now(c), dict[int, Refusal]()
    if taken is None:
        taken = lock_taken(c, (i for plan in asking.values() for i in plan.submission.request.autos), now)
    for n, plan in asking.items():
        try:
            _assign(plan, taken, now)
        except Refusal as refusal:
            refused[n] = refusal
    return refused


def _assign(plan: PostPlan, taken: dict[UUID, list[datetime]], now: datetime) -> None:
    request, accounts = plan.submission.request, {account.id: account for account in plan.accounts}
    caller = plan.submission.caller
    found = find_times(request.autos, accounts, caller.time_zone, taken, find_earliest(caller, now))
    refuse_beyond_mandate(caller, request, found, now)
    late = [at for at in found.values() if request.expires_at is not None and request.expires_at <= at]
    if late:
        message = f"The next free posting time, {late[0].isoformat()}, is not before expires_at."
        raise build_refusal("expires_at", message)
    plan.submission = replace(plan.submission, request=set_times(request, found))
    plan.dues = {**plan.dues, **found}
    plan.due_at, plan.post = min(plan.dues.values()), None


def set_times(request: PostRequest, found: Mapping[UUID, datetime]) -> PostRequest:
    """Return the request with times: of the post where all of its accounts have the same, else of their entries."""
    if set(found) == set(request.account_ids) and len(set(found.values())) == 1 and not request.own:
        return replace(request, auto=None, scheduled_at=next(iter(found.values())))
    return replace(request, auto=None, own=give_times(request.own, found))


def give_times(own: Mapping[UUID, OwnContent], found: Mapping[UUID, datetime]) -> dict[UUID, OwnContent]:
    """Return the contents of accounts, with times of their own for these."""
    timed = {i: replace(own.get(i) or OwnContent(), scheduled_at=at, auto=None) for i, at in found.items()}
    return {**own, **timed}
