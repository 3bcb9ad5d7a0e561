"""What platforms may say to the visible call: every row of the tables, the vendors' commonest codes, nonsense.

The first come from the tables themselves: does a row survive the way through wire and adapter? The second were written
by hand from the vendors' pages (those that the adapters' errors.py cite, read 2026-11-24): is the table right?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapters import errors as e
from adapters.facebook.errors import TABLE as FACEBOOK
from adapters.graph_api import GraphErrorTable
from adapters.instagram.errors import TABLE as INSTAGRAM
from adapters.linkedin.errors import TABLE as LINKEDIN
from adapters.pinterest.errors import TABLE as PINTEREST
from adapters.pinterest.errors import WORDS
from adapters.tiktok.errors import BUSINESS, CREATOR, UPLOAD
from adapters.youtube.errors import REASONS
from tests.adapters.conformance.answering import Said

Kind = type[e.AdapterError]
Case = tuple[str, Said, Kind]
UNKNOWN = e.OutcomeUnknown
UNHEARD = "never_heard_of"

# --- envelopes -------------------------------------------------------------------------------------------------------


def _tiktok(code: str, status: int = 400) -> Said:
    return Said(status=status, body={"data": {}, "error": {"code": code, "message": "…", "log_id": "1"}})


def _business(code: int, message: str = "…") -> Said:
    return Said(status=200, body={"code": code, "message": message, "request_id": "1", "data": {}})


def _graph(code: int | None, subcode: int | None = None, status: int = 400) -> Said:
    fault = {"message": "…", "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return Said(
        status=status, body={"error": fault | ({} if subcode is None else {"error_subcode": subcode})}
    )


def _google(reason: str, status: int = 400) -> Said:
    entry = {"message": "…", "domain": "youtube.video", "reason": reason}
    return Said(status=status, body={"error": {"code": status, "message": "…", "errors": [entry]}})


def _pinterest(status: int, code: int | None, message: str = "…") -> Said:
    return Said(status=status, body={"code": code, "message": message})


def _linkedin(status: int, code: str, message: str = "…") -> Said:
    return Said(status=status, body={"status": status, "code": code, "message": message})


# --- every row -------------------------------------------------------------------------------------------------------


def _of_graph(table: GraphErrorTable) -> Iterator[Case]:
    for (code, subcode), row in table.items():
        said = _graph(code if code is not None else 100, subcode)
        yield f"{code}/{subcode}", said, row.error if row.before_acting else UNKNOWN


def _of_creator() -> Iterator[Case]:
    for code, case in CREATOR.items():
        yield code, _tiktok(code), UNKNOWN if case.ambiguous else case.error


def _of_upload() -> Iterator[Case]:
    for status, case in UPLOAD.items():
        yield str(status), Said(status=status), case.error


def _of_business() -> Iterator[Case]:
    for code, case in BUSINESS.items():
        yield str(code), _business(code), UNKNOWN if case.ambiguous else case.error


def _of_youtube() -> Iterator[Case]:
    for reason, case in REASONS.items():
        yield reason, _google(reason), UNKNOWN if case.ambiguous else case.error


def _of_pinterest() -> Iterator[Case]:
    for (status, code), row in PINTEREST.items():
        yield f"{status}/{code}", _pinterest(status, code if code is not None else 987654), row.error
    for (status, words), row in WORDS.items():
        yield f"{status} {words}", _pinterest(status, 1, f"So: {words}."), row.error


def _of_linkedin() -> Iterator[Case]:
    for (status, code), row in LINKEDIN.items():
        yield f"{status}/{code}", _linkedin(status, code or UNHEARD), UNKNOWN if row.ambiguous else row.error


EVERY_ROW: Mapping[str, Callable[[], Iterator[Case]]] = {
    "tiktok creator photos, public": _of_creator,
    "tiktok creator video": _of_upload,
    "tiktok business video": _of_business,
    "instagram image": lambda: _of_graph(INSTAGRAM),
    "facebook feed post": lambda: _of_graph(FACEBOOK),
    "facebook reel": lambda: _of_graph(FACEBOOK),
    "youtube video": _of_youtube,
    "pinterest image, with a link": _of_pinterest,
    "linkedin image of a member": _of_linkedin,
}
"""By subject."""

# --- the vendors' commonest ------------------------------------------------------------------------------------------

_DUPLICATE: dict[str, Any] = {
    "status": 422,
    "code": "DUPLICATE_POST",
    "message": "Duplicate post is detected",
}
BY_HAND: Mapping[str, tuple[tuple[Said, Kind], ...]] = {
    "tiktok creator photos, public": (
        (_tiktok("access_token_invalid", 401), e.CredentialsExpired),
        (_tiktok("scope_not_authorized", 401), e.PermissionMissing),
        (_tiktok("spam_risk_too_many_posts", 403), e.RateLimited),
        (_tiktok("spam_risk_user_banned_from_posting", 403), e.Rejected),
        (_tiktok("rate_limit_exceeded", 429), e.RateLimited),
        (_tiktok("url_ownership_unverified", 403), e.Rejected),
        (_tiktok("privacy_level_option_mismatch", 403), e.Rejected),
        (_tiktok("internal_error", 500), UNKNOWN),
    ),
    "tiktok creator video": (
        (Said(status=403), UNKNOWN),  # also what a complete upload may be told
        (Said(status=404), UNKNOWN),
        (Said(status=416), UNKNOWN),
        (Said(status=503), UNKNOWN),
    ),
    "tiktok business video": (
        (_business(40105), e.CredentialsExpired),
        (_business(40001), e.PermissionMissing),
        (_business(40100), e.RateLimited),
        (_business(40002), e.Rejected),
        (_business(40002, "url_ownership_unverified"), e.Rejected),
        (_business(40002, "spam_risk_too_many_posts"), e.RateLimited),
        (_business(50002), UNKNOWN),
        (_business(51065), UNKNOWN),  # no sound was sent
    ),
    "instagram image": (
        (_graph(190), e.CredentialsExpired),
        (_graph(190, 460), e.CredentialsRevoked),
        (_graph(10), e.PermissionMissing),
        (_graph(4), e.RateLimited),
        (_graph(4, 2207051), UNKNOWN),  # seen live although refused
        (_graph(9, 2207042), e.RateLimited),
        (_graph(9007, 2207027), e.Unavailable),
        (_graph(36003, 2207009), e.Rejected),
        (_graph(2, status=500), UNKNOWN),
        (_graph(-1, 2207001), UNKNOWN),
    ),
    "facebook feed post": (
        (_graph(190), e.CredentialsExpired),
        (_graph(200), e.PermissionMissing),
        (_graph(4), e.RateLimited),
        (_graph(368), e.Rejected),
        (_graph(506), e.Rejected),
        (_graph(1, status=500), UNKNOWN),
        (_graph(6001), UNKNOWN),
    ),
    "youtube video": (
        (_google("authError", 401), e.CredentialsExpired),
        (_google("quotaExceeded", 403), e.RateLimited),
        (_google("uploadLimitExceeded"), e.RateLimited),
        (_google("forbidden", 403), e.PermissionMissing),
        (_google("invalidTitle"), e.Rejected),
        (_google("youtubeSignupRequired", 401), e.PermissionMissing),
        (_google("backendError", 503), UNKNOWN),
        (Said(status=404), UNKNOWN),
        (Said(status=410), UNKNOWN),
    ),
    "pinterest image, with a link": (
        (_pinterest(401, 2, "Authentication failed."), e.CredentialsExpired),
        (_pinterest(403, 29), e.Rejected),
        (_pinterest(404, 40, "Board not found."), e.Rejected),
        (_pinterest(429, 8), e.RateLimited),
        (_pinterest(500, 0), UNKNOWN),
        (_pinterest(409, 7), UNKNOWN),
        (_pinterest(400, 987654), e.Rejected),  # documented: its API description gives every 400 as a refusal
    ),
    "linkedin image of a member": (
        (_linkedin(401, "EXPIRED_ACCESS_TOKEN"), e.CredentialsExpired),
        (_linkedin(401, "REVOKED_ACCESS_TOKEN"), e.CredentialsRevoked),
        (_linkedin(403, "ACCESS_DENIED"), e.PermissionMissing),
        (_linkedin(403, UNHEARD), UNKNOWN),
        (_linkedin(400, "MISSING_FIELD"), e.Rejected),
        (_linkedin(429, "TOO_MANY_REQUESTS"), e.RateLimited),
        (_linkedin(409, "CONFLICT"), UNKNOWN),
        (Said(status=422, body=_DUPLICATE), UNKNOWN),  # it does not say of what
        (_linkedin(500, "INTERNAL_SERVER_ERROR"), UNKNOWN),
    ),
}

# --- nonsense --------------------------------------------------------------------------------------------------------

_HTML = b"<html><title>502 Bad Gateway</title>"
NONSENSE: tuple[Said, ...] = (
    Said(status=200, body=_HTML),
    Said(status=201, body=b""),
    Said(status=204),
    Said(status=200, body=[]),
    Said(status=302, body=_HTML),
    Said(status=418, body={"unheard": "of"}),
    Said(status=409, body=_HTML),
    Said(status=500, body=_HTML),
    Said(status=502, body=_HTML),
    Said(status=503, body=b""),
    Said(status=599),
)
"""Answers that no page of any vendor lists."""
UNLISTED: Mapping[str, Said] = {
    "tiktok creator photos, public": _tiktok(UNHEARD),
    "tiktok business video": _business(98765),
    "instagram image": _graph(98765, 98765),
    "facebook feed post": _graph(98765),
    "facebook reel": _graph(98765),
    "youtube video": _google(UNHEARD),
    "linkedin image of a member": _linkedin(400, UNHEARD),
}
"""A plain refusal with a code of the future. Pinterest's is not here: see BY_HAND, and its README."""
