"""Pinterest videos: registration, upload to the storage as a form, and processing.

States: registered -> processing -> succeeded or failed. The storage answers errors in XML, as Amazon S3 does.
"""

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.endpoint import Call, Dialect, Endpoint
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.pinterest.dialect import (
    DIALECT,
    PLATFORM,
    authenticate_reader,
    authenticate_writer,
    error_response,
    invalid,
    ok,
    paginate,
    rate_limit_response,
)
from adapters.sandbox.processing import Processor
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from adapters.sandbox.context import SandboxContext

KIND = "pinterest.media"
MAX_BYTES = 2_000_000_000
_POLICY_S = 3600.0
_CODECS = ("h264", "hevc")
_SECONDS = (4.0, 900.0)
_EDGE_S = 0.05
_RATIO = (0.5, 1.91)


async def register(call: Call) -> web.Response:
    """POST /v5/media."""
    account = authenticate_writer(call, "pins:write")
    if call.json().get("media_type") != "video":
        raise invalid("Invalid request: media_type must be video.")
    now = call.context.clock.now()
    stamp = to_iso(now)[:19].replace("-", "").replace(":", "") + "Z"
    parameters = {
        "x-amz-date": stamp,
        "x-amz-signature": secrets.token_hex(32),
        "x-amz-security-token": secrets.token_urlsafe(48),
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "key": f"uploads/{secrets.token_hex(8)}",
        "policy": secrets.token_urlsafe(64),
        "x-amz-credential": f"SANDBOX/{stamp[:8]}/us-east-1/s3/aws4_request",
        "Content-Type": "multipart/form-data",
    }
    record: Record = {"key": random_digits(15, "5"), "account": account["remote_id"], "created": now}
    record |= {
        "state": "registered",
        "parameters": parameters,
        "media": None,
        **call.take_processing_faults(),
    }
    call.context.store.put(KIND, record["key"], record)
    body = {
        "media_id": record["key"],
        "media_type": "video",
        "upload_url": f"http://{call.request.host}/pinterest-media/{record['key']}/",
        "upload_parameters": parameters,
    }
    return ok(body, account, 201)


def _get_own(call: Call, account: Record) -> Record:
    record = call.context.store.get(KIND, call.request.match_info["media"])
    if record is None or record["account"] != account["remote_id"]:
        raise Refused(error_response(404, 50, "Media not found."))
    return record


def _media_to_dict(record: Record) -> Record:
    return {"media_id": record["key"], "media_type": "video", "status": record["state"]}


async def read(call: Call) -> web.Response:
    """GET /v5/media/{media}."""
    account = authenticate_reader(call, "pins:read")
    return ok(_media_to_dict(_get_own(call, account)), account)


async def list_media(call: Call) -> web.Response:
    """GET /v5/media."""
    account = authenticate_reader(call, "pins:read")
    mine = [
        record
        for record in call.context.store.get_all(KIND).values()
        if record["account"] == account["remote_id"]
    ]
    return ok(paginate(call, [_media_to_dict(record) for record in reversed(mine)]), account)


def _xml_response(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(text=text, status=status, content_type="application/xml", headers=headers)


_STORAGE_DIALECT = Dialect(
    read_token=lambda _: None,
    unknown_token=lambda: _xml_response(403, "AccessDenied", "Access Denied"),
    expired=lambda: _xml_response(403, "AccessDenied", "Invalid according to Policy: Policy expired."),
    revoked=lambda: _xml_response(403, "AccessDenied", "Access Denied"),
    missing_scope=lambda _: _xml_response(403, "AccessDenied", "Access Denied"),
    rate_limited=lambda wait: _xml_response(
        503, "SlowDown", "Please reduce your request rate.", {"Retry-After": str(wait)}
    ),
    server_error=lambda: _xml_response(
        500, "InternalError", "We encountered an internal error. Please try again."
    ),
    malformed=lambda: _xml_response(
        400, "MalformedPOSTRequest", "The body of your POST request is not well-formed."
    ),
)


@dataclass(slots=True, kw_only=True)
class _Form:
    fields: dict[str, str]
    size: int = 0
    has_file: bool = False


def _refuse_xml(status: int, code: str, message: str) -> Refused:
    return Refused(_xml_response(status, code, message))


async def receive(call: Call) -> web.Response:
    """POST the form to the storage: every upload parameter, then `file`."""
    record = call.context.store.get(KIND, call.request.match_info["media"])
    if record is None:
        raise _refuse_xml(403, "AccessDenied", "Access Denied")
    if "Authorization" in call.request.headers:
        raise _refuse_xml(400, "InvalidArgument", "Only one auth mechanism allowed.")
    if call.request.content_length is None:
        raise _refuse_xml(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    if call.context.clock.now() >= record["created"] + _POLICY_S:
        raise _refuse_xml(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    part = _upload_path(call.context, record).with_suffix(f".{secrets.token_hex(4)}")
    try:
        form = await _read_form(call, record, part)
        _check_form(record, form)
        if record["state"] != "registered":  # a repetition of the same form
            return web.Response(status=204)
        part.replace(_upload_path(call.context, record))
    finally:
        part.unlink(missing_ok=True)
    record |= {"state": "processing", "size": form.size, **call.take_processing_faults()}
    call.context.store.put(KIND, record["key"], record)
    await call.context.processing.start(KIND, record)
    return web.Response(status=204)


async def _read_form(call: Call, record: Record, place: Path) -> _Form:
    form = _Form(fields={})
    try:
        authenticate_reader = await call.request.multipart()
        while (part := await authenticate_reader.next()) is not None:
            if form.has_file or not isinstance(part, aiohttp.BodyPartReader):
                raise _refuse_xml(400, "InvalidArgument", "The file must be the last field of the form.")
            if part.name == "file":
                _check_form(record, form, is_whole=False)
                form.has_file = True
                form.size = await _store(part, place)
            else:
                form.fields[part.name or ""] = (await part.read()).decode("utf-8", "replace")
    except (ValueError, AssertionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError):
        raise Refused(_STORAGE_DIALECT.malformed()) from None
    return form


async def _store(part: aiohttp.BodyPartReader, place: Path) -> int:
    size = 0
    with place.open("wb") as file:
        while chunk := await part.read_chunk(1 << 18):
            size += len(chunk)
            if size > MAX_BYTES:
                raise _refuse_xml(
                    400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
                )
            file.write(chunk)
    return size


def _check_form(record: Record, form: _Form, *, is_whole: bool = True) -> None:
    for name, value in record["parameters"].items():
        if form.fields.get(name) != value:
            raise _refuse_xml(
                403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {name}"
            )
    if is_whole and not form.has_file:
        raise _refuse_xml(400, "InvalidArgument", "POST requires exactly one file upload per request.")


def _upload_path(context: "SandboxContext", record: Record) -> Path:
    return context.uploads / f"pinterest-{record['key']}"


def make_processor(context: "SandboxContext") -> Processor:
    """Return the processor of videos."""

    async def examine(record: Record) -> probe.VideoFacts | None:
        if "fail_reason" in record or not await asyncio.to_thread(_upload_path(context, record).exists):
            return None
        return await asyncio.to_thread(probe.read_video, _upload_path(context, record))

    return Processor(
        is_pending=lambda record: record["state"] == "processing",
        examine=examine,
        conclude=lambda record, facts: _conclude(context, record, facts),
    )


def _conclude(context: "SandboxContext", record: Record, facts: probe.VideoFacts | None) -> None:
    _upload_path(context, record).unlink(missing_ok=True)
    if facts is None or not _is_good(facts):
        record["state"] = "failed"
    else:
        record |= {
            "state": "succeeded",
            "media": {"sha256": facts.sha256, "bytes": facts.bytes, "duration": facts.duration},
        }
    context.store.put(KIND, record["key"], record)


def _is_good(facts: probe.VideoFacts) -> bool:
    return (
        facts.codec in _CODECS
        and _SECONDS[0] - _EDGE_S <= facts.duration <= _SECONDS[1] + _EDGE_S
        and _RATIO[0] <= facts.width / facts.height <= _RATIO[1]
    )


def _find_owner(call: Call) -> Record | None:
    record = call.context.store.get(KIND, call.request.match_info["media"])
    return None if record is None else call.context.accounts.find(PLATFORM, record["account"])


REGISTER = Endpoint(
    platform=PLATFORM,
    step="prepare",
    handle=register,
    dialect=DIALECT,
    quota_exhausted=lambda _: rate_limit_response(86_400),
)
READ = Endpoint(platform=PLATFORM, step="look", handle=read, dialect=DIALECT)
LIST = Endpoint(platform=PLATFORM, step="read", handle=list_media, dialect=DIALECT)
RECEIVE = Endpoint(
    platform=PLATFORM,
    step="upload",
    handle=receive,
    dialect=_STORAGE_DIALECT,
    owner=_find_owner,
    is_streamed=True,
)
