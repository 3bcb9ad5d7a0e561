"""Warnings about posts that are too close to another one of their account, or have its caption or media.

A message names the other post. Not to a key that is restricted to accounts: the post may go to others as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.neighbours import Content, Match, Neighbour, Part, digest_content, find_nearest
from pipeline.domain.post import NO_TIME
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import AcceptanceWarning, PostContent
from pipeline.stages.post_rules import describe_account
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.posts.neighbours import find_neighbours


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


def digest_contents(content: PostContent, accounts: Iterable[UUID]) -> dict[UUID, Content]:
    """Return the digests of what each account publishes."""
    shared = _digest(content)
    return {i: _digest(content.for_account(i)) if i in content.own else shared for i in accounts}


def _digest(content: PostContent) -> Content:
    return digest_content(content.caption, list_urls(content.media))


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
