"""rupload.facebook.com for Pages: receive the bytes of a reel, resumably, or fetch them from a URL."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import video_object
from adapters.sandbox.facebook.dialect import PLATFORM
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.rupload_dialect import DIALECT, error_response
from adapters.sandbox.store import Record
from adapters.sandbox.upload_body import receive_body
from adapters.sandbox.url_fetcher import FetchFailed

_WHOLE_PULL = 256 << 20


def _parse_header(call: Call, name: str) -> int:
    text = call.request.headers.get(name, "")
    if not text.isdecimal():
        raise Refused(error_response("PartialRequestError", f"Header {name} must be a number"))
    return int(text)


async def receive(call: Call) -> web.Response:
    """POST /video-upload/<version>/<video>: bytes from `offset` on, or `file_url`."""
    account = call.authenticate()
    record = call.context.store.get(video_object.KIND, call.request.match_info["video"])
    if record is None or record["account"] != account["remote_id"]:
        raise Refused(error_response("ProcessingFailedError", "No such upload", status=404))
    if record["state"] != "uploading" or video_object.is_expired(call.context, record):
        raise Refused(error_response("ProcessingFailedError", "The upload has already ended"))
    url = call.request.headers.get("file_url")
    if url is not None:
        await _fetch(call, record, url)
    else:
        await _store(call, record, _parse_header(call, "offset"), _parse_header(call, "file_size"))
    video_object.save(call.context, record)
    return json_response({"success": True})


async def _fetch(call: Call, record: Record, url: str) -> None:
    try:
        found = await call.context.fetcher.fetch_video(PLATFORM, url, _WHOLE_PULL)
    except FetchFailed:
        raise Refused(
            error_response("ProcessingFailedError", "The file could not be fetched from file_url")
        ) from None
    video_object.complete_fetch(record, found, url)


async def _store(call: Call, record: Record, offset: int, size: int) -> None:
    if not 0 < size <= video_object.MAX_BYTES or record["size"] not in (None, size):
        raise Refused(error_response("ProcessingFailedError", "file_size does not fit"))
    if offset != record["received"]:
        message = f"Offset must be {record['received']}"
        raise Refused(error_response("OffsetInvalidError", message, retriable=True))
    taken = await receive_body(
        call.request, video_object.upload_path(call.context, record), offset, size - offset
    )
    if record["received"] != offset:  # a concurrent request stored the same bytes
        raise Refused(error_response("OffsetInvalidError", "Another request is sending", retriable=True))
    if taken.is_too_large:
        raise Refused(error_response("ProcessingFailedError", "More bytes than file_size says"))
    record |= {"received": offset + taken.bytes, "size": size}
    video_object.save(call.context, record)
    if taken.is_aborted:
        raise Refused(error_response("PartialRequestError", "The request ended early", retriable=True))
    if record["received"] == size:
        await video_object.complete_upload(call.context, record)


RECEIVE = Endpoint(platform=PLATFORM, step="upload", handle=receive, dialect=DIALECT, is_streamed=True)
