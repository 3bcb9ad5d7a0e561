"""YouTube's Data API v3 as documented on 2026-11-24: its upload sessions, the metadata that opens one, the routes.

Uploads follow Google's resumable upload protocol:
developers.google.com/youtube/v3/guides/using_resumable_upload_protocol and /youtube/v3/docs/videos, read 2026-11-24. A
session lives a week; the vendor documents no lifetime.
"""

import secrets
import sys
from datetime import datetime

from aiohttp import web

from adapters.sandbox.accounts import AccountKind
from adapters.sandbox.context import DAY, SandboxContext
from adapters.sandbox.dialect import KINDS, check_fields
from adapters.sandbox.endpoint import Call, mount_routes, read_routes
from adapters.sandbox.media import probe_upload
from adapters.sandbox.store import Record
from adapters.sandbox.uploads import Span, parse_content_range, receive_body
from adapters.sandbox.youtube import api, comments
from adapters.sandbox.youtube.api import TABLE, refuse

_KIND = "youtube.session"
_GRANULE = 256 << 10
_MAX_BYTES = 274_877_906_944
_LIFE_S = 7 * DAY


async def start(call: Call, account: Record) -> web.Response:
    """POST /upload/youtube/v3/videos?uploadType=resumable."""
    if call.request.query.get("uploadType") != "resumable":
        raise refuse("no_media_body")
    if account["options"].get("no_channel"):
        raise refuse("no_channel")
    snippet, status = _check_metadata(call, call.json("Video", "resource"))
    total = _parse_announced_size(call)
    api.spend(call, "inserts")
    facts: Record = {"total": total, "received": 0, "video": None, "status": status, "snippet": snippet}
    facts["notify"] = call.request.query.get("notifySubscribers", "true") == "true"
    facts["name"] = call.request.headers.get("Slug", "unknown")
    record = call.create(_KIND, secrets.token_urlsafe(24), account, **facts)
    place = {"Location": _build_location(call, record), "X-GUploader-UploadID": record["key"]}
    return web.Response(status=200, headers=place)


def _parse_announced_size(call: Call) -> int | None:
    headers = call.request.headers
    kind = headers.get("X-Upload-Content-Type", "video/*")
    if not kind.startswith("video/") and kind != "application/octet-stream":
        raise refuse("media_type", kind=kind)
    length = headers.get("X-Upload-Content-Length")
    if length is None:
        return None
    if not length.isdecimal() or not 0 < int(length) <= _MAX_BYTES:
        raise refuse("content_length")
    return int(length)


def _build_location(call: Call, record: Record) -> str:
    return str(call.request.url.update_query(upload_id=record["key"]))


def _parse_range(call: Call) -> Span | None:
    header = call.request.headers.get("Content-Range")
    length = call.request.content_length
    if header is None:
        return None if length is None else Span(first=0, last=length - 1, total=length)
    return parse_content_range(call.request)


def _find_session(call: Call) -> Record | None:
    return call.context.store.get(_KIND, call.request.query.get("upload_id", ""))


async def put(call: Call, account: Record) -> web.Response:
    """PUT bytes, or ask how many were received."""
    record = _find_session(call)
    is_gone = record is None or call.context.clock.now() >= record["created"] + _LIFE_S
    if record is None or is_gone or record["account"] != account["remote_id"]:
        raise refuse("unknown_session")
    span = _parse_range(call)
    if record["video"] is not None:  # the final response can be repeated
        return api.created_response(call, record["video"])
    _check_range(call, record, span)
    if span is None or span.first is None or span.first != record["received"]:
        return _incomplete_response(call, record)  # overlap or gap: store nothing
    return await _store(call, record, span)


def _check_range(call: Call, record: Record, span: Span | None) -> None:
    length = call.request.content_length
    if span is None or (span.total is not None and record["total"] not in (None, span.total)):
        raise refuse("content_range")
    if span.first is None:
        return
    is_backwards = span.length <= 0 or (
        span.total is not None and span.last is not None and span.last >= span.total
    )
    if is_backwards or length != span.length:
        raise refuse("range_length")
    if not span.is_last and span.length % _GRANULE:
        raise refuse("chunk_size")


async def _store(call: Call, record: Record, span: Span) -> web.Response:
    at = record["received"]
    most = span.length if call.take_fault("short-store") is None else _shorten(span.length)
    taken = await receive_body(call.request, call.context.get_upload(record), at, most)
    if record["received"] != at or record["video"] is not None:  # a concurrent request stored the same bytes
        return _incomplete_response(call, record)
    record["total"] = span.total if record["total"] is None else record["total"]
    is_whole = taken.bytes == span.length and not taken.is_aborted
    if is_whole and span.is_last:
        return await _complete(call, record)
    call.save(_KIND, record, received=at + taken.bytes - taken.bytes % _GRANULE)
    return _incomplete_response(call, record)


def _shorten(length: int) -> int:
    """Return how many bytes a partial store keeps: half, in whole granules."""
    return length // 2 // _GRANULE * _GRANULE


async def _complete(call: Call, record: Record) -> web.Response:
    record |= call.take_processing_faults()
    facts = await probe_upload(call.context.get_upload(record))
    if record["video"] is None:  # no concurrent request completed the upload
        made = api.create_video(call, record, facts)
        call.save(_KIND, record, received=record["total"], video=made["key"])
        call.context.get_upload(record).unlink(missing_ok=True)
        await call.context.processing.start(api.VIDEO, made)
    return api.created_response(call, record["video"])


def _incomplete_response(call: Call, record: Record) -> web.Response:
    if record["video"] is not None:
        return api.created_response(call, record["video"])
    headers = {} if record["received"] == 0 else {"Range": f"bytes=0-{record['received'] - 1}"}
    if call.take_fault("moved-session") is not None:
        record.setdefault("file", record["key"])
        call.context.store.drop(_KIND, record["key"])
        call.save(_KIND, record, key=secrets.token_urlsafe(24))
        headers["Location"] = _build_location(call, record)
    return web.Response(status=308, reason="Resume Incomplete", headers=headers)


def get_step(call: Call) -> str:
    """Return the step of a PUT: the last bytes are the visible call, a status request looks."""
    span = _parse_range(call)
    if span is None or span.first is None:
        return "look"
    return "finalize" if span.is_last else "upload"


def refuse_quota(call: Call) -> web.Response:
    """Return the error of the project's quota, or of the channel's (reason `uploadLimitExceeded`)."""
    ordered = next(fault for fault in call.faults if fault["fault"] == "quota-exhausted")
    is_limit = ordered["reason"] == "uploadLimitExceeded"
    return api.DIALECT.respond("upload_limit" if is_limit else "quota")


def _check_metadata(call: Call, body: Record) -> tuple[Record, Record]:
    """Return the normalized `snippet` and `status`; raises Refused."""
    parts = call.request.query.get("part", "").split(",")
    if parts == [""]:
        raise refuse("no_part")
    for name in body:
        if name in TABLE["writable_parts"] and name not in parts:
            raise refuse("unexpected_part", name=name)
    for name in parts:
        if name not in (*TABLE["writable_parts"], *TABLE["other_parts"]):
            raise refuse("unknown_part", name=name)
    return _check_snippet(body.get("snippet") or {}), _check_status(call, body.get("status") or {})


def _check_snippet(given: Record) -> Record:
    snippet: Record = {"title": None, "description": "", "tags": [], "categoryId": "22"}
    snippet |= {name: given[name] for name in snippet if given.get(name) is not None}
    check_fields(snippet, TABLE["snippet"], refuse, _KINDS)
    return snippet


def _has_angles(text: str) -> bool:
    return "<" in text or ">" in text


def _count_tag_characters(tags: list[str]) -> int:
    """Return the length of the tags, including commas between them and quotes around tags with spaces."""
    return sum(len(tag) + (2 if " " in tag else 0) for tag in tags) + max(0, len(tags) - 1)


_KINDS = {
    **KINDS,
    "title": lambda value, most: (
        isinstance(value, str) and value.strip() != "" and len(value) <= most and not _has_angles(value)
    ),
    "description": lambda value, most: not _has_angles(value) and len(value.encode()) <= most,
    "tags": lambda value, most: _count_tag_characters(value) <= most,
}


def _check_status(call: Call, given: Record) -> Record:
    known = {
        **TABLE["status_defaults"],
        **{name: value for name, value in given.items() if value is not None},
    }
    check_fields(known, TABLE["status"], refuse)
    if "publishAt" in known and not (
        known["privacyStatus"] == "private" and _is_future(call, known["publishAt"])
    ):
        raise refuse("publish_at")
    kept = {name: known[name] for name in TABLE["status_kept"] if name in known}
    return {"uploadStatus": "uploaded", **kept, "madeForKids": known.get("selfDeclaredMadeForKids", False)}


def _is_future(call: Call, text: str) -> bool:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return False
    return at.tzinfo is not None and at.timestamp() > call.context.clock.now()


_ROUTES = (
    *read_routes(TABLE["routes"], api=api, comments=comments, uploads=sys.modules[__name__]),
    api.TOKENS.route("/google-oauth/token"),
    api.TOKENS.route("/google-oauth/revoke", handle=api.TOKENS.revoke),
    api.CONSENT.route("/google-accounts/o/oauth2/v2/auth"),
)


def register(app: web.Application, context: SandboxContext) -> None:
    """Serve YouTube on `app`."""
    context.accounts.define(api.PLATFORM, AccountKind(**TABLE["account"]))
    context.processing.define(api.TASK)
    mount_routes(app, context, api.PLATFORM, api.DIALECT, _ROUTES)
