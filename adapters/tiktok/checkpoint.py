"""The checkpoint of an unfinished publish to TikTok, and which step comes next. Pure."""

from __future__ import annotations

from enum import StrEnum

from adapters.checkpoint import BaseCheckpoint
from adapters.contract import Draft
from adapters.errors import Unavailable
from adapters.tiktok import payload
from adapters.tiktok.creator_info import AllowedSettings
from adapters.tiktok.upload import Upload, UrlState

MAX_DETOURS = 20
"""Restarts and status reads of one upload before the try counts as failed."""


class Step(StrEnum):
    """The next action of ``prepare``: one request, or none (WAIT, READY)."""

    WAIT = "wait until the upload URL is surely dead"
    STATUS = "read how far the upload is"
    SETTINGS = "read the account's settings"
    START = "start the upload"
    SEND = "send the next chunk"
    CHART = "look for the sound in the next chart"
    READY = "only the visible call is left"


class ChosenSound(BaseCheckpoint):
    """The sound that a post will use."""

    id: str
    charted: bool
    """A chart of the commercial library lists it."""


class Checkpoint(BaseCheckpoint):
    """The state of an unfinished publish; an empty checkpoint is the start."""

    allowed: AllowedSettings | None = None
    upload: Upload | None = None
    """Creator videos only."""
    publish_id: str | None = None
    """Set by the response to the visible call, for photos and for business accounts."""
    music: ChosenSound | None = None
    charts: tuple[str, ...] = ()
    """Windows of the charts that were read already."""
    refused_forms: tuple[str, ...] = ()
    """Forms of chunk plans that TikTok refused for this video at init."""
    detours: int = 0

    def drop_dead_upload(self, now: float) -> Checkpoint:
        """Return a copy without the upload if its URL no longer accepts bytes and it need not be waited for."""
        if (
            self.upload is None
            or self.upload.get_url_state(now) is UrlState.ALIVE
            or self.upload.must_wait(now)
        ):
            return self
        return self.replace(upload=None)

    def count_detour(self) -> Checkpoint:
        """Return a copy with one more detour. Raise Unavailable after too many."""
        if self.detours >= MAX_DETOURS:
            raise Unavailable("The upload has restarted too often without progress.", code="upload_stuck")
        return self.replace(detours=self.detours + 1)


def choose_creator_step(draft: Draft, state: Checkpoint, now: float) -> Step:
    """Return the next step for a creator account's post that is not an inbox draft."""
    if draft.kind != "video":
        is_fresh = state.allowed is not None and state.allowed.is_fresh(now)
        return Step.READY if is_fresh else Step.SETTINGS
    upload = state.upload
    if upload is not None and upload.must_wait(now):
        return Step.WAIT
    if upload is not None and upload.recheck:
        return Step.STATUS
    needs_fresh_settings = upload is None or upload.is_last_chunk
    if state.allowed is None or (needs_fresh_settings and not state.allowed.is_fresh(now)):
        return Step.SETTINGS
    if upload is None:
        return Step.START
    return Step.READY if upload.is_last_chunk else Step.SEND


def choose_business_step(draft: Draft, state: Checkpoint, now: float) -> Step:
    """Return the next step for a business account."""
    if payload.is_draft(draft):
        return Step.READY
    if state.allowed is None or not state.allowed.is_fresh(now):
        return Step.SETTINGS
    return Step.READY if is_music_decided(draft, state) else Step.CHART


def is_music_decided(draft: Draft, state: Checkpoint) -> bool:
    """Return True if the draft asks for no sound, or the sound to attach is chosen."""
    return draft.music_url is None or state.music is not None
