"""Meta's error envelope, the rows of errors that hold on Instagram and Facebook, the usage headers and the versions.

A table of ``(code, subcode)`` rows maps a refusal to an error class. A row also says
``before_acting``: whether this response to the *visible* call proves that nothing was done. A pair without that mark,
a 5xx, an unreadable response or silence after the visible call is always OutcomeUnknown.

Envelope: {"error": {"message", "type", "code", "error_subcode", "is_transient", "error_user_title",
"error_user_msg", "fbtrace_id"}}, mostly with HTTP 400. ``message`` is read for rows by words and never stored: Meta
quotes tokens in it.
Source: developers.facebook.com/docs/graph-api/guides/error-handling, read 2026-11-24.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from pydantic import Field
from requests.structures import CaseInsensitiveDict

from adapters.error_table import ErrorRow, Phase, translate_refusal
from adapters.errors import (
    AdapterError,
    AppRefused,
    CredentialsExpired,
    CredentialsRevoked,
    Permanent,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import Response
from adapters.platform_message import compose_message
from adapters.transport import Wire

RETIREMENTS = {
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
    # "to be determined"; Meta serves a version for two years at least: v26.0 is of 2026-07-29, v27.0 of 2026-11-04
    "v26.0": date(2028, 7, 30),
    "v27.0": date(2028, 11, 5),
}
"""Version -> day of its retirement. Source: developers.facebook.com/docs/graph-api/changelog, read 2026-11-27.

v27.0: developers.facebook.com/blog/post/2026/11/04/introducing-graph-api-v27-and-marketing-api-v27, read 2026-11-29. It
changes nothing of publishing; what it closes (multi-id requests, method override, field aliases) is not used here.
"""


THROTTLE_WAIT = timedelta(minutes=5)
"""How long to wait when throttled without a given time; the app's window is a rolling hour."""
FULL_USAGE = 95
"""Percentage in a usage header above which we pause before Meta throttles us."""
GONE = "handle_gone"
"""Code of Unavailable for an object that is missing or not visible (yet, or to this token): no proof of absence."""
RECONNECT = "Connect the account again."
SUCCESS = range(200, 300)
SERVER_ERROR = range(500, 600)


class ErrorBody(Wire):
    """The ``error`` object of a response."""

    message: str = Field("", repr=False)
    code: int | None = None
    error_subcode: int | None = None
    is_transient: bool = False
    error_user_title: str | None = None
    error_user_msg: str | None = None
    error_data: Any = None

    @property
    def name(self) -> str:
        """``code/subcode``, as Meta's support threads write it."""
        return f"{self.code}/{self.error_subcode}" if self.error_subcode else str(self.code)


class _Envelope(Wire):
    error: ErrorBody


Known = TypeVar("Known", bound=Wire)


@dataclass(frozen=True, slots=True)
class GraphErrorRow:
    """The error class of one ``(code, subcode)``, and what it proves."""

    error: type[AdapterError]
    message: str
    _: KW_ONLY
    before_acting: bool = False
    """Given before acting: even after the visible call it proves that nothing is live."""
    any_subcode: bool = False
    """The row holds for every subcode of this code, unlisted ones included."""
    is_policy: bool = False
    """Meta refused by its policies: the row holds even if Meta calls the error transient."""
    is_final: bool = False
    """After the visible call, the post is not sent again even once its absence is proven."""
    wait: timedelta | None = None
    next_action: str | None = None
    code: str | None = None
    """Our code for it, if more specific than the class's own."""


NO_SUBCODE = 0
"""Subcode of a row that holds only without a subcode; Meta sends none that is 0."""
GraphErrorTable = Mapping[tuple[int | None, int | str | None], GraphErrorRow]
"""(code, subcode) -> row. (None, subcode): any code. (code, None): the code whose subcode has no row of its own.

(code, words): the code with these words, in lower case, in its ``message``.
"""


def reject(message: str, next_action: str | None = None, code: str | None = None) -> GraphErrorRow:
    """Return a row of a refusal of the content, given before acting."""
    return GraphErrorRow(Rejected, message, before_acting=True, next_action=next_action, code=code)


def retry(message: str, code: str | None = None) -> GraphErrorRow:
    """Return a row of a failure that may pass; after the visible call it proves nothing."""
    return GraphErrorRow(Unavailable, message, code=code)


def _throttled(message: str) -> GraphErrorRow:
    return GraphErrorRow(RateLimited, message, before_acting=True)


def _revoked(message: str) -> GraphErrorRow:
    return GraphErrorRow(CredentialsRevoked, message, before_acting=True, next_action=RECONNECT)


def _forbidden(message: str) -> GraphErrorRow:
    return GraphErrorRow(
        PermissionMissing, message, before_acting=True, any_subcode=True, next_action=RECONNECT
    )


_EXPIRED = GraphErrorRow(
    CredentialsExpired, "the access token has expired", before_acting=True, any_subcode=True
)
_VERSION = GraphErrorRow(
    AppRefused,
    "Meta no longer serves the Graph API version this server is set to",
    before_acting=True,
    any_subcode=True,
    code="api_version_retired",
    next_action="Set SLIPWAY_FACEBOOK__VERSION and SLIPWAY_INSTAGRAM__VERSION to one that Meta serves, such as "
    f"{max(RETIREMENTS)}, and restart.",
)
_TEMPORARY = GraphErrorRow(Unavailable, "the service failed for a temporary reason")
_SESSION_SUBCODES = {  # .../guides/error-handling, "authentication error subcodes", read 2026-11-24
    458: "the app was removed by the user who connected it",
    459: "the user has to log in and pass a security check first",
    460: "the password was changed",
    464: "the user's account is not confirmed",
    492: "the user no longer has a role on the Page",
}

BASE_TABLE: GraphErrorTable = {
    (1, None): _TEMPORARY,
    (2, None): _TEMPORARY,
    (100, 33): GraphErrorRow(
        Unavailable, "the object does not exist, or is not visible yet or to this token", code=GONE
    ),
    **{(code, None): _throttled("too many calls") for code in (4, 17, 32, 341, 613, *range(80001, 80015))},
    # guides/versioning: a call to a version that is no longer served. 2500 also means that the token is missing.
    # code 100 or 1, by the words alone
    (None, "appsecret_proof"): GraphErrorRow(
        AppRefused,
        "Meta does not accept our app's calls: the proof of the app secret is missing or wrong",
        before_acting=True,
        code="app_secret_refused",
        next_action="Check the app id and secret that this server is set to. Accounts whose tokens were pasted have to "
        "be connected through the app if it requires the proof.",
    ),
    (2635, None): _VERSION,
    (2500, None): _VERSION,
    (2500, "active access token"): _revoked("an access token is needed"),
    (3, None): _forbidden("the app lacks this capability"),
    (10, None): _forbidden("the permission was not granted or was withdrawn"),
    **{(code, None): _forbidden("a permission is missing") for code in range(200, 300)},
    (102, None): _EXPIRED,
    (190, None): _EXPIRED,
    # "Application has been deleted", "Cannot parse access token": an expired token has subcode 463
    (190, NO_SUBCODE): _revoked("the access token is not valid any more, or our app was deleted"),
    **{(code, sub): _revoked(message) for code in (102, 190) for sub, message in _SESSION_SUBCODES.items()},
}
"""Rows that hold on both platforms; a platform's own table overrides them."""


# --- usage headers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Use of the rate limit: the highest percentage, and Meta's estimate of when calls are allowed again."""

    percent: float = 0
    regain: timedelta | None = None

    @property
    def wait(self) -> timedelta | None:
        """How long to pause, or None below the limit."""
        if self.percent > FULL_USAGE or self.regain is not None:
            return self.regain or THROTTLE_WAIT
        return None


_USAGE_KEYS = ("call_count", "total_time", "total_cputime")


def parse_usage(headers: CaseInsensitiveDict[str]) -> Usage:
    """Parse ``X-App-Usage`` and ``X-Business-Use-Case-Usage`` (percentages, minutes); ignore unreadable values.

    Source: developers.facebook.com/docs/graph-api/overview/rate-limiting, read 2026-11-24.
    """
    buckets = [_parse_json(headers.get("X-App-Usage"))]
    business = _parse_json(headers.get("X-Business-Use-Case-Usage"))
    if isinstance(business, dict):
        buckets += [bucket for row in business.values() if isinstance(row, list) for bucket in row]
    known = [bucket for bucket in buckets if isinstance(bucket, dict)]
    percent = max((_parse_number(bucket.get(key)) for bucket in known for key in _USAGE_KEYS), default=0.0)
    minutes = max(
        (_parse_number(bucket.get("estimated_time_to_regain_access")) for bucket in known), default=0.0
    )
    return Usage(percent=percent, regain=timedelta(minutes=minutes) if minutes else None)


def _parse_json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _parse_number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and value >= 0 else 0.0


def _choose_throttle_wait(headers: CaseInsensitiveDict[str]) -> timedelta:
    seconds = headers.get("Retry-After", "")
    if seconds.isdecimal():
        return timedelta(seconds=int(seconds))
    return parse_usage(headers).regain or THROTTLE_WAIT


# --- refusals --------------------------------------------------------------------------------------------------------


def parse_error(response: Response) -> ErrorBody | None:
    """Return the error object in a response, or None without an envelope: an object ``error`` with a code."""
    envelope = response.parse(_Envelope)
    return None if envelope is None or envelope.error.code is None else envelope.error


def find_row(table: GraphErrorTable, body: ErrorBody, *, visible: bool) -> GraphErrorRow | None:
    """Return the row of an error. After the visible call, a code with an unlisted subcode counts as unlisted."""
    exact = table.get((body.code, body.error_subcode or NO_SUBCODE)) or table.get(
        (None, body.error_subcode or body.code)
    )
    exact = exact or _find_row_by_words(table, body)
    if exact is not None:
        return exact
    general = table.get((body.code, None))
    is_listed = general is not None and (not body.error_subcode or general.any_subcode or not visible)
    return general if is_listed else None


def _find_row_by_words(table: GraphErrorTable, body: ErrorBody) -> GraphErrorRow | None:
    text = body.message.casefold()
    listed = (key for key in table if key[0] in (None, body.code) and isinstance(key[1], str))
    return next((table[key] for key in listed if str(key[1]) in text), None)


def build_error(service: str, response: Response, table: GraphErrorTable, *, visible: bool) -> AdapterError:
    """Return the error of a response that is not a success."""
    body, row, retry_after = parse_error(response), None, None
    if body is not None:
        row = find_row(table, body, visible=visible)
        is_temporary = response.status in SERVER_ERROR or body.is_transient
        if is_temporary and (row is None or (issubclass(row.error, Permanent) and not row.is_policy)):
            row = _TEMPORARY  # a throttle is transient too, and keeps its row
    if row is not None and issubclass(row.error, RateLimited):
        retry_after = row.wait or _choose_throttle_wait(response.headers)
    return translate_refusal(
        service,
        response,
        Phase.FINALIZE if visible else Phase.PREPARE,
        None if body is None else body.name,
        None if row is None else _to_row(row, service),
        None if body is None else compose_message(body.error_user_title, body.error_user_msg),
        retry_after=retry_after,
    )


def _to_row(row: GraphErrorRow, service: str) -> ErrorRow:
    return ErrorRow(
        row.error,
        row.code or row.error.code,
        f"{service}: {row.message}",
        row.next_action,
        ambiguous=not row.before_acting,
        is_final=row.is_final or row.is_policy,
    )
