"""TikTok's error codes as our error classes: one table per source of codes, with the page that documents it.

A row that is not ``ambiguous`` is a refusal given *before* acting: after the visible call, too, nothing was published.
``error_table.translate_refusal`` says what counts without the product's envelope. An upload URL has none: its refusal
of the last chunk is never proof, as ``status/fetch`` is.

Pages, read 2026-11-24: developers.tiktok.com/doc/content-posting-api-reference-{direct-post, photo-post,
query-creator-info, get-video-status}, …/content-posting-api-media-transfer-guide, …/oauth-user-access-token-management;
business-api.tiktok.com/portal/docs?id=1737172488964097 (general return codes) and ?id=1816387106635778 (status).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from adapters import error_table
from adapters.error_table import (
    ErrorRow,
    Phase,
    time_until_utc_midnight,
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

SERVICE = "TikTok"
build_unclear_error = partial(error_table.build_unclear_error, SERVICE)


def time_until_next_day(now: datetime) -> timedelta:
    """Return the time until 00:00 UTC, at least an hour: whether TikTok counts by day or by 24 h is undocumented."""
    return max(time_until_utc_midnight(now), timedelta(hours=1))


_MINUTE = timedelta(minutes=1)
_RECONNECT = "Connect the TikTok account again."
_OPERATOR = "Ask the operator of this server: the TikTok app's configuration has to change."

AUDIT = (
    "submit the app for TikTok's Direct Post audit (developers.tiktok.com, Manage apps), and set "
    "SLIPWAY_TIKTOK__AUDITED=false until it has passed."
)
"""The operator's action for an app that is not audited (developers.tiktok.com/doc/content-sharing-guidelines)."""

_EXPIRED = ErrorRow(CredentialsExpired, "credentials_expired", "TikTok no longer accepts the token.")
_SCOPE = ErrorRow(
    PermissionMissing,
    "permission_missing",
    "TikTok says that a permission this post needs was not granted.",
    "Connect the TikTok account again and grant every permission asked for.",
)
_TOO_MANY_POSTS = ErrorRow(
    RateLimited,
    "daily_limit",
    "TikTok says this account has reached today's limit of posts through apps.",
    wait=time_until_next_day,
)
_SPAM = ErrorRow(
    Rejected,
    "spam_risk",
    "TikTok refused the post as a spam risk.",
    "Change the text or the media, or post from the TikTok app.",
)
_BANNED = ErrorRow(
    Rejected,
    "account_banned",
    "TikTok has banned this account from posting.",
    "Open the TikTok app to see why, then post again.",
)
_BUSY = ErrorRow(RateLimited, "rate_limited", "TikTok asked us to slow down.", wait=_MINUTE)
_UNVERIFIED = ErrorRow(
    Rejected,
    "url_ownership_unverified",
    "TikTok fetches this media itself, and its URL is not in a verified URL property of our app.",
    _OPERATOR,
)
_BAD_REQUEST = ErrorRow(
    Rejected,
    "invalid_request",
    "TikTok refused the request as invalid.",
    "Check text, settings and media of the post.",
)
_UNKNOWN_ID = ErrorRow(
    Rejected, "unknown_publish_id", "TikTok does not know this publish id for this account."
)

# Content Posting API: errors of init, creator_info, status/fetch and video/list.
CREATOR: Mapping[str, ErrorRow] = {
    "invalid_param": _BAD_REQUEST,
    "invalid_params": _BAD_REQUEST,
    "invalid_file_upload": replace(_BAD_REQUEST, code="invalid_media", message="TikTok refused the file."),
    "app_version_check_failed": ErrorRow(
        Rejected,
        "app_too_old",
        "The account's TikTok app is older than 31.8 and cannot receive drafts.",
        "Update the TikTok app, or post directly instead of as a draft.",
    ),
    "access_token_invalid": _EXPIRED,
    "scope_not_authorized": _SCOPE,
    "scope_permission_missed": _SCOPE,
    "spam_risk_too_many_posts": _TOO_MANY_POSTS,
    "spam_risk_too_many_pending_share": ErrorRow(
        RateLimited,
        "too_many_drafts",
        "TikTok says five drafts are already waiting in the account's inbox.",
        "Post or discard waiting drafts in the TikTok app.",
        wait=timedelta(hours=1),
    ),
    "spam_risk_user_banned_from_posting": _BANNED,
    "spam_risk": _SPAM,
    "spam_risk_text": _SPAM,
    "reached_active_user_cap": ErrorRow(
        RateLimited,
        "app_user_cap",
        "TikTok says our app has reached its number of active users for 24 hours.",
        wait=timedelta(hours=24),
    ),
    "unaudited_client_can_only_post_to_private_accounts": ErrorRow(
        Rejected,
        "app_unaudited",
        "TikTok has not audited our app yet: it may post to private accounts only, as SELF_ONLY.",
        f"Ask the operator: {AUDIT}",
    ),
    "url_ownership_unverified": _UNVERIFIED,
    "privacy_level_option_mismatch": ErrorRow(
        Rejected,
        "privacy_not_allowed",
        "TikTok does not let this account post with the chosen privacy_level.",
        "Choose a privacy_level the account allows.",
    ),
    "rate_limit_exceeded": _BUSY,
    "internal_error": ErrorRow(
        Unavailable, "platform_unavailable", "TikTok failed internally.", ambiguous=True
    ),
    "invalid_publish_id": _UNKNOWN_ID,
    "token_not_authorized_for_specified_publish_id": _UNKNOWN_ID,
}

CHUNKS_REFUSED = "chunk_size_refused"
# What a refused parameter (invalid_param, …) is about, by words in its message: "The chunk size is invalid"
# (DayMoonDevelopment/post-for-me#327).
CREATOR_WORDS: Mapping[str, ErrorRow] = {
    "chunk size": ErrorRow(Rejected, CHUNKS_REFUSED, "TikTok refused the size of the upload's chunks."),
}

_MEDIA = "Fix the media: see the limits of TikTok."
_PULL = ErrorRow(Unavailable, "media_pull_failed", "TikTok could not fetch the media from its URL.")
# Reasons of status FAILED, both products: final, nothing was published. Some names are not in TikTok's lists: clients
# have seen them.
FAIL_REASONS: Mapping[str, ErrorRow] = {
    "file_format_check_failed": ErrorRow(
        Rejected, "media_format", "TikTok does not take this file format.", _MEDIA
    ),
    "duration_check_failed": ErrorRow(
        Rejected, "media_duration", "TikTok does not take a video of this length.", _MEDIA
    ),
    "frame_rate_check_failed": ErrorRow(
        Rejected, "media_frame_rate", "TikTok does not take this frame rate.", _MEDIA
    ),
    "picture_size_check_failed": ErrorRow(
        Rejected, "media_dimensions", "TikTok does not take pictures of this size.", _MEDIA
    ),
    "internal": ErrorRow(Unavailable, "platform_unavailable", "TikTok failed internally, for good."),
    "video_pull_failed": _PULL,
    "photo_pull_failed": _PULL,
    "video_download_failed": _PULL,
    "photo_download_failed": _PULL,
    "publish_cancelled": ErrorRow(Rejected, "publish_cancelled", "The publish was cancelled at TikTok."),
    "auth_removed": ErrorRow(
        CredentialsRevoked,
        "reconnect_required",
        "The account's owner has removed our app's access at TikTok.",
        _RECONNECT,
    ),
    "spam_risk": _SPAM,
    "spam_risk_text": _SPAM,
    "spam_risk_too_many_posts": _TOO_MANY_POSTS,
    "spam_risk_user_banned_from_posting": _BANNED,
}

_REVOKED = ErrorRow(
    CredentialsRevoked, "reconnect_required", "TikTok refused the account's tokens for good.", _RECONNECT
)
_APP = ErrorRow(
    PermissionMissing, "app_misconfigured", "TikTok does not accept our app's id and secret.", _OPERATOR
)
# The flat OAuth errors, as in RFC 6749. The token call is never visible.
OAUTH: Mapping[str, ErrorRow] = {
    "invalid_grant": _REVOKED,
    "invalid_request": _REVOKED,
    "access_denied": _REVOKED,
    "invalid_client": _APP,
    "unauthorized_client": _APP,
    "invalid_scope": _SCOPE,
    "server_error": ErrorRow(Unavailable, "platform_unavailable", "TikTok failed internally."),
    "temporarily_unavailable": ErrorRow(
        Unavailable, "platform_unavailable", "TikTok is not available right now."
    ),
    "rate_limit_exceeded": _BUSY,
}

_FILE = replace(_BAD_REQUEST, code="invalid_media", message="TikTok refused the file.", next_action=_MEDIA)
_CONFIG = ErrorRow(
    Rejected,
    "app_not_allowed",
    "TikTok does not let our app do this: it is blocked or not approved.",
    _OPERATOR,
)
_QUOTA = replace(_BUSY, wait=timedelta(minutes=5))
_SYSTEM = ErrorRow(Unavailable, "platform_unavailable", "TikTok failed internally.", ambiguous=True)
# API for Business: general return codes, HTTP 200 all of them.
BUSINESS: Mapping[int, ErrorRow] = {
    **dict.fromkeys((40000, 40002, 40006, 40007, 41002, 40700), _BAD_REQUEST),
    **dict.fromkeys((40001, 40125), _SCOPE),
    **dict.fromkeys((40102, 40104, 40105), _EXPIRED),
    **dict.fromkeys((40101, 40103, 40107, 40110, 40115), _REVOKED),
    **dict.fromkeys((40113, 40118, 40124), _CONFIG),
    **dict.fromkeys((40016, 40100, 40133), _QUOTA),
    40050: replace(_SYSTEM, code="duplicate_request", message="TikTok calls this a duplicated request."),
    40202: ErrorRow(Unavailable, "conflict", "TikTok was changing the same thing at that time."),
    **dict.fromkeys((40902, 40903, 40913), _PULL),
    **dict.fromkeys((40905, 40906, 40907, 40908, 40910, 40914, 40915), _FILE),
    **dict.fromkeys((50000, 50002, 51305, 51065), _SYSTEM),
    60001: ErrorRow(
        Unavailable, "platform_maintenance", "TikTok is under maintenance.", wait=timedelta(minutes=30)
    ),
}
BAD_SOUND = 51065
"""A generic system error *and* the refusal of a music_sound_id; ``business.py`` tells them apart."""

# What a refused parameter (40000, 40002, …) is about, by words in its message; no code is documented.
BUSINESS_WORDS: Mapping[str, ErrorRow] = {
    "url_ownership_unverified": _UNVERIFIED,
    "spam_risk_too_many_posts": _TOO_MANY_POSTS,
}


_translate_refusal = partial(translate_refusal, SERVICE)


def translate_creator_error(
    response: Response, phase: Phase, code: str | None, message: str = ""
) -> AdapterError:
    """Return the error of a v2 response that is not ``ok``; *code* is None without the envelope."""
    row = CREATOR.get(code or "")
    if row is not None and row.code == _BAD_REQUEST.code:
        words = message.casefold()
        row = next((about for word, about in CREATOR_WORDS.items() if word in words), row)
    return _translate_refusal(response, phase, code, row, message)


def translate_business_error(
    response: Response, phase: Phase, code: int | None, message: str = ""
) -> AdapterError:
    """Return the error of a Business response whose code is not 0; *code* is None without the envelope."""
    row = None if code is None else BUSINESS.get(code)
    if row is _BAD_REQUEST:
        row = next((about for word, about in BUSINESS_WORDS.items() if word in message), row)
    return _translate_refusal(response, phase, None if code is None else str(code), row, message)


def translate_failure(reason: str | None) -> AdapterError:
    """Return the error of a publish that ended as FAILED. An unlisted reason is permanent: a retry may not help."""
    row = FAIL_REASONS.get(reason or "")
    if row is None:
        spam = (reason or "").startswith("spam_risk")
        row = _SPAM if spam else ErrorRow(Rejected, "platform_failed", "TikTok failed the post.")
    error = error_table.build_error(row, platform_code=reason or None)
    error.platform_message = clean_message(reason)
    return error


def translate_upload_error(status: int, phase: Phase, retry_after: timedelta | None = None) -> AdapterError:
    """Return the error of an upload response that is neither 201 nor 206."""
    return build_unclear_error(phase, platform_code=f"http_{status}", status=status, retry_after=retry_after)


def translate_oauth_error(response: Response, code: str | None, message: str = "") -> AdapterError:
    """Return the error of a token endpoint's refusal."""
    return _translate_refusal(response, Phase.PREPARE, code, OAUTH.get(code or ""), message)


REFUSAL_LIFE = 24 * 3600.0
"""Seconds that a refusal is remembered."""


class Refusals:
    """What TikTok refused, in this process: losing it costs requests only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str, ...], float] = {}

    def add(self, *key: str) -> None:
        """Remember a refusal that was just given."""
        with self._lock:
            now = time.monotonic()
            self._until = {key: until for key, until in self._until.items() if until > now}
            self._until[key] = now + REFUSAL_LIFE

    def contains(self, *key: str) -> bool:
        """Return True if *key* was refused within a day."""
        with self._lock:
            return time.monotonic() < self._until.get(key, 0.0)
