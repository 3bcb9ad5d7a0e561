"""Every code of the tables, sent by a server, becomes the expected error class and code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    Retryable,
    Unavailable,
)
from adapters.tiktok import TikTok
from adapters.tiktok.errors import BUSINESS, CREATOR, time_until_next_day
from tests.adapters.scripted_server import Reply, ScriptedServer
from tests.adapters.tiktok import examples
from tests.adapters.tiktok.drafts import account, photos, prepare_until_ready, video

Make = Callable[..., TikTok]
INFO = "/tiktok/v2/post/publish/creator_info/query/"
CONTENT = "/tiktok/v2/post/publish/content/init/"
SETTINGS = "/tiktok-business/open_api/v1.3/business/video/settings/"
PUBLISH = "/tiktok-business/open_api/v1.3/business/video/publish/"

# status, code -> class in prepare; the same after the visible call unless it is in AMBIGUOUS
CREATOR_ROWS = {
    "invalid_param": (400, Rejected),
    "invalid_params": (400, Rejected),
    "invalid_file_upload": (400, Rejected),
    "app_version_check_failed": (400, Rejected),
    "access_token_invalid": (401, CredentialsExpired),
    "scope_not_authorized": (401, PermissionMissing),
    "scope_permission_missed": (401, PermissionMissing),
    "spam_risk_too_many_posts": (403, RateLimited),
    "spam_risk_too_many_pending_share": (403, RateLimited),
    "spam_risk_user_banned_from_posting": (403, Rejected),
    "spam_risk": (403, Rejected),
    "spam_risk_text": (403, Rejected),
    "reached_active_user_cap": (403, RateLimited),
    "unaudited_client_can_only_post_to_private_accounts": (403, Rejected),
    "url_ownership_unverified": (403, Rejected),
    "privacy_level_option_mismatch": (403, Rejected),
    "rate_limit_exceeded": (429, RateLimited),
    "internal_error": (500, Unavailable),
    "invalid_publish_id": (400, Rejected),
    "token_not_authorized_for_specified_publish_id": (400, Rejected),
}
BUSINESS_ROWS = {
    **dict.fromkeys((40000, 40002, 40006, 40007, 41002, 40700), Rejected),
    **dict.fromkeys((40001, 40125), PermissionMissing),
    **dict.fromkeys((40102, 40105, 40104), CredentialsExpired),
    **dict.fromkeys((40103, 40107, 40110, 40101, 40115), CredentialsRevoked),
    **dict.fromkeys((40113, 40118, 40124), Rejected),
    **dict.fromkeys((40016, 40100, 40133), RateLimited),
    **dict.fromkeys((40050, 40202, 40902, 40903, 40913), Unavailable),
    **dict.fromkeys((40905, 40906, 40907, 40908, 40910, 40914, 40915), Rejected),
    **dict.fromkeys((51065, 50000, 50002, 51305, 60001), Unavailable),
}
AMBIGUOUS = {"internal_error", 40050, 51065, 50000, 50002, 51305}
WAITS = {
    "rate_limit_exceeded": timedelta(minutes=1),
    "reached_active_user_cap": timedelta(hours=24),
    40100: timedelta(minutes=5),
    60001: timedelta(minutes=30),
}


def test_the_tables_are_tested_whole() -> None:
    assert set(CREATOR_ROWS) == set(CREATOR)
    assert set(BUSINESS_ROWS) == set(BUSINESS)


def holds(error: AdapterError, code: str | int, expected: type[AdapterError]) -> None:
    assert type(error) is expected
    assert error.platform_code == str(code)
    if isinstance(error, Retryable) and code in WAITS:
        assert error.retry_after == WAITS[code]


@pytest.mark.parametrize(("code", "row"), CREATOR_ROWS.items())
def test_creator(
    server: ScriptedServer, tiktok: Make, code: str, row: tuple[int, type[AdapterError]]
) -> None:
    status, expected = row
    server.on("POST", INFO, examples.CREATOR_INFO)
    server.on("POST", CONTENT, Reply(examples.error(code), status=status))
    ready = prepare_until_ready(tiktok, photos(), account())
    with pytest.raises(AdapterError) as after:
        tiktok().finalize(photos(), account(), ready.checkpoint)
    holds(after.value, code, OutcomeUnknown if code in AMBIGUOUS else expected)

    server.on("POST", INFO, Reply(examples.error(code), status=status))
    with pytest.raises(AdapterError) as before:
        tiktok().prepare(photos(), account(), {})
    holds(before.value, code, expected)


@pytest.mark.parametrize(("code", "expected"), BUSINESS_ROWS.items())
def test_business(server: ScriptedServer, tiktok: Make, code: int, expected: type[AdapterError]) -> None:
    server.on("GET", SETTINGS, examples.BUSINESS_SETTINGS)
    server.on("POST", PUBLISH, examples.business_error(code))
    who = account("business")
    ready = prepare_until_ready(tiktok, video(), who)
    with pytest.raises(AdapterError) as after:
        tiktok().finalize(video(), who, ready.checkpoint)
    holds(after.value, code, OutcomeUnknown if code in AMBIGUOUS else expected)

    server.on("GET", SETTINGS, examples.business_error(code))
    with pytest.raises(AdapterError) as before:
        tiktok().prepare(video(), who, {})
    holds(before.value, code, expected)


@pytest.mark.parametrize(
    ("now", "wait"),
    [
        (datetime(2026, 11, 24, 12, 0, tzinfo=UTC), timedelta(hours=12)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), timedelta(hours=1)),
    ],
)
def test_next_day(now: datetime, wait: timedelta) -> None:
    assert time_until_next_day(now) == wait
