"""LinkedIn: a draft becomes one post of a member or of an organization, with an image, several, or a video.

PlatformSettings.hosts: ``api`` (https://api.linkedin.com), ``www`` (consent, tokens and posts' addresses,
https://www.linkedin.com); bytes go where the answers say. ``version``: the ``LinkedIn-Version`` header, YYYYMM.
options: ``connection`` (``person`` or ``organization``: what a person is connecting) and, where that is not said,
``ask_for`` (the same words, or ``either``, the default: whoever the person chooses among those found). Accounts:
``connection`` is one of the two and ``remote_id`` the URN that posts. Never tried against live LinkedIn: README.md.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
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
    Ready,
    Seen,
)
from adapters.errors import AdapterError, CredentialsExpired, NeedsPerson, Permanent, RateLimited, Unavailable
from adapters.http import Client
from adapters.linkedin import limits
from adapters.linkedin import payload as post
from adapters.linkedin import problems as rules
from adapters.linkedin.checkpoint import File, Next, Progress, judged, next_step, pause, renewed, unread
from adapters.linkedin.client import Calls
from adapters.linkedin.errors import DENIED, STALE_UPLOAD
from adapters.linkedin.oauth import Login
from adapters.oauth_mixin import Connecting


class LinkedIn(Connecting):
    """See the module; the contract of each method is in ``adapters.contract``."""

    platform: ClassVar[Platform] = Platform.LINKEDIN
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._login = Login(client=client, settings=settings)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:
        """Every limit that the facts at hand show to be broken."""
        return rules.problems(draft, account)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Prepared:
        """One request: a file after the other is begun and sent, then all are waited for."""
        at, calls = Progress.model_validate(checkpoint), self._calls(account)
        step, index = next_step(draft, at)
        match step:
            case Next.START:
                begun = _started(draft, account, calls, index)
                return Pending(checkpoint=at.put(index, begun).checkpoint())
            case Next.SEND:
                return _sent(draft, at, calls, index)
            case Next.CLOSE:
                return _closed(draft, at, calls, index)
            case Next.POLL:
                said = _read(draft, at, calls, index)
                return renewed(at, index, said.error) if isinstance(said, Ended) else said
            case Next.NOTHING:
                return Ready(checkpoint=at.checkpoint())

    def finalize(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Finalized:
        """``POST /rest/posts``, and nothing after it."""
        at = Progress.model_validate(checkpoint)
        if next_step(draft, at)[0] is not Next.NOTHING:
            raise Unavailable("The post is not prepared.", code="not_prepared")
        answer = self._calls(account).create_post(post.body(draft, account.remote_id, at.urns))
        return post.published(answer, self._settings.hosts["www"])

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: Checkpoint,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> Seen:
        """Not armed: Ready means that ``prepare`` has something to do again. Armed: an organization's posts."""
        at, calls = Progress.model_validate(checkpoint), self._calls(account)
        if armed_at is None:
            step, index = next_step(draft, at)
            return _read(draft, at, calls, index) if step is Next.POLL else Ready(checkpoint=at.checkpoint())
        if account.connection != "organization":
            return CannotTell(reason="LinkedIn does not let anybody list a member's posts")
        if not any(at.urns):
            return CannotTell(reason="No media are known by which the post could be told")
        try:
            listed = calls.posts(account.remote_id)
        except (Permanent, NeedsPerson) as error:
            if isinstance(error, NeedsPerson) and error.code != DENIED:
                raise
            return CannotTell(reason=f"The organization's posts cannot be listed: {error.message}")
        return post.found(draft, at.urns, listed, taken, checkpoint, self._settings.hosts["www"])

    def _calls(self, account: Account) -> Calls:
        return Calls(
            client=self._client,
            api=self._settings.hosts["api"],
            version=self._settings.version,
            token=account.credentials.access_token,
        )


def _started(draft: Draft, account: Account, calls: Calls, index: int) -> File:
    if draft.kind == "video":
        video = calls.start_video(account.remote_id, draft.media[index])
        return File(
            urn=video.video,
            parts=video.uploadInstructions,
            token=video.uploadToken,
            ends=_end(video.uploadUrlsExpireAt),
        )
    image = calls.start_image(account.remote_id)
    return File(urn=image.image, url=image.uploadUrl, ends=_end(image.uploadUrlExpiresAt))


def _end(milliseconds: int | None) -> int | None:
    """An address that was dead when it was given means that one of the two clocks is wrong: then LinkedIn decides."""
    return milliseconds if milliseconds and milliseconds > datetime.now(UTC).timestamp() * 1000 else None


def _sent(draft: Draft, at: Progress, calls: Calls, index: int) -> Prepared:
    file = at.file(index)
    if file.is_stale(datetime.now(UTC)):
        stale = Unavailable("LinkedIn's upload address has expired.", code=STALE_UPLOAD)
        return renewed(at, index, stale)
    try:
        now = _one_more(draft, calls, index, file)
    except Unavailable as error:
        if error.code != STALE_UPLOAD:
            raise
        return renewed(at, index, error)
    return Pending(checkpoint=at.put(index, now).checkpoint())


def _one_more(draft: Draft, calls: Calls, index: int, file: File) -> File:
    """The image, or the next part of the video."""
    if draft.kind != "video":
        calls.send_image(draft.media[index], file.url)
        return file.then(sent=True, url="", ends=None)
    part, *left = file.parts
    part_id = calls.send_part(draft.media[index], part)
    return file.then(
        parts=tuple(left),
        part_ids=(*file.part_ids, part_id),
        sent=not left,
        ends=file.ends if left else None,
    )


def _closed(draft: Draft, at: Progress, calls: Calls, index: int) -> Prepared:
    """Refused: perhaps because an earlier call got through and its answer was lost; the status will tell."""
    file = at.file(index)
    done = file.then(closed=True, part_ids=(), token="")
    try:
        calls.close_video(file.urn, file.token, file.part_ids)
    except AdapterError as error:
        if not _refused(error):
            raise
        done = done.then(doubtful=True)
    now = at.put(index, done).then(polls=0)
    return Pending(checkpoint=now.checkpoint(), wait=pause(draft, 0))


def _refused(error: AdapterError) -> bool:
    other = isinstance(error, (CredentialsExpired, RateLimited, NeedsPerson))
    status = error.http_status or 0
    return not other and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def _read(draft: Draft, at: Progress, calls: Calls, index: int) -> Ready | Pending | Ended:
    try:
        return judged(draft, at, index, calls.status(at.file(index).urn))
    except NeedsPerson as error:
        if error.code != DENIED:
            raise
        return unread(draft, at, index)
