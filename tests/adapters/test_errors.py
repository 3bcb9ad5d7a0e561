"""What a refusal means on each platform, before and after the visible call, by its own envelope and code; pure.

``conformance/test_errors.py`` shows that every adapter applies these tables to its visible call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from requests.structures import CaseInsensitiveDict

from adapters.error_table import Phase
from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    Retryable,
    Unavailable,
)
from adapters.facebook.errors import TABLE as FACEBOOK
from adapters.graph_errors import BASE_TABLE, GraphErrorTable, build_error
from adapters.http import Response
from adapters.instagram.errors import TABLE as INSTAGRAM
from adapters.linkedin import errors as linkedin
from adapters.pinterest import errors as pinterest
from adapters.tiktok.client import parse_business_response, parse_creator_response
from adapters.tiktok.errors import BUSINESS, CREATOR, time_until_next_day
from adapters.youtube import errors as youtube
from tests.adapters.instagram.graph_error import build_error as graph_body
from tests.adapters.pinterest.drafts import build_error as pinterest_body
from tests.adapters.tiktok import examples as tiktok
from tests.adapters.youtube import examples as google

Translate = Callable[[Response, Phase], AdapterError]
Kind = type[AdapterError]
Case = tuple[Translate, int, str, Kind, Kind, str | None]


def respond(status: int, body: str) -> Response:
    return Response(status=status, headers=CaseInsensitiveDict(), body=body.encode())


def graph(table: GraphErrorTable) -> Translate:
    return lambda response, phase: build_error("It", response, table, visible=phase is Phase.FINALIZE)


def raised_by(parse: Callable[[Response, Phase, type[BaseModel]], BaseModel]) -> Translate:
    def translate(response: Response, phase: Phase) -> AdapterError:
        with pytest.raises(AdapterError) as caught:
            parse(response, phase, BaseModel)
        return caught.value

    return translate


OF_INSTAGRAM, OF_FACEBOOK = graph(INSTAGRAM), graph(FACEBOOK)
OF_CREATOR, OF_BUSINESS = raised_by(parse_creator_response), raised_by(parse_business_response)


def linkedin_body(status: int, code: str) -> str:
    return json.dumps({"status": status, "code": code, "message": "…"})


def list_graph(
    translate: Translate,
    rows: Mapping[Kind, Any],
    finalize: Kind | None = None,
    status: int = 400,
    *,
    transient: bool = False,
) -> Iterator[Case]:
    """Yield (code, subcode) pairs, or codes, by the class that they have in ``prepare``."""
    for kind, codes in rows.items():
        for code in codes:
            pair = code if isinstance(code, tuple) else (code, None)
            yield translate, status, graph_body(*pair, transient=transient), kind, finalize or kind, None


IG_PROVEN: Mapping[Kind, Any] = {
    Rejected: [
        (1, 2207057),
        (25, 2207050),
        *((100, 2207000 + last) for last in (23, 28, 35, 36, 37, 40)),
        (352, 2207026),
        (36000, 2207004),
        (36001, 2207005),
        (36003, 2207009),
        (36004, 2207010),
    ],
    RateLimited: [(9, 2207042), 4, 17, 32, 341, 613, 80002],
    Unavailable: [(9007, 2207027)],
    CredentialsRevoked: [190, (190, 458), (190, 460), (190, 492)],
    CredentialsExpired: [(190, 463), (190, 467), (190, 999), 102],
    AppRefused: [2635, 2500],
    PermissionMissing: [3, 10, 200, (299, 77)],
}
IG_UNPROVEN: Mapping[Kind, Any] = {
    Unavailable: [
        *((-1, subcode) for subcode in (None, 2207001, 2207032, 2207053)),
        *((-2, subcode) for subcode in (None, 2207003, 2207020)),
        (24, 2207006),
        (24, 2207008),
        (9004, 2207052),
        1,
        2,
        (100, 33),
    ],
    Rejected: [(4, 2207051), (352, 2207081), 368, (368, 1390008), 100],
    RateLimited: [(4, 12345)],
    AdapterError: [9007, (9007, 2207028), 36003, 31337, (31337, 2207009)],
}
FB_PROVEN: Mapping[Kind, Any] = {
    Rejected: [100, 1366046, (100, 1366046), 1363040, 1363127, 1363128, 1363129, 368, 6000, 382],
    CredentialsExpired: [(190, 463)],
    RateLimited: [80001],
}
FB_POLICY = [(368, None), (368, 98765), (368, 1346003), (368, 1390008), (368, 1404102), (368, 4854002)]
FB_FILES = [324, (324, 2069019), (324, 98765), (100, 1609008), (100, 2061006), (6000, 1363019), (6000, 98765)]
"""Definite refusals; those of a policy are final even where Meta calls them transient."""
FB_UNPROVEN: Mapping[Kind, Any] = {
    Unavailable: [1, 2, 6001, 389, (100, 33)],
    Rejected: [(100, 12345)],
    AdapterError: [31337],
}
META: list[Case] = [
    *list_graph(OF_INSTAGRAM, IG_PROVEN),
    *list_graph(OF_INSTAGRAM, IG_UNPROVEN, OutcomeUnknown),
    *list_graph(
        OF_INSTAGRAM,
        {Unavailable: [2], CredentialsExpired: [(190, 463)], RateLimited: [4]},
        OutcomeUnknown,
        503,
    ),
    *list_graph(OF_INSTAGRAM, {Unavailable: [(36003, 2207009), 12345]}, OutcomeUnknown, transient=True),
    *list_graph(OF_FACEBOOK, FB_PROVEN),
    *list_graph(OF_FACEBOOK, {Rejected: [*FB_POLICY, *FB_FILES]}),
    *list_graph(OF_FACEBOOK, {Rejected: FB_POLICY}, transient=True),
    *list_graph(OF_FACEBOOK, {Unavailable: [(324, 2069019)]}, OutcomeUnknown, transient=True),
    *list_graph(OF_FACEBOOK, FB_UNPROVEN, OutcomeUnknown),
    *list_graph(OF_FACEBOOK, {Unavailable: [2], CredentialsRevoked: [190]}, OutcomeUnknown, 503),
]
LINKEDIN: list[Case] = [
    *(
        (linkedin.translate_error, status, linkedin_body(status, code), kind, finalize or kind, ours)
        for status, code, kind, ours, finalize in (
            (400, "MISSING_FIELD", Rejected, "invalid_request", None),
            (400, "INVALID_VALUE_FOR_FIELD", Rejected, "invalid_request", None),
            (400, "FIELD_LENGTH_TOO_LONG", Rejected, "invalid_request", None),
            (400, "INVALID_URN_TYPE", Rejected, "invalid_request", None),
            (400, "INVALID_URN_ID", Rejected, "invalid_request", None),
            (400, "VERSION_MISSING", AppRefused, "api_version_retired", None),
            (400, "EXPIRED_UPLOAD_URL", Unavailable, "upload_expired", None),
            (400, "MEDIA_ASSET_WAITING_UPLOAD", Unavailable, "media_not_ready", None),
            (400, "MEDIA_ASSET_PROCESSING_FAILED", Rejected, "media_failed", None),
            (400, "UPDATING_ASSET_FAILED", Unavailable, "media_not_ready", None),
            (401, "EMPTY_ACCESS_TOKEN", CredentialsExpired, "credentials_expired", None),
            (401, "REVOKED_ACCESS_TOKEN", CredentialsRevoked, "reconnect_required", None),
            (401, "EXPIRED_ACCESS_TOKEN", CredentialsExpired, "credentials_expired", None),
            (401, "INVALID_ACCESS_TOKEN", CredentialsExpired, "credentials_expired", None),
            (403, "ACCESS_DENIED", PermissionMissing, "permission_missing", None),
            (404, "RESOURCE_NOT_FOUND", Rejected, "not_found", None),
            (426, "NONEXISTENT_VERSION", AppRefused, "api_version_retired", None),
            (429, "TOO_MANY_REQUESTS", RateLimited, "rate_limited", None),
            (500, "MISSING_FIELD", Unavailable, None, OutcomeUnknown),
            (400, "SOMETHING_NEW", AdapterError, None, OutcomeUnknown),
            (403, "SOMETHING_NEW", PermissionMissing, None, OutcomeUnknown),
            (409, "CONFLICT", Unavailable, None, OutcomeUnknown),
            (422, "SOMETHING_NEW", AdapterError, None, OutcomeUnknown),
        )
    ),
]
UNREACHABLE_URL = "Unable to reach the URL. Please check the URL is correct and try again."
FEATURE = "Your application is not permitted to use restricted feature: pin_edit"
PINTEREST: list[Case] = [
    *(
        (pinterest.translate_error, status, pinterest_body(code, words, **more), kind, finalize or kind, ours)
        for status, code, words, more, kind, ours, finalize in (
            (400, 1, "Invalid parameters.", {}, Rejected, "invalid_request", None),
            (400, 1, UNREACHABLE_URL, {}, Unavailable, "media_not_fetched", None),
            (401, 2, "Authentication failed.", {}, CredentialsExpired, "credentials_expired", None),
            (401, 3, FEATURE, {}, PermissionMissing, "permission_missing", None),
            (403, 29, "You are not permitted to access that resource.", {}, Rejected, "not_permitted", None),
            (404, 40, "Board not found.", {}, Rejected, "board_not_found", None),
            (429, 8, "This request exceeded a rate limit.", {}, RateLimited, "rate_limited", None),
            (429, 8, "Slow.", {"message_detail": "Blocked for Spam."}, Rejected, "blocked_as_spam", None),
            (429, 8, "This was marked as spam", {}, Rejected, "blocked_as_spam", None),
            (400, 987654, "…", {}, Rejected, None, OutcomeUnknown),
            (401, 7, "…", {}, CredentialsExpired, None, OutcomeUnknown),
            (403, 7, "…", {}, Rejected, None, OutcomeUnknown),
            (404, 50, "…", {}, Rejected, None, OutcomeUnknown),
            (418, 99, "…", {}, AdapterError, None, OutcomeUnknown),
            (429, 7, "…", {}, RateLimited, None, OutcomeUnknown),
            (500, 0, "…", {}, Unavailable, None, OutcomeUnknown),
        )
    ),
    (pinterest.translate_error, 403, '{"code":29}', Unavailable, OutcomeUnknown, None),
]
CREATOR_ROWS: Mapping[int, Mapping[Kind, tuple[str, ...]]] = {
    400: {
        Rejected: (
            "invalid_param",
            "invalid_params",
            "invalid_file_upload",
            "app_version_check_failed",
            "invalid_publish_id",
            "token_not_authorized_for_specified_publish_id",
        )
    },
    401: {
        CredentialsExpired: ("access_token_invalid",),
        PermissionMissing: ("scope_not_authorized", "scope_permission_missed"),
    },
    403: {
        RateLimited: (
            "spam_risk_too_many_posts",
            "spam_risk_too_many_pending_share",
            "reached_active_user_cap",
        ),
        Rejected: (
            "spam_risk_user_banned_from_posting",
            "spam_risk",
            "spam_risk_text",
            "unaudited_client_can_only_post_to_private_accounts",
            "url_ownership_unverified",
            "privacy_level_option_mismatch",
        ),
    },
    429: {RateLimited: ("rate_limit_exceeded",)},
    500: {Unavailable: ("internal_error",)},
}
BUSINESS_ROWS: Mapping[int, Kind] = {
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
TIKTOK: list[Case] = [
    *(
        (OF_CREATOR, status, tiktok.error(code), kind, OutcomeUnknown if code in AMBIGUOUS else kind, None)
        for status, rows in CREATOR_ROWS.items()
        for kind, codes in rows.items()
        for code in codes
    ),
    (OF_CREATOR, 500, tiktok.error("rate_limit_exceeded"), RateLimited, OutcomeUnknown, None),
    (OF_CREATOR, 400, tiktok.error("something_new"), AdapterError, OutcomeUnknown, None),
    (OF_CREATOR, 200, tiktok.error("something_new"), AdapterError, OutcomeUnknown, None),
    *(
        (
            OF_BUSINESS,
            200,
            tiktok.business_error(code),
            kind,
            OutcomeUnknown if code in AMBIGUOUS else kind,
            None,
        )
        for code, kind in BUSINESS_ROWS.items()
    ),
    (
        OF_BUSINESS,
        200,
        tiktok.business_error(40002, "spam_risk_too_many_posts"),
        RateLimited,
        RateLimited,
        None,
    ),
    (
        OF_BUSINESS,
        200,
        tiktok.business_error(40002, "x url_ownership_unverified x"),
        Rejected,
        Rejected,
        None,
    ),
    (OF_BUSINESS, 502, tiktok.business_error(40002), Rejected, OutcomeUnknown, None),
    *(
        (OF_BUSINESS, 200, tiktok.business_error(code), AdapterError, OutcomeUnknown, None)
        for code in (20001, 49999)
    ),
]
YOUTUBE: list[Case] = [
    (youtube.translate_error, status, google.error(status, reason), kind, OutcomeUnknown, None)
    for status, reason, kind in (
        (403, "unheardOf", AdapterError),
        (500, "quotaExceeded", RateLimited),
        (503, "backendError", Unavailable),
    )
]
BARE: list[Case] = [
    (translate, status, body, Unavailable, OutcomeUnknown, None)
    for translate in (
        OF_INSTAGRAM,
        OF_FACEBOOK,
        linkedin.translate_error,
        pinterest.translate_error,
        OF_CREATOR,
        OF_BUSINESS,
        youtube.translate_error,
    )
    for status in (400, 401, 403, 404, 405, 429, 500, 503)
    for body in ("", "{}", "<html>", "not json", '{"error":{}}')
]


@pytest.mark.parametrize(
    ("translate", "status", "body", "before", "after", "code"),
    [*META, *LINKEDIN, *PINTEREST, *TIKTOK, *YOUTUBE, *BARE],
)
def test_a_refusal_has_its_class_before_and_after_the_visible_call(
    translate: Translate, status: int, body: str, before: Kind, after: Kind, code: str | None
) -> None:
    for phase, kind in ((Phase.PREPARE, before), (Phase.LOOK, before), (Phase.FINALIZE, after)):
        error = translate(respond(status, body), phase)
        assert type(error) is kind
        assert error.http_status == status
        assert kind is OutcomeUnknown or code in (None, error.code)


def test_the_tables_of_tiktok_are_tested_whole() -> None:
    assert {code for rows in CREATOR_ROWS.values() for codes in rows.values() for code in codes} == set(
        CREATOR
    )
    assert set(BUSINESS_ROWS) == set(BUSINESS)


def test_every_row_of_instagram_is_tried_above() -> None:
    listed = [code for rows in (IG_PROVEN, IG_UNPROVEN) for codes in rows.values() for code in codes]
    tried = {code if isinstance(code, tuple) else (code, None) for code in listed}
    session = {(code, sub) for code in (102, 190) for sub in (458, 459, 460, 464, 492)}
    shared = {pair for pair in BASE_TABLE if pair[0] in {*range(200, 300), *range(80001, 80015)}}
    rows = {(code, subcode or None) for code, subcode in INSTAGRAM if not isinstance(subcode, str)}
    assert (
        rows - session - shared - {(None, 2207081)} <= tried
    )  # no page names its code: tried with another's


@pytest.mark.parametrize("table", [INSTAGRAM, FACEBOOK])
def test_no_row_of_meta_that_proves_nothing_is_a_wait_or_a_reconnect(table: GraphErrorTable) -> None:
    unproven = [row for row in table.values() if not row.before_acting]
    assert unproven
    assert all(issubclass(row.error, (Unavailable, Rejected)) for row in unproven)


@pytest.mark.parametrize(
    ("translate", "body", "wait"),
    [
        (OF_CREATOR, tiktok.error("rate_limit_exceeded"), timedelta(minutes=1)),
        (OF_CREATOR, tiktok.error("reached_active_user_cap"), timedelta(hours=24)),
        (OF_BUSINESS, tiktok.business_error(40100), timedelta(minutes=5)),
        (OF_BUSINESS, tiktok.business_error(60001), timedelta(minutes=30)),
        (OF_INSTAGRAM, graph_body(9, 2207042), timedelta(hours=1)),
        (linkedin.translate_error, linkedin_body(400, "MEDIA_ASSET_WAITING_UPLOAD"), timedelta(seconds=10)),
    ],
)
def test_a_refusal_names_the_wait_of_its_row(translate: Translate, body: str, wait: timedelta) -> None:
    error = translate(respond(400 if translate is linkedin.translate_error else 200, body), Phase.FINALIZE)
    assert isinstance(error, Retryable)
    assert error.retry_after == wait


def test_facebooks_definite_refusals_and_a_missing_permission_say_what_to_do() -> None:
    bodies = [graph_body(*(code if isinstance(code, tuple) else (code,))) for code in (*FB_POLICY, *FB_FILES)]
    for body in bodies:
        assert OF_FACEBOOK(respond(400, body), Phase.FINALIZE).next_action
    missing = graph_body(100, message="(#100) No permission to publish the video")
    error = OF_FACEBOOK(respond(400, missing), Phase.FINALIZE)
    assert isinstance(error, PermissionMissing)
    assert "connect it again" in (error.next_action or "")


@pytest.mark.parametrize(
    ("translate", "status", "body"),
    [
        (OF_INSTAGRAM, 400, graph_body(4)),
        (OF_CREATOR, 429, tiktok.error("rate_limit_exceeded")),
        (OF_BUSINESS, 200, tiktok.business_error(40100)),
        (linkedin.translate_error, 429, linkedin_body(429, "TOO_MANY_REQUESTS")),
        (pinterest.translate_error, 429, pinterest_body(8, "Slow.")),
        (youtube.translate_error, 429, ""),
    ],
)
def test_the_platforms_own_word_on_waiting_wins(translate: Translate, status: int, body: str) -> None:
    headers = CaseInsensitiveDict({"Retry-After": "90"})
    error = translate(Response(status=status, headers=headers, body=body.encode()), Phase.PREPARE)
    assert isinstance(error, Retryable)
    assert error.retry_after == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("now", "wait"),
    [
        (datetime(2026, 11, 24, 12, 0, tzinfo=UTC), timedelta(hours=12)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), timedelta(hours=1)),
    ],
)
def test_a_spent_day_at_tiktok_ends_at_midnight_or_in_an_hour(now: datetime, wait: timedelta) -> None:
    assert time_until_next_day(now) == wait
