"""First comments: what the adapters of comments share; ``<platform>/comments.py`` adds the calls.

Its draft is a text with ``comment_on``, the remote id of a live post. No platform takes an idempotency key, and a list
without our comment proves nothing: Instagram was seen to show none of eight (openreply#64, 2026-09-16). So a comment
whose answer is lost is found by a look, or left to an operator; it is never sent again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    PrepareResult,
    Problem,
    Published,
    Ready,
)
from adapters.errors import Permanent, PermissionMissing, Rejected, Unavailable
from adapters.listing import Asked, Listing, read_pages, split_words

NOT_ALLOWED = "comment_not_allowed"
_SETTLE = timedelta(minutes=1)  # ours: how late a list shows a comment is not documented
_LOOK_EVERY = (timedelta(seconds=10), timedelta(minutes=2))
_LOOK_LIMIT = timedelta(minutes=30)
_BY_HAND = (
    "Connect the account again with the permission to comment, then retry; or write the comment by hand."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedComment:
    """A comment on a post, as its platform lists it."""

    remote_id: str
    author: str
    text: str
    created_at: datetime | None


ReadPage: TypeAlias = Callable[[Any], tuple[Sequence[ListedComment], Any]]
"""Return the page of comments at a cursor (None: the newest ones) and the next cursor, if there is one."""


def build_capabilities(posts: Capabilities) -> Capabilities:
    """Return the capabilities of comments where posts have *posts*: no rate and no daily limit of posts counts them."""
    return replace(
        posts,
        prepare_lead=timedelta(0),
        settle_window=_SETTLE,
        look_every=_LOOK_EVERY,
        look_limit=_LOOK_LIMIT,
        rates=(),
        keeps=(),
        daily_posts=None,
        daily_drafts=None,
    )


class Comments(ABC):
    """The part of an adapter of comments that is the same everywhere; it stands before the platform's adapter."""

    clock_skew: ClassVar[timedelta]
    """The allowed lag of the platform's times behind ours."""

    @abstractmethod
    def _send(self, account: Account, post: str, text: str) -> str:
        """Make the visible call and return the comment's id."""

    @abstractmethod
    def _open_lists(self, account: Account, post: str, since: datetime) -> Sequence[ReadPage]:
        """Return the lists that together hold the comments on a post since *since*, each newest first."""

    def _get_author(self, account: Account) -> str:
        """Return what the lists show as the author of the account's comments."""
        return account.remote_id

    def _get_post(self, draft: Draft, checkpoint: CheckpointData) -> str:  # noqa: ARG002 one platform prepares it
        """Return the id that comments of the post are sent to."""
        return require_post(draft)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: ARG002 checked with the post
        """Return no problem: the post's own check covers its comment."""
        return ()

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:  # noqa: ARG002
        """Return Ready: nothing comes before the visible call."""
        return Ready(checkpoint=checkpoint)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Send the comment."""
        with limit_to_comments():
            return Published(remote_id=self._send(account, self._get_post(draft, checkpoint), draft.caption))

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Return the account's only comment on the post with this text since arming that no other delivery owns."""
        if armed_at is None:
            return Ready(checkpoint=checkpoint)
        since = armed_at.replace(microsecond=0) - self.clock_skew
        lists = self._open_lists(account, self._get_post(draft, checkpoint), since)
        try:
            listed = [_read_all(read, since) for read in lists]
        except (Permanent, PermissionMissing) as error:
            return CannotTell(reason=f"The comments cannot be listed: {error.message}")
        return _choose(listed, self._get_author(account), draft.caption, taken)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:  # noqa: ARG002 not asked
        """Return nothing: after a restore no comment is searched for."""
        return Listing(asked=Asked.NEVER, reason="comments are searched for on their post only")


def require_post(draft: Draft) -> str:
    """Return the remote id of the post to comment on."""
    if draft.comment_on is None:
        raise Unavailable("There is no live post to comment on.", code="not_prepared")
    return draft.comment_on


@contextmanager
def limit_to_comments() -> Iterator[None]:
    """Raise Rejected in place of PermissionMissing: it concerns comments only, and the account's posts can go on."""
    try:
        yield
    except PermissionMissing as error:
        raise Rejected(error.message, code=NOT_ALLOWED, next_action=_BY_HAND, **error.reported) from None


def _read_all(read: ReadPage, since: datetime) -> Sequence[ListedComment] | None:
    """Return the comments of one list since *since*; None if there are more than are read."""
    found, listing = read_pages(read, lambda comment: comment.created_at, since)
    return found if listing.asked is Asked.ALL else None


def _choose(
    listed: Sequence[Sequence[ListedComment] | None],
    author: str,
    text: str,
    taken: Container[str],
) -> Published | CannotTell:
    if None in listed:
        return CannotTell(reason="the post has more comments since then than are read")
    ours = {
        comment.remote_id
        for comments in listed
        for comment in comments or ()
        if comment.author == author
        and split_words(comment.text) == split_words(text)
        and comment.created_at is not None
        and comment.remote_id not in taken
    }
    if len(ours) == 1:
        return Published(remote_id=ours.pop(), is_searched=True)
    return CannotTell(reason=f"{len(ours)} of the post's comments could be this one")
