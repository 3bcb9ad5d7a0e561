"""What a listing of an account's posts proves about a delivery that a restore left in doubt. Pure."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

from adapters.contract import CannotTell, Published
from adapters.listing import Asked, ListedPost, Listing

CANDIDATES = 10
"""Live posts that are shown to a person, those that agree most first."""


def judge_listing(
    listing: Listing,
    platform: str,
    *,
    since: datetime,
    due: datetime,
    until: datetime,
    taken: Container[str],
    is_twin: bool,
) -> Published | CannotTell:
    """Return Published for exactly one post that no other delivery owns and that is this delivery's; else candidates.

    It is this delivery's if it carries its mark, or if caption, kind and media agree and it was made between *due* and
    *until*, after which nothing that was sent before the restore appears. A twin (another delivery in doubt with the
    same text and account) is known by its mark only, and so is a post in a list that was not read to its end. A post
    that is not listed proves nothing.
    """
    free = [post for post in listing.posts if post.is_marked is not False and post.remote_id not in taken]
    earliest, latest = due.replace(microsecond=0) - listing.clock_skew, until + listing.clock_skew
    ours = [post for post in free if post.is_marked]
    if not ours and not is_twin and listing.asked is Asked.ALL:
        ours = [
            post
            for post in free
            if post.agrees and post.created_at is not None and earliest <= post.created_at <= latest
        ]
    if len(ours) == 1:
        return Published(remote_id=ours[0].remote_id, url=ours[0].url)
    candidates = sorted(free, key=_rank, reverse=True)[:CANDIDATES]
    reason = _describe(listing, platform, len(free), since)
    if is_twin:
        reason += " Another post with this text may have gone out on this account too."
    return CannotTell(reason=reason, candidates=candidates)


def _rank(post: ListedPost) -> tuple[bool, int, datetime]:
    """Rank by mark, then by how much agrees, then by age."""
    parts = (post.same_caption, post.same_kind, post.same_media)
    score = sum(1 if part else -1 if part is False else 0 for part in parts)
    return bool(post.is_marked), score, post.created_at or datetime.min.replace(tzinfo=UTC)


def _describe(listing: Listing, platform: str, free: int, since: datetime) -> str:
    """Return the sentence for a person: whether the platform was asked, and what it lists."""
    if listing.asked is Asked.NEVER:
        return f"{platform} cannot be asked: {listing.reason}."
    if listing.asked is Asked.NOT:
        return f"{platform} was not asked: {listing.reason}."
    start = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    part = "" if listing.asked is Asked.ALL else f", but not to the end ({listing.reason})"
    if not free:
        found = "none that could be this one, which proves nothing"
    else:
        shown = "" if free <= CANDIDATES else f", of which {CANDIDATES} are shown"
        posts = "1 that could be this one" if free == 1 else f"{free} that could be this one"
        found = f"{posts}{shown}; nothing proves it"
    return f"{platform} was asked for the account's posts since {start}{part}. It lists {found}."
