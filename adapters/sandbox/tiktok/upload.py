"""TikTok's upload host: takes the chunks of a video; the last one starts the publish."""

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


def _plain(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, headers=headers)


def _found(call: Call) -> Record | None:
    upload = call.context.store.get("tiktok.upload", call.request.query.get("upload_id", ""))
    return None if upload is None else call.context.store.get(task.KIND, upload["task"])


def _owner(call: Call) -> Record | None:
    record = _found(call)
    return None if record is None else call.context.accounts.find(PLATFORM, record["account"])


def _span(call: Call) -> _Span | None:
    match = _RANGE.match(call.request.headers.get("Content-Range", ""))
    if match is None:
        return None
    first, last, total = (int(number) for number in match.groups())
    return _Span(first=first, last=last, total=total) if first <= last < total else None


def _step(call: Call) -> str:
    span = _span(call)
    return "finalize" if span is not None and span.last + 1 == span.total else "upload"


def _task(call: Call) -> Record:
    record = _found(call)
    if record is None:
        raise Refused(_plain(404))
    if call.request.query.get("upload_token") != record["upload_token"]:
        raise Refused(_plain(403))
    if call.context.clock.now() > record["created"] + UPLOAD_LIFE_S:
        raise Refused(_plain(403))
    return record


def _expected(call: Call, record: Record) -> _Span:
    span = _span(call)
    headers = call.request.headers
    if span is None or call.request.content_type not in _TYPES or span.total != record["size"]:
        raise Refused(_plain(400))
    if headers.get("Content-Length") != str(span.length):
        raise Refused(_plain(400))
    received = record["uploaded"]
    if span.first != received or record["state"] != "PROCESSING_UPLOAD":
        raise Refused(_plain(416, _progress(record)))
    is_last = received // record["chunk"] >= record["chunks"] - 1
    if span.length != (record["size"] - received if is_last else record["chunk"]):
        raise Refused(_plain(400))
    return span


def _progress(record: Record) -> dict[str, str]:
    return {"Content-Range": f"bytes 0-{record['uploaded']}/{record['size']}"}


async def put(call: Call) -> web.Response:
    """PUT of one chunk: 206 stored, 201 all received."""
    record = _task(call)
    span = _expected(call, record)
    path = task.upload_path(call.context, record)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(span.first)
        async for part in call.request.content.iter_any():
            file.write(part)
    if record["uploaded"] != span.first:  # somebody else sent the same chunk meanwhile
        raise Refused(_plain(416, _progress(record)))
    record["uploaded"] = span.last + 1
    if record["uploaded"] == record["size"]:
        record |= {**call.take_processing_faults()}
    call.context.store.put(task.KIND, record["key"], record)
    if record["uploaded"] < record["size"]:
        return _plain(206, _progress(record))
    await task.start(call.context, record)
    return _plain(201, _progress(record))


_DIALECT = Dialect(
    read_token=lambda _: None,
    unknown_token=lambda: _plain(403),
    expired=lambda: _plain(403),
    revoked=lambda: _plain(403),
    missing_scope=lambda _: _plain(403),
    rate_limited=lambda wait: _plain(429, {"Retry-After": str(wait)}),
    server_error=lambda: _plain(500),
    malformed=lambda: _plain(400),
)

PUT = Endpoint(platform=PLATFORM, step=_step, handle=put, dialect=_DIALECT, owner=_owner, is_streamed=True)
