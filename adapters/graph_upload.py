"""Meta's upload host (rupload), which Instagram and Facebook share: bytes or a URL to an upload address, invisible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from adapters.errors import AdapterError, PermissionMissing, Rejected, Unavailable
from adapters.graph_api import (
    SERVER_ERROR,
    SUCCESS,
    GraphErrorTable,
    GraphModel,
    build_error,
    parse_error,
)
from adapters.http import HttpClient, NoResponse, NotSent, Response, SizedBody
from adapters.platform_message import clean_message

INTERRUPTED = "upload_interrupted"
"""Code of Unavailable for a partial upload: read the platform's offset or restart, then send the rest."""


_PARTIAL = frozenset({"OffsetInvalidError", "PartialRequestError"})


class _DebugInfo(GraphModel):
    retriable: bool = False
    type: str = ""
    message: str = Field("", repr=False)


class _Rupload(GraphModel):
    success: bool = False
    debug_info: _DebugInfo | None = None


def rebase_url(url: str, base: str) -> str:
    """Return *url* on the configured host, so that no token goes to a host named in a response."""
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
    """Send bytes (``offset``, ``file_size`` headers) or a ``file_url`` header to an upload URL; nothing visible.

    Raise Unavailable (``upload_interrupted``) if the platform may hold a part, Rejected if it refuses the file.
    Source: developers.facebook.com/docs/video-api/guides/reels-publishing, 2026-09-11.
    """
    sent = {"Authorization": f"OAuth {token}", **headers}
    body = SizedBody(chunks, length) if length else None
    try:
        response = client.call("POST", url, headers=sent, body=body, limit=limit)
    except (NotSent, NoResponse):
        raise Unavailable(f"{service}: the upload was interrupted", code=INTERRUPTED) from None
    try:
        parsed = _Rupload.model_validate_json(response.body)
    except ValidationError:
        parsed = _Rupload()
    if response.status in SUCCESS and parsed.success:
        return
    raise _build_upload_error(service, response, parsed, table)


def _build_upload_error(
    service: str, response: Response, parsed: _Rupload, table: GraphErrorTable
) -> AdapterError:
    if parse_error(response) is not None:
        return build_error(service, response, table, visible=False)
    info = parsed.debug_info
    kind = info.type if info else ""
    facts: dict[str, Any] = {"platform_code": kind or None, "http_status": response.status}
    facts["platform_message"] = clean_message(info.message if info else None, response.secrets)
    if info and kind == "ProcessingFailedError" and not info.retriable:
        return Rejected(f"{service} could not process the uploaded file", **facts)
    is_temporary = response.status in SERVER_ERROR or response.status in SUCCESS
    if info is None or is_temporary or info.retriable or kind in _PARTIAL:
        return Unavailable(f"{service} did not accept the whole upload", code=INTERRUPTED, **facts)
    if response.status == HTTPStatus.FORBIDDEN:
        return PermissionMissing(f"{service} refused the upload: a permission is missing", **facts)
    return AdapterError(f"{service} refused the upload for an unlisted reason", **facts)
