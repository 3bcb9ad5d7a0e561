"""YouTube upload sessions, by Google's resumable upload protocol, and the metadata that opens one.

developers.google.com/youtube/v3/guides/using_resumable_upload_protocol and /youtube/v3/docs/videos, read 2026-11-24. A
session lives a week; the vendor documents no lifetime.
"""

import asyncio
import secrets
from datetime import datetime
from pathlib import Path

from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.clock import DAY
from adapters.sandbox.endpoint import Call
from adapters.sandbox.store import Record
from adapters.sandbox.upload_body import Span, parse_content_range, receive_body
from adapters.sandbox.vendor_table import KINDS, check_fields
from adapters.sandbox.youtube import api, video

KIND = "youtube.session"
GRANULE = 256 << 10
_MAX_BYTES = 274_877_906_944
_LIFE_S = 7 * DAY


async def start(call: Call) -> web.Response:
    """POST /upload/youtube/v3/videos?uploadType=resumable."""
    account = call.authenticate(*api.MAY_UPLOAD)
    if call.request.query.get("uploadType") != "resumable":
        raise api.refuse("mediaBodyRequired", "This sandbox takes videos by uploadType=resumable only.")
    if account["options"].get("no_channel"):
        raise api.refuse("youtubeSignupRequired", "The user has no YouTube channel.", 401)
    snippet, status = _check_metadata(call, call.json())
    total = _parse_announced_size(call)
    api.spend(call, api.INSERTS)
    record: Record = {"key": secrets.token_urlsafe(24), "account": account["remote_id"], "total": total}
    record |= {"received": 0, "created": call.context.clock.now(), "video": None, "status": status}
    record |= {
        "snippet": snippet,
        "name": call.request.headers.get("Slug", "unknown"),
        **call.take_processing_faults(),
    }
    call.context.store.put(KIND, record["key"], record)
    place = {"Location": _build_location(call, record), "X-GUploader-UploadID": record["key"]}
    return web.Response(status=200, headers=place)


def _parse_announced_size(call: Call) -> int | None:
    headers = call.request.headers
    kind = headers.get("X-Upload-Content-Type", "video/*")
    if not kind.startswith("video/") and kind != "application/octet-stream":
        raise api.refuse(
            "invalidMediaType", f"Media type '{kind}' is not supported. Valid media types: [video/*]"
        )
    length = headers.get("X-Upload-Content-Length")
    if length is None:
        return None
    if not length.isdecimal() or not 0 < int(length) <= _MAX_BYTES:
        raise api.refuse("invalidContentLength", "X-Upload-Content-Length must be from 1 to 274877906944.")
    return int(length)


def _build_location(call: Call, record: Record) -> str:
    url = call.request.url.update_query(upload_id=record["key"])
    return str(url)


def _parse_range(call: Call) -> Span | None:
    header = call.request.headers.get("Content-Range")
    length = call.request.content_length
    if header is None:
        return None if length is None else Span(first=0, last=length - 1, total=length)
    return parse_content_range(call.request)


def _find_session(call: Call) -> Record | None:
    return call.context.store.get(KIND, call.request.query.get("upload_id", ""))


async def put(call: Call) -> web.Response:
    """PUT bytes, or ask how many were received."""
    account = call.authenticate(*api.MAY_UPLOAD)
    record = _find_session(call)
    is_gone = record is None or call.context.clock.now() >= record["created"] + _LIFE_S
    if record is None or is_gone or record["account"] != account["remote_id"]:
        raise api.refuse("notFound", "The upload session was not found, or has expired.", 404)
    span = _parse_range(call)
    if record["video"] is not None:  # the final response can be repeated
        return video.created_response(call, record["video"])
    _check_range(call, record, span)
    if span is None or span.first is None or span.first != record["received"]:
        return _incomplete_response(call, record)  # overlap or gap: store nothing
    return await _store(call, record, span)


def _check_range(call: Call, record: Record, span: Span | None) -> None:
    length = call.request.content_length
    if span is None or (span.total is not None and record["total"] not in (None, span.total)):
        raise api.refuse(
            "invalidContentRange", "Content-Range is missing, or does not fit the announced length."
        )
    if span.first is None:
        return
    is_backwards = span.length <= 0 or (
        span.total is not None and span.last is not None and span.last >= span.total
    )
    if is_backwards or length != span.length:
        raise api.refuse("invalidContentRange", "Content-Range does not fit Content-Length.")
    if not span.is_last and span.length % GRANULE:
        raise api.refuse("invalidChunkSize", "A chunk that is not the last must be a multiple of 256 KiB.")


async def _store(call: Call, record: Record, span: Span) -> web.Response:
    context = call.context
    at = record["received"]
    most = span.length if call.take_fault("short-store") is None else _shorten(span.length)
    taken = await receive_body(call.request, _upload_path(call, record), at, most)
    if record["received"] != at or record["video"] is not None:  # a concurrent request stored the same bytes
        return _incomplete_response(call, record)
    record["total"] = span.total if record["total"] is None else record["total"]
    is_whole = taken.bytes == span.length and not taken.is_aborted
    if is_whole and span.is_last:
        return await _complete(call, record)
    record["received"] = at + taken.bytes - taken.bytes % GRANULE
    context.store.put(KIND, record["key"], record)
    return _incomplete_response(call, record)


def _shorten(length: int) -> int:
    """Return how many bytes a partial store keeps: half, in whole granules."""
    return length // 2 // GRANULE * GRANULE


async def _complete(call: Call, record: Record) -> web.Response:
    record |= call.take_processing_faults()
    facts = await asyncio.to_thread(probe.read_video, _upload_path(call, record))
    if record["video"] is None:  # no concurrent request completed the upload
        key = video.create(call.context, record, facts)
        record |= {"received": record["total"], "video": key}
        call.context.store.put(KIND, record["key"], record)
        _upload_path(call, record).unlink(missing_ok=True)
        await video.start_processing(call.context, key)
    return video.created_response(call, record["video"])


def _upload_path(call: Call, record: Record) -> Path:
    return call.context.uploads / f"youtube-{record.setdefault('file', record['key'])}"


def _incomplete_response(call: Call, record: Record) -> web.Response:
    if record["video"] is not None:
        return video.created_response(call, record["video"])
    headers = {} if record["received"] == 0 else {"Range": f"bytes=0-{record['received'] - 1}"}
    if call.take_fault("moved-session") is not None:
        record.setdefault("file", record["key"])
        call.context.store.drop(KIND, record["key"])
        record["key"] = secrets.token_urlsafe(24)
        call.context.store.put(KIND, record["key"], record)
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
    if ordered["reason"] == "uploadLimitExceeded":
        return api.error_response(
            400, "uploadLimitExceeded", "The user has exceeded the number of videos they may upload."
        )
    return api.quota_response()


def _check_metadata(call: Call, body: Record) -> tuple[Record, Record]:
    """Return the normalized `snippet` and `status`; raises Refused."""
    parts = call.request.query.get("part", "").split(",")
    if parts == [""]:
        raise api.refuse("missingRequiredParameter", "Required parameter: part")
    for name in body:
        if name in api.TABLE["writable_parts"] and name not in parts:
            raise api.refuse(
                "unexpectedPart", f"The request body holds {name}, which the parameter part does not name."
            )
    for name in parts:
        if name not in (*api.TABLE["writable_parts"], *api.TABLE["other_parts"]):
            raise api.refuse("unknownPart", f"'{name}'")
    return _check_snippet(_get_object(body, "snippet")), _check_status(call, _get_object(body, "status"))


def _get_object(body: Record, name: str) -> Record:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise api.refuse("invalidVideoMetadata", "The request metadata is invalid.")
    return value


def _check_snippet(given: Record) -> Record:
    snippet: Record = {"title": None, "description": "", "tags": [], "categoryId": "22"}
    snippet |= {name: given[name] for name in snippet if name in given}
    check_fields(snippet, api.TABLE["snippet"], api.refuse, _KINDS)
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
    "description": lambda value, most: (
        isinstance(value, str) and not _has_angles(value) and len(value.encode()) <= most
    ),
    "tags": lambda value, most: (
        isinstance(value, list)
        and all(isinstance(tag, str) for tag in value)
        and _count_tag_characters(value) <= most
    ),
}


def _check_status(call: Call, given: Record) -> Record:
    known = {"privacyStatus": "public", "license": "youtube"} | given
    check_fields(known, api.TABLE["status"], api.refuse)
    privacy = known["privacyStatus"]
    status: Record = {"uploadStatus": "uploaded", "privacyStatus": privacy}
    if "publishAt" in given:
        if privacy != "private" or not _is_future(call, given["publishAt"]):
            raise api.refuse(
                "invalidPublishAt", "The request metadata specifies an invalid scheduled publishing time."
            )
        status["publishAt"] = given["publishAt"]
    status["license"] = known["license"]
    status["embeddable"] = bool(given.get("embeddable", True))
    status["publicStatsViewable"] = bool(given.get("publicStatsViewable", True))
    for name in ("selfDeclaredMadeForKids", "containsSyntheticMedia"):
        if name in given:
            status[name] = bool(given[name])
    return status | {"madeForKids": bool(given.get("selfDeclaredMadeForKids", False))}


def _is_future(call: Call, text: object) -> bool:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return False
    return at.tzinfo is not None and at.timestamp() > call.context.clock.now()
