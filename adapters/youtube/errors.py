"""Google's codes -> our classes: one table per place a code can come from, with the page it is from.

A row that is not ``ambiguous`` is a refusal given *before* acting: also after the visible call nothing went out. A row
``of_insert`` can only be about a new video, so as a session's answer it is the upload's final outcome. Every reason
that no table lists is unclear: OutcomeUnknown after the visible call, elsewhere nothing we know how to answer.

Pages, read 2026-11-24: developers.google.com/youtube/v3/docs/videos/insert (errors),
developers.google.com/youtube/v3/docs/errors (all methods), …/guides/using_resumable_upload_protocol,
…/docs/videos and the discovery document of revision 20261104 (failureReason, rejectionReason,
processingFailureReason), developers.google.com/identity/protocols/oauth2/web-server (tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import partial
from http import HTTPStatus
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from adapters.error_table import ErrorRow, Phase, build_error, parse_retry_after
from adapters.error_table import build_unclear_error as unclear_of
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import Response
from adapters.youtube import limits
from adapters.youtube.wire import Envelope, OAuthFault

SERVICE = "YouTube"
unclear = partial(unclear_of, SERVICE)


@dataclass(frozen=True, kw_only=True, slots=True)
class About(ErrorRow):
    """A row that also knows whether it can only be ``of_insert``: about a new video."""

    of_insert: bool = False


def until_midnight(now: datetime) -> timedelta:
    """How long until midnight Pacific time, when the quotas are new; ``now`` is aware."""
    pacific = _pacific()
    tomorrow = now.astimezone(pacific).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), tzinfo=pacific).astimezone(UTC) - now.astimezone(UTC)


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a machine without zone data: the later of the two midnights is safe
        return timezone(timedelta(hours=-8))


_RECONNECT = "Connect the YouTube channel again and grant every permission asked for."
_OPERATOR = "Ask the operator of this server: the app's project at Google has to change."
_STUDIO = "Open YouTube Studio to see what is wrong with the channel, then connect it again."


def _refused(code: str, message: str, next_action: str | None = None) -> About:
    return About(error=Rejected, code=code, message=message, next_action=next_action, of_insert=True)


def _person(code: str, message: str, next_action: str) -> About:
    return About(error=PermissionMissing, code=code, message=message, next_action=next_action)


_EXPIRED = About(
    error=CredentialsExpired, code="credentials_expired", message="YouTube no longer takes the access token."
)
_BUSY = About(
    error=RateLimited,
    code="rate_limited",
    message="YouTube asked us to slow down.",
    wait=limits.SHORT_BUSY,
)
_QUOTA = About(
    error=RateLimited,
    code="quota_exhausted",
    message="Our project's YouTube quota for today is spent; it is new at midnight Pacific time.",
    wait=until_midnight,
)
_METADATA = _refused(
    "invalid_metadata", "YouTube refused the video's texts or settings.", "Change the caption."
)
_CLOSED = _person("channel_closed", "YouTube says the channel or its Google account is closed.", _STUDIO)
_SUSPENDED = _person("channel_suspended", "YouTube has suspended the channel or its account.", _STUDIO)
_FORBIDDEN = _person("permission_missing", "YouTube says the grant does not allow this.", _RECONNECT)
_FAILED_INSIDE = About(
    error=Unavailable, code="platform_unavailable", message="YouTube failed inside.", ambiguous=True
)

# Data API and upload server: ``error.errors[0].reason``, or ``error.status`` where there is no reason.
REASONS: Mapping[str, About] = {
    # 400
    "invalidTitle": _refused("invalid_title", "YouTube refused the video's title.", "Change the caption."),
    "invalidDescription": _refused(
        "invalid_description", "YouTube refused the video's description.", "Change the caption."
    ),
    "invalidTags": _refused("invalid_tags", "YouTube refused the video's tags.", "Change the hashtags."),
    "invalidCategoryId": _refused("invalid_category", "YouTube has no such video category.", _OPERATOR),
    "mediaBodyRequired": _refused("invalid_media", "YouTube says the upload holds no video."),
    **dict.fromkeys(
        (
            "invalidVideoMetadata",
            "invalidPublishAt",
            "invalidFilename",
            "defaultLanguageNotSet",
            "invalidRecordingDetails",
            "invalidVideoGameRating",
        ),
        _METADATA,
    ),
    "uploadLimitExceeded": About(
        error=RateLimited,
        code="daily_limit",
        message="YouTube says this channel has uploaded as many videos as it may for now.",
        wait=limits.CHANNEL_DAY,
    ),
    # 401
    **dict.fromkeys(("authError", "UNAUTHENTICATED"), _EXPIRED),
    "youtubeSignupRequired": _person(
        "no_channel",
        "The Google account has no YouTube channel.",
        "Create a channel at youtube.com, then connect it again.",
    ),
    # 403
    **dict.fromkeys(("quotaExceeded", "dailyLimitExceeded"), _QUOTA),
    **dict.fromkeys(("rateLimitExceeded", "userRateLimitExceeded"), _BUSY),
    **dict.fromkeys(
        ("forbidden", "insufficientPermissions", "accountDelegationForbidden", "playlistItemsNotAccessible"),
        _FORBIDDEN,
    ),
    "forbiddenPrivacySetting": _refused(
        "privacy_not_allowed", "YouTube does not let this channel use the configured privacy.", _OPERATOR
    ),
    "forbiddenLicenseSetting": _refused("license_not_allowed", "YouTube refused the video's licence."),
    **dict.fromkeys(("channelClosed", "authenticatedUserAccountClosed"), _CLOSED),
    **dict.fromkeys(("channelSuspended", "authenticatedUserAccountSuspended"), _SUSPENDED),
    "accessNotConfigured": _person(
        "app_misconfigured", "The YouTube Data API is not switched on for our project.", _OPERATOR
    ),
    # 429 and 5xx
    "uploadRateLimitExceeded": replace(_BUSY, wait=limits.LONG_BUSY),
    "backendError": _FAILED_INSIDE,
}
# Where no reason of theirs is listed. 429 and 401 are answered before anything is done; the rest is unclear.
BARE: Mapping[int, About] = {HTTPStatus.TOO_MANY_REQUESTS: _BUSY, HTTPStatus.UNAUTHORIZED: _EXPIRED}


# --- what may become of an upload that was taken ---------------------------------------------------------------------

_MEND = "Mend the video file and send the post again."
_FILE = _refused("invalid_media", "YouTube cannot process this video file.", _MEND)
_AGAIN = About(error=Unavailable, code="processing_failed", message="YouTube failed to process the upload.")
FAILURES: Mapping[str, About] = {
    "conversion": _FILE,
    "invalidFile": replace(_FILE, message="YouTube says this is no valid video file."),
    "emptyFile": replace(_FILE, message="YouTube says the file is empty."),
    "tooSmall": replace(_FILE, message="YouTube says the file is too small to be a video."),
    "codec": replace(_FILE, message="YouTube does not take the video's codec."),
    "uploadAborted": replace(_AGAIN, code="upload_aborted", message="YouTube says the upload was aborted."),
}
PROCESSING_FAILURES: Mapping[str, About] = {
    "uploadFailed": replace(_AGAIN, message="YouTube says the upload failed."),
    "transcodeFailed": replace(_FILE, message="YouTube could not transcode the video."),
    "streamingFailed": _AGAIN,
    "other": _AGAIN,
}
_APPEAL = "Open YouTube Studio to see the claim; change the video, or appeal there."
_CLAIMED = _refused("content_claimed", "YouTube rejected the video over somebody's rights in it.", _APPEAL)
_POLICY = _refused("content_policy", "YouTube rejected the video under its rules.", _APPEAL)
REJECTIONS: Mapping[str, About] = {
    **dict.fromkeys(("copyright", "claim", "trademark"), _CLAIMED),
    **dict.fromkeys(("inappropriate", "termsOfUse", "legal"), _POLICY),
    "duplicate": _refused(
        "duplicate", "YouTube rejected the video: the channel has uploaded the same file before."
    ),
    "length": _refused(
        "media_duration",
        "YouTube rejected the video as too long for this channel.",
        "Verify the channel at youtube.com/verify, or send a video of at most 15 minutes.",
    ),
    "uploaderAccountSuspended": _SUSPENDED,
    "uploaderAccountClosed": _CLOSED,
}


# --- tokens ----------------------------------------------------------------------------------------------------------

_REVOKED = About(
    error=CredentialsRevoked,
    code="reconnect_required",
    message="Google no longer renews the grant: it was withdrawn, or it has expired.",
    next_action="Connect the YouTube channel again.",
)
_APP = _person("app_misconfigured", "Google does not know our app by its id and secret.", _OPERATOR)
OAUTH: Mapping[str, About] = {
    "invalid_grant": _REVOKED,
    **dict.fromkeys(("invalid_client", "unauthorized_client", "deleted_client", "disabled_client"), _APP),
    **dict.fromkeys(("invalid_scope", "access_denied"), _FORBIDDEN),
    **dict.fromkeys(
        ("admin_policy_enforced", "org_internal"),
        replace(_FORBIDDEN, message="The account's Google Workspace does not allow our app."),
    ),
    **dict.fromkeys(("internal_failure", "server_error", "temporarily_unavailable"), _FAILED_INSIDE),
    **dict.fromkeys(("rate_limit_exceeded", "slow_down"), _BUSY),
}


# --- reading an answer -----------------------------------------------------------------------------------------------


def reason_of(answer: Response) -> str | None:
    """Their word for the refusal; None when the answer cannot be read as one."""
    try:
        fault = Envelope.model_validate_json(answer.body).error
    except ValidationError:
        return None
    named = next((entry.reason for entry in fault.errors if entry.reason), None)
    return named or fault.status


def row_of(answer: Response) -> About | None:
    """The row for a refusal, by its reason, else by its status."""
    return REASONS.get(reason_of(answer) or "") or BARE.get(answer.status)


def of_answer(answer: Response, step: Phase) -> AdapterError:
    """The error behind an answer that is no success."""
    row, code = row_of(answer), reason_of(answer) or f"http_{answer.status}"
    broken = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if step is Phase.FINALIZE and (row is None or row.ambiguous or broken):
        return unclear(step, platform_code=code, status=answer.status)
    if row is None and broken:
        row = _FAILED_INSIDE
    if row is None:
        return AdapterError(
            "YouTube refused for an unlisted reason.", platform_code=code, http_status=answer.status
        )
    return build_error(row, platform_code=code, status=answer.status, asked=parse_retry_after(answer))


def of_oauth(answer: Response) -> AdapterError:
    """The error behind the token host's answer. Only ``invalid_grant`` is a definite end of the grant."""
    try:
        code = OAuthFault.model_validate_json(answer.body).error
    except ValidationError:
        code = f"http_{answer.status}"
    row = OAUTH.get(code)
    if row is None and answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        row = _FAILED_INSIDE
    if row is None and answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        row = _BUSY
    if row is None:
        return AdapterError(
            "Google refused the tokens for an unlisted reason.", platform_code=code, http_status=answer.status
        )
    return build_error(row, platform_code=code, status=answer.status, asked=parse_retry_after(answer))


def of_failure(table: Mapping[str, About], reason: str | None) -> AdapterError:
    """Why a taken upload ended. An unlisted reason is not tried again: we do not know that it would help."""
    unlisted = _refused("platform_failed", "YouTube failed or rejected the video.", _APPEAL)
    return build_error(table.get(reason or "", unlisted), platform_code=reason)
