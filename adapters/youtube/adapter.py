"""YouTube: a resumable upload whose last chunk makes the video, and whose session proves what became of it.

PlatformSettings.hosts: ``api`` (https://www.googleapis.com), ``oauth`` (https://oauth2.googleapis.com), ``accounts``
(https://accounts.google.com). options: ``privacy`` (``public``, the default, ``unlisted`` or ``private``) and
``category`` (id, default ``22``). One connection: ``channel``. Nothing here was ever tried against YouTube itself;
README.md lists what is least certain.

A session can make one video only, however often its last chunk is sent: it answers a repeated request as it answered
the first. So the same session is gone on with as long as it lives, and never two are alive for one delivery.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from adapters.contract import (
    Absent,
    Account,
    CannotTell,
    Capabilities,
    CheckpointData,
    Credentials,
    Draft,
    Ended,
    FinalizeResult,
    LookResult,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Problem,
    Ready,
    RemoteAccount,
)
from adapters.error_table import Phase
from adapters.errors import AdapterError, Unavailable, Unsupported
from adapters.http import HttpClient
from adapters.youtube import limits
from adapters.youtube import lookup as looking
from adapters.youtube import payload as resource
from adapters.youtube import problems as rules
from adapters.youtube.checkpoint import Progress, Todo
from adapters.youtube.client import Channels
from adapters.youtube.errors import of_answer, row_of, unclear
from adapters.youtube.oauth import OAuth
from adapters.youtube.preparing import after, ends_session
from adapters.youtube.upload import Complete, Garbled, Gone, Refused, Stored, Upload


class YouTube:
    """See the module; the contract of each method is in ``adapters.contract``."""

    platform: ClassVar[Platform] = Platform.YOUTUBE
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES

    def __init__(self, client: HttpClient, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Every limit that the facts at hand show to be broken, and what goes out differently than asked."""
        return rules.problems(draft, account)

    # --- prepare -----------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """One request: the session's start, a probe, or the next chunk; Ready when only the last one is left."""
        if draft.kind != "video" or any(media.kind != "video" for media in draft.media):
            raise Unsupported("YouTube publishes videos only; it has no slideshows.")
        at, upload = Progress.model_validate(checkpoint), self._upload(account)
        match at.todo(time.time()):
            case Todo.READY:
                return Ready(checkpoint=at.to_dict())
            case Todo.START:
                body = resource.video(draft, self._settings.options)
                return Pending(checkpoint=upload.start(draft, at, body).to_dict())
            case Todo.PROBE:
                return after(at, lambda: upload.probe(at, Phase.PREPARE), probing=True)
            case Todo.SEND:
                return after(at, lambda: upload.put(draft.media[0], at, Phase.PREPARE), probing=False)

    # --- finalize ----------------------------------------------------------------------------------------------------

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """The last chunk, and nothing after it: the ``look`` that the answer asks for reads the video's status."""
        at = Progress.model_validate(checkpoint)
        if at.video_id is not None:  # complete already, as a probe saw: there is nothing left to send
            return Pending(checkpoint=at.to_dict())
        if at.session is None or at.unsure or not at.only_last_left:
            raise Unavailable("The upload is not ready for its last part.", code="not_prepared")
        match self._upload(account).put(draft.media[0], at, Phase.FINALIZE):
            case Complete(video=video):
                return Pending(checkpoint=at.replace(video_id=video.id).to_dict())
            case Stored(offset=offset) if offset < at.size:  # "incomplete" is proof: the same session goes on
                raise Unavailable(
                    f"YouTube has stored {offset} of {at.size} bytes only; the rest is sent again.",
                    code="upload_incomplete",
                    retry_after=limits.STALE,  # what we knew is old by then: a probe comes first
                )
            case Refused(answer=answer):
                raise of_answer(answer, Phase.FINALIZE)
            case Stored() | Gone() | Garbled():
                raise unclear(Phase.FINALIZE, platform_code="unclear_upload")

    # --- look --------------------------------------------------------------------------------------------------------

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Where the publish stands. Not armed: Ready means that ``prepare`` has something to do again."""
        at = Progress.model_validate(checkpoint)
        if at.video_id is not None:
            return self._status(draft, account, at, at.video_id, armed_at)
        if armed_at is None:
            return Ready(checkpoint=at.to_dict())
        seen = None if at.session is None else self._by_session(draft, account, at, armed_at)
        return seen or self._search(draft, account, at, armed_at, taken)

    def _by_session(
        self, draft: Draft, account: Account, at: Progress, armed_at: datetime
    ) -> LookResult | None:
        """What the upload session proves; None when it is gone, or has a last word that proves nothing."""
        match self._upload(account).probe(at, Phase.LOOK):
            case Complete(video=video):
                return self._status(draft, account, at.replace(video_id=video.id), video.id, armed_at)
            case Stored(session=session) if (
                session != at.session
            ):  # kept first: the old URI may be dead already
                return Pending(checkpoint=at.replace(session=session, unsure=True).to_dict())
            case Stored(offset=offset, session=session) if offset < at.size:
                again = at.stored(session, offset, time.time()).replace(unsure=True)
                return Absent(checkpoint=again.to_dict())
            case Stored():
                return Pending(checkpoint=at.to_dict(), wait=self.capabilities.look_every[0])
            case Refused(answer=answer):
                case = row_of(answer)
                if case is not None and case.of_insert:  # the upload is over, and this is how it ended
                    return Ended(error=of_answer(answer, Phase.LOOK))
                if not ends_session(answer):
                    raise of_answer(answer, Phase.LOOK)
        return None

    def _status(
        self, draft: Draft, account: Account, at: Progress, video_id: str, armed_at: datetime | None
    ) -> LookResult:
        """What YouTube makes of an upload it has taken. A failed read never unpublishes."""
        try:
            found = self._channels(account).videos((video_id,), "status,processingDetails")
        except AdapterError as error:
            return looking.published(draft, video_id, status_unread=error.code)
        if not found:  # deleted since, or not listed yet: it was taken
            return looking.published(draft, video_id, upload_status="not_listed")
        return looking.judged(draft, at, found[0], armed_at, datetime.now(UTC))

    def _search(
        self, draft: Draft, account: Account, at: Progress, armed_at: datetime, taken: Container[str]
    ) -> LookResult:
        found = looking.search(self._channels(account), account.remote_id, draft, at, armed_at, taken)
        if isinstance(found, CannotTell):
            return found
        return looking.judged(draft, at, found, armed_at, datetime.now(UTC))

    def _upload(self, account: Account) -> Upload:
        token = account.credentials.access_token.get_secret_value()
        return Upload(client=self._client, api=self._settings.hosts["api"], token=token)

    def _channels(self, account: Account) -> Channels:
        token = account.credentials.access_token.get_secret_value()
        return Channels(client=self._client, api=self._settings.hosts["api"], token=token)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def refresh(self, account: Account) -> Credentials:
        """A new access token for the refresh token; CredentialsRevoked on ``invalid_grant`` alone."""
        return self._oauth().refresh(account)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:
        """Google's consent page, with PKCE where a challenge is given."""
        return self._oauth().authorize_url(redirect_uri, state, code_challenge)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:
        """The grant behind a code."""
        return self._oauth().exchange(code, redirect_uri, code_verifier)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The channel of a grant."""
        return self._oauth().discover(credentials)

    def _oauth(self) -> OAuth:
        hosts = self._settings.hosts
        return OAuth(
            client=self._client,
            api=hosts["api"],
            tokens=hosts["oauth"],
            accounts=hosts["accounts"],
            app_id=self._settings.app_id,
            app_secret=self._settings.app_secret,
        )
