"""Warnings about a post that is accepted: what the client should know. Warnings never block a post."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.neighbours import Content, Lines, Match, Neighbour, Part, find_nearest
from pipeline.domain.post import NO_TIME
from pipeline.runtime.context import Context
from pipeline.stages.media_checks import name_field
from pipeline.stages.new_post import PostPlan, digest_contents
from pipeline.stages.platform_limits import find_daily_quota, find_post_quota, name_counted
from pipeline.stages.post_request import AcceptanceWarning, PostContent
from pipeline.stages.post_rules import AccountProblem, describe_account, find_problems
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.checks.checks import Check
from pipeline.store.deliveries.daily_quota import DailyQuota, count_planned
from pipeline.store.posts.insert_batch import NewPost, find_neighbours
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
    problems = find_problems(context, content, accounts, checks)
    found = [*warn_of_checks(content, checks), *warn_of_problems(problems)]
    for account in accounts:
        options = content.for_account(account.id).options
        found += warn_of_account(context, c, account, dues[account.id], options)
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


def warn_of_plan(plan: PostPlan) -> list[AcceptanceWarning]:
    """Return the warnings that the database is not asked for."""
    grants = [
        warning
        for account in plan.accounts
        for warning in warn_of_expiring_grant(account, plan.dues[account.id])
    ]
    return [*warn_of_checks(plan.submission.request, plan.checks), *warn_of_problems(plan.problems), *grants]


def list_gaps(plans: Sequence[PostPlan]) -> dict[UUID, timedelta]:
    """Return the least gaps of the accounts whose stored neighbours ``store_posts`` finds, in its own statement."""
    return {account.id: account.least_gap for plan in plans for account in plan.accounts}


def warn_of_neighbours_together(
    plans: Sequence[PostPlan],
    posts: Sequence[NewPost],
    stored: Collection[UUID],
    found: Mapping[tuple[int, UUID], Sequence[Neighbour]],
) -> Mapping[int, list[AcceptanceWarning]]:
    """Return the warnings of neighbours, stored before or earlier in the list, by post.

    *posts*: of the plans; *stored*: those of them that are; *found*: by position of the post and account.
    """
    warnings: dict[int, list[AcceptanceWarning]] = defaultdict(list)
    together = Counter(account.id for plan in plans for account in plan.accounts)
    lines = Lines(together.total() + 1)
    for n, (plan, post) in enumerate(zip(plans, posts, strict=True)):
        compared = [a for a in plan.accounts if together[a.id] > 1 or (n, a.id) in found]
        if not compared or post.id not in stored:
            continue
        contents = {one.account_id: one.content for one in post.deliveries}
        named = plan.submission.caller.accounts is None
        for one in place(post.id, plan.submission.request, compared, plan.dues, contents):
            near = [*found.get((n, one.account.id), ()), *lines.add(one.part)]
            warnings[n].extend(warn_of_neighbours(one, near, named=named) if near else ())
    return warnings


# --- neighbours: posts too close to another of their account, or with its caption or media. A message names the other
# post, but not to a key that is restricted to accounts: that post may go to others as well.


class _Told(NamedTuple):
    code: str
    field: str
    says: str


_WARNINGS: Mapping[Match, _Told] = {
    Match.GAP: _Told(
        code="POSTS_TOO_CLOSE",
        field="scheduled_at",
        says="{other} is due {due}, within the account's least gap of {gap} minutes",
    ),
    Match.CAPTION: _Told(
        code="SAME_CAPTION", field="caption", says="{other}, due {due}, has the same caption"
    ),
    Match.MEDIA: _Told(code="SAME_MEDIA", field="media", says="{other}, due {due}, has the same media"),
}


class Placed(NamedTuple):
    """An account's part of a post, with the account and all of the post's content."""

    account: AccountRow
    content: PostContent
    part: Part


def place(
    post: UUID | int | None,
    content: PostContent,
    accounts: Iterable[AccountRow],
    dues: Mapping[UUID, datetime],
    contents: Mapping[UUID, Content] | None = None,
) -> list[Placed]:
    """Return the part of each account that has a time. *post*: as in ``Part``; *dues* and *contents*: by account."""
    digests = contents or digest_contents(content, dues)
    timed = [account for account in accounts if dues.get(account.id, NO_TIME) < NO_TIME]
    return [Placed(a, content, Part(post, a.id, dues[a.id], a.least_gap, digests[a.id])) for a in timed]


def warn_of_stored(
    c: Connection, placed: Sequence[Placed], *, named: bool
) -> Iterator[tuple[Placed, AcceptanceWarning]]:
    """Warn of the neighbours that are stored. ``named``: as in ``warn_of_neighbours``."""
    found = find_neighbours(c, [one.part for one in placed])
    for n, one in enumerate(placed):
        for warning in warn_of_neighbours(one, found.get(n, ()), named=named):
            yield one, warning


def warn_of_neighbours(
    placed: Placed, found: Iterable[Neighbour], *, named: bool
) -> Iterator[AcceptanceWarning]:
    """Warn of the nearest neighbour of each match. ``named``: whether messages say which post it is."""
    account, content, part = placed
    for match, one in find_nearest(found, part.due_at).items():
        code, field, says = _WARNINGS[match]
        other = f"post {one.post}" if named else "another post"
        other = f"row {one.post}" if isinstance(one.post, int) else other
        due, gap = one.due_at.astimezone(UTC).isoformat(), part.least_gap // timedelta(minutes=1)
        said = says.format(other=other, due=due, gap=gap)
        yield AcceptanceWarning(
            field=content.name_field(account.id, field),
            code=code,
            message=f"{describe_account(account)}: {said}.",
        )
