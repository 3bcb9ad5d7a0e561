"""Read what became of a publish: by its ``publish_id``, or among the account's public posts.

A publish whose response was lost before its id arrived can only be found among the public posts: by its whole text and
kind, not older than a minute before arming, and only if exactly one post matches.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from adapters.base import ArmedPublish
from adapters.contract import Absent, Account, CannotTell, Draft, Ended, LookResult, Published
from adapters.error_table import Phase
from adapters.errors import AdapterError, PermissionMissing, Rejected
from adapters.listing import Asked, ListedPost, Listing, compare_lengths, fill, read_pages
from adapters.tiktok import music, payload
from adapters.tiktok.checkpoint import Checkpoint, Upload, UrlState, is_draft, is_music_decided
from adapters.tiktok.client import BusinessClient, CreatorClient
from adapters.tiktok.errors import translate_failure
from adapters.tiktok.limits import CAPABILITIES
from adapters.tiktok.wire import BusinessItem, ListedVideo, PublishStatus

AnyClient: TypeAlias = CreatorClient | BusinessClient
Armed: TypeAlias = ArmedPublish[Checkpoint, AnyClient]
ListedItem: TypeAlias = ListedVideo | BusinessItem
CLOCK_SKEW = timedelta(seconds=60)
"""The allowed lag of TikTok's ``create_time`` behind our own clock."""
CUT_AT = 140
"""``video/list`` cuts texts "to about 150" characters: of a text this long the end may be missing."""
ID_LOST = "the upload's id is lost, and TikTok offers no other way to find it"
_UNREADABLE: dict[type, tuple[tuple[type[AdapterError], ...], str]] = {
    CreatorClient: (
        (PermissionMissing,),
        "the account's permissions do not let us read its posts (video.list)",
    ),
    BusinessClient: (
        (PermissionMissing, Rejected),
        "TikTok does not let us read the account's posts (video.list)",
    ),
}
"""By client the refusals of a list that only keep us from reading it, and what that means."""
NOT_LISTED = "only public posts are listed, and this one is not public"


# --- by publish id ---------------------------------------------------------------------------------------------------


def look_armed(publish: Armed) -> LookResult:
    """Return the state of an armed publish, or search for a post whose id was lost."""
    draft, state = publish.draft, publish.state
    upload = state.upload if draft.kind == "video" else None
    publish_id = upload.publish_id if upload else state.publish_id
    if publish_id is None:
        return _search(publish)
    try:
        status = publish.client.fetch_status(publish_id, Phase.LOOK)
    except Rejected as refusal:
        return CannotTell(reason=refusal.message)
    if is_delivered(draft, status.status):
        return Published(remote_id=publish_id, delivered_as="inbox_draft")
    if status.status == "PUBLISH_COMPLETE":
        return _build_published(publish, publish_id, status)
    if status.status == "FAILED":
        return Ended(error=translate_failure(status.fail_reason))
    if upload is not None and status.status == "PROCESSING_UPLOAD":
        return _interpret_upload(upload, status.uploaded_bytes, state, publish.armed_at)
    return state.to_pending(compute_pause(publish.armed_at, time.time()))


def is_delivered(draft: Draft, status: str) -> bool:
    """Return True if a draft is in the inbox, or was finished there: its user may make several posts of one."""
    return status == "SEND_TO_USER_INBOX" or (is_draft(draft) and status == "PUBLISH_COMPLETE")


def look_unarmed_creator(draft: Draft, state: Checkpoint) -> LookResult:
    """Return whether a creator's unarmed publish may be armed, without a request: nothing of it can be live."""
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


def look_unarmed_business(draft: Draft, state: Checkpoint) -> LookResult:
    """Return whether a business account's unarmed publish may be armed, without a request."""
    if is_draft(draft) or (is_music_decided(draft, state) and state.allowed is not None):
        return state.to_ready()
    return state.to_pending()


def _build_published(publish: Armed, publish_id: str, status: PublishStatus) -> Published:
    """Build the result. A post gets its own id once it is public and past moderation; others never get one.

    A business account's ids come up to three minutes later; with one, the chosen sound is confirmed.
    """
    if not status.post_ids:
        return Published(remote_id=publish_id)
    state, client, post_id = publish.state, publish.client, status.post_ids[0]
    username = (state.allowed.username if state.allowed else None) or publish.account.username
    link = payload.build_link(publish.draft, username, post_id)
    if state.music is None or isinstance(client, CreatorClient):
        return Published(remote_id=post_id, url=link)
    is_confirmed = music.confirm_sound(client.http, client.www, link, state.music.id)
    return Published(remote_id=post_id, url=link, notes={"music_confirmed": is_confirmed})


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


# --- among the public posts ------------------------------------------------------------------------------------------


def _search(publish: Armed) -> LookResult:
    client, draft = publish.client, publish.draft
    is_upload = isinstance(client, CreatorClient) and draft.kind == "video"
    if is_upload or not payload.is_public(draft):
        return CannotTell(reason=ID_LOST if is_upload else NOT_LISTED, is_final=True)
    refusals, reason = _UNREADABLE[type(client)]
    try:
        items, listing = _read(client, publish.armed_at - CLOCK_SKEW)
    except refusals:
        return CannotTell(reason=reason)
    if listing.asked is not Asked.ALL:
        return CannotTell(reason=listing.reason)
    earliest = (publish.armed_at - CLOCK_SKEW).timestamp()
    matches = [item for item in items if item.create_time >= earliest and _is_same(item, draft)]
    return choose_match(matches, draft, publish.account, publish.taken)


def list_posts(client: AnyClient, draft: Draft, account: Account, since: datetime) -> Listing:
    """List an account's public posts since *since*, compared with the draft."""
    if not payload.is_public(draft):
        return Listing(asked=Asked.NEVER, reason=NOT_LISTED)
    items, listing = _read(client, since - CLOCK_SKEW)
    return fill(listing, [_compare(item, draft, account) for item in items], CLOCK_SKEW)


def _compare(item: ListedItem, draft: Draft, account: Account) -> ListedPost:
    """Compare a listed post. How many pictures a post has is not shown; of a creator's, only a video has a length."""
    is_video, same_text = draft.kind == "video", _is_same(item, draft)
    if isinstance(item, BusinessItem):
        same_text, same_kind = _has_same_caption(item, draft), _compare_kinds(item, draft)
        same_media = same_kind if is_video or same_kind is False else None
    else:
        same_kind = is_video if item.duration else None
        same_media = compare_lengths(item.duration, draft.media[0].facts) if is_video else None
    return ListedPost(
        remote_id=item.id,
        url=_get_link(item, draft, account),
        created_at=_to_time(item.create_time),
        same_caption=same_text,
        same_kind=same_kind,
        same_media=same_media,
    )


# --- matching --------------------------------------------------------------------------------------------------------


def compute_pause(armed_at: datetime, now: float) -> timedelta:
    """Return the time until the next look: a quarter of the time since arming, between five and sixty seconds."""
    first, longest = CAPABILITIES.look_every
    return min(max(timedelta(seconds=(now - armed_at.timestamp()) / 4), first), longest)


def _to_time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _read(client: AnyClient, since: datetime) -> tuple[list[ListedItem], Listing]:
    def read(cursor: int | None) -> tuple[Sequence[ListedItem], int | None]:
        page = client.list_videos(cursor)
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


def _is_same(item: ListedItem, draft: Draft) -> bool:
    """Return True if a listed post has the draft's texts; a business account's its kind too, unless that is missing."""
    if isinstance(item, BusinessItem):
        return _has_same_caption(item, draft) and _compare_kinds(item, draft) is not False
    seen, text = (item.title, item.video_description), payload.build_description(draft)
    if draft.kind == "video":
        return any(_is_whole(one, text) for one in seen if one)
    title = payload.build_title(draft)
    return any(seen) and _is_title(seen[0], title, text) and _is_description(seen[1], title, text)


def _has_same_caption(item: BusinessItem, draft: Draft) -> bool:
    return (item.caption or "").strip() == payload.build_description(draft).strip()


def _compare_kinds(item: BusinessItem, draft: Draft) -> bool | None:
    if not item.media_type:
        return None
    return ("video" in item.media_type.lower()) is (draft.kind == "video")


def _is_title(seen: str | None, title: str, description: str) -> bool:
    return not seen or seen.strip() == title.strip() or _is_whole(seen, description)


def _is_description(seen: str | None, title: str, description: str) -> bool:
    texts = (description, f"{title} {description}", f"{title}\n{description}")
    return not seen or any(_is_whole(seen, text) for text in texts)


def _is_whole(seen: str, text: str) -> bool:
    is_prefix = len(seen) >= CUT_AT and text.strip().startswith(seen.strip().rstrip("….").rstrip())
    return is_prefix or seen.strip() == text.strip()
