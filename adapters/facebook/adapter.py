"""Facebook Pages: photos become an unpublished post, videos an unfinished upload, and one call shows them.

PlatformSettings.hosts: ``graph`` (https://graph.facebook.com), ``graph_video`` (https://graph-video.facebook.com),
``rupload`` (https://rupload.facebook.com), ``www`` (https://www.facebook.com). options: ``feed_mode``
(``two_phase``, the default, or ``direct``: the post is made visible by the call that makes it), ``byte_upload``
(true: reels go up as bytes; else Facebook pulls them; videos that are no reels always go up as bytes). Never tried
against live Facebook: README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    Checkpoint,
    Draft,
    Ended,
    Finalized,
    Pending,
    Platform,
    PlatformSettings,
    Prepared,
    Problem,
    Published,
    Ready,
    Seen,
)
from adapters.errors import AdapterError, OutcomeUnknown, RateLimited, Rejected, Unavailable
from adapters.facebook import limits
from adapters.facebook import lookup as looking
from adapters.facebook import problems as rules
from adapters.facebook.checkpoint import Progress, Shape, Step, next_step, shape_of
from adapters.facebook.client import Page
from adapters.facebook.errors import DUPLICATE
from adapters.facebook.oauth import Login
from adapters.graph_api import GONE, INTERRUPTED, Known, Reply, Usage
from adapters.http import Client
from adapters.oauth_mixin import Connecting


class Facebook(Connecting):
    """See the module; the contract of each method is in ``adapters.contract``."""

    platform: ClassVar[Platform] = Platform.FACEBOOK
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._two_phase = settings.options.get("feed_mode", "two_phase") == "two_phase"
        self._login = Login(client, settings)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: ARG002 one set of rules
        """Every limit that the facts at hand show to be broken."""
        return rules.problems(draft)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Prepared:
        """One request: the next photo, the unpublished post, the next chunk, or a read of how it stands."""
        at, page = Progress.model_validate(checkpoint), self._page(account)
        match self._next(draft, at):
            case Step.PHOTO:
                photo = page.create_photo(draft.media[len(at.photos)])
                return _on(at.then(photos=(*at.photos, photo.data.id)), photo.usage)
            case Step.POST:
                post = page.create_post(draft, at.photos)
                return _on(at.then(post=post.data.id, polls=0), post.usage)
            case Step.START:
                return _start(page, draft, at)
            case Step.SEND:
                return _send(page, draft, at)
            case Step.TRANSFER:
                chunk = page.transfer(draft.media[0], at)
                return _on(at.then(start=chunk.data.start_offset, end=chunk.data.end_offset), chunk.usage)
            case Step.READ_POST | Step.CHECK as step:
                said, usage = _read_before_arm(page, at, step)
                return _prepared(at, said, usage)
            case Step.DONE:
                return Ready(checkpoint=at.checkpoint())

    def finalize(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Finalized:
        """The call that shows the post, and nothing after it: how it went is read by the ``look`` that follows."""
        at, page = Progress.model_validate(checkpoint), self._page(account)
        if at.live is not None or at.accepted:  # said yes already: there is nothing left to send
            return Pending(checkpoint=at.checkpoint())
        try:
            return self._show(page, draft, at)
        except Rejected as error:
            if error.code == DUPLICATE and at.again:
                raise OutcomeUnknown(
                    "Facebook has this post already; the first try may have shown it",
                    platform_code=error.platform_code,
                    http_status=error.http_status,
                ) from None
            raise

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: Checkpoint,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> Seen:
        """Where the publish stands. Not armed: Ready means that ``prepare`` has something to do again."""
        at, page = Progress.model_validate(checkpoint), self._page(account)
        if at.live is not None:
            return _with_link(page, at.live)
        if armed_at is not None:
            return self._look_after_arm(page, draft, at, armed_at, taken)
        step = self._next(draft, at)
        if step not in {Step.READ_POST, Step.CHECK}:
            return Ready(checkpoint=at.checkpoint())
        return _read_before_arm(page, at, step)[0]

    def _look_after_arm(
        self, page: Page, draft: Draft, at: Progress, armed_at: datetime, taken: Container[str]
    ) -> Seen:
        if shape_of(draft) is not Shape.FEED:
            video = _found(page.read_video, at.video_id)[0] if at.video_id else None
            return looking.video_after_arm(at, video, page.www)
        if at.post is not None:
            return looking.post_after_arm(at, _found(page.read_post, at.post)[0])
        if self._two_phase:
            return CannotTell(reason="No unpublished post is known that could have been shown")
        since = int((armed_at - limits.CLOCK_SKEW).timestamp())
        return looking.direct_post(draft, at, page.newest(since), armed_at, taken)

    def _show(self, page: Page, draft: Draft, at: Progress) -> Pending:
        if at.post is not None:
            page.show_post(at.post)
            return _on(at.then(live=at.post))
        if at.video_id is not None and at.session is not None:
            page.finish_video(draft, at.session)
        elif at.video_id is not None:
            page.finish_reel(draft, at.video_id)
        elif self._next(draft, at) is Step.DONE:
            return _on(at.then(live=page.post(draft, at.photos)))
        else:
            raise Unavailable("Nothing is prepared for Facebook", code="not_prepared")
        return Pending(checkpoint=at.then(accepted=True, polls=0).checkpoint(), wait=limits.FIRST_POLL)

    def _next(self, draft: Draft, at: Progress) -> Step:
        return next_step(draft, at, two_phase=self._two_phase)

    def _page(self, account: Account) -> Page:
        return Page(self._client, self._settings, account)


def _on(at: Progress, usage: Usage | None = None, wait: timedelta = timedelta(0)) -> Pending:
    """One more step; later, when the call allowance is nearly spent."""
    return Pending(checkpoint=at.checkpoint(), wait=max(wait, (usage and usage.wait) or wait))


def _prepared(at: Progress, said: Ready | Pending | Ended | Published, usage: Usage) -> Prepared:
    if isinstance(said, Ended):
        return looking.renewed(at, said.error)
    if isinstance(said, Published):  # visible though not armed: the next look says so, nothing is made anew
        return looking.waiting(at)
    if isinstance(said, Ready) and usage.wait is not None:
        raise RateLimited("Facebook: the call allowance is nearly spent", retry_after=usage.wait)
    return said


def _start(page: Page, draft: Draft, at: Progress) -> Pending:
    media = draft.media[0]
    if shape_of(draft) is Shape.REEL:
        reel = page.start_reel()
        return _on(at.then(video_id=reel.data.video_id, upload_url=reel.data.upload_url), reel.usage)
    video = page.start_video(media)
    begun = video.data
    ends = (
        {"start": 0, "end": 0}
        if begun.skip_upload
        else {"start": begun.start_offset, "end": begun.end_offset}
    )
    return _on(at.then(video_id=begun.video_id, session=begun.upload_session_id, **ends), video.usage)


def _send(page: Page, draft: Draft, at: Progress) -> Pending:
    try:
        page.send_reel(draft.media[0], at.upload_url or "", at.offset or 0)
    except Unavailable as error:
        if error.code != INTERRUPTED:
            raise
        return looking.cut(at, error)
    except Rejected as error:
        # no status: it is the media's source that speaks, not Facebook
        if at.cuts or error.http_status is None:
            raise
        # perhaps all bytes are there, and only our note of it was lost: the status tells
        return looking.cut(at, error)
    return Pending(checkpoint=at.then(sent=True, polls=0).checkpoint(), wait=limits.FIRST_POLL)


def _read_before_arm(
    page: Page, at: Progress, step: Step
) -> tuple[Ready | Pending | Ended | Published, Usage]:
    if step is Step.READ_POST:
        post, usage = _found(page.read_post, at.post or "")
        return looking.post_before_arm(at, post), usage
    video, usage = _found(page.read_video, at.video_id or "")
    return looking.video_before_arm(at, video, page.www), usage


def _found(read: Callable[[str], Reply[Known]], remote_id: str) -> tuple[Known | None, Usage]:
    """The object, or None where Facebook finds none, which proves nothing."""
    try:
        reply = read(remote_id)
    except Unavailable as error:
        if error.code == GONE:
            return None, Usage()
        raise
    return reply.data, reply.usage


def _with_link(page: Page, post: str) -> Published:
    try:
        return Published(remote_id=post, url=page.read_post(post).data.permalink_url)
    except AdapterError as error:  # a failed read never unpublishes: the link is filled in later
        return Published(remote_id=post, notes={"url_missing": error.code})
