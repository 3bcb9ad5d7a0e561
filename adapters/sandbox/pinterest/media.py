"""Pinterest videos: registration, upload to the storage as a form, and processing.

States: registered -> processing -> succeeded or failed. The storage answers errors in XML, as Amazon S3 does.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.context import SandboxContext
from adapters.sandbox.dialect import Dialect, fill
from adapters.sandbox.endpoint import Call
from adapters.sandbox.media import VideoFacts, describe_file, find_flaw, probe_upload
from adapters.sandbox.pinterest import api
from adapters.sandbox.pinterest.api import TABLE
from adapters.sandbox.processing import Task
from adapters.sandbox.store import Record, to_iso

KIND = "pinterest.media"
_MAX_BYTES = 2_000_000_000
_POLICY_S = 3600.0


async def register(call: Call) -> web.Response:
    """POST /v5/media."""
    account = api.authenticate_writer(call, "pins:write")
    if call.json().get("media_type") != "video":
        raise api.refuse("media_type")
    stamp = to_iso(call.context.clock.now())[:19].replace("-", "").replace(":", "") + "Z"
    parameters = fill(
        TABLE["upload_parameters"],
        stamp=stamp,
        day=stamp[:8],
        signature=secrets.token_hex(32),
        token=secrets.token_urlsafe(48),
        key=secrets.token_hex(8),
        policy=secrets.token_urlsafe(64),
    )
    record = call.create(
        KIND, random_digits(15, "5"), account, state="registered", parameters=parameters, media=None
    )
    body = {"media_id": record["key"], "media_type": "video", "upload_parameters": parameters}
    body["upload_url"] = f"http://{call.request.host}/pinterest-media/{record['key']}/"
    return api.ok(body, account, 201)


def _media_to_dict(record: Record) -> Record:
    return {"media_id": record["key"], "media_type": "video", "status": record["state"]}


async def read(call: Call) -> web.Response:
    """GET /v5/media/{media}."""
    account = api.authenticate_reader(call, "pins:read")
    record = call.get_own(KIND, call.request.match_info["media"], account, "unknown_media")
    return api.ok(_media_to_dict(record), account)


async def list_media(call: Call) -> web.Response:
    """GET /v5/media."""
    account = api.authenticate_reader(call, "pins:read")
    rows = [_media_to_dict(record) for record in reversed(call.list_own(KIND, account))]
    return api.ok(api.paginate(call, rows), account)


def _xml_response(status: int, code: str, message: str, wait: int | None = None) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    headers = None if wait is None else {"Retry-After": str(wait)}
    return web.Response(text=text, status=status, content_type="application/xml", headers=headers)


STORAGE = Dialect(_xml_response, TABLE["storage_errors"], lambda _: None)


@dataclass(slots=True, kw_only=True)
class _Form:
    fields: dict[str, str]
    has_file: bool = False


async def receive(call: Call) -> web.Response:
    """POST the form to the storage: every upload parameter, then `file`."""
    record = find(call)
    if record is None:
        raise STORAGE.refuse("unknown_token")
    if "Authorization" in call.request.headers:
        raise STORAGE.refuse("two_auths")
    if call.request.content_length is None:
        raise STORAGE.refuse("no_length")
    if call.context.clock.now() >= record["created"] + _POLICY_S:
        raise STORAGE.refuse("expired")
    part = _upload_path(call.context, record).with_suffix(f".{secrets.token_hex(4)}")
    try:
        _check_form(record, await _read_form(call, record, part))
        if record["state"] != "registered":  # a repetition of the same form
            return web.Response(status=204)
        part.replace(_upload_path(call.context, record))
    finally:
        part.unlink(missing_ok=True)
    await call.start_processing(KIND, record, state="processing", **call.take_processing_faults())
    return web.Response(status=204)


async def _read_form(call: Call, record: Record, place: Path) -> _Form:
    form = _Form(fields={})
    try:
        reader = await call.request.multipart()
        while (part := await reader.next()) is not None:
            if form.has_file or not isinstance(part, aiohttp.BodyPartReader):
                raise STORAGE.refuse("after_file")
            if part.name == "file":
                _check_form(record, form, is_whole=False)
                form.has_file = True
                await _store(part, place)
            else:
                form.fields[part.name or ""] = (await part.read()).decode("utf-8", "replace")
    except (ValueError, AssertionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError):
        raise STORAGE.refuse("malformed") from None
    return form


async def _store(part: aiohttp.BodyPartReader, place: Path) -> None:
    size = 0
    with place.open("wb") as file:
        while chunk := await part.read_chunk(1 << 18):
            size += len(chunk)
            if size > _MAX_BYTES:
                raise STORAGE.refuse("too_large")
            file.write(chunk)


def _check_form(record: Record, form: _Form, *, is_whole: bool = True) -> None:
    for name, value in record["parameters"].items():
        if form.fields.get(name) != value:
            raise STORAGE.refuse("policy", name=name)
    if is_whole and not form.has_file:
        raise STORAGE.refuse("no_file")


def _upload_path(context: SandboxContext, record: Record) -> Path:
    return context.uploads / f"pinterest-{record['key']}"


async def _examine(context: SandboxContext, record: Record) -> VideoFacts | None:
    return await probe_upload(_upload_path(context, record))


def _conclude(_: SandboxContext, record: Record, facts: VideoFacts | None) -> None:
    if find_flaw(facts, TABLE["media"]["video"]):
        record["state"] = "failed"
    else:
        record |= {"state": "succeeded", "media": describe_file(facts)}


TASK = Task(
    kind=KIND,
    states=("processing",),
    examine=_examine,
    fail=lambda _: None,
    conclude=_conclude,
    file=_upload_path,
)


def find(call: Call) -> Record | None:
    """Return the video of an upload URL, whose requests carry no token."""
    return call.context.store.get(KIND, call.request.match_info["media"])
