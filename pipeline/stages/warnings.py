"""Warnings about a post that is accepted: what the client should know. Warnings never block a post."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.post import NO_TIME
from pipeline.runtime.context import Context
from pipeline.stages.media_checks import get_track, list_media_facts, name_field
from pipeline.stages.neighbours import place, warn_of_stored
from pipeline.stages.platform_limits import find_daily_quota, find_post_quota, name_counted
from pipeline.stages.post_request import AcceptanceWarning, PostContent
from pipeline.stages.post_rules import AccountProblem, describe_account, find_problems
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.daily_quota import DailyQuota, count_planned
from pipeline.store.posts.options import Options

_DAY = timedelta(days=1)


def find_warnings(
    context: Context,
    c: Connection,
    post: UUID,
    content: PostContent,
    accounts: Sequence[AccountRow],
    dues: Mapping[UUID, datetime],
    checks: Mapping[int, Check],
    *,
    named: bool,
) -> list[AcceptanceWarning]:
    """Find all warnings of a stored post, those about the media first.

    *dues*: by account; ``named``: as in ``warn_of_neighbours``.
    """
    facts, track = list_media_facts(checks), get_track(checks)
    found = [
        *warn_of_checks(content, checks),
        *warn_of_problems(find_problems(context, content, accounts, facts, track)),
    ]
    found += [
        w
        for account in accounts
        for w in warn_of_account(
            context, c, account, dues[account.id], content.for_account(account.id).options
        )
    ]
    placed = place(post, content, accounts, dues)
    return found + [w for _, w in warn_of_stored(c, placed, named=named)]


def warn_of_problems(found: Iterable[AccountProblem]) -> Iterator[AcceptanceWarning]:
    """Warn of what a platform will publish differently than requested."""
    for m in found:
        if m.problem.severity == "warn":
            yield AcceptanceWarning(field=m.problem.field, message=m.sentence, code=m.problem.code)


def warn_of_checks(content: PostContent, checks: Mapping[int, Check]) -> Iterator[AcceptanceWarning]:
    """Warn of media and music whose checks are undecided."""
    undecided = sorted([position for position, check in checks.items() if check.verdict is None])
    for position in undecided:
        where = name_field(content, position)
        message = "The check is not finished; a bad result fails the post."
        yield AcceptanceWarning(field=where, message=message, code="REACHABILITY_PENDING")
    if 0 in undecided:
        yield from _warn_of_video(content.media, "")
    for account, own in content.own.items():
        if own.media is not None and own.base in undecided:
            yield from _warn_of_video(own.media, f"accounts[{account}].")


def _warn_of_video(media: Mapping[str, Any], where: str) -> Iterator[AcceptanceWarning]:
    """Warn of facts of a video that neither its check nor the request tells."""
    if media["type"] != "video":
        return
    if not media.get("duration_sec"):
        message = "The duration is not known yet."
        field = f"{where}media.duration_sec"
        yield AcceptanceWarning(field=field, message=message, code="VIDEO_DURATION_MISSING")
    if not all(media.get(name) for name in ("bytes", "width", "height")):
        message = "Size and dimensions are not known yet."
        yield AcceptanceWarning(field=f"{where}media", message=message, code="VIDEO_METADATA_MISSING")


def warn_of_account(
    context: Context,
    c: Connection,
    account: AccountRow,
    due_at: datetime,
    options: Options,
    unstored: int = 0,
) -> Iterator[AcceptanceWarning]:
    """Warn of an expiring grant and of a full day. ``unstored``: posts to count that are not in the database."""
    yield from warn_of_expiring_grant(account, due_at)
    quota = find_post_quota(context, account.platform, options)
    if quota and due_at < NO_TIME:
        planned = count_planned(c, account.id, due_at, quota)
        yield from warn_of_full_day(account, quota, planned + unstored)


def get_grant_end(account: AccountRow) -> datetime | None:
    """Return when a user has to connect the account again; None: never, as far as the platform says."""
    return account.refresh_expires_at if account.renewable else account.expires_at


def warn_of_expiring_grant(account: AccountRow, due_at: datetime) -> Iterator[AcceptanceWarning]:
    """Warn of an account whose grant ends before the post is due; a draft is not due."""
    ends_at = get_grant_end(account)
    if ends_at is not None and ends_at <= due_at < NO_TIME:
        yield AcceptanceWarning(
            field="accounts",
            code="TOKEN_EXPIRES_BEFORE_DUE",
            message=f"{describe_account(account)}: its grant ends {ends_at.isoformat()}, before the post is due. "
            "Connect it again in time.",
        )


def warn_of_full_day(account: AccountRow, quota: DailyQuota, planned: int) -> Iterator[AcceptanceWarning]:
    """Warn of a day over its quota. ``planned``: what counts in the 24 hours up to the due time, this one included."""
    if planned > quota.allowed:
        counted = name_counted(drafts=quota.drafts)
        yield AcceptanceWarning(
            field="accounts",
            code="DAILY_QUOTA_EXCEEDED",
            message=f"{describe_account(account)}: more than {quota.allowed} {counted} fall into the day before this "
            "one is due, and the platform takes no more. It will be published later.",
        )


class DailyCounts:
    """The daily quotas of posts that are about to be stored together."""

    def __init__(
        self,
        context: Context,
        c: Connection,
        posts: Sequence[Sequence[tuple[AccountRow, datetime, bool]]],
    ) -> None:
        """Count at once what all accounts of our app share.

        ``posts``: the accounts of each, an account with its due time and whether it gets an inbox draft.
        """
        find_quota = cache(partial(find_daily_quota, context))
        days = [
            (n, account, due_at, quota)
            for n, accounts in enumerate(posts)
            for account, due_at, is_draft in accounts
            if due_at < NO_TIME and (quota := find_quota(account.platform, drafts=is_draft))
        ]
        self._own = [day for day in days if day[3].per == "account"]
        self._shared = [day for day in days if day[3].per == "app"]
        self._planned_by_app = [
            count_planned(c, account.id, due_at, quota) for _, account, due_at, quota in self._shared
        ]

    @property
    def by_account(self) -> list[tuple[UUID, datetime, DailyQuota]]:
        """Accounts, due times and quotas for ``store_posts`` to count, in its own statement."""
        return [(account.id, due_at, quota) for _, account, due_at, quota in self._own]

    def warn(self, planned: Sequence[int]) -> Mapping[int, list[AcceptanceWarning]]:
        """Return the warnings by post; ``planned``: the counts of ``by_account``, these posts left out.

        Each post counts itself and those before it in the list, as if they had been stored one after the other.
        """
        found: dict[int, list[AcceptanceWarning]] = defaultdict(list)
        before: dict[tuple[UUID | Platform, bool], list[datetime]] = defaultdict(list)
        days = zip([*self._own, *self._shared], [*planned, *self._planned_by_app], strict=True)
        for (n, account, due_at, quota), stored in days:
            mine = before[account.id if quota.per == "account" else account.platform, quota.drafts]
            mine.append(due_at)
            count = stored + sum(due_at - _DAY < other <= due_at for other in mine)
            found[n].extend(warn_of_full_day(account, quota, count))
        return found
