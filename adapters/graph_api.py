"""What Instagram and Facebook share: the Graph API's envelope, its error base table, usage headers, Bearer calls.

A refusal becomes one of our errors by a table of ``(code, subcode)`` rows. The one question a row answers beyond its
class is ``before_acting``: may this answer to the *visible* call be read as "nothing was done"? A pair that is not
listed so, a 5xx, an unreadable answer or silence after the visible call is OutcomeUnknown, always.

Envelope: {"error": {"message", "type", "code", "error_subcode", "is_transient", "error_user_title",
"error_user_msg", "fbtrace_id"}}, mostly with HTTP 400. ``message`` is never kept: Meta quotes tokens in it.
Source: developers.facebook.com/docs/graph-api/guides/error-handling, read 2026-11-24.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from requests.structures import CaseInsensitiveDict

from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    CredentialsRevoked,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient, NoResponse, NotSent, Response, SizedBody

THROTTLE_WAIT = timedelta(minutes=5)
"""How long to wait when throttled without being told; the app's window is a rolling hour."""
FULL_USAGE = 95
"""Per cent of a usage header above which we stop by ourselves, before Meta does."""
GONE = "handle_gone"
"""Code of the Unavailable that says: no such object, or not yet, or not for this token. Never proof of absence."""
RECONNECT = "Connect the account again."
_YES = range(200, 300)
_BROKEN = range(500, 600)


class GraphModel(BaseModel):
    """A piece of Graph JSON: keys we do not know are ignored, because Meta adds them without notice."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ErrorBody(GraphModel):
    """The inside of an error envelope, without its ``message``."""

    code: int | None = None
    error_subcode: int | None = None
    is_transient: bool = False
    error_user_msg: str | None = None
    error_data: Any = None

    @property
    def name(self) -> str:
        """``code/subcode``, as logs and support threads write it."""
        return f"{self.code}/{self.error_subcode}" if self.error_subcode else str(self.code)


class _Envelope(GraphModel):
    error: ErrorBody


Known = TypeVar("Known", bound=GraphModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphErrorRow:
    """What one refusal means."""

    error: type[AdapterError]
    says: str
    before_acting: bool = False
    """Given before anything was done, so that even after the visible call it proves that nothing is live."""
    any_subcode: bool = False
    """Holds for every subcode of this code, unlisted ones too."""
    wait: timedelta | None = None
    next_action: str | None = None
    code: str | None = None
    """Our word for it, where the class's own is not enough."""


GraphErrorTable = Mapping[tuple[int | None, int | None], GraphErrorRow]
"""(code, subcode) -> row. (None, subcode): whatever the code. (code, None): the code without a subcode."""


def _throttled(says: str) -> GraphErrorRow:
    return GraphErrorRow(error=RateLimited, says=says, before_acting=True)


def _revoked(says: str) -> GraphErrorRow:
    return GraphErrorRow(error=CredentialsRevoked, says=says, before_acting=True, next_action=RECONNECT)


def _forbidden(says: str) -> GraphErrorRow:
    return GraphErrorRow(
        error=PermissionMissing, says=says, before_acting=True, any_subcode=True, next_action=RECONNECT
    )


_STALE = GraphErrorRow(
    error=CredentialsExpired, says="the access token is no longer taken", before_acting=True, any_subcode=True
)
_PASSING = GraphErrorRow(error=Unavailable, says="the service failed for a passing reason")
_SESSION_SUBCODES = {  # .../guides/error-handling, "authentication error subcodes", read 2026-11-24
    458: "the app was removed by the person who connected it",
    459: "the person has to log in and pass a security check first",
    460: "the password was changed",
    464: "the person's account is not confirmed",
    492: "the person no longer has a role on the Page",
}

BASE_TABLE: GraphErrorTable = {
    (1, None): _PASSING,
    (2, None): _PASSING,
    (100, 33): GraphErrorRow(
        error=Unavailable, says="the object is not there, or not yet, or not for us", code=GONE
    ),
    **{(code, None): _throttled("too many calls") for code in (4, 17, 32, 341, 613, *range(80001, 80015))},
    (3, None): _forbidden("the app lacks this capability"),
    (10, None): _forbidden("the permission was not granted or was withdrawn"),
    **{(code, None): _forbidden("a permission is missing") for code in range(200, 300)},
    (102, None): _STALE,
    (190, None): _STALE,
    **{(code, sub): _revoked(says) for code in (102, 190) for sub, says in _SESSION_SUBCODES.items()},
}
"""Rows that hold on both platforms; an adapter's own table is laid over it."""


# --- usage headers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """How much of our allowance is spent: the highest percentage, and Meta's estimate of when it is free again."""

    percent: float = 0
    regain: timedelta | None = None

    @property
    def wait(self) -> timedelta | None:
        """How long to stay away, or None when there is room."""
        if self.percent > FULL_USAGE or self.regain is not None:
            return self.regain or THROTTLE_WAIT
        return None


_USAGE_KEYS = ("call_count", "total_time", "total_cputime")


def parse_usage(headers: CaseInsensitiveDict[str]) -> Usage:
    """What ``X-App-Usage`` and ``X-Business-Use-Case-Usage`` say (percentages, minutes); unreadable: nothing.

    Source: developers.facebook.com/docs/graph-api/overview/rate-limiting, read 2026-11-24.
    """
    buckets = [_json(headers.get("X-App-Usage"))]
    business = _json(headers.get("X-Business-Use-Case-Usage"))
    if isinstance(business, dict):
        buckets += [bucket for row in business.values() if isinstance(row, list) for bucket in row]
    known = [bucket for bucket in buckets if isinstance(bucket, dict)]
    percent = max((_number(bucket.get(key)) for bucket in known for key in _USAGE_KEYS), default=0.0)
    minutes = max((_number(bucket.get("estimated_time_to_regain_access")) for bucket in known), default=0.0)
    return Usage(percent=percent, regain=timedelta(minutes=minutes) if minutes else None)


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and value >= 0 else 0.0


def _told_to_wait(headers: CaseInsensitiveDict[str]) -> timedelta:
    seconds = headers.get("Retry-After", "")
    if seconds.isdecimal():
        return timedelta(seconds=int(seconds))
    return parse_usage(headers).regain or THROTTLE_WAIT


# --- refusals --------------------------------------------------------------------------------------------------------


def parse_error(answer: Response) -> ErrorBody | None:
    """The error inside an answer, or None when it holds no envelope."""
    try:
        return _Envelope.model_validate_json(answer.body).error
    except ValidationError:
        return None


def find_row(table: GraphErrorTable, fault: ErrorBody, *, visible: bool) -> GraphErrorRow | None:
    """The row for a fault. After the visible call a code with an unlisted subcode is unlisted."""
    exact = table.get((fault.code, fault.error_subcode)) or table.get(
        (None, fault.error_subcode or fault.code)
    )
    if exact is not None:
        return exact
    general = table.get((fault.code, None))
    return None if general is None or (visible and not general.any_subcode) else general


def build_error(
    service: str, answer: Response, table: GraphErrorTable, *, visible: bool, token: str = ""
) -> AdapterError:
    """Our error for an answer that is not a plain yes."""
    fault = parse_error(answer) or ErrorBody()
    row = find_row(table, fault, visible=visible) or _by_status(answer.status)
    passing = answer.status in _BROKEN or fault.is_transient
    facts: dict[str, Any] = {"platform_code": fault.name, "http_status": answer.status}
    if visible and not _proves_nothing_done(row, answer.status, passing=passing):
        return OutcomeUnknown(f"{service} did not say clearly whether the post went out", **facts)
    if passing and (row is None or issubclass(row.error, Permanent)):
        row = _PASSING
    if row is None:
        return AdapterError(f"{service} refused for an unlisted reason", **facts)
    facts |= {"next_action": row.next_action, "code": row.code}
    if issubclass(row.error, RateLimited):
        facts["retry_after"] = row.wait or _told_to_wait(answer.headers)
    return row.error(f"{service}: {row.says}{_their_words(fault, token)}", **facts)


def _by_status(status: int) -> GraphErrorRow | None:
    return {401: _STALE, 429: _throttled("too many calls")}.get(status)


def _proves_nothing_done(row: GraphErrorRow | None, status: int, *, passing: bool) -> bool:
    if row is None or not row.before_acting or status in _BROKEN:
        return False
    return not (
        passing and issubclass(row.error, Permanent)
    )  # throttles are marked transient too: those stay proof


def _their_words(fault: ErrorBody, token: str) -> str:
    text = (fault.error_user_msg or "").strip()
    return f" ({text[:300]})" if text and not (token and token in text) else ""


# --- calls -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphReply(Generic[Known]):
    """A plain yes, read."""

    data: Known
    usage: Usage


class GraphClient:
    """One Graph host and version, spoken to with Bearer tokens and JSON bodies."""

    def __init__(self, client: HttpClient, *, service: str, base: str, table: GraphErrorTable) -> None:
        self._client = client
        self._service = service
        self._base = base.rstrip("/")
        self._table = table

    def read(self, model: type[Known], path: str, token: str, **params: str) -> GraphReply[Known]:
        """A GET. Unavailable when there is no readable answer; the table's errors otherwise."""
        return self._call(model, "GET", path, token, visible=False, params=params)

    def change(self, model: type[Known], path: str, token: str, **call: Any) -> GraphReply[Known]:
        """A POST that makes nothing visible; ``call`` goes to the client as it is (``json_body``, ``body``, …)."""
        return self._call(model, "POST", path, token, visible=False, **call)

    def publish(
        self, model: type[Known], path: str, token: str, fields: Mapping[str, Any]
    ) -> GraphReply[Known]:
        """The visible POST: OutcomeUnknown for everything that is not a clear yes or a listed refusal."""
        return self._call(model, "POST", path, token, visible=True, json_body=dict(fields))

    def _call(
        self, model: type[Known], method: str, path: str, token: str, *, visible: bool, **call: Any
    ) -> GraphReply[Known]:
        headers = {**call.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"{self._base}/{path}"
        answer = send(self._client, self._service, method, url, visible=visible, headers=headers, **call)
        if answer.status in _YES and parse_error(answer) is None:
            try:
                return GraphReply(
                    data=model.model_validate_json(answer.body), usage=parse_usage(answer.headers)
                )
            except ValidationError:
                kind = OutcomeUnknown if visible else Unavailable
                raise kind(
                    f"{self._service} answered something unreadable", http_status=answer.status
                ) from None
        raise build_error(self._service, answer, self._table, visible=visible, token=token)


def send(client: HttpClient, service: str, method: str, url: str, *, visible: bool, **call: Any) -> Response:
    """The complete answer to one request, with the wire's silence put in our words."""
    try:
        return client.call(method, url, visible=visible, **call)
    except NotSent:
        raise Unavailable(f"{service} could not be reached") from None
    except NoResponse:
        kind = OutcomeUnknown if visible else Unavailable
        raise kind(f"{service} did not answer") from None


# --- rupload ---------------------------------------------------------------------------------------------------------

INTERRUPTED = "upload_interrupted"
"""Code of the Unavailable that says: read the platform's offset (or start anew), then send the rest."""


_PARTIAL = frozenset({"OffsetInvalidError", "PartialRequestError"})


class _DebugInfo(GraphModel):
    retriable: bool = False
    type: str = ""


class _Rupload(GraphModel):
    success: bool = False
    debug_info: _DebugInfo | None = None


def rebase_url(url: str, base: str) -> str:
    """``url`` on the host that we configured: a token never goes to a host that an answer names."""
    if url.startswith(f"{base.rstrip('/')}/"):
        return url
    parts = urlsplit(url)
    return f"{base.rstrip('/')}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def rupload(
    client: HttpClient,
    service: str,
    url: str,
    token: str,
    table: GraphErrorTable,
    *,
    headers: Mapping[str, str],
    chunks: Iterable[bytes] = (),
    length: int = 0,
    limit: timedelta | None = None,
) -> None:
    """Send bytes (``offset``, ``file_size`` headers) or a ``file_url`` header to an upload address; nothing visible.

    Unavailable with code ``upload_interrupted`` when the platform may hold a part; Rejected when it refuses the file.
    Source: developers.facebook.com/docs/video-api/guides/reels-publishing, 2026-09-11.
    """
    sent = {"Authorization": f"OAuth {token}", **headers}
    body = SizedBody(chunks, length) if length else None
    try:
        answer = client.call("POST", url, headers=sent, body=body, limit=limit)
    except (NotSent, NoResponse):
        raise Unavailable(f"{service}: the upload was cut", code=INTERRUPTED) from None
    try:
        said = _Rupload.model_validate_json(answer.body)
    except ValidationError:
        said = _Rupload()
    if answer.status in _YES and said.success:
        return
    raise _upload_refusal(service, answer, said, table, token)


def _upload_refusal(
    service: str, answer: Response, said: _Rupload, table: GraphErrorTable, token: str
) -> AdapterError:
    if parse_error(answer) is not None or answer.status in {401, 429}:
        return build_error(service, answer, table, visible=False, token=token)
    info = said.debug_info
    kind = info.type if info else ""
    facts: dict[str, Any] = {"platform_code": kind or None, "http_status": answer.status}
    if info and kind == "ProcessingFailedError" and not info.retriable:
        return Rejected(f"{service} could not process the uploaded file", **facts)
    if answer.status in _BROKEN or answer.status in _YES or (info and (info.retriable or kind in _PARTIAL)):
        return Unavailable(f"{service} did not take the whole upload", code=INTERRUPTED, **facts)
    if answer.status == HTTPStatus.FORBIDDEN:
        return PermissionMissing(f"{service} refused the upload for want of permission", **facts)
    return AdapterError(f"{service} refused the upload for an unlisted reason", **facts)
