"""Read what became of a publish: by its ``publish_id``, or among the account's public posts.

A publish whose response was lost before its id arrived can only be found among the public posts: by its whole text and
kind, not older than a minute before arming, and only if exactly one post matches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from adapters.contract import Absent, Account, CannotTell, Draft, Ended, LookResult, Published
from adapters.error_table import Phase
from adapters.errors import PermissionMissing, Rejected
from adapters.listing import Asked, ListedPost, Listing, compare_lengths, fill, read_pages
from adapters.tiktok import payload
from adapters.tiktok.checkpoint import Checkpoint, Upload, UrlState, is_draft, is_music_decided
from adapters.tiktok.client import BusinessClient, CreatorClient
from adapters.tiktok.errors import translate_failure
from adapters.tiktok.limits import CAPABILITIES
from adapters.tiktok.wire import (
    BusinessItem,
    BusinessStatus,
    Listed,
    ListedItem,
    ListedVideo,
    PublishStatus,
    VideoPage,
)

CLOCK_SKEW = timedelta(seconds=60)
"""The allowed lag of TikTok's ``create_time`` behind our own clock."""
CUT_AT = 140
"""``video/list`` cuts texts "to about 150" characters: of a text this long the end may be missing."""
ID_LOST = "the upload's id is lost, and TikTok offers no other way to find it"
NOT_LISTED = "only public posts are listed, and this one is not public"


# --- creator ---------------------------------------------------------------------------------------------------------


def look_creator(
    client: CreatorClient,
    draft: Draft,
    account: Account,
    state: Checkpoint,
    armed_at: datetime | None,
    taken: Container[str],
) -> LookResult:
    """Return the state of a creator's publish."""
    if armed_at is None:
        return _look_unarmed_creator(draft, state)
    upload = state.upload if draft.kind == "video" else None
    publish_id = upload.publish_id if upload else state.publish_id
    if publish_id is None:
        return _search_creator(client, draft, account, armed_at, taken)
    try:
        status = client.fetch_status(publish_id, Phase.LOOK)
    except Rejected as refusal:
        return CannotTell(reason=refusal.message)
    if is_delivered(draft, status.status):
        return Published(remote_id=publish_id, delivered_as="inbox_draft")
    if status.status == "PUBLISH_COMPLETE":
        return _build_creator_published(draft, account, state, publish_id, status)
    if status.status == "FAILED":
        return Ended(error=translate_failure(status.fail_reason))
    if upload is not None and status.status == "PROCESSING_UPLOAD":
        return _interpret_upload(upload, status.uploaded_bytes, state, armed_at)
    return state.to_pending(compute_pause(armed_at, time.time()))


def is_delivered(draft: Draft, status: str) -> bool:
    """Return True if a draft is in the inbox, or was finished there: its user may make several posts of one."""
    return status == "SEND_TO_USER_INBOX" or (is_draft(draft) and status == "PUBLISH_COMPLETE")


def _look_unarmed_creator(draft: Draft, state: Checkpoint) -> LookResult:
    """Return whether an unarmed publish may be armed, without a request: nothing of it can be live."""
    ready, pending = state.to_ready(), state.to_pending()
    if draft.kind == "slideshow":
        return ready if is_draft(draft) or state.allowed is not None else pending
    upload, now = state.upload, time.time()
    if upload is None:
        return pending
    if upload.get_url_state(now) is UrlState.ALIVE:
        return ready if upload.is_last_chunk else pending
    if upload.must_wait(now):
        return state.to_pending(upload.time_until_dead(now))
    return Absent()  # the upload can no longer be completed: prepare from scratch


def _build_creator_published(
    draft: Draft, account: Account, state: Checkpoint, publish_id: str, status: PublishStatus
) -> Published:
    """Build the result. A post gets its own id once it is public and past moderation; others never get one."""
    if not status.post_ids:
        return Published(remote_id=publish_id)
    username = (state.allowed.username if state.allowed else None) or account.username
    post_id = status.post_ids[0]
    return Published(remote_id=post_id, url=payload.build_link(draft, username, post_id))


def _interpret_upload(
    upload: Upload, stored: int | None, state: Checkpoint, armed_at: datetime
) -> LookResult:
    """Return Absent for an incomplete upload, which is not live; while its URL expires, Pending."""
    now = time.time()
    if stored is None or stored >= upload.plan.size:
        return state.to_pending(compute_pause(armed_at, now))
    if upload.get_url_state(now) is UrlState.DEAD:
        return Absent()
    if upload.get_url_state(now) is UrlState.EXPIRING:
        return state.to_pending(upload.time_until_dead(now))
    resumed = upload.replace(offset=stored, was_armed=True, recheck=False)
    return Absent(checkpoint=state.replace(upload=resumed).to_dict())


def _search_creator(
    client: CreatorClient, draft: Draft, account: Account, armed_at: datetime, taken: Container[str]
) -> LookResult:
    if draft.kind == "video":
        return CannotTell(reason=ID_LOST, is_final=True)
    if not payload.is_public(draft):
        return CannotTell(reason=NOT_LISTED, is_final=True)
    try:
        items, listing = _read(client.list_videos, armed_at - CLOCK_SKEW)
    except PermissionMissing:
        return CannotTell(reason="the account's permissions do not let us read its posts (video.list)")
    if listing.asked is not Asked.ALL:
        return CannotTell(reason=listing.reason)
    title, text, since = (
        payload.build_title(draft),
        payload.build_description(draft),
        compute_earliest(armed_at),
    )
    matches = [item for item in items if is_same_photo_post(item, title, text, since)]
    return choose_match(matches, draft, account, taken)


def list_creator_posts(client: CreatorClient, draft: Draft, account: Account, since: datetime) -> Listing:
    """List a creator's public posts since *since*, compared with the draft."""
    if not payload.is_public(draft):
        return Listing(asked=Asked.NEVER, reason=NOT_LISTED)
    items, listing = _read(client.list_videos, since - CLOCK_SKEW)
    return fill(listing, [_compare_creator(item, draft, account) for item in items], CLOCK_SKEW)


def _compare_creator(item: ListedVideo, draft: Draft, account: Account) -> ListedPost:
    """Compare a listed post. Only a video has a length; how many pictures a post has is not shown."""
    text, is_video = payload.build_description(draft), draft.kind == "video"
    if is_video:
        same_text = any(_is_whole(seen, text) for seen in (item.title, item.video_description) if seen)
    else:
        same_text = is_same_photo_post(item, payload.build_title(draft), text, since=0)
    return ListedPost(
        remote_id=item.id,
        url=_get_link(item, draft, account),
        created_at=_to_time(item.create_time),
        same_caption=same_text,
        same_kind=is_video if item.duration else None,
        same_media=compare_lengths(item.duration, draft.media[0].facts) if is_video else None,
    )


# --- business --------------------------------------------------------------------------------------------------------


def look_business(
    client: BusinessClient,
    draft: Draft,
    account: Account,
    state: Checkpoint,
    armed_at: datetime | None,
    taken: Container[str],
    confirm_sound: Callable[[str, str], bool | None],
) -> LookResult:
    """Return the state of a business account's publish. ``confirm_sound(link, sound_id)`` reads a post's sound."""
    if armed_at is None:
        return _look_unarmed_business(draft, state)
    if state.publish_id is None:
        return _search_business(client, draft, account, armed_at, taken)
    try:
        status = client.fetch_status(account.remote_id, state.publish_id)
    except Rejected as refusal:
        return CannotTell(reason=refusal.message)
    if is_delivered(draft, status.status):
        return Published(remote_id=state.publish_id, delivered_as="inbox_draft")
    if status.status == "PUBLISH_COMPLETE":
        return _build_business_published(draft, account, state, state.publish_id, status, confirm_sound)
    if status.status == "FAILED":
        return Ended(error=translate_failure(status.reason))
    return state.to_pending(compute_pause(armed_at, time.time()))


def _look_unarmed_business(draft: Draft, state: Checkpoint) -> LookResult:
    """Return whether an unarmed publish may be armed, without a request: nothing of it can be live."""
    if is_draft(draft) or (is_music_decided(draft, state) and state.allowed is not None):
        return state.to_ready()
    return state.to_pending()


def _build_business_published(
    draft: Draft,
    account: Account,
    state: Checkpoint,
    publish_id: str,
    status: BusinessStatus,
    confirm_sound: Callable[[str, str], bool | None],
) -> Published:
    """Build the result. Only public posts get ids, up to three minutes later; with one, the sound is confirmed."""
    if not status.post_ids:
        return Published(remote_id=publish_id)
    post_id = status.post_ids[0]
    link = payload.build_link(draft, account.username, post_id)
    if state.music is None:
        return Published(remote_id=post_id, url=link)
    is_confirmed = confirm_sound(link, state.music.id)
    return Published(remote_id=post_id, url=link, notes={"music_confirmed": is_confirmed})


def _search_business(
    client: BusinessClient, draft: Draft, account: Account, armed_at: datetime, taken: Container[str]
) -> LookResult:
    if not payload.is_public(draft):
        return CannotTell(reason=NOT_LISTED, is_final=True)
    try:
        items, listing = _read(partial(client.list_videos, account.remote_id), armed_at - CLOCK_SKEW)
    except (PermissionMissing, Rejected):
        return CannotTell(reason="TikTok does not let us read the account's posts (video.list)")
    if listing.asked is not Asked.ALL:
        return CannotTell(reason=listing.reason)
    caption, since = payload.build_description(draft), compute_earliest(armed_at)
    is_video = draft.kind == "video"
    matches = [item for item in items if is_same_business_post(item, caption, is_video=is_video, since=since)]
    return choose_match(matches, draft, account, taken)


def list_business_posts(client: BusinessClient, draft: Draft, account: Account, since: datetime) -> Listing:
    """List a business account's public posts since *since*, compared with the draft."""
    if not payload.is_public(draft):
        return Listing(asked=Asked.NEVER, reason=NOT_LISTED)
    items, listing = _read(partial(client.list_videos, account.remote_id), since - CLOCK_SKEW)
    return fill(listing, [_compare_business(item, draft, account) for item in items], CLOCK_SKEW)


def _compare_business(item: BusinessItem, draft: Draft, account: Account) -> ListedPost:
    """Compare a listed post. A video is one file; how many pictures a post has is not shown."""
    is_video = draft.kind == "video"
    same_kind = ("video" in item.media_type.lower()) is is_video if item.media_type else None
    return ListedPost(
        remote_id=item.id,
        url=_get_link(item, draft, account),
        created_at=_to_time(item.create_time),
        same_caption=(item.caption or "").strip() == payload.build_description(draft).strip(),
        same_kind=same_kind,
        same_media=same_kind if is_video or same_kind is False else None,
    )


# --- matching --------------------------------------------------------------------------------------------------------


def compute_pause(armed_at: datetime, now: float) -> timedelta:
    """Return the time until the next look: a quarter of the time since arming, between five and sixty seconds."""
    first, longest = CAPABILITIES.look_every
    return min(max(timedelta(seconds=(now - armed_at.timestamp()) / 4), first), longest)


def compute_earliest(armed_at: datetime) -> float:
    """Return the earliest ``create_time`` that a post of this attempt can have."""
    return (armed_at - CLOCK_SKEW).timestamp()


def _to_time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _read(
    list_videos: Callable[[int | None], VideoPage[Listed]], since: datetime
) -> tuple[list[Listed], Listing]:
    def read(cursor: int | None) -> tuple[Sequence[Listed], int | None]:
        page = list_videos(cursor)
        return page.videos, page.cursor if page.has_more else None

    return read_pages(read, lambda item: _to_time(item.create_time), since)


def _get_link(item: ListedItem, draft: Draft, account: Account) -> str | None:
    return item.share_url or payload.build_link(draft, account.username, item.id)


def choose_match(
    matches: Sequence[ListedItem], draft: Draft, account: Account, taken: Container[str]
) -> Published | CannotTell:
    """Return Published for exactly one match that is not another delivery's, else CannotTell."""
    free = {match.id: match for match in matches if match.id not in taken}
    if len(free) == 1:
        (match,) = free.values()
        return Published(remote_id=match.id, url=_get_link(match, draft, account), is_searched=True)
    if free:
        return CannotTell(
            reason=f"{len(free)} public posts of this account match, and nothing tells them apart"
        )
    return CannotTell(reason="no public post of this account matches (yet); that proves nothing")


def is_same_photo_post(item: ListedVideo, title: str, description: str, since: float) -> bool:
    """Return True if a creator's listed post has the texts of the photo post."""
    if item.create_time < since or not (item.title or item.video_description):
        return False
    return _is_title(item.title, title, description) and _is_description(
        item.video_description, title, description
    )


def _is_title(seen: str | None, title: str, description: str) -> bool:
    return not seen or seen.strip() == title.strip() or _is_whole(seen, description)


def _is_description(seen: str | None, title: str, description: str) -> bool:
    texts = (description, f"{title} {description}", f"{title}\n{description}")
    return not seen or any(_is_whole(seen, text) for text in texts)


def _is_whole(seen: str, text: str) -> bool:
    is_prefix = len(seen) >= CUT_AT and text.strip().startswith(seen.strip().rstrip("….").rstrip())
    return is_prefix or seen.strip() == text.strip()


def is_same_business_post(item: BusinessItem, caption: str, *, is_video: bool, since: float) -> bool:
    """Return True if a business account's listed post has this caption and kind. A missing kind matches both."""
    if item.create_time < since or (item.caption or "").strip() != caption.strip():
        return False
    return not item.media_type or ("video" in item.media_type.lower()) is is_video
