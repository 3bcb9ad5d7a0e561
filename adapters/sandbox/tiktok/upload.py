"""TikTok's upload host: receives the chunks of a video. The last chunk starts publishing."""

import re
from dataclasses import dataclass

from aiohttp import web

from adapters.sandbox.endpoint import Call, Dialect, Endpoint
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok import task
from adapters.sandbox.tiktok.dialect import PLATFORM
from adapters.sandbox.tiktok.video import UPLOAD_LIFE_S

_RANGE = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})\Z")
_TYPES = ("video/mp4", "video/quicktime", "video/webm")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    first: int
    last: int
    total: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def _respond(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, headers=headers)


def _find_task(call: Call) -> Record | None:
    upload = call.context.store.get("tiktok.upload", call.request.query.get("upload_id", ""))
    return None if upload is None else call.context.store.get(task.KIND, upload["task"])


def _find_owner(call: Call) -> Record | None:
    record = _find_task(call)
    return None if record is None else call.context.accounts.find(PLATFORM, record["account"])


def _parse_content_range(call: Call) -> _Span | None:
    match = _RANGE.match(call.request.headers.get("Content-Range", ""))
    if match is None:
        return None
    first, last, total = (int(number) for number in match.groups())
    return _Span(first=first, last=last, total=total) if first <= last < total else None


def _get_step(call: Call) -> str:
    span = _parse_content_range(call)
    return "finalize" if span is not None and span.last + 1 == span.total else "upload"


def _check_task(call: Call) -> Record:
    record = _find_task(call)
    if record is None:
        raise Refused(_respond(404))
    if call.request.query.get("upload_token") != record["upload_token"]:
        raise Refused(_respond(403))
    if call.context.clock.now() > record["created"] + UPLOAD_LIFE_S:
        raise Refused(_respond(403))
    return record


def _check_chunk(call: Call, record: Record) -> _Span:
    span = _parse_content_range(call)
    headers = call.request.headers
    if span is None or call.request.content_type not in _TYPES or span.total != record["size"]:
        raise Refused(_respond(400))
    if headers.get("Content-Length") != str(span.length):
        raise Refused(_respond(400))
    received = record["uploaded"]
    if span.first != received or record["state"] != "PROCESSING_UPLOAD":
        raise Refused(_respond(416, _make_progress_headers(record)))
    is_last = received // record["chunk"] >= record["chunks"] - 1
    if span.length != (record["size"] - received if is_last else record["chunk"]):
        raise Refused(_respond(400))
    return span


def _make_progress_headers(record: Record) -> dict[str, str]:
    return {"Content-Range": f"bytes 0-{record['uploaded']}/{record['size']}"}


async def put_chunk(call: Call) -> web.Response:
    """PUT of one chunk: 206 if more are missing, 201 if all are received."""
    record = _check_task(call)
    span = _check_chunk(call, record)
    path = task.upload_path(call.context, record)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(span.first)
        async for part in call.request.content.iter_any():
            file.write(part)
    if record["uploaded"] != span.first:  # another request stored the same chunk meanwhile
        raise Refused(_respond(416, _make_progress_headers(record)))
    record["uploaded"] = span.last + 1
    if record["uploaded"] == record["size"]:
        record |= {**call.take_processing_faults()}
    call.context.store.put(task.KIND, record["key"], record)
    if record["uploaded"] < record["size"]:
        return _respond(206, _make_progress_headers(record))
    await task.start(call.context, record)
    return _respond(201, _make_progress_headers(record))


_DIALECT = Dialect(
    read_token=lambda _: None,
    unknown_token=lambda: _respond(403),
    expired=lambda: _respond(403),
    revoked=lambda: _respond(403),
    missing_scope=lambda _: _respond(403),
    rate_limited=lambda wait: _respond(429, {"Retry-After": str(wait)}),
    server_error=lambda: _respond(500),
    malformed=lambda: _respond(400),
)

PUT = Endpoint(
    platform=PLATFORM, step=_get_step, handle=put_chunk, dialect=_DIALECT, owner=_find_owner, is_streamed=True
)
