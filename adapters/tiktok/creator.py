"""Publishing for creator accounts: TikTok's Content Posting API v2.

Videos are uploaded (FILE_UPLOAD): the last byte is the visible step, and its ``publish_id`` is known before.
Photos are fetched by TikTok: ``content/init`` itself is the visible step, and its id comes with the answer only.
Never tried against TikTok itself: README.md.
"""

from __future__ import annotations

import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

from adapters.contract import (
    Absent,
    Account,
    CannotTell,
    CheckpointData,
    Draft,
    Ended,
    FinalizeResult,
    LookResult,
    Pending,
    PrepareResult,
    Published,
    Ready,
)
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import PermissionMissing, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.tiktok import payload as posts
from adapters.tiktok.creator_info import Allowed
from adapters.tiktok.errors import of_failure, of_upload
from adapters.tiktok.limits import CAPABILITIES
from adapters.tiktok.lookup import Found, earliest, fits_photo, judged, pause
from adapters.tiktok.transport import creator_answer, send
from adapters.tiktok.upload import Handle, Life, Plan, put
from adapters.tiktok.wire import (
    PostingSettings,
    PublishStarted,
    PublishStatus,
    UploadStarted,
    VideoPage,
    Wire,
)
from adapters.transport import Request

WireT = TypeVar("WireT", bound=Wire)

MOST_DETOURS = 20
"""Restarts and re-readings of one upload before it counts as a failed try."""
LIST_FIELDS = "id,title,create_time,share_url,video_description,duration"
LIST_PAGES = 5
PAGE = 20
STORED = (HTTPStatus.CREATED, HTTPStatus.PARTIAL_CONTENT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Creator:
    """One slice of work for a creator account."""

    client: HttpClient
    api: str

    # --- prepare -----------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """The next invisible step. A draft needs none: it has no settings, and its scope is ``video.upload``."""
        if draft.kind == "video":
            return self._prepare_video(draft, account, checkpoint)
        if posts.is_draft(draft):
            return Ready(checkpoint=checkpoint)
        allowed = Allowed.read(checkpoint)
        if allowed is None or not allowed.is_fresh(time.time()):
            allowed = self._ask_allowed(account)
        allowed.check(draft, posts.privacy(draft))
        return Ready(checkpoint={**checkpoint, "allowed": allowed.kept()})

    def _prepare_video(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        now = time.time()
        handle, allowed = Handle.read(checkpoint), Allowed.read(checkpoint)
        if handle is not None and handle.life(now) is not Life.ALIVE:
            if handle.was_armed and handle.life(now) is Life.DYING:
                return Pending(checkpoint=checkpoint, wait=handle.time_to_death(now))
            handle, checkpoint = None, _without_upload(checkpoint)
        if handle is not None and handle.recheck:
            return self._reread(account, handle, checkpoint)
        needed = handle is None or handle.only_last_left
        if allowed is None or (needed and not allowed.is_fresh(now)):
            allowed = self._ask_allowed(account)
            allowed.check(draft, posts.privacy(draft))
            return _next(handle, {**checkpoint, "allowed": allowed.kept()})
        allowed.check(draft, posts.privacy(draft))
        if handle is None:
            return self._start_upload(draft, account, allowed, checkpoint)
        return (
            _next(handle, checkpoint)
            if handle.only_last_left
            else self._send_chunk(draft, handle, checkpoint)
        )

    def _ask_allowed(self, account: Account) -> Allowed:
        path = "/v2/post/publish/creator_info/query/"
        return Allowed.told(self._ask(account, Phase.PREPARE, path, {}, PostingSettings), time.time())

    def _start_upload(
        self, draft: Draft, account: Account, allowed: Allowed, checkpoint: CheckpointData
    ) -> PrepareResult:
        """Get a publish id and an upload URL. Safe to repeat: without bytes nothing is ever published."""
        facts = draft.media[0].facts
        if facts is None or facts.bytes <= 0:
            raise Unavailable("The size of the video is not known yet.", code="media_unavailable")
        plan, asked_at = Plan.of(facts.bytes), time.time()
        body = posts.video_init(draft, allowed, plan)
        begun = self._ask(account, Phase.PREPARE, "/v2/post/publish/video/init/", body, UploadStarted)
        handle = Handle.begun(begun.publish_id, begun.upload_url, plan, asked_at)
        return _next(handle, checkpoint)

    def _send_chunk(self, draft: Draft, handle: Handle, checkpoint: CheckpointData) -> PrepareResult:
        answer = send(self.client, put(draft, handle), Phase.PREPARE)
        if answer.status in STORED:
            _, end = handle.span()
            return _next(replace(handle, offset=end), checkpoint)
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _next(replace(handle, recheck=True), _detour(checkpoint))
        if answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            checkpoint = _detour(checkpoint)
            if handle.was_armed:
                return _next(replace(handle, recheck=True), checkpoint)
            return Pending(checkpoint=_without_upload(checkpoint))
        raise of_upload(answer.status, Phase.PREPARE, parse_retry_after(answer))

    def _reread(self, account: Account, handle: Handle, checkpoint: CheckpointData) -> PrepareResult:
        """Learn from TikTok how far the upload is, and go on from there."""
        checkpoint = _detour(checkpoint)
        try:
            status = self._status(account, handle.publish_id, Phase.PREPARE)
        except Rejected:
            if handle.was_armed:
                raise Unavailable("TikTok no longer knows an upload that is not proven dead.") from None
            return Pending(checkpoint=_without_upload(checkpoint))
        if status.status == "FAILED":
            return Pending(checkpoint=_without_upload(checkpoint))
        stored = handle.offset if status.uploaded_bytes is None else status.uploaded_bytes
        if status.status != "PROCESSING_UPLOAD":
            stored = (
                handle.plan.size
            )  # complete after all: finalize will be refused as such, and look will see it
        return _next(replace(handle, offset=min(stored, handle.plan.size), recheck=False), checkpoint)

    # --- finalize ----------------------------------------------------------------------------------------------------

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """The one visible call: the last chunk of a video, or ``content/init`` for photos."""
        if draft.kind == "video":
            return self._send_last_chunk(draft, checkpoint)
        allowed = None if posts.is_draft(draft) else Allowed.read(checkpoint)
        if allowed is None and not posts.is_draft(draft):
            raise Unavailable("The account's settings have not been read yet.", code="not_prepared")
        body = posts.photo_init(draft, allowed)
        begun = self._ask(account, Phase.FINALIZE, "/v2/post/publish/content/init/", body, PublishStarted)
        return Pending(
            checkpoint={**checkpoint, "publish_id": begun.publish_id}, wait=CAPABILITIES.look_every[0]
        )

    def _send_last_chunk(self, draft: Draft, checkpoint: CheckpointData) -> FinalizeResult:
        handle = Handle.read(checkpoint)
        if handle is None or not handle.only_last_left:
            raise Unavailable("The upload is not ready for its last part.", code="not_prepared")
        if not handle.can_finish(time.time()):
            raise Unavailable("The upload's address has expired; nothing was sent.", code="upload_expired")
        answer = send(self.client, put(draft, handle), Phase.FINALIZE)
        if answer.status not in STORED:
            raise of_upload(answer.status, Phase.FINALIZE, parse_retry_after(answer))
        return Pending(checkpoint=checkpoint, wait=CAPABILITIES.look_every[0])

    # --- look --------------------------------------------------------------------------------------------------------

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Where the publish stands; reads only."""
        if armed_at is None:
            return _unarmed(draft, checkpoint)
        handle = Handle.read(checkpoint) if draft.kind == "video" else None
        publish_id = handle.publish_id if handle else checkpoint.get("publish_id")
        if publish_id is None:
            return self._search(draft, account, armed_at, taken)
        try:
            status = self._status(account, publish_id, Phase.LOOK)
        except Rejected as refusal:
            return CannotTell(reason=refusal.message)
        if status.status == "PUBLISH_COMPLETE":
            return _published(draft, account, checkpoint, publish_id, status)
        if status.status == "SEND_TO_USER_INBOX":
            return Published(remote_id=publish_id, delivered_as="inbox_draft")
        if status.status == "FAILED":
            return Ended(error=of_failure(status.fail_reason))
        if handle is not None and status.status == "PROCESSING_UPLOAD":
            return _upload_seen(handle, status.uploaded_bytes, checkpoint, armed_at)
        return Pending(checkpoint=checkpoint, wait=pause(armed_at, time.time()))

    def _status(self, account: Account, publish_id: str, step: Phase) -> PublishStatus:
        body = {"publish_id": publish_id}
        return self._ask(account, step, "/v2/post/publish/status/fetch/", body, PublishStatus)

    def _search(
        self, draft: Draft, account: Account, armed_at: datetime, taken: Container[str]
    ) -> LookResult:
        if draft.kind == "video":
            return CannotTell(reason="the upload's id is gone, and TikTok offers no other way to find it")
        if not posts.is_public(draft):
            return CannotTell(reason="TikTok lists public posts only, and this one is not")
        title, text, since = posts.title(draft), posts.description(draft), earliest(armed_at)
        hits, cursor = [], None
        for _ in range(LIST_PAGES):
            try:
                page = self._page(account, cursor)
            except PermissionMissing:
                return CannotTell(reason="the account's grant does not let us read its posts (video.list)")
            hits += [
                Found(id=item.id, url=item.share_url or posts.permalink(draft, account.username, item.id))
                for item in page.videos
                if fits_photo(item, title, text, since)
            ]
            if not page.has_more or any(item.create_time < since for item in page.videos):
                return judged(hits, taken)
            cursor = page.cursor
        return CannotTell(
            reason=f"the account has posted more than {LIST_PAGES} pages since: not all were read"
        )

    def _page(self, account: Account, cursor: int | None) -> VideoPage:
        body = {"max_count": PAGE} if cursor is None else {"cursor": cursor, "max_count": PAGE}
        return self._ask(account, Phase.LOOK, f"/v2/video/list/?fields={LIST_FIELDS}", body, VideoPage)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def _ask(
        self, account: Account, step: Phase, path: str, body: Mapping[str, Any], model: type[WireT]
    ) -> WireT:
        token = account.credentials.access_token.get_secret_value()
        request = Request(
            method="POST",
            url=f"{self.api}{path}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=UTF-8"},
            json=body or None,
        )
        return creator_answer(send(self.client, request, step), step, model)


def _next(handle: Handle | None, checkpoint: CheckpointData) -> PrepareResult:
    """Ready when only the last chunk is missing and the account's settings are fresh; else one more step."""
    if handle is None:
        return Pending(checkpoint=checkpoint)
    checkpoint = {**checkpoint, "upload": handle.kept()}
    allowed = Allowed.read(checkpoint)
    is_ready = handle.only_last_left and allowed is not None and allowed.is_fresh(time.time())
    return Ready(checkpoint=checkpoint) if is_ready else Pending(checkpoint=checkpoint)


def _without_upload(checkpoint: CheckpointData) -> dict[str, Any]:
    return {key: value for key, value in checkpoint.items() if key != "upload"}


def _detour(checkpoint: CheckpointData) -> dict[str, Any]:
    detours = checkpoint.get("detours", 0) + 1
    if detours > MOST_DETOURS:
        raise Unavailable("The upload has started over too often without getting on.", code="upload_stuck")
    return {**checkpoint, "detours": detours}


def _unarmed(draft: Draft, checkpoint: CheckpointData) -> LookResult:
    """Of a publish that was never armed: whether it may be. Nothing of it can be live, so nothing is asked."""
    if draft.kind == "slideshow":
        is_ready = posts.is_draft(draft) or Allowed.read(checkpoint) is not None
        return Ready(checkpoint=checkpoint) if is_ready else Pending(checkpoint=checkpoint)
    handle, now = Handle.read(checkpoint), time.time()
    if handle is None:
        return Pending(checkpoint=checkpoint)
    if handle.life(now) is Life.ALIVE:
        return Ready(checkpoint=checkpoint) if handle.only_last_left else Pending(checkpoint=checkpoint)
    if handle.was_armed and handle.life(now) is Life.DYING:
        return Pending(checkpoint=checkpoint, wait=handle.time_to_death(now))
    return Absent()  # the upload can no longer be completed: from scratch


def _published(
    draft: Draft, account: Account, checkpoint: CheckpointData, publish_id: str, status: PublishStatus
) -> Published:
    """Out; the post's own id comes once it is public and past moderation, and never for one that is not public."""
    if not status.post_ids:
        return Published(remote_id=publish_id)
    allowed = Allowed.read(checkpoint)
    username = (allowed.username if allowed else None) or account.username
    post_id = status.post_ids[0]
    return Published(remote_id=post_id, url=posts.permalink(draft, username, post_id))


def _upload_seen(
    handle: Handle, stored: int | None, checkpoint: CheckpointData, armed_at: datetime
) -> LookResult:
    """An armed upload that is not complete is not live; what to do next depends on whether its URL still lives."""
    now = time.time()
    if stored is None or stored >= handle.plan.size:
        return Pending(checkpoint=checkpoint, wait=pause(armed_at, now))
    if handle.life(now) is Life.DEAD:
        return Absent()
    if handle.life(now) is Life.DYING:
        return Pending(checkpoint=checkpoint, wait=handle.time_to_death(now))
    resumed = replace(handle, offset=stored, was_armed=True, recheck=False)
    return Absent(checkpoint={**checkpoint, "upload": resumed.kept()})
