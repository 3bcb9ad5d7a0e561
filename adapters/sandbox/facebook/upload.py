"""rupload.facebook.com for Pages: the bytes of a reel, resumable, or a URL to fetch them from."""

from aiohttp import web

from adapters.sandbox.endpoint import Call, Endpoint
from adapters.sandbox.facebook import video_object as film
from adapters.sandbox.facebook.dialect import PLATFORM
from adapters.sandbox.responses import Refused, json_answer
from adapters.sandbox.rupload_dialect import VOICE, no
from adapters.sandbox.store import Record
from adapters.sandbox.upload_intake import take_in
from adapters.sandbox.url_fetcher import PullFailed

_WHOLE_PULL = 256 << 20


def _header(call: Call, name: str) -> int:
    text = call.request.headers.get(name, "")
    if not text.isdecimal():
        raise Refused(no("PartialRequestError", f"Header {name} must be a number"))
    return int(text)


async def receive(call: Call) -> web.Response:
    """POST /video-upload/<version>/<video>: bytes from `offset` on, or `file_url`."""
    account = call.holder()
    record = call.context.store.get(film.KIND, call.request.match_info["video"])
    if record is None or record["account"] != account["remote_id"]:
        raise Refused(no("ProcessingFailedError", "No such upload", status=404))
    if record["state"] != "uploading" or film.is_expired(call.context, record):
        raise Refused(no("ProcessingFailedError", "The upload has already ended"))
    url = call.request.headers.get("file_url")
    if url is not None:
        await _pull(call, record, url)
    else:
        await _store(call, record, _header(call, "offset"), _header(call, "file_size"))
    film.keep(call.context, record)
    return json_answer({"success": True})


async def _pull(call: Call, record: Record, url: str) -> None:
    try:
        found = await call.context.puller.film(PLATFORM, url, _WHOLE_PULL)
    except PullFailed:
        raise Refused(no("ProcessingFailedError", "The file could not be fetched from file_url")) from None
    film.pulled(record, found, url)


async def _store(call: Call, record: Record, offset: int, size: int) -> None:
    if not 0 < size <= film.MOST_BYTES or record["size"] not in (None, size):
        raise Refused(no("ProcessingFailedError", "file_size does not fit"))
    if offset != record["received"]:
        sentence = f"Offset must be {record['received']}"
        raise Refused(no("OffsetInvalidError", sentence, retriable=True))
    taken = await take_in(call.request, film.path(call.context, record), offset, size - offset)
    if record["received"] != offset:  # somebody else sent the same bytes meanwhile
        raise Refused(no("OffsetInvalidError", "Another request is sending", retriable=True))
    if taken.is_too_much:
        raise Refused(no("ProcessingFailedError", "More bytes than file_size says"))
    record |= {"received": offset + taken.bytes, "size": size}
    film.keep(call.context, record)
    if taken.is_cut:
        raise Refused(no("PartialRequestError", "The request ended early", retriable=True))
    if record["received"] == size:
        await film.received(call.context, record)


RECEIVE = Endpoint(platform=PLATFORM, step="upload", handle=receive, voice=VOICE, streams=True)
