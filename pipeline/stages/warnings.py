"""Warnings about a post that is accepted: what the client should know. Warnings never block a post."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import DailyPer, Platform
from pipeline.context import Context
from pipeline.stages.daily_limit import find_daily_limit
from pipeline.stages.media_checks import get_track, list_media_facts, name_field
from pipeline.stages.platform_validation import AccountProblem, find_problems
from pipeline.stages.post_request import AcceptanceWarning, PostContent
from pipeline.stages.post_rules import describe_account
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.daily_quota import count_planned

_DAY = timedelta(days=1)


def find_warnings(
    context: Context,
    c: Connection,
    content: PostContent,
    accounts: Sequence[AccountRow],
    due_at: datetime,
    checks: Mapping[int, Check],
) -> list[AcceptanceWarning]:
    """Find all warnings of a stored post, those about the media first."""
    facts, track = list_media_facts(checks), get_track(checks)
    found = [
        *warn_of_checks(content, checks),
        *warn_of_problems(find_problems(context, content, accounts, facts, track)),
    ]
    return found + [w for account in accounts for w in warn_of_account(context, c, account, due_at)]


def warn_of_problems(found: Iterable[AccountProblem]) -> Iterator[AcceptanceWarning]:
    """Warn of what a platform will publish differently than requested."""
    for m in found:
        if m.problem.severity == "warn":
            yield AcceptanceWarning(field=m.problem.field, message=m.sentence, code=m.problem.code)


def warn_of_checks(content: PostContent, checks: Mapping[int, Check]) -> Iterator[AcceptanceWarning]:
    """Warn of media and music whose checks are undecided."""
    undecided = sorted([position for position, check in checks.items() if check.verdict is None])
    video = content.media["type"] == "video"
    for position in undecided:
        where = name_field(content.media, position)
        message = "The check is not finished; a bad result fails the post."
        yield AcceptanceWarning(field=where, message=message, code="REACHABILITY_PENDING")
    if video and 0 in undecided:
        if not content.media.get("duration_sec"):
            message = "The duration is not known yet."
            yield AcceptanceWarning(
                field="media.duration_sec", message=message, code="VIDEO_DURATION_MISSING"
            )
        if not all(content.media.get(name) for name in ("bytes", "width", "height")):
            message = "Size and dimensions are not known yet."
            yield AcceptanceWarning(field="media", message=message, code="VIDEO_METADATA_MISSING")


def warn_of_account(
    context: Context, c: Connection, account: AccountRow, due_at: datetime, unstored: int = 0
) -> Iterator[AcceptanceWarning]:
    """Warn of an expiring grant and of a full day. ``unstored``: posts to count that are not in the database."""
    yield from warn_of_expiring_grant(account, due_at)
    if get_daily_limit(context, account) is not None:
        per = context.adapters[account.platform].capabilities.daily_per
        yield from warn_of_full_day(context, account, count_planned(c, account.id, due_at, per) + unstored)


def get_grant_end(account: AccountRow) -> datetime | None:
    """Return when a person has to connect the account again; None: never, as far as the platform says."""
    return account.refresh_expires_at if account.renewable else account.expires_at


def warn_of_expiring_grant(account: AccountRow, due_at: datetime) -> Iterator[AcceptanceWarning]:
    """Warn of an account whose grant ends before the post is due."""
    ends_at = get_grant_end(account)
    if ends_at is not None and ends_at <= due_at:
        yield AcceptanceWarning(
            field="accounts",
            code="TOKEN_EXPIRES_BEFORE_DUE",
            message=f"{describe_account(account)}: its grant ends {ends_at.isoformat()}, before the post is due. "
            "Connect it again in time.",
        )


def get_daily_limit(context: Context, account: AccountRow) -> int | None:
    """Return how many posts per rolling day the platform allows; None: there is no limit, or it is lifted."""
    return find_daily_limit(context, context.adapters[account.platform].capabilities)


def warn_of_full_day(context: Context, account: AccountRow, planned: int) -> Iterator[AcceptanceWarning]:
    """Warn of a day over the limit. ``planned``: posts in the 24 hours up to the due time, this one included."""
    allowed = get_daily_limit(context, account)
    if allowed is not None and planned > allowed:
        yield AcceptanceWarning(
            field="accounts",
            code="DAILY_QUOTA_EXCEEDED",
            message=f"{describe_account(account)}: {planned} posts fall into the day before this one is due; "
            f"the platform takes {allowed}. It will be published later.",
        )


class DailyCounts:
    """The daily quotas of posts that are about to be stored together."""

    def __init__(
        self, context: Context, c: Connection, posts: Sequence[tuple[datetime, Sequence[AccountRow]]]
    ) -> None:
        """``posts``: due time and accounts of each. Reads at once what is counted over all accounts of our app."""
        days = [
            (n, account, due_at)
            for n, (due_at, accounts) in enumerate(posts)
            for account in accounts
            if get_daily_limit(context, account) is not None
        ]
        self._own = [day for day in days if _per(context, day[1]) == "account"]
        self._shared = [day for day in days if _per(context, day[1]) == "app"]
        self._planned_by_app = [count_planned(c, account.id, due, "app") for _, account, due in self._shared]

    @property
    def by_account(self) -> list[tuple[UUID, datetime]]:
        """Accounts and due times for ``store_posts`` to count, in its own statement."""
        return [(account.id, due_at) for _, account, due_at in self._own]

    def warn(self, context: Context, planned: Sequence[int]) -> Mapping[int, list[AcceptanceWarning]]:
        """Return the warnings by post; ``planned``: the counts of ``by_account``, these posts left out.

        Each post counts itself and those before it in the list, as if they had been stored one after the other.
        """
        found: dict[int, list[AcceptanceWarning]] = defaultdict(list)
        before: dict[UUID | Platform, list[datetime]] = defaultdict(list)
        days = zip([*self._own, *self._shared], [*planned, *self._planned_by_app], strict=True)
        for (n, account, due_at), stored in days:
            mine = before[account.id if _per(context, account) == "account" else account.platform]
            mine.append(due_at)
            count = stored + sum(due_at - _DAY < other <= due_at for other in mine)
            found[n].extend(warn_of_full_day(context, account, count))
        return found


def _per(context: Context, account: AccountRow) -> DailyPer:
    return context.adapters[account.platform].capabilities.daily_per
