"""The Facebook Pages adapter: an unpublished post or an unfinished video upload, then one call that shows it.

PlatformSettings.hosts: ``graph`` (https://graph.facebook.com), ``graph_video`` (https://graph-video.facebook.com),
``rupload`` (https://rupload.facebook.com), ``www`` (https://www.facebook.com). options: ``feed_mode`` (``two_phase``,
the default, or ``direct``: one call creates and shows the post), ``byte_upload`` (true: reels go up as bytes; else
Facebook pulls them; other videos always go up as bytes). Never tried against live Facebook: README.md.

The Facebook section of a post request.

Read-only checks of a connected Facebook Page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from adapters.base import Publish, PublishingAdapter
from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    CheckpointData,
    Draft,
    Ended,
    FinalizeResult,
    LookResult,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Published,
    Ready,
)
from adapters.errors import OutcomeUnknown, RateLimited, Rejected, Unavailable
from adapters.facebook import limits, lookup, payload
from adapters.facebook.checkpoint import Checkpoint, PostKind, Step, choose_next_step, get_post_kind
from adapters.facebook.client import Client
from adapters.facebook.errors import DUPLICATE
from adapters.facebook.oauth import OAuth
from adapters.facebook.problems import find_problems
from adapters.graph_api import INTERRUPTED, GraphReply, check_usage, read_link
from adapters.graph_errors import GONE, Known, Usage
from adapters.graph_stories import PlacedOptions, is_story
from adapters.http import HttpClient
from adapters.listing import Listing
from adapters.live_check import ConnectionChecks, Finding, LiveCheck, fail, ok, quota_not_readable
from adapters.post_options import MediaConflict, PostOptions, WebUrl, find_link_conflict
from adapters.transport import read_or_none


def _check_page(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    reply = Client(http, settings, account).read_page()
    if reply.data.id == account.remote_id:
        yield ok("account", f"the token reads the Page {reply.data.name}")
    else:
        says = f"the token is for {reply.data.id}, not for {account.remote_id}"
        yield fail("account", says)
        return
    yield from check_usage(reply.usage)
    yield quota_not_readable("30 reels a day per Page")


LIVE_CHECKS = (
    ConnectionChecks(
        connection="page",
        required_scopes=("pages_manage_posts",),
        optional_scopes={"pages_manage_engagement": "no comments"},
        can_discover=False,  # a Page's token lists no Pages: the check reads the Page instead
        checks=(LiveCheck(name="account", run=_check_page),),
        only_live_post=(
            "whether a feed post made unpublished can be published by `is_published` (undocumented)",
            "whether finishing the same `video_id` twice shows one video only",
            "whether `/videos` lists reels too, and what lists show as `attachments`",
            "whether the app may post for people without a role in it (App Review)",
        ),
    ),
)


class FacebookOptions(PlacedOptions):
    """Options of a post on a Facebook Page; when at least one account is Facebook."""

    platform: ClassVar[Platform] = Platform.FACEBOOK

    # ours: the vendor's pages name no longest title
    title: str | None = Field(None, min_length=1, max_length=255, description="Of a video or reel.")
    link: WebUrl | None = Field(
        None, description="Of a post of text alone: Facebook reads the page and shows it as a card."
    )

    @classmethod
    def find_media_conflicts(cls, options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:
        """Find a link beside media."""
        return find_link_conflict(options, media_type)


class Facebook(OAuth, PublishingAdapter[Checkpoint, Client]):
    """Publishes to Facebook Pages; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.FACEBOOK
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = FacebookOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS
    checkpoint_model = Checkpoint
    find_problems = staticmethod(find_problems)
    find_words = staticmethod(payload.write_words)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Send one request: the next photo, the unpublished post, the next chunk, or a status read."""
        state, client = self._open(account, checkpoint)
        match self._choose_next_step(draft, state):
            case Step.PHOTO:
                medium = draft.media[len(state.photos)]
                photo = client.create_photo(replace(medium, alt_text=None) if is_story(draft) else medium)
                return _continue(state.replace(photos=(*state.photos, photo.data.id)), photo.usage)
            case Step.POST:
                post = client.create_unpublished_post(draft, state.photos)
                return _continue(state.replace(post=post.data.id, polls=0), post.usage)
            case Step.START:
                return _start_upload(client, draft, state)
            case Step.SEND:
                return _send_reel(client, draft, state)
            case Step.TRANSFER:
                reply = client.transfer(draft.media[0], state)
                offsets = {"start": reply.data.start_offset, "end": reply.data.end_offset}
                return _continue(state.replace(**offsets), reply.usage)
            case Step.READ_POST | Step.CHECK as step:
                result, usage = _look_before_arm(client, state, step)
                return _to_prepare_result(state, result, usage)
            case Step.DONE:
                return state.to_ready()

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Show the post with one call; the ``look`` that follows reads what became of it."""
        state, client = self._open(account, checkpoint)
        if state.live is not None or state.accepted:  # confirmed: there is nothing left to send
            return state.to_pending()
        try:
            return self._show(client, draft, state)
        except Rejected as error:
            if error.code == DUPLICATE and state.again:
                raise OutcomeUnknown(
                    "Facebook has this post already; the first attempt may have shown it", **error.reported
                ) from None
            raise

    def _look_unarmed(self, publish: Publish[Checkpoint, Client]) -> LookResult:
        step = self._choose_next_step(publish.draft, publish.state)
        if step not in {Step.READ_POST, Step.CHECK}:
            return publish.state.to_ready()
        return _look_before_arm(publish.client, publish.state, step)[0]

    def _look_armed(self, publish: lookup.Armed) -> LookResult:
        client, draft, state = publish.client, publish.draft, publish.state
        if is_story(draft):
            return lookup.look_story(publish)
        if state.live is not None:
            return read_link(state.live, lambda: client.read_post(str(state.live)).data.permalink_url)
        if get_post_kind(draft) is not PostKind.FEED:
            video = _read_or_none(client.read_video, state.video_id)[0] if state.video_id else None
            return lookup.interpret_armed_video(state, video, client.www)
        if state.post is not None:
            return lookup.interpret_armed_post(state, _read_or_none(client.read_post, state.post)[0])
        if self._is_two_phase():
            return CannotTell(reason="no unpublished post is known that could have been shown", is_final=True)
        since = int((publish.armed_at - limits.CLOCK_SKEW).timestamp())
        return lookup.find_direct_post(publish, client.list_posts(since)[0])

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the Page's posts since *since*, compared with the draft."""
        return lookup.list_posts(self._build_client(account), draft, since)

    def _show(self, client: Client, draft: Draft, state: Checkpoint) -> Pending:
        if is_story(draft):
            return _show_story(client, draft, state)
        if state.post is not None:
            client.show_post(state.post)
            return _continue(state.replace(live=state.post))
        if state.video_id is not None and state.session is not None:
            client.finish_video(draft, state.session)
        elif state.video_id is not None:
            client.finish_reel(draft, state.video_id)
        elif self._choose_next_step(draft, state) is Step.DONE:
            return _continue(state.replace(live=client.create_visible_post(draft, state.photos)))
        else:
            raise Unavailable("Nothing is prepared for Facebook", code="not_prepared")
        return state.replace(accepted=True, polls=0).to_pending(limits.FIRST_POLL)

    def _choose_next_step(self, draft: Draft, state: Checkpoint) -> Step:
        return choose_next_step(draft, state, two_phase=self._is_two_phase())

    def _is_two_phase(self) -> bool:
        return bool(self._settings.options.get("feed_mode", "two_phase") == "two_phase")

    def _build_client(self, account: Account) -> Client:
        return Client(self._http, self._settings, account)


def _show_story(client: Client, draft: Draft, state: Checkpoint) -> Pending:
    if state.photos:
        shown = client.show_photo_story(state.photos[0])
    elif state.video_id is not None:
        shown = client.finish_story(draft, state.video_id)
    else:
        raise Unavailable("Nothing is prepared for Facebook", code="not_prepared")
    return state.replace(accepted=True, live=shown, polls=0).to_pending(limits.FIRST_POLL)


def _continue(state: Checkpoint, usage: Usage | None = None, wait: timedelta = timedelta(0)) -> Pending:
    """Return the checkpoint for the next step, delayed where the call allowance is nearly spent."""
    return state.to_pending(max(wait, (usage and usage.wait) or wait))


def _to_prepare_result(state: Checkpoint, result: lookup.Unarmed, usage: Usage) -> PrepareResult:
    if isinstance(result, Ended):
        return lookup.restart(state, result.error)
    if isinstance(result, Published):  # visible though not armed: the next look reports it
        return lookup.poll_again(state)
    if isinstance(result, Ready) and usage.wait is not None:
        raise RateLimited("Facebook: the call allowance is nearly spent", retry_after=usage.wait)
    return result


def _start_upload(client: Client, draft: Draft, state: Checkpoint) -> Pending:
    media, kind = draft.media[0], get_post_kind(draft)
    if kind is not PostKind.VIDEO:
        reel = client.start_reel(kind)
        started = state.replace(video_id=reel.data.video_id, upload_url=reel.data.upload_url)
        return _continue(started, reel.usage)
    video = client.start_video(media)
    session = video.data
    offsets = (
        {"start": 0, "end": 0}
        if session.skip_upload
        else {"start": session.start_offset, "end": session.end_offset}
    )
    started = state.replace(video_id=session.video_id, session=session.upload_session_id, **offsets)
    return _continue(started, video.usage)


def _send_reel(client: Client, draft: Draft, state: Checkpoint) -> Pending:
    try:
        client.send_reel(draft.media[0], state.upload_url or "", state.offset or 0)
    except Unavailable as error:
        if error.code != INTERRUPTED:
            raise
        return lookup.resume_upload(state, error)
    except Rejected as error:
        # without a status the refusal comes from the media's source, not from Facebook
        if state.cuts or error.http_status is None:
            raise
        # a complete upload whose response was lost refuses too: the status decides
        return lookup.resume_upload(state, error)
    return state.replace(sent=True, polls=0).to_pending(limits.FIRST_POLL)


def _look_before_arm(client: Client, state: Checkpoint, step: Step) -> tuple[lookup.Unarmed, Usage]:
    if step is Step.READ_POST:
        post, usage = _read_or_none(client.read_post, state.post or "")
        return lookup.interpret_unarmed_post(state, post), usage
    video, usage = _read_or_none(client.read_video, state.video_id or "")
    return lookup.interpret_unarmed_video(state, video, client.www), usage


def _read_or_none(read: Callable[[str], GraphReply[Known]], remote_id: str) -> tuple[Known | None, Usage]:
    """Return the object, or None where Facebook does not find it, which proves nothing."""
    reply = read_or_none(GONE, lambda: read(remote_id))
    return (reply.data, reply.usage) if reply else (None, Usage())
