"""YouTube's resumable upload, one method a request; what to do with the answers is ``adapter.py``'s business.

The probe is a PUT, but of no bytes (``Content-Length: 0``, ``Content-Range: bytes */N``): it asks how far the session
is and changes nothing, so ``look`` may make it. Once the upload is over it is answered as the last chunk was, however
often it is asked. Source: developers.google.com/youtube/v3/guides/using_resumable_upload_protocol, read 2026-11-24;
the new ``Location`` of a 308: google-api-python-client 2.202.0, googleapiclient/http.py.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import ValidationError

from adapters.contract import Draft, Media
from adapters.error_table import Phase, parse_retry_after
from adapters.errors import Unavailable
from adapters.http import HttpClient, Response
from adapters.transport import Request, bearer_header
from adapters.upload_source import open_body
from adapters.youtube import payload as resource
from adapters.youtube.checkpoint import Progress
from adapters.youtube.errors import of_answer, unclear
from adapters.youtube.limits import CHUNK, CHUNK_TIME
from adapters.youtube.transport import send
from adapters.youtube.wire import Video

GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")


# --- what a session answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """308: the upload is not complete; YouTube has this many bytes, and goes on at this URI."""

    offset: int
    session: str = field(repr=False)
    wait: timedelta | None = None
    """Its Retry-After."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Complete:
    """200 or 201: the video exists."""

    video: Video


@dataclass(frozen=True, slots=True)
class Gone:
    """404 or 410: there is no such session (any more)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Any other status; the tables say what it means."""

    answer: Response = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbled:
    """A success or a 308 that cannot be read."""

    status: int


Heard = Stored | Complete | Gone | Refused | Garbled


# --- the requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One account's upload of one file."""

    client: HttpClient
    api: str
    token: str = field(repr=False)

    def start(self, draft: Draft, at: Progress, body: dict[str, Any]) -> Progress:
        """Ask for a session. Nothing is visible by that, and it may be repeated; the day's bucket may feel it."""
        facts = draft.media[0].facts
        if facts is None or facts.bytes <= 0:
            raise Unavailable("The size of the video is not known yet.", code="media_unavailable")
        now = time.time()
        request = Request(
            method="POST",
            url=f"{self.api}/upload/youtube/v3/videos",
            params={"uploadType": "resumable", "part": "snippet,status"},
            headers={
                **bearer_header(self.token),
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Length": str(facts.bytes),
                "X-Upload-Content-Type": facts.content_type,
                "Slug": resource.file_name(draft),
            },
            json=body,
        )
        answer = send(self.client, request, Phase.PREPARE)
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            raise of_answer(answer, Phase.PREPARE)
        location = answer.headers.get("Location")
        if not location:
            raise unclear(Phase.PREPARE, platform_code="no_location", status=answer.status)
        return at.replace(
            session=_trusted(location, self.api),
            size=facts.bytes,
            content_type=facts.content_type,
            started_at=now,
            said_at=time.time(),
            offset=0,
            unsure=False,
        )

    def put(self, media: Media, at: Progress, step: Phase) -> Heard:
        """Send the next chunk, its source already open.

        Raises what the source raises: Unavailable when it does not answer, Rejected when the file has changed.
        """
        length = min(CHUNK, at.size - at.offset)
        request = Request(
            method="PUT",
            url=at.session or "",
            headers={
                **bearer_header(self.token),
                "Content-Type": at.content_type,
                "Content-Range": f"bytes {at.offset}-{at.offset + length - 1}/{at.size}",
            },
            body=open_body(media, at.offset, length),
            limit=CHUNK_TIME,
        )
        return self._heard(send(self.client, request, step), at)

    def probe(self, at: Progress, step: Phase) -> Heard:
        """Ask how far the session is; changes nothing."""
        headers = {**bearer_header(self.token), "Content-Range": f"bytes */{at.size}"}
        request = Request(method="PUT", url=at.session or "", headers=headers)
        return self._heard(send(self.client, request, step), at)

    def _heard(self, answer: Response, at: Progress) -> Heard:
        if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            try:
                return Complete(video=Video.model_validate_json(answer.body))
            except ValidationError:
                return Garbled(status=answer.status)
        if answer.status == HTTPStatus.PERMANENT_REDIRECT:
            return self._stored(answer, at)
        return Gone() if answer.status in GONE else Refused(answer=answer)

    def _stored(self, answer: Response, at: Progress) -> Heard:
        """A 308 without Range has stored nothing; with a Location it goes on there."""
        told = answer.headers.get("Range")
        match = _RANGE.fullmatch(told.strip()) if told is not None else None
        if told is not None and match is None:
            return Garbled(status=answer.status)
        location = answer.headers.get("Location")
        session = _trusted(location, self.api) if location else at.session or ""
        offset = min(int(match[1]) + 1, at.size) if match else 0
        return Stored(offset=offset, session=session, wait=parse_retry_after(answer))


def _trusted(location: str, api: str) -> str:
    """The session's URI on a host we mean to send the token to: ours, or (as ours is) one of Google's APIs."""
    url = urljoin(f"{api}/", location)
    if url.startswith(f"{api}/") or (_is_google(url) and _is_google(api)):
        return url
    parts = urlsplit(url)
    return f"{api}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _is_google(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(".googleapis.com")
