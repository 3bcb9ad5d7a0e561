"""The LinkedIn adapter: a draft becomes one post of a member or an organization, of any form.

PlatformSettings.hosts: ``api`` (https://api.linkedin.com), ``www`` (consent, tokens and posts' addresses,
https://www.linkedin.com); bytes go to the addresses in the responses. ``version``: the ``LinkedIn-Version`` header,
YYYYMM. options: ``connection`` (``person`` or ``organization``: what is being connected) and, without it, ``ask_for``
(the same values, or ``either``, the default: the user chooses among the accounts found). Accounts: ``connection`` is
one of the two and ``remote_id`` the URN that posts. Never tried against live LinkedIn: README.md.

The LinkedIn section of a post request.

Source: learn.microsoft.com/linkedin/marketing/community-management/shares/posts-api, read 2026-11-24.

Read-only checks of a connected LinkedIn member or organization.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

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
    Media,
    Platform,
    PlatformSettings,
    PrepareResult,
)
from adapters.errors import AdapterError, CredentialsExpired, NeedsPerson, RateLimited, Unavailable
from adapters.http import HttpClient
from adapters.linkedin import limits, lookup, payload
from adapters.linkedin.checkpoint import Checkpoint, FileUpload, Step, choose_next_step, get_first_pause
from adapters.linkedin.client import Client
from adapters.linkedin.errors import RESOURCE_FORBIDDEN, STALE_UPLOAD
from adapters.linkedin.oauth import OAuth
from adapters.linkedin.problems import find_problems
from adapters.listing import Asked, Listing
from adapters.live_check import POST_NOT_FOUND_AGAIN, ConnectionChecks, Finding, LiveCheck, quota_not_readable
from adapters.post_options import MediaConflict, PostOptions, WebUrl, find_link_conflict


def _check_quota(_http: HttpClient, _settings: PlatformSettings, _account: Account) -> Iterator[Finding]:
    yield quota_not_readable(f"{limits.CAPABILITIES.daily_posts} posts a day per member")


_QUOTA = LiveCheck(name="quota", run=_check_quota)
_ONLY_LIVE_POST = (
    "the duplicate rule of `/rest/posts`: what counts as equal, for how long",
    "whether 3,000 counts escaped or plain text",
    "whether the app may post for members and organizations that do not administer it (access tier)",
)

LIVE_CHECKS = (
    ConnectionChecks(
        connection="person",
        required_scopes=("w_member_social",),
        checks=(_QUOTA,),
        only_live_post=_ONLY_LIVE_POST,
    ),
    ConnectionChecks(
        connection="organization",
        required_scopes=("w_organization_social",),
        optional_scopes={
            "r_organization_social": POST_NOT_FOUND_AGAIN,
            "w_organization_social_feed": "no comments",
            "r_organization_social_feed": "a comment whose response was lost cannot be looked for",
        },
        checks=(_QUOTA,),
        only_live_post=(
            *_ONLY_LIVE_POST,
            "whether a listing shows `content.media.id` as it was sent, and how late",
        ),
    ),
)


Visibility = TypeAliasType("Visibility", Literal["PUBLIC", "CONNECTIONS", "LOGGED_IN"])


class LinkedInOptions(PostOptions):
    """Options of a LinkedIn post; when at least one account is LinkedIn."""

    platform: ClassVar[Platform] = Platform.LINKEDIN

    defaults: ClassVar[Mapping[str, Any]] = {"visibility": "PUBLIC"}

    visibility: Visibility | None = Field(
        None, description="Default PUBLIC. CONNECTIONS is for members: organizations have none."
    )
    # ours: LinkedIn's page names no longest title
    title: str | None = Field(
        None, min_length=1, max_length=400, description="Of a video, a single image or a link."
    )
    link: WebUrl | None = Field(
        None,
        description="Of a post of text alone: a card. LinkedIn does not read the page; without title the card is bare.",
    )

    @classmethod
    def find_media_conflicts(cls, options: Mapping[str, Any], media_type: str) -> Iterator[MediaConflict]:
        """Find a link beside media."""
        return find_link_conflict(options, media_type)


class LinkedIn(OAuth, PublishingAdapter[Checkpoint, Client]):
    """Publishes posts of LinkedIn members and organizations; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.LINKEDIN
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = LinkedInOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS
    checkpoint_model = Checkpoint
    find_problems = staticmethod(find_problems)
    find_words = staticmethod(payload.write_words)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Send one request: each file is started and sent in turn, then the status of all is read."""
        state, client = self._open(account, checkpoint)
        step, index = choose_next_step(draft, state)
        match step:
            case Step.START:
                file = _start(draft, account, client, index)
                return state.replace_file(index, file).to_pending()
            case Step.SEND | Step.COVER:
                return _send(draft, state, client, index)
            case Step.CLOSE:
                return _close(draft, state, client, index)
            case Step.POLL:
                result = lookup.read_status(client, draft, state, index)
                return (
                    lookup.restart_file(state, index, result.error) if isinstance(result, Ended) else result
                )
            case Step.DONE:
                return state.to_ready()

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """Create the post with ``POST /rest/posts``, the one visible call."""
        state, client = self._open(account, checkpoint)
        if choose_next_step(draft, state)[0] is not Step.DONE:
            raise Unavailable("The post is not prepared.", code="not_prepared")
        response = client.create_post(payload.build_post(draft, account.remote_id, state.urns))
        is_readable = account.connection == "organization"
        return lookup.interpret_created_post(response, state, client.www, is_readable=is_readable)

    def _look_unarmed(self, publish: Publish[Checkpoint, Client]) -> LookResult:
        step, index = choose_next_step(publish.draft, publish.state)
        if step is Step.POLL:
            return lookup.read_status(publish.client, publish.draft, publish.state, index)
        return publish.state.to_ready()

    def _look_armed(self, publish: lookup.Armed) -> LookResult:
        """Read and search an organization's posts; a member's can be neither read nor listed."""
        if publish.account.connection != "organization":
            return CannotTell(reason=lookup.NO_LISTING, is_final=True)
        return lookup.find_post(publish)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List an organization's posts since *since*, compared with the draft; a member's cannot be listed."""
        if account.connection != "organization":
            return Listing(asked=Asked.NEVER, reason=lookup.NO_LISTING)
        return lookup.list_posts(self._build_client(account), account.remote_id, draft, since)

    def _build_client(self, account: Account) -> Client:
        return Client(self._http, self._settings, account.credentials.access_token)


def _start(draft: Draft, account: Account, client: Client, index: int) -> FileUpload:
    if draft.kind == "video":
        has_cover = isinstance(draft.cover, Media)
        video = client.start_video(account.remote_id, draft.media[index], has_cover=has_cover)
        return FileUpload(
            urn=video.video,
            parts=video.uploadInstructions,
            cover_url=video.thumbnailUploadUrl if has_cover else "",
            token=video.uploadToken,
            ends=_validate_expiry(video.uploadUrlsExpireAt),
        )
    whole = client.start_whole(account.remote_id, draft.media[index])
    return FileUpload(urn=whole.urn, url=whole.uploadUrl, ends=_validate_expiry(whole.uploadUrlExpiresAt))


def _validate_expiry(milliseconds: int | None) -> int | None:
    """Return the expiry, or None if it has passed: then one of the clocks is wrong, and LinkedIn has to decide."""
    return milliseconds if milliseconds and milliseconds > datetime.now(UTC).timestamp() * 1000 else None


def _send(draft: Draft, state: Checkpoint, client: Client, index: int) -> PrepareResult:
    file = state.get_file(index)
    if file.is_stale(datetime.now(UTC)):
        stale = Unavailable("LinkedIn's upload address has expired.", code=STALE_UPLOAD)
        return lookup.restart_file(state, index, stale)
    try:
        sent = _send_next(draft, client, index, file)
    except Unavailable as error:
        if error.code != STALE_UPLOAD:
            raise
        return lookup.restart_file(state, index, error)
    return state.replace_file(index, sent).to_pending()


def _send_next(draft: Draft, client: Client, index: int, file: FileUpload) -> FileUpload:
    """Send the image or document, or the next part of the video or its thumbnail, and return the file's new state."""
    if draft.kind != "video":
        client.send_whole(draft.media[index], file.url)
        return file.replace(sent=True, url="", ends=None)
    if file.sent and isinstance(draft.cover, Media):
        client.send_cover(draft.cover, file.cover_url)
        return file.replace(cover_url="", ends=None)
    part, *remaining = file.parts
    part_id = client.send_part(draft.media[index], part)
    return file.replace(
        parts=tuple(remaining),
        part_ids=(*file.part_ids, part_id),
        sent=not remaining,
        ends=file.ends if remaining or file.cover_url else None,
    )


def _close(draft: Draft, state: Checkpoint, client: Client, index: int) -> PrepareResult:
    """Complete a video's upload.

    A refusal may follow an earlier call whose response was lost: the file is marked doubtful, and its status decides.
    """
    file = state.get_file(index)
    done = file.replace(closed=True, part_ids=(), token="")
    try:
        client.close_video(file.urn, file.token, file.part_ids)
    except AdapterError as error:
        if not _is_refusal(error):
            raise
        done = done.replace(doubtful=True)
    state = state.replace_file(index, done).replace(polls=0)
    return state.to_pending(get_first_pause(draft))


def _is_refusal(error: AdapterError) -> bool:
    has_other_meaning = isinstance(error, (CredentialsExpired, RateLimited, NeedsPerson))
    has_other_meaning |= error.code == RESOURCE_FORBIDDEN
    status = error.http_status or 0
    return not has_other_meaning and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
