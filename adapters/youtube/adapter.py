"""YouTube: a resumable upload whose last chunk makes the video visible, and whose session proves the outcome.

PlatformSettings.hosts: ``api`` (https://www.googleapis.com), ``oauth`` (https://oauth2.googleapis.com), ``accounts``
(https://accounts.google.com). options: ``privacy`` (``public``, the default, ``unlisted`` or ``private``) and
``category`` (id, default ``22``), ``playlists`` (true: consent asks for the scope that playlists need). One connection:
``channel``. Nothing here was ever tried against YouTube itself;
README.md lists the least certain points.

A session can make one video only, however often its last chunk is sent: it repeats its first response. So a publish
continues the same session for as long as it lives, and never has two live sessions.

The YouTube section of a post request.

Limits: developers.google.com/youtube/v3/docs/videos (properties title, tags, categoryId, status), read 2026-11-24.

Read-only checks of a connected YouTube channel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from adapters.base import Publish, PublishingAdapter
from adapters.contract import (
    Account,
    Capabilities,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    Media,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Ready,
)
from adapters.error_table import Phase
from adapters.errors import AdapterError, Retryable, Unavailable, Unsupported
from adapters.http import HttpClient, Response
from adapters.listing import Listing
from adapters.live_check import (
    POST_NOT_FOUND_AGAIN,
    ConnectionChecks,
    Finding,
    LiveCheck,
    ok,
    quota_not_readable,
)
from adapters.post_options import PostOptions, at_most
from adapters.transport import NO_RESPONSE
from adapters.youtube import limits, lookup, payload
from adapters.youtube.checkpoint import Checkpoint, Step, choose_next_step
from adapters.youtube.client import (
    Client,
    Complete,
    Gone,
    Incomplete,
    Refused,
    Unreadable,
    UploadResponse,
    ends_session,
    is_server_error,
)
from adapters.youtube.errors import build_unclear_error, find_row, translate_error
from adapters.youtube.oauth import CONNECTION, MANAGE_SCOPE, READ_SCOPE, UPLOAD_SCOPE, OAuth
from adapters.youtube.problems import find_problems


def _check_channel(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    client = Client(http, settings, account.credentials.access_token)
    channels = client.list_own_channels("status")
    long_uploads = channels[0].status.long_uploads_status if channels else None
    longest = "12 hours" if long_uploads == "allowed" else f"15 minutes (long uploads: {long_uploads})"
    yield ok("quota", "the project's quota of reads is not spent")
    yield ok("limits", f"videos of {longest}")
    yield quota_not_readable("100 uploads a day per project")


LIVE_CHECKS = (
    ConnectionChecks(
        connection=CONNECTION,
        required_scopes=(UPLOAD_SCOPE,),
        optional_scopes={READ_SCOPE: POST_NOT_FOUND_AGAIN, MANAGE_SCOPE: "no playlists, no comments"},
        checks=(LiveCheck(name="quota", run=_check_channel),),
        only_live_post=(
            "whether `fileDetails.fileName` is the `Slug` that was sent",
            "how long a session lives, and what it returns after a spent quota",
            "the limit of uploads a channel has per day (`uploadLimitExceeded`)",
            "whether the project may publish: videos of a project that is not audited stay private",
        ),
    ),
)


MAX_TAGS = 250
"""The most that 500 characters with commas between them hold; ``problems.py`` counts the characters."""

YouTubePrivacy = TypeAliasType("YouTubePrivacy", Literal["public", "unlisted", "private"])


class YouTubeOptions(PostOptions):
    """Options of a YouTube video; when at least one account is YouTube."""

    platform: ClassVar[Platform] = Platform.YOUTUBE

    defaults: ClassVar[Mapping[str, Any]] = {"notify_subscribers": True}

    title: str | None = Field(None, max_length=100, description="Default: the caption's first line.")
    tags: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=100)]],
            Field(max_length=MAX_TAGS, description="Default: the caption's hashtags. 500 characters in all."),
            at_most(MAX_TAGS),
        ]
        | None
    ) = None
    privacy: YouTubePrivacy | None = Field(None, description="Default: as the server's operator has set.")
    made_for_kids: bool | None = Field(None, description="Whether the video is made for children (COPPA).")
    category: str | None = Field(
        None, pattern=r"^\d{1,3}$", description="YouTube's category id. Default: as the operator has set."
    )
    playlist_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{2,64}$",
        description="A playlist of the channel; the video is added to it once it is live.",
    )
    notify_subscribers: bool | None = Field(
        None, description="Whether YouTube tells the channel's subscribers of the video. Default true."
    )


class YouTube(OAuth, PublishingAdapter[Checkpoint, Client]):
    """Publishes videos to YouTube channels; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.YOUTUBE
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = YouTubeOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS
    checkpoint_model = Checkpoint
    find_problems = staticmethod(find_problems)
    find_words = staticmethod(payload.write_words)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Send one request: the session's start, a probe or the next chunk. Ready: only the last chunk is left."""
        if draft.kind != "video" or any(media.kind != "video" for media in draft.media):
            raise Unsupported("YouTube publishes videos only; it has no slideshows.")
        state, client = self._open(account, checkpoint)
        match choose_next_step(state, time.time()):
            case Step.READY:
                return state.to_ready()
            case Step.START:
                body = payload.build_video(draft, self._settings.options)
                return client.start_upload(draft, state, body).to_pending()
            case Step.PROBE:
                return advance(state, lambda: client.probe_upload(state, Phase.PREPARE), probing=True)
            case Step.SEND:
                return advance(
                    state, lambda: client.send_chunk(draft.media[0], state, Phase.PREPARE), probing=False
                )

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Send the last chunk; the ``look`` that follows reads the video's status."""
        state, client = self._open(account, checkpoint)
        if state.video_id is not None:  # a probe found the upload complete: there is nothing left to send
            return state.to_pending()
        if state.session is None or state.unsure or not state.is_last_chunk:
            raise Unavailable("The upload is not ready for its last part.", code="not_prepared")
        match client.send_chunk(draft.media[0], state, Phase.FINALIZE):
            case Complete(video=video):
                return state.replace(video_id=video.id).to_pending()
            case Incomplete(offset=offset) if (
                offset < state.size
            ):  # proves absence: the same session continues
                raise Unavailable(
                    f"YouTube has stored only {offset} of {state.size} bytes; the rest is sent again.",
                    code="upload_incomplete",
                    retry_after=limits.STALE,  # by then the known offset is stale, so a probe comes first
                )
            case Refused(response=response):
                raise translate_error(response, Phase.FINALIZE)
            case Incomplete() | Gone() | Unreadable():
                raise build_unclear_error(Phase.FINALIZE, platform_code="unclear_upload")

    def _look_unarmed(self, publish: Publish[Checkpoint, Client]) -> LookResult:
        if publish.state.video_id is not None:
            return lookup.read_video(publish, publish.state.video_id, None)
        return Ready(checkpoint=publish.state.to_dict())

    def _look_armed(self, publish: lookup.Armed) -> LookResult:
        if publish.state.video_id is not None:
            return lookup.read_video(publish, publish.state.video_id, publish.armed_at)
        result = None if publish.state.session is None else lookup.probe_session(publish)
        return result or lookup.find_upload(publish)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the channel's uploads since *since*, compared with the draft."""
        return lookup.list_posts(self._build_client(account), account.remote_id, draft, since)

    def set_cover(self, account: Account, remote_id: str, cover: Media) -> None:
        """Set a video's thumbnail; YouTube takes it only once the video exists."""
        self._build_client(account).set_thumbnail(remote_id, cover)

    def get_playlist(self, draft: Draft) -> str | None:
        """Return the playlist that the request names."""
        playlist = draft.options.get("playlist_id")
        return None if playlist is None else str(playlist)

    def add_to_playlist(self, account: Account, remote_id: str, playlist: str) -> None:
        """Insert the video into the playlist, unless a read finds it there."""
        client = self._build_client(account)
        if not client.is_in_playlist(playlist, remote_id):
            client.insert_into_playlist(playlist, remote_id)

    def _build_client(self, account: Account) -> Client:
        return Client(self._http, self._settings, account.credentials.access_token)


# --- how prepare continues -------------------------------------------------------------------------------------------


def advance(state: Checkpoint, request: Callable[[], UploadResponse], *, probing: bool) -> PrepareResult:
    """Send one request to the session and return how ``prepare`` continues.

    An interruption or a temporary failure is not an error yet: the session is probed and continued, so that a long
    upload over an unstable line does not use up the delivery's tries. Raise Unavailable after too many in a row.
    """
    try:
        result = request()
    except Unavailable as error:
        if error.platform_code != NO_RESPONSE:
            raise
        return _probe_later(state, error)
    match result:
        case Incomplete():
            return _continue(state, result, probing=probing)
        case Complete(video=video):  # finalize sends nothing, and look reads what became of the video
            return state.replace(video_id=video.id).to_ready()
        case Gone():
            expired = Unavailable("YouTube no longer knows the upload session.", code="upload_expired")
            return _restart(state, expired)
        case Unreadable(status=status):
            unclear = build_unclear_error(Phase.PREPARE, platform_code="unreadable_answer", status=status)
            return _probe_later(state, unclear)
        case Refused(response=response):
            return _handle_refusal(state, response, probing=probing)


def _continue(state: Checkpoint, result: Incomplete, *, probing: bool) -> PrepareResult:
    new = state.record_offset(result.session, result.offset, time.time())
    if new.offset >= new.size:
        error = Unavailable("YouTube has every byte but does not complete the upload.", code="upload_stuck")
        return _probe_later(new, error)
    if not probing and new.offset <= state.offset:
        error = Unavailable("YouTube stores none of the bytes that are sent.", code="upload_stuck")
        return _probe_later(new, error)
    if result.wait is not None:
        return new.to_pending(result.wait)
    return new.to_ready() if new.is_last_chunk else new.to_pending()


def _handle_refusal(state: Checkpoint, response: Response, *, probing: bool) -> PrepareResult:
    error, row = translate_error(response, Phase.PREPARE), find_row(response)
    if is_server_error(response) or (row is None and not probing):  # a probe gives the session's actual state
        return _probe_later(state, error)
    if probing and ends_session(response) and not (row and row.of_insert):
        return _restart(state, error)
    raise error


def _probe_later(state: Checkpoint, error: AdapterError) -> Pending:
    if state.cuts >= limits.CUTS:
        raise error
    retry_after = error.retry_after if isinstance(error, Retryable) else None
    wait: timedelta = retry_after or limits.CUT_PAUSE * int(2**state.cuts)
    return state.replace(unsure=True, cuts=state.cuts + 1).to_pending(wait)


def _restart(state: Checkpoint, error: AdapterError) -> Pending:
    """Start from scratch, a limited number of times: a session without its last chunk never makes a video."""
    if state.restarts >= limits.RESTARTS:
        raise error
    return Checkpoint(restarts=state.restarts + 1).to_pending()
