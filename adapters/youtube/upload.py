"""The responses of a resumable upload session, and how ``prepare`` continues after each.

Once an upload is over, its session repeats the response to the last chunk, however often it is asked.
Source: developers.google.com/youtube/v3/guides/using_resumable_upload_protocol, read 2026-11-24; the new ``Location``
of a 308: google-api-python-client 2.202.0, googleapiclient/http.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from pydantic import ValidationError

from adapters.contract import Pending, PrepareResult
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import AdapterError, Retryable, Unavailable
from adapters.http import Response
from adapters.transport import NO_RESPONSE, is_web_page
from adapters.youtube import limits
from adapters.youtube.checkpoint import Checkpoint
from adapters.youtube.errors import build_unclear_error, find_row, parse_reason, translate_error
from adapters.youtube.wire import Video

GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
_QUOTA_CODES = frozenset({"quota_exhausted", "daily_limit"})


# --- responses -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Incomplete:
    """308: YouTube has the first ``offset`` bytes, and the upload continues at ``session``."""

    offset: int
    session: str = field(repr=False)
    wait: timedelta | None = None
    """Its Retry-After."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complete:
    """200 or 201: the video exists."""

    video: Video


@dataclass(frozen=True, slots=True)
class Gone:
    """404 or 410: the session does not exist, or no longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Any other status; the tables of ``errors.py`` give its meaning."""

    response: Response = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A success or a 308 that cannot be parsed."""

    status: int


UploadResponse = Incomplete | Complete | Gone | Refused | Unreadable


def parse_upload_response(response: Response, state: Checkpoint, api: str) -> UploadResponse:
    """Classify the response of an upload session by its status."""
    if response.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
        try:
            return Complete(video=Video.model_validate_json(response.body))
        except ValidationError:
            return Unreadable(status=response.status)
    if response.status == HTTPStatus.PERMANENT_REDIRECT:
        return _parse_incomplete(response, state, api)
    return Gone() if response.status in GONE else Refused(response=response)


def _parse_incomplete(response: Response, state: Checkpoint, api: str) -> UploadResponse:
    """Parse a 308. Without Range nothing is stored; with Location the upload continues there."""
    stored = response.headers.get("Range")
    match = _RANGE.fullmatch(stored.strip()) if stored is not None else None
    if is_web_page(response) or (stored is not None and match is None):
        return Unreadable(status=response.status)
    location = response.headers.get("Location")
    session = trust_location(location, api) if location else state.session or ""
    offset = min(int(match[1]) + 1, state.size) if match else 0
    return Incomplete(offset=offset, session=session, wait=parse_retry_after(response))


def trust_location(location: str, api: str) -> str:
    """Return the session's URI on a host that may receive the token: the configured one, or another Google API's."""
    url = urljoin(f"{api}/", location)
    if url.startswith(f"{api}/") or (_is_google(url) and _is_google(api)):
        return url
    parts = urlsplit(url)
    return f"{api}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _is_google(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(".googleapis.com")


# --- how prepare continues -------------------------------------------------------------------------------------------


def advance(state: Checkpoint, request: Callable[[], UploadResponse], *, probing: bool) -> PrepareResult:
    """Send one request to the session and return how ``prepare`` continues.

    An interruption or a temporary failure is not an error yet: the session is probed and continued, so that a long
    upload over an unstable line does not use up the delivery's tries. Raise Unavailable after too many in a row.
    """
    try:
        result = request()
    except Unavailable as error:
        if error.platform_code != NO_RESPONSE:
            raise
        return _probe_later(state, error)
    match result:
        case Incomplete():
            return _continue(state, result, probing=probing)
        case Complete(video=video):  # finalize sends nothing, and look reads what became of the video
            return state.replace(video_id=video.id).to_ready()
        case Gone():
            expired = Unavailable("YouTube no longer knows the upload session.", code="upload_expired")
            return _restart(state, expired)
        case Unreadable(status=status):
            unclear = build_unclear_error(Phase.PREPARE, platform_code="unreadable_answer", status=status)
            return _probe_later(state, unclear)
        case Refused(response=response):
            return _handle_refusal(state, response, probing=probing)


def ends_session(response: Response) -> bool:
    """Return True if a probe's response, in Google's envelope, ends the session without a video.

    A spent quota is included because a session repeats its last response: it would report the quota forever.
    """
    row = find_row(response)
    if parse_reason(response) is None or _is_server_error(response):
        return False
    return row is None or row.of_insert or row.code in _QUOTA_CODES


def _is_server_error(response: Response) -> bool:
    return response.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _continue(state: Checkpoint, result: Incomplete, *, probing: bool) -> PrepareResult:
    new = state.record_offset(result.session, result.offset, time.time())
    if new.offset >= new.size:
        error = Unavailable("YouTube has every byte but does not complete the upload.", code="upload_stuck")
        return _probe_later(new, error)
    if not probing and new.offset <= state.offset:
        error = Unavailable("YouTube stores none of the bytes that are sent.", code="upload_stuck")
        return _probe_later(new, error)
    if result.wait is not None:
        return Pending(checkpoint=new.to_dict(), wait=result.wait)
    return new.to_ready() if new.is_last_chunk else Pending(checkpoint=new.to_dict())


def _handle_refusal(state: Checkpoint, response: Response, *, probing: bool) -> PrepareResult:
    error, row = translate_error(response, Phase.PREPARE), find_row(response)
    if _is_server_error(response) or (
        row is None and not probing
    ):  # a probe gives the session's actual state
        return _probe_later(state, error)
    if probing and ends_session(response) and not (row and row.of_insert):
        return _restart(state, error)
    raise error


def _probe_later(state: Checkpoint, error: AdapterError) -> Pending:
    if state.cuts >= limits.CUTS:
        raise error
    retry_after = error.retry_after if isinstance(error, Retryable) else None
    wait: timedelta = retry_after or limits.CUT_PAUSE * int(2**state.cuts)
    return Pending(checkpoint=state.replace(unsure=True, cuts=state.cuts + 1).to_dict(), wait=wait)


def _restart(state: Checkpoint, error: AdapterError) -> Pending:
    """Start from scratch, a limited number of times: a session without its last chunk never makes a video."""
    if state.restarts >= limits.RESTARTS:
        raise error
    return Pending(checkpoint=Checkpoint(restarts=state.restarts + 1).to_dict())
