"""PUT of an upload URL: the body goes into storage piece by piece, and becomes the file in one commit, once.

What a crash leaves: before the commit, a row in ``file_puts`` that names the object for upkeep to remove, and an upload
URL that is as good as before. After it, the file; a client that lost the answer sends the same bytes again and is told
so. A second upload of other bytes is refused: a file never changes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn
from uuid import UUID

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipeline.api.files.routes import rendered
from pipeline.api.http.envelope import HttpRefusal, success
from pipeline.api.posts.routes import identity_of
from pipeline.api.state import Site, site_of
from pipeline.failpoint import failpoint
from pipeline.media.files.storage_folder import StorageAway
from pipeline.media.files.upload_intake import Intake, TooLarge, TypeDiffers
from pipeline.media.probe.sniff import HEAD
from pipeline.stages.post_request import Refusal
from pipeline.store.files import files as store
from pipeline.store.files.files import Content, File

log = logging.getLogger("slipway.api")

PIECE = 1024 * 1024
"""Bytes that are handed to storage at once."""
SILENCE = 30.0
"""Longest pause of a client that sends, in seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Put:
    """One upload under way. Without ``key`` the file is there already, and this one is only compared with it."""

    site: Site
    file: File
    intake: Intake
    key: str | None

    def abandon(self) -> None:
        """Nothing of it is wanted; what cannot be removed now is upkeep's to remove."""
        self.intake.drop()
        if self.key is not None:
            self.site.context.files.storage.remove(self.key)
            failpoint("files.abandoned")
            with self.site.context.database.begin() as c:
                store.forget_put(c, self.key)


async def put(request: Request) -> Response:
    """Take the bytes of a file. Asks for no key: the address itself is signed, for one file, type and time."""
    site = site_of(request)
    identity, content_type = _permit(request, site)
    _require_plain(request, content_type)
    file = await site.reading.run(partial(_find, site, identity))
    with site.filing.uploads.inside(file.workspace_id):
        begun = await site.filing.lane.run(partial(_begin, site, file, _declared(request)))
        stored = await _received(request, begun)
    return success("File uploaded", rendered(stored))


async def _received(request: Request, begun: _Put) -> File:
    lane = begun.site.filing.lane
    try:
        await _pour(request, begun)
        digest = await lane.run(begun.intake.finish)
    except BaseException as error:  # noqa: BLE001  what is raised again in other words: nothing passes
        await asyncio.shield(lane.run(partial(_abandoned, begun)))
        _told(error, begun)
    content = Content(object=begun.key or "", size=begun.intake.size, sha256=digest)
    # from here on a failure leaves everything to upkeep: the commit may have come through unseen
    return await asyncio.shield(lane.run(partial(_finish, begun, content)))


async def _pour(request: Request, begun: _Put) -> None:
    """The body, into the intake. The first bytes go at once: a wrong type is refused before the rest is sent."""
    lane, held = begun.site.filing.lane, bytearray()
    body = request.stream()
    async with asyncio.timeout(begun.site.context.settings.files.upload_time):
        while True:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(body, None)
            held += chunk or b""
            if len(held) >= (PIECE if begun.intake.size else HEAD) or (chunk is None and held):
                await lane.run(partial(begun.intake.write, bytes(held)))
                held.clear()
            if chunk is None:
                break
    if not begun.intake.size:
        raise Refusal(400, "validation_failed", "The file is empty.")


def _permit(request: Request, site: Site) -> tuple[UUID, str]:
    """The file and the type that the address was made for. Raises Refusal 404 and 403."""
    identity = identity_of(request.path_params["file_id"])
    if identity is None:
        raise Refusal(404, "not_found", "There is no such upload.")
    query = request.query_params
    content_type, expires = query.get("type", ""), query.get("expires", "")
    plain = expires.isascii() and expires.isdigit() and len(expires) <= 12  # noqa: PLR2004  seconds; years of 5 digits
    verdict = site.context.files.addresses.judge(
        identity, content_type, int(expires) if plain else 0, query.get("signature", ""), time.time()
    )
    if verdict == "late":
        raise Refusal(403, "invalid_upload_url", "The upload URL has expired: POST /files for a new one.")
    if verdict == "forged":
        raise Refusal(403, "invalid_upload_url", "The upload URL is not one of ours: use it as it was given.")
    return identity, content_type


def _require_plain(request: Request, content_type: str) -> None:
    """Raises Refusal 415 for another type or a compressed body, 400 for a part of a file."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != content_type:
        raise Refusal(415, "unsupported_media_type", f"Send it with Content-Type: {content_type}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_media_type", "Send the file as it is, without Content-Encoding.")
    if "content-range" in request.headers:
        raise Refusal(400, "validation_failed", "Send the whole file: parts (Content-Range) are not taken.")


def _declared(request: Request) -> int:
    given = request.headers.get("content-length", "")
    return int(given[:18]) if given.isascii() and given.isdigit() else 0


def _find(site: Site, identity: UUID) -> File:
    with site.context.database.begin() as c:
        file = store.find_upload(c, identity)
    if file is None:
        raise _gone()
    return file


def _begin(site: Site, file: File, declared: int) -> _Put:
    """The note that an object may come, then its first byte: in that order."""
    if file.size is not None:
        looks = Intake(content_type=file.content_type, most=file.size, sink=None)
        return _Put(site=site, file=file, intake=looks, key=None)
    most, key = site.context.settings.files.max_bytes, f"{file.id.hex[-2:]}/{file.id}-{secrets.token_hex(8)}"
    with site.context.database.begin() as c:
        quota = site.context.settings.files.quota
        room = max(0, quota - store.used_bytes(c, file.workspace_id)) if quota else most
        if declared > min(most, room):
            raise _too_large(site, room)
        store.begin_put(c, file.id, key)
    failpoint("files.begun")
    try:
        sink = site.context.files.storage.begin(key)
    except StorageAway as error:
        raise _away(error) from error
    intake = Intake(content_type=file.content_type, most=min(most, room), sink=sink)
    return _Put(site=site, file=file, intake=intake, key=key)


def _finish(begun: _Put, content: Content) -> File:
    file, context = begun.file, begun.site.context
    if begun.key is None:
        if content.sha256 != file.sha256:
            raise _other()
        return file
    failpoint("files.finished")
    with context.database.begin() as c:
        ending = store.finish_put(c, file, content, context.settings.files.quota)
    failpoint("files.committed")
    if ending != "stored":
        _abandoned(begun)
    if ending == "full":
        raise _too_large(begun.site, 0)
    if ending == "other":
        raise _other()
    if ending == "gone":
        raise _gone()
    return replace(file, object=content.object, size=content.size, sha256=content.sha256)


def _abandoned(begun: _Put) -> None:
    try:
        begun.abandon()
    except StorageAway:
        return  # its row stays, so upkeep tries again


def _told(error: BaseException, begun: _Put) -> NoReturn:
    """What went wrong on the way, in the words of an answer."""
    if isinstance(error, TimeoutError):
        raise HttpRefusal(408, "request_timeout", "The file did not arrive in time.") from None
    if isinstance(error, ClientDisconnect):
        raise Refusal(400, "validation_failed", "The file ended before it was complete.") from None
    if isinstance(error, TooLarge):
        raise (_other() if begun.key is None else _too_large(begun.site, begun.intake.most)) from None
    if isinstance(error, TypeDiffers):
        raise Refusal(415, "unsupported_media_type", str(error)) from None
    if isinstance(error, StorageAway):
        raise _away(error) from error
    raise error


def _too_large(site: Site, room: int) -> Refusal:
    files = site.context.settings.files
    if room >= files.max_bytes:
        return Refusal(413, "payload_too_large", f"The file is larger than {files.max_bytes:,} bytes.")
    return Refusal(
        413,
        "payload_too_large",
        f"The file is larger than what is left of the {files.quota:,} bytes that the workspace may keep.",
    )


def _other() -> Refusal:
    return Refusal(
        409,
        "file_immutable",
        "The file was uploaded before with other bytes and never changes: POST /files for a new one.",
    )


def _gone() -> Refusal:
    return Refusal(404, "not_found", "There is no such upload any more: POST /files for a new one.")


def _away(error: Exception) -> HttpRefusal:
    log.warning("a file was not stored: %s (%s)", error, str(error.__cause__).partition("\n")[0][:300])
    return HttpRefusal(
        503, "unavailable", f"The file could not be stored: {error}. Send it again in a moment."
    )
