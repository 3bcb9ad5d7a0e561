"""Publishing for creator accounts: TikTok's Content Posting API v2.

Videos are uploaded (FILE_UPLOAD): the last byte is the visible step, and the ``publish_id`` is known before it.
Photos are fetched by TikTok: ``content/init`` is the visible step, and only its response has the ``publish_id``.
Never tried against TikTok itself: README.md.

Which chunk plan to request for a file, and which forms of plans TikTok has refused to our app.

A refusal at init costs nothing, as nothing is visible yet: the next prepare requests the next plan. Refused forms are
tried last for a day, in this process; losing that memory costs one refused request.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from http import HTTPStatus

from adapters.contract import (
    Account,
    CheckpointData,
    Draft,
    FinalizeResult,
    Pending,
    PrepareResult,
    Ready,
)
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import Rejected, Unavailable
from adapters.tiktok import payload
from adapters.tiktok.checkpoint import (
    AllowedSettings,
    Checkpoint,
    Step,
    Upload,
    UploadPlan,
    choose_creator_step,
    is_draft,
)
from adapters.tiktok.client import CHUNK_TIME, CreatorClient
from adapters.tiktok.errors import CHUNKS_REFUSED, Refusals, translate_upload_error
from adapters.tiktok.limits import CAPABILITIES, CHUNK_MOST, CHUNK_SMALL
from adapters.tiktok.lookup import look_unarmed_creator
from adapters.tiktok.oauth import CreatorOAuth
from adapters.tiktok.problems import is_audited
from adapters.transport import is_web_page

_OPERATOR = "Ask the operator of this server:"


REFUSED_FORMS = Refusals()
"""The forms of plans that TikTok refused to an app, by host and app id."""


def choose_plan(size: int, limit: timedelta, host: str, app: str, refused: Collection[str]) -> UploadPlan:
    """Return the plan to request next. *refused*: forms that were refused for this very file.

    *limit* is the longest time that a visible call may take. Raise Rejected if no plan is left.
    """
    left = [plan for plan in UploadPlan.list_legal(size) if plan.form not in refused]
    fitting = [plan for plan in left if plan.fits_call(limit)]
    if fitting:
        return min(fitting, key=lambda plan: REFUSED_FORMS.contains(host, app, plan.form))
    if left:
        seconds = min(plan.call_time for plan in left).total_seconds()
        raise Rejected(
            "TikTok takes this video only in parts too large for the time that a visible call may take.",
            code="chunks_too_large",
            next_action=f"{_OPERATOR} SLIPWAY_WORKER__SHUTDOWN has to be at least {seconds + 3:.0f}.",
        )
    raise Rejected(
        "TikTok refused every chunk size that its rules allow for this video.",
        code="chunks_refused",
        next_action="Send a video of at most 64,000,000 bytes." if size > CHUNK_MOST else None,
    )


_STORED = (HTTPStatus.CREATED, HTTPStatus.PARTIAL_CONTENT)


class CreatorAdapter(CreatorOAuth):
    """The publishing half of the adapter for creator accounts."""

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Do the next invisible step. A draft of photos needs none, one of a video no settings.

        The scope of drafts is ``video.upload``.
        """
        if draft.kind != "video" and is_draft(draft):
            return Ready(checkpoint=checkpoint)
        now, client = time.time(), self.build_client(account.credentials)
        state = Checkpoint.model_validate(checkpoint).drop_dead_upload(now)
        step, allowed, upload = choose_creator_step(draft, state, now), state.allowed, state.upload
        if step is Step.WAIT and upload is not None:
            return Pending(checkpoint=checkpoint, wait=upload.time_until_dead(now))
        if step is Step.STATUS and upload is not None:
            return _read_progress(client, draft, upload, state)
        if step is Step.SETTINGS:
            allowed = AllowedSettings.from_wire(client.query_creator_info(), time.time())
            state = state.replace(allowed=allowed)
        if allowed is not None and not is_draft(draft):
            level, audited = payload.get_privacy_level(draft), is_audited(self._settings)
            allowed.check(draft, level, audited=audited)
        if draft.kind != "video":
            return state.to_ready()
        if step is Step.START:
            return _continue(draft, self._start_upload(client, draft, state))
        if step is Step.SEND and upload is not None:
            return _send_chunk(client, draft, upload, state)
        return _continue(draft, state)

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Make the visible call: the last chunk of a video, or ``content/init`` for photos."""
        state, client = Checkpoint.model_validate(checkpoint), self.build_client(account.credentials)
        wait = CAPABILITIES.look_every[0]
        if draft.kind == "video":
            _send_last_chunk(client, draft, state.upload, self._settings.visible_call)
            return Pending(checkpoint=checkpoint, wait=wait)
        allowed = None if is_draft(draft) else state.allowed
        if allowed is None and not is_draft(draft):
            raise Unavailable("The account's settings have not been read yet.", code="not_prepared")
        started = client.publish_photos(payload.build_photo_init(draft, allowed))
        return state.replace(publish_id=started.publish_id).to_pending(wait)

    look_unarmed = staticmethod(look_unarmed_creator)

    def _start_upload(self, client: CreatorClient, draft: Draft, state: Checkpoint) -> Checkpoint:
        """Request an upload. The refusal of its chunk size is remembered, and the next step requests another plan."""
        facts = draft.media[0].facts
        if facts is None or facts.bytes <= 0:
            raise Unavailable("The size of the video is not known yet.", code="media_unavailable")
        limit, host, app = self._settings.visible_call, self._settings.hosts["api"], self._settings.app_id
        plan = choose_plan(facts.bytes, limit, host, app, state.refused_forms)
        requested_at, to_inbox = time.time(), is_draft(draft)
        body = payload.build_video_init(draft, None if to_inbox else state.allowed, plan)
        try:
            started = client.start_upload(body, to_inbox=to_inbox)
        except Rejected as refusal:
            if refusal.code != CHUNKS_REFUSED:
                raise
            REFUSED_FORMS.add(host, app, plan.form)
            return state.replace(refused_forms=(*state.refused_forms, plan.form))
        return state.replace(upload=Upload.start(started.publish_id, started.upload_url, plan, requested_at))


def _continue(draft: Draft, state: Checkpoint) -> PrepareResult:
    """Return Ready if only the last chunk is missing, and the settings are fresh where they matter."""
    is_fresh = is_draft(draft) or (state.allowed is not None and state.allowed.is_fresh(time.time()))
    if state.upload is None or not state.upload.is_last_chunk or not is_fresh:
        return state.to_pending()
    first, end = state.upload.get_next_range()
    return Ready(checkpoint=state.to_dict(), sends=(first, end - first))


def _send_chunk(client: CreatorClient, draft: Draft, upload: Upload, state: Checkpoint) -> PrepareResult:
    response = client.send_chunk(draft, upload, Phase.PREPARE)
    if is_web_page(response):
        raise translate_upload_error(response.status, Phase.PREPARE, parse_retry_after(response))
    if response.status in _STORED:
        _, end = upload.get_next_range()
        return _continue(draft, state.replace(upload=upload.replace(offset=end)))
    if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _continue(draft, state.count_detour().replace(upload=upload.replace(recheck=True)))
    if response.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        state = state.count_detour()
        if upload.was_armed:
            return _continue(draft, state.replace(upload=upload.replace(recheck=True)))
        return state.replace(upload=None).to_pending()
    raise translate_upload_error(response.status, Phase.PREPARE, parse_retry_after(response))


def _read_progress(client: CreatorClient, draft: Draft, upload: Upload, state: Checkpoint) -> PrepareResult:
    """Read from TikTok how far the upload is, and continue from there."""
    state = state.count_detour()
    try:
        status = client.fetch_status(upload.publish_id, Phase.PREPARE)
    except Rejected:
        if upload.was_armed:
            raise Unavailable("TikTok no longer knows an upload that may still complete.") from None
        return state.replace(upload=None).to_pending()
    if status.status == "FAILED":
        return state.replace(upload=None).to_pending()
    stored = upload.offset if status.uploaded_bytes is None else status.uploaded_bytes
    if status.status != "PROCESSING_UPLOAD":
        stored = (
            upload.plan.size
        )  # the upload is complete: finalize is refused as such, and look finds the post
    offset = min(stored, upload.plan.size)
    return _continue(draft, state.replace(upload=upload.replace(offset=offset, recheck=False)))


def _send_last_chunk(
    client: CreatorClient, draft: Draft, upload: Upload | None, visible_call: timedelta
) -> None:
    if upload is None or not upload.is_last_chunk:
        raise Unavailable("The upload is not ready for its last part.", code="not_prepared")
    if not upload.can_finish(time.time()):
        raise Unavailable("The upload URL has expired; nothing was sent.", code="upload_expired")
    is_small = upload.plan.last_length <= CHUNK_SMALL
    response = client.send_chunk(draft, upload, Phase.FINALIZE, CHUNK_TIME if is_small else visible_call)
    if response.status not in _STORED:
        raise translate_upload_error(response.status, Phase.FINALIZE, parse_retry_after(response))
