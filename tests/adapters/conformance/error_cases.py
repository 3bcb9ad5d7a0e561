"""Responses to the visible call: every row of the error tables, the vendors' commonest codes, undocumented ones.

TABLE_CASES come from the tables, and show that wire and adapter apply every row. VENDOR_CASES are written by hand from
the vendors' pages (those that the adapters' errors.py cite, read 2026-11-24), and check the tables themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapters import errors as e
from adapters.facebook.errors import TABLE as FACEBOOK
from adapters.graph_errors import GraphErrorTable
from adapters.instagram.errors import TABLE as INSTAGRAM
from adapters.linkedin.errors import TABLE as LINKEDIN
from adapters.pinterest.errors import TABLE as PINTEREST
from adapters.pinterest.errors import WORDS
from adapters.tiktok.errors import BUSINESS, CREATOR
from adapters.youtube.errors import REASONS
from tests.adapters.conformance.canned_server import CannedResponse

ErrorClass = type[e.AdapterError]
ErrorCase = tuple[str, CannedResponse, ErrorClass]
UNKNOWN = e.OutcomeUnknown
UNLISTED_CODE = "unlisted_code"

# --- envelopes -------------------------------------------------------------------------------------------------------


def _tiktok_error(code: str, status: int = 400) -> CannedResponse:
    return CannedResponse(
        status=status, body={"data": {}, "error": {"code": code, "message": "…", "log_id": "1"}}
    )


def _business_error(code: int, message: str = "…") -> CannedResponse:
    return CannedResponse(status=200, body={"code": code, "message": message, "request_id": "1", "data": {}})


def _graph_error(
    code: int | None, subcode: int | None = None, status: int = 400, message: str = "…"
) -> CannedResponse:
    fault = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return CannedResponse(
        status=status, body={"error": fault | ({} if subcode is None else {"error_subcode": subcode})}
    )


def _google_error(reason: str, status: int = 400) -> CannedResponse:
    entry = {"message": "…", "domain": "youtube.video", "reason": reason}
    return CannedResponse(status=status, body={"error": {"code": status, "message": "…", "errors": [entry]}})


def _pinterest_error(status: int, code: int | None, message: str = "…") -> CannedResponse:
    return CannedResponse(status=status, body={"code": code, "message": message})


def _linkedin_error(status: int, code: str, message: str = "…") -> CannedResponse:
    return CannedResponse(status=status, body={"status": status, "code": code, "message": message})


# --- every row -------------------------------------------------------------------------------------------------------


def _list_graph_rows(table: GraphErrorTable) -> Iterator[ErrorCase]:
    for (code, subcode), row in table.items():
        if isinstance(subcode, str):
            response = _graph_error(100 if code is None else code, message=f"(#{code}) {subcode.title()}")
        else:
            response = _graph_error(code if code is not None else 100, subcode or None)
        if (code, subcode) == (190, None):  # without a subcode it has a row of its own
            response = _graph_error(code, 463)
        yield f"{code}/{subcode}", response, row.error if row.before_acting else UNKNOWN


def _list_creator_rows() -> Iterator[ErrorCase]:
    for code, case in CREATOR.items():
        yield code, _tiktok_error(code), UNKNOWN if case.ambiguous else case.error


def _list_business_rows() -> Iterator[ErrorCase]:
    for code, case in BUSINESS.items():
        yield str(code), _business_error(code), UNKNOWN if case.ambiguous else case.error


def _list_youtube_rows() -> Iterator[ErrorCase]:
    for reason, case in REASONS.items():
        yield reason, _google_error(reason), UNKNOWN if case.ambiguous else case.error


def _list_pinterest_rows() -> Iterator[ErrorCase]:
    for (status, code), row in PINTEREST.items():
        response = _pinterest_error(status, code if code is not None else 987654)
        yield f"{status}/{code}", response, UNKNOWN if row.ambiguous else row.error
    for (status, words), row in WORDS.items():
        yield f"{status} {words}", _pinterest_error(status, 1, f"So: {words}."), row.error


def _list_linkedin_rows() -> Iterator[ErrorCase]:
    for (status, code), row in LINKEDIN.items():
        yield (
            f"{status}/{code}",
            _linkedin_error(status, code or UNLISTED_CODE),
            UNKNOWN if row.ambiguous else row.error,
        )


TABLE_CASES: Mapping[str, Callable[[], Iterator[ErrorCase]]] = {
    "tiktok creator photos, public": _list_creator_rows,
    "tiktok business video": _list_business_rows,
    "tiktok business draft of a video": _list_business_rows,
    "instagram image": lambda: _list_graph_rows(INSTAGRAM),
    "instagram story, video": lambda: _list_graph_rows(INSTAGRAM),
    "facebook feed post": lambda: _list_graph_rows(FACEBOOK),
    "facebook reel": lambda: _list_graph_rows(FACEBOOK),
    "youtube video": _list_youtube_rows,
    "pinterest image, with a link": _list_pinterest_rows,
    "linkedin image of a member": _list_linkedin_rows,
}
"""Keyed by the name of a post case."""

# --- the vendors' pages ----------------------------------------------------------------------------------------------

_DUPLICATE: dict[str, Any] = {
    "status": 422,
    "code": "DUPLICATE_POST",
    "message": "Duplicate post is detected",
}
_SCHEMA = "ERROR :: /author :: field is required but not found and has no default value"
VENDOR_CASES: Mapping[str, tuple[tuple[CannedResponse, ErrorClass], ...]] = {
    "tiktok creator photos, public": (
        (_tiktok_error("access_token_invalid", 401), e.CredentialsExpired),
        (_tiktok_error("scope_not_authorized", 401), e.PermissionMissing),
        (_tiktok_error("spam_risk_too_many_posts", 403), e.RateLimited),
        (_tiktok_error("spam_risk_user_banned_from_posting", 403), e.Rejected),
        (_tiktok_error("rate_limit_exceeded", 429), e.RateLimited),
        (_tiktok_error("url_ownership_unverified", 403), e.Rejected),
        (_tiktok_error("privacy_level_option_mismatch", 403), e.Rejected),
        (_tiktok_error("internal_error", 500), UNKNOWN),
    ),
    "tiktok creator video": (
        (CannedResponse(status=400), UNKNOWN),
        (CannedResponse(status=401), UNKNOWN),
        (CannedResponse(status=429), UNKNOWN),
        (CannedResponse(status=403), UNKNOWN),  # a complete upload may get it too
        (CannedResponse(status=404), UNKNOWN),
        (CannedResponse(status=416), UNKNOWN),
        (CannedResponse(status=503), UNKNOWN),
    ),
    "tiktok business video": (
        (_business_error(40105), e.CredentialsExpired),
        (_business_error(40001), e.PermissionMissing),
        (_business_error(40100), e.RateLimited),
        (_business_error(40002), e.Rejected),
        (_business_error(40002, "url_ownership_unverified"), e.Rejected),
        (_business_error(40002, "spam_risk_too_many_posts"), e.RateLimited),
        (_business_error(50002), UNKNOWN),
        (_business_error(51065), UNKNOWN),  # an error about a sound, though the post has none
    ),
    "instagram image": (
        (_graph_error(190), e.CredentialsRevoked),
        (_graph_error(190, 463), e.CredentialsExpired),
        (_graph_error(190, 460), e.CredentialsRevoked),
        (_graph_error(10), e.PermissionMissing),
        (_graph_error(4), e.RateLimited),
        (_graph_error(4, 2207051), UNKNOWN),  # reported as live although refused
        (_graph_error(9, 2207042), e.RateLimited),
        (_graph_error(9007, 2207027), e.Unavailable),
        (_graph_error(36003, 2207009), e.Rejected),
        (_graph_error(2, status=500), UNKNOWN),
        (_graph_error(-1, 2207001), UNKNOWN),
    ),
    "facebook feed post": (
        (_graph_error(190), e.CredentialsRevoked),
        (_graph_error(190, 463), e.CredentialsExpired),
        (_graph_error(190, 98765), e.CredentialsExpired),
        (_graph_error(100, message="(#100) No permission to publish the video"), e.PermissionMissing),
        (_graph_error(100, 1609008), e.Rejected),
        (_graph_error(100, 2061006), e.Rejected),
        (_graph_error(100, 98765), UNKNOWN),
        (_graph_error(2635), e.AppRefused),
        (_graph_error(2500, message="Unknown path components: /v12.0/1/feed"), e.AppRefused),
        (_graph_error(2500, message="An active access token must be used"), e.CredentialsRevoked),
        (_graph_error(324), e.Rejected),
        (_graph_error(324, 2069019), e.Rejected),
        (_graph_error(368, 98765), e.Rejected),
        (_graph_error(368, 1404102), e.Rejected),
        (_graph_error(506, 1455006), e.Rejected),
        (_graph_error(6000, 1363019), e.Rejected),
        (_graph_error(200), e.PermissionMissing),
        (_graph_error(4), e.RateLimited),
        (_graph_error(368), e.Rejected),
        (_graph_error(506), e.Rejected),
        (_graph_error(1, status=500), UNKNOWN),
        (_graph_error(6001), UNKNOWN),
    ),
    "youtube video": (
        (_google_error("authError", 401), e.CredentialsExpired),
        (_google_error("quotaExceeded", 403), e.RateLimited),
        (_google_error("uploadLimitExceeded"), e.RateLimited),
        (_google_error("forbidden", 403), e.PermissionMissing),
        (_google_error("invalidTitle"), e.Rejected),
        (_google_error("youtubeSignupRequired", 401), e.PermissionMissing),
        (_google_error("backendError", 503), UNKNOWN),
        (CannedResponse(status=404), UNKNOWN),
        (CannedResponse(status=410), UNKNOWN),
    ),
    "pinterest image, with a link": (
        (_pinterest_error(401, 2, "Authentication failed."), e.CredentialsExpired),
        (_pinterest_error(403, 29), e.Rejected),
        (_pinterest_error(403, 29, "Apps with Trial access may not create Pins in production"), e.AppRefused),
        (_pinterest_error(404, 40, "Board not found."), e.Rejected),
        (_pinterest_error(429, 8), e.RateLimited),
        (_pinterest_error(500, 0), UNKNOWN),
        (_pinterest_error(409, 7), e.Rejected),
        (CannedResponse(status=409, body={"message": "no code"}), UNKNOWN),
        (_pinterest_error(400, 1), e.Rejected),
        (_pinterest_error(400, 987654), UNKNOWN),
    ),
    "linkedin image of a member": (
        (_linkedin_error(401, "EXPIRED_ACCESS_TOKEN"), e.CredentialsExpired),
        (_linkedin_error(401, "REVOKED_ACCESS_TOKEN"), e.CredentialsRevoked),
        (_linkedin_error(403, "ACCESS_DENIED"), e.PermissionMissing),
        (_linkedin_error(403, UNLISTED_CODE), UNKNOWN),
        (_linkedin_error(400, "MISSING_FIELD"), e.Rejected),
        (_linkedin_error(400, "ILLEGAL_ARGUMENT"), e.Rejected),
        (_linkedin_error(400, "INVALID_CONTENT_OWNERSHIP"), e.Rejected),
        (_linkedin_error(422, "UNPROCESSABLE_ENTITY"), e.Rejected),
        (_linkedin_error(422, "UNPROCESSABLE_ENTITY", "Content is a duplicate of urn:li:share:1"), UNKNOWN),
        (_linkedin_error(422, "SOMETHING_NEW"), UNKNOWN),
        (CannedResponse(status=422, body={"status": 422, "message": _SCHEMA}), e.Rejected),
        (CannedResponse(status=422, body={"message": _SCHEMA}), UNKNOWN),  # not the envelope
        (_linkedin_error(429, "TOO_MANY_REQUESTS"), e.RateLimited),
        (_linkedin_error(409, "CONFLICT"), UNKNOWN),
        (CannedResponse(status=422, body=_DUPLICATE), UNKNOWN),  # the error does not name the earlier post
        (_linkedin_error(500, "INTERNAL_SERVER_ERROR"), UNKNOWN),
    ),
}

# --- undocumented -----------------------------------------------------------------------------------------------------

_HTML = b"<html><title>502 Bad Gateway</title>"
_BARE_BODIES: tuple[Any, ...] = (_HTML, b"", {}, {"error": {}}, {"message": "…"})
UNDOCUMENTED_RESPONSES: tuple[CannedResponse, ...] = (
    CannedResponse(status=200, body=_HTML),
    CannedResponse(status=200, body={}),
    CannedResponse(status=200, body={"id": None}),
    CannedResponse(status=200, body={"success": False}),
    CannedResponse(status=201, body=b""),
    CannedResponse(status=204),
    CannedResponse(status=200, body=[]),
    CannedResponse(status=302, body=_HTML),
    CannedResponse(status=418, body={"unheard": "of"}),
    CannedResponse(status=409, body=_HTML),
    CannedResponse(status=500, body=_HTML),
    CannedResponse(status=502, body=_HTML),
    CannedResponse(status=503, body=b""),
    CannedResponse(status=599),
    *(
        CannedResponse(status=status, body=body)
        for status in (400, 401, 403, 404, 429)
        for body in _BARE_BODIES
    ),
)
"""Responses that no vendor documents."""
UNLISTED_CODE_RESPONSES: Mapping[str, CannedResponse] = {
    "tiktok creator photos, public": _tiktok_error(UNLISTED_CODE),
    "tiktok business video": _business_error(98765),
    "tiktok business draft of a video": _business_error(98765),
    "instagram image": _graph_error(98765, 98765),
    "instagram story, video": _graph_error(98765, 98765),
    "facebook feed post": _graph_error(98765),
    "facebook reel": _graph_error(98765),
    "youtube video": _google_error(UNLISTED_CODE),
    "linkedin image of a member": _linkedin_error(400, UNLISTED_CODE),
    "pinterest image, with a link": _pinterest_error(400, 987654),
}
"""Refusals with a code that no table lists."""
