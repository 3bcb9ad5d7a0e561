"""Pinterest videos: registration, upload to the storage as a form, and processing.

States: registered -> processing -> succeeded or failed. The storage answers errors in XML, as Amazon S3 does.
"""

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from adapters.sandbox import probe
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call, make_dialect
from adapters.sandbox.ledger import to_iso
from adapters.sandbox.pinterest import api
from adapters.sandbox.processing import Task
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

KIND = "pinterest.media"
MAX_BYTES = 2_000_000_000
_POLICY_S = 3600.0
_CODECS = ("h264", "hevc")
_LIMITS = (("duration", 4 - 0.05, 900 + 0.05, "failed"), ("ratio", 0.5, 1.91, "failed"))


async def register(call: Call) -> web.Response:
    """POST /v5/media."""
    account = api.authenticate_writer(call, "pins:write")
    if call.json().get("media_type") != "video":
        raise api.invalid("Invalid request: media_type must be video.")
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
    return api.ok(body, account, 201)


def _get_own(call: Call, account: Record) -> Record:
    record = call.find_own(KIND, call.request.match_info["media"], account)
    if record is None:
        raise Refused(api.error_response(404, 50, "Media not found."))
    return record


def _media_to_dict(record: Record) -> Record:
    return {"media_id": record["key"], "media_type": "video", "status": record["state"]}


async def read(call: Call) -> web.Response:
    """GET /v5/media/{media}."""
    account = api.authenticate_reader(call, "pins:read")
    return api.ok(_media_to_dict(_get_own(call, account)), account)


async def list_media(call: Call) -> web.Response:
    """GET /v5/media."""
    account = api.authenticate_reader(call, "pins:read")
    return api.ok(
        api.paginate(call, [_media_to_dict(record) for record in reversed(call.list_own(KIND, account))]),
        account,
    )


def _xml_response(status: int, code: str, message: str, wait: int | None = None) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    headers = None if wait is None else {"Retry-After": str(wait)}
    return web.Response(text=text, status=status, content_type="application/xml", headers=headers)


_ERRORS = api.TABLE["storage_errors"]
STORAGE_DIALECT = make_dialect(_xml_response, _ERRORS, lambda _: None)


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
        raise _refuse_xml(*_ERRORS["expired"])
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
        reader = await call.request.multipart()
        while (part := await reader.next()) is not None:
            if form.has_file or not isinstance(part, aiohttp.BodyPartReader):
                raise _refuse_xml(400, "InvalidArgument", "The file must be the last field of the form.")
            if part.name == "file":
                _check_form(record, form, is_whole=False)
                form.has_file = True
                form.size = await _store(part, place)
            else:
                form.fields[part.name or ""] = (await part.read()).decode("utf-8", "replace")
    except (ValueError, AssertionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError):
        raise _refuse_xml(*_ERRORS["malformed"]) from None
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


def _upload_path(context: SandboxContext, record: Record) -> Path:
    return context.uploads / f"pinterest-{record['key']}"


async def _examine(context: SandboxContext, record: Record) -> probe.VideoFacts | None:
    place = _upload_path(context, record)
    return await asyncio.to_thread(probe.read_video, place) if place.exists() else None


def _conclude(_: SandboxContext, record: Record, facts: probe.VideoFacts | None) -> None:
    if facts is None or probe.find_flaw(facts, _CODECS, "failed", _LIMITS) is not None:
        record["state"] = "failed"
        return
    media = {"sha256": facts.sha256, "bytes": facts.bytes, "duration": facts.duration}
    record |= {"state": "succeeded", "media": media}


TASK = Task(
    kind=KIND,
    states=("processing",),
    examine=_examine,
    fail=lambda _: None,
    conclude=_conclude,
    file=_upload_path,
)


def find_owner(call: Call) -> Record | None:
    """Return the account of an upload, whose requests carry no token."""
    record = call.context.store.get(KIND, call.request.match_info["media"])
    return call.find_record_owner(record)
