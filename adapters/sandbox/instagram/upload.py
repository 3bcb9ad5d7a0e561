"""rupload.facebook.com for Instagram: receive the bytes of a video, resumably, or the URL to fetch them from."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.instagram import container
from adapters.sandbox.instagram.container import KIND, PLATFORM
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.rupload_dialect import DIALECT, error_response
from adapters.sandbox.store import Record

_DONE = {"success": True, "message": "Upload successful."}


def _parse_header(call: Call, name: str) -> int:
    text = call.request.headers.get(name, "")
    if not text.isdecimal():
        raise Refused(error_response("PartialRequestError", f"Header {name} must be a number"))
    return int(text)


def _get_upload(call: Call) -> Record:
    account = call.authenticate()
    record = call.context.store.get(KIND, call.request.match_info["container"])
    if record is None or record["account"] != account["remote_id"] or record["source"] != "upload":
        raise Refused(error_response("ProcessingFailedError", "No such upload", status=404))
    if (
        container.get_state(call.context, record) != "IN_PROGRESS"
        or record["received"] == record["file_size"]
    ):
        raise Refused(error_response("ProcessingFailedError", "The upload has already ended"))
    return record


async def receive(call: Call) -> web.Response:
    """POST /ig-api-upload/<version>/<container>: bytes from `offset` on, or `file_url`."""
    record = _get_upload(call)
    url = call.request.headers.get("file_url")
    if url is not None:
        record |= {"source": "video", "url": url, "file_size": None}
    else:
        await _store(call, record, _parse_header(call, "offset"), _parse_header(call, "file_size"))
    call.context.store.put(KIND, record["key"], record)
    if url is not None or record["received"] == record["file_size"]:
        await call.context.processing.start(KIND, record)
    return json_response(_DONE)


async def _store(call: Call, record: Record, offset: int, size: int) -> None:
    if not 0 < size <= container.VIDEO_BYTES or record["file_size"] not in (None, size):
        raise Refused(error_response("ProcessingFailedError", "file_size does not fit"))
    if offset != record["received"]:
        raise Refused(
            error_response("OffsetInvalidError", f"Offset must be {record['received']}", retriable=True)
        )
    path = container.upload_path(call.context, record)
    received = offset
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(offset)
        async for part in call.request.content.iter_any():
            received += len(part)
            if received > size:
                raise Refused(error_response("ProcessingFailedError", "More bytes than file_size says"))
            file.write(part)
    record |= {"received": received, "file_size": size}


RECEIVE = Endpoint(platform=PLATFORM, step="upload", handle=receive, dialect=DIALECT, is_streamed=True)
