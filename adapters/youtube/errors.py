"""Google's error codes as our error classes: one table per source of codes, with the page that documents it.

A row that is not ``ambiguous`` is a refusal given *before* acting: after the visible call, too, nothing was published.
A row ``of_insert`` can only be about a new video, so from a session it is the upload's final outcome. The envelope is
``{"error":{…}}`` with a reason; ``error_table.translate_refusal`` says what counts without it.

Pages, read 2026-11-24: developers.google.com/youtube/v3/docs/videos/insert (errors),
…/docs/thumbnails/set (errors), …/docs/errors (all methods), …/guides/using_resumable_upload_protocol,
…/docs/videos and the discovery document of revision 20261104 (failureReason, rejectionReason,
processingFailureReason), developers.google.com/identity/protocols/oauth2/web-server (tokens).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters import error_table
from adapters.error_table import (
    ErrorRow,
    Phase,
    translate_refusal,
)
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
from adapters.platform_message import clean_message
from adapters.youtube import limits
from adapters.youtube.wire import Envelope, OAuthError

SERVICE = "YouTube"
build_unclear_error = partial(error_table.build_unclear_error, SERVICE)


@dataclass(frozen=True, kw_only=True, slots=True)
class YouTubeErrorRow(ErrorRow):
    """A row that also says whether the code can only be about a new video (``of_insert``)."""

    of_insert: bool = False


def time_until_pacific_midnight(now: datetime) -> timedelta:
    """Return the time until midnight Pacific time, when the quotas are reset; *now* is aware."""
    pacific = _get_pacific_zone()
    tomorrow = now.astimezone(pacific).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), tzinfo=pacific).astimezone(UTC) - now.astimezone(UTC)


def _get_pacific_zone() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # without zone data, the later of the two possible midnights is safe
        return timezone(timedelta(hours=-8))


_RECONNECT = "Connect the YouTube channel again and grant every permission asked for."
_OPERATOR = "Ask the operator of this server: the app's project at Google has to change."
_STUDIO = "Open YouTube Studio to see the fault of the channel, then connect it again."


def _reject(code: str, message: str, next_action: str | None = None) -> YouTubeErrorRow:
    return YouTubeErrorRow(Rejected, code, message, next_action, of_insert=True)


def _need_person(code: str, message: str, next_action: str) -> YouTubeErrorRow:
    return YouTubeErrorRow(PermissionMissing, code, message, next_action)


_EXPIRED = YouTubeErrorRow(
    CredentialsExpired, "credentials_expired", "YouTube no longer accepts the access token."
)
_BUSY = YouTubeErrorRow(RateLimited, "rate_limited", "YouTube asked us to slow down.", wait=limits.SHORT_BUSY)
_QUOTA = YouTubeErrorRow(
    RateLimited,
    "quota_exhausted",
    "Our project's YouTube quota for today is used up; it is reset at midnight Pacific time.",
    wait=time_until_pacific_midnight,
)
_METADATA = _reject(
    "invalid_metadata", "YouTube refused the video's texts or settings.", "Change the caption."
)
_CLOSED = _need_person("channel_closed", "YouTube says the channel or its Google account is closed.", _STUDIO)
_SUSPENDED = _need_person("channel_suspended", "YouTube has suspended the channel or its account.", _STUDIO)
_FORBIDDEN = _need_person(
    "permission_missing", "YouTube says the granted permissions do not allow this.", _RECONNECT
)
_INTERNAL = YouTubeErrorRow(Unavailable, "platform_unavailable", "YouTube failed internally.", ambiguous=True)

# Data API and upload server: ``error.errors[0].reason``, or ``error.status`` where there is no reason.
REASONS: Mapping[str, YouTubeErrorRow] = {
    # 400
    "invalidTitle": _reject("invalid_title", "YouTube refused the video's title.", "Change the caption."),
    "invalidDescription": _reject(
        "invalid_description", "YouTube refused the video's description.", "Change the caption."
    ),
    "invalidTags": _reject("invalid_tags", "YouTube refused the video's tags.", "Change the hashtags."),
    "invalidCategoryId": _reject("invalid_category", "YouTube has no such video category.", _OPERATOR),
    "invalidImage": _reject("invalid_cover", "YouTube says the thumbnail is no valid image."),
    "videoNotFound": _reject("video_not_found", "YouTube has no such video any more."),
    "mediaBodyRequired": _reject("invalid_media", "YouTube says the upload holds no video."),
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
    "uploadLimitExceeded": YouTubeErrorRow(
        RateLimited,
        "daily_limit",
        "YouTube says this channel has reached its limit of uploads for now.",
        wait=limits.CHANNEL_DAY,
    ),
    # 401
    **dict.fromkeys(("authError", "UNAUTHENTICATED"), _EXPIRED),
    "youtubeSignupRequired": _need_person(
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
    "forbiddenPrivacySetting": _reject(
        "privacy_not_allowed", "YouTube does not let this channel use the configured privacy.", _OPERATOR
    ),
    "forbiddenLicenseSetting": _reject("license_not_allowed", "YouTube refused the video's licence."),
    **dict.fromkeys(("channelClosed", "authenticatedUserAccountClosed"), _CLOSED),
    **dict.fromkeys(("channelSuspended", "authenticatedUserAccountSuspended"), _SUSPENDED),
    "accessNotConfigured": _need_person(
        "app_misconfigured", "The YouTube Data API is not enabled for our project.", _OPERATOR
    ),
    # 429 and 5xx
    "uploadRateLimitExceeded": replace(_BUSY, wait=limits.LONG_BUSY),
    "backendError": _INTERNAL,
}

IN_PLAYLIST = "already_in_playlist"
_PLAYLIST = "Choose another playlist of the channel, or add the video in YouTube Studio."


def _reject_playlist(code: str, message: str, next_action: str | None = _PLAYLIST) -> YouTubeErrorRow:
    return YouTubeErrorRow(Rejected, code, message, next_action)


# …/docs/playlistItems/{list,insert} (errors), read 2026-11-29
PLAYLIST_REASONS: Mapping[str, YouTubeErrorRow] = {
    **REASONS,
    "videoAlreadyInPlaylist": _reject_playlist(IN_PLAYLIST, "The video is in the playlist already.", None),
    "playlistNotFound": _reject_playlist("playlist_not_found", "YouTube has no such playlist."),
    "playlistItemsNotAccessible": _reject_playlist(
        "playlist_not_found", "YouTube lets this channel not see the playlist."
    ),
    "playlistContainsMaximumNumberOfVideos": _reject_playlist("playlist_full", "The playlist is full."),
    **dict.fromkeys(
        ("manualSortRequired", "playlistOperationUnsupported", "invalidPlaylistId"),
        _reject_playlist("playlist_not_writable", "YouTube takes no video into this playlist."),
    ),
}

_COMMENT_TEXT = YouTubeErrorRow(
    Rejected, "invalid_comment", "YouTube refused the comment's text.", "Change the first comment."
)
_NO_COMMENTS = "Allow comments on the video in YouTube Studio, then retry."

# …/docs/commentThreads/{list,insert} (errors), read 2026-11-29
COMMENT_REASONS: Mapping[str, YouTubeErrorRow] = {
    **REASONS,
    **dict.fromkeys(("commentTextRequired", "commentTextTooLong"), _COMMENT_TEXT),
    "channelOrVideoIdMissing": YouTubeErrorRow(
        Rejected, "invalid_comment", "YouTube says the comment names no video."
    ),
    "commentsDisabled": YouTubeErrorRow(
        Rejected, "comments_disabled", "The video takes no comments.", _NO_COMMENTS
    ),
    "ineligibleAccount": _need_person(
        "permission_missing", "YouTube says the account may not comment.", _RECONNECT
    ),
    # a video that was just uploaded can be missing
    "videoNotFound": YouTubeErrorRow(Unavailable, "not_found", "YouTube does not find the video."),
    # the page calls it transient or an invalid input: it does not say that nothing was done
    "processingFailure": YouTubeErrorRow(
        Unavailable, "platform_unavailable", "YouTube failed to process the comment.", ambiguous=True
    ),
}

# --- outcomes of an accepted upload ----------------------------------------------------------------------------------

_FIX_FILE = "Fix the video file and send the post again."
_FILE = _reject("invalid_media", "YouTube cannot process this video file.", _FIX_FILE)
_RETRY = YouTubeErrorRow(Unavailable, "processing_failed", "YouTube failed to process the upload.")
FAILURES: Mapping[str, YouTubeErrorRow] = {
    "conversion": _FILE,
    "invalidFile": replace(_FILE, message="YouTube says this is not a valid video file."),
    "emptyFile": replace(_FILE, message="YouTube says the file is empty."),
    "tooSmall": replace(_FILE, message="YouTube says the file is too small to be a video."),
    "codec": replace(_FILE, message="YouTube does not accept the video's codec."),
    "uploadAborted": replace(_RETRY, code="upload_aborted", message="YouTube says the upload was aborted."),
}
PROCESSING_FAILURES: Mapping[str, YouTubeErrorRow] = {
    "uploadFailed": replace(_RETRY, message="YouTube says the upload failed."),
    "transcodeFailed": replace(_FILE, message="YouTube could not transcode the video."),
    "streamingFailed": _RETRY,
    "other": _RETRY,
}
_APPEAL = "Open YouTube Studio to see the claim; change the video, or appeal there."
_CLAIMED = _reject("content_claimed", "YouTube rejected the video because of a rights claim.", _APPEAL)
_POLICY = _reject("content_policy", "YouTube rejected the video under its rules.", _APPEAL)
REJECTIONS: Mapping[str, YouTubeErrorRow] = {
    **dict.fromkeys(("copyright", "claim", "trademark"), _CLAIMED),
    **dict.fromkeys(("inappropriate", "termsOfUse", "legal"), _POLICY),
    "duplicate": _reject(
        "duplicate", "YouTube rejected the video: the channel has uploaded the same file before."
    ),
    "length": _reject(
        "media_duration",
        "YouTube rejected the video as too long for this channel.",
        "Verify the channel at youtube.com/verify, or send a video of at most 15 minutes.",
    ),
    "uploaderAccountSuspended": _SUSPENDED,
    "uploaderAccountClosed": _CLOSED,
}


# --- tokens ----------------------------------------------------------------------------------------------------------

_REVOKED = YouTubeErrorRow(
    CredentialsRevoked,
    "reconnect_required",
    "Google no longer renews the access: it was withdrawn, or it has expired.",
    "Connect the YouTube channel again.",
)
_APP = _need_person("app_misconfigured", "Google does not accept our app's id and secret.", _OPERATOR)
OAUTH: Mapping[str, YouTubeErrorRow] = {
    "invalid_grant": _REVOKED,
    **dict.fromkeys(("invalid_client", "unauthorized_client", "deleted_client", "disabled_client"), _APP),
    **dict.fromkeys(("invalid_scope", "access_denied"), _FORBIDDEN),
    **dict.fromkeys(
        ("admin_policy_enforced", "org_internal"),
        replace(_FORBIDDEN, message="The account's Google Workspace does not allow our app."),
    ),
    **dict.fromkeys(("internal_failure", "server_error", "temporarily_unavailable"), _INTERNAL),
    **dict.fromkeys(("rate_limit_exceeded", "slow_down"), _BUSY),
}


# --- parsing a response ----------------------------------------------------------------------------------------------


def parse_reason(response: Response) -> str | None:
    """Return the reason in Google's error envelope, or None without one."""
    envelope = response.parse(Envelope)
    if envelope is None:
        return None
    error = envelope.error
    named = next((entry.reason for entry in error.errors if entry.reason), None)
    return named or error.status


def find_row(response: Response) -> YouTubeErrorRow | None:
    """Return the row of a refusal by its reason, or None if it has no envelope or an unlisted reason."""
    return REASONS.get(parse_reason(response) or "")


def _translate(reasons: Mapping[str, YouTubeErrorRow], response: Response, phase: Phase) -> AdapterError:
    """Return the error of a response that is not a success, by the reasons of one kind of call."""
    reason = parse_reason(response)
    return translate_refusal(SERVICE, response, phase, reason, reasons.get(reason or ""), reason)


translate_error = partial(_translate, REASONS)
translate_playlist_error = partial(_translate, PLAYLIST_REASONS)
translate_comment_error = partial(_translate, COMMENT_REASONS)


def translate_oauth_error(response: Response) -> AdapterError:
    """Return the error of a response of the token host. Only ``invalid_grant`` proves that the access has ended."""
    refusal = response.parse(OAuthError)
    code = refusal.error if refusal else None
    return translate_refusal(SERVICE, response, Phase.PREPARE, code, OAUTH.get(code or ""), code)


def translate_revocation(response: Response) -> AdapterError:
    """Return the error of a revocation that was refused: there ``invalid_token`` says that the grant has ended."""
    refusal = response.parse(OAuthError)
    if refusal and refusal.error == "invalid_token":
        return error_table.build_error(_REVOKED, platform_code=refusal.error)
    return translate_oauth_error(response)


def translate_failure(table: Mapping[str, YouTubeErrorRow], reason: str | None) -> AdapterError:
    """Return the error of a failed or rejected upload. An unlisted reason is permanent: a retry may not help."""
    unlisted = _reject("platform_failed", "YouTube failed or rejected the video.", _APPEAL)
    error = error_table.build_error(table.get(reason or "", unlisted), platform_code=reason)
    error.platform_message = clean_message(reason)
    return error
