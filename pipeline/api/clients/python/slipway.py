"""A client of the Slipway Partner API: the generated one, with uploads, pages, waiting, and retries under one key."""

from __future__ import annotations

import mimetypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

import httpx

from .api.files import create_file
from .api.posts import get_post
from .client import AuthenticatedClient
from .models import BadRequest, Conflict, ContentType, Failure, FileBody, InvalidRequest, Post, PostStatus
from .types import Unset

KEY = "Idempotency-Key"
REPEATED = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try, unless ``Retry-After`` asks for more."""
MAX_PAUSE = 60.0
"""Seconds: an answer whose ``Retry-After`` asks for more is given back instead, as with a limit of posts per day."""
SETTLED = frozenset({PostStatus.POSTED, PostStatus.FAILED, PostStatus.PARTIAL, PostStatus.CANCELED})
"""Statuses after which a post changes no more by itself."""

T_co = TypeVar("T_co", covariant=True)


class Answer(Protocol[T_co]):
    """A successful answer."""

    @property
    def data(self) -> T_co:
        """Its data."""


class SlipwayError(Exception):
    """The server refused the request. ``code`` is for programs; ``help`` is the address of its advice."""

    def __init__(self, failure: Failure | BadRequest | InvalidRequest | Conflict) -> None:
        super().__init__(f"{failure.code} {failure.error_code}: {failure.message}")
        self.status, self.code, self.help = failure.code, failure.error_code, failure.help_
        self.issues = getattr(failure, "issues", None) or []


def data(answer: Answer[T_co] | Failure | BadRequest | InvalidRequest | Conflict | None) -> T_co:
    """Return the data of an answer. Raises SlipwayError for a refusal."""
    if isinstance(answer, Failure | BadRequest | InvalidRequest | Conflict):
        raise SlipwayError(answer)
    if answer is None:
        raise TypeError("The answer is none that this version of the client knows.")
    return answer.data


def repeat(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Send a request until it has an answer that a further try would not change."""
    for pause in PAUSES:
        try:
            response = send()
        except httpx.TransportError:
            time.sleep(pause)
            continue
        after = response.headers.get("Retry-After", "")
        asked = float(after) if after.isdecimal() else 0
        if response.status_code not in REPEATED or asked > MAX_PAUSE:
            return response
        response.close()
        time.sleep(max(pause, asked))
    return send()


class RetryTransport(httpx.HTTPTransport):
    """Repeats requests, each POST under one Idempotency-Key. A body that is read only once is sent once."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, and again where it had no answer or a passing one."""
        if request.method == "POST" and KEY not in request.headers:
            request.headers[KEY] = str(uuid4())
        if not isinstance(request.stream, httpx.ByteStream):
            return super().handle_request(request)
        return repeat(lambda: httpx.HTTPTransport.handle_request(self, request))


class Page(Protocol):
    """One page of a list."""

    next_cursor: Any


PageT = TypeVar("PageT", bound=Page)


class Slipway(AuthenticatedClient):
    """A client for every function of ``slipway_client.api``; ``SLIPWAY_URL`` and ``SLIPWAY_KEY`` say where and who."""

    def __init__(self, url: str | None = None, key: str | None = None, timeout: float = 60) -> None:
        super().__init__(
            base_url=url or os.environ["SLIPWAY_URL"],
            token=key or os.environ["SLIPWAY_KEY"],
            timeout=httpx.Timeout(timeout),
            raise_on_unexpected_status=True,
            httpx_args={"transport": RetryTransport()},
        )

    def upload(self, file: str | Path) -> str:
        """Upload a file, and return the URL by which posts name it."""
        path = Path(file)
        kind = ContentType(mimetypes.guess_type(path.name)[0] or path.suffix)
        opened = data(create_file.sync(client=self, body=FileBody(content_type=kind, filename=path.name)))

        def put() -> httpx.Response:
            with path.open("rb") as content:
                length = str(path.stat().st_size)
                headers = {"Content-Type": kind.value, "Content-Length": length}
                return httpx.put(opened.upload_url, content=content, headers=headers, timeout=600)

        answer = repeat(put)
        if not answer.is_success:
            raise SlipwayError(Failure.from_dict(answer.json()))
        return opened.url

    def wait_until_settled(self, post: UUID | str, timeout: float = 600) -> Post:
        """Return the post once it changes no more by itself. Raises TimeoutError after *timeout* seconds."""
        end, pause = time.monotonic() + timeout, 0.5
        while True:
            found = data(get_post.sync(UUID(str(post)), client=self))
            if found.status in SETTLED:
                return found
            if time.monotonic() + pause > end:
                raise TimeoutError(f"The post {post} is {found.status} after {timeout:g} seconds.")
            time.sleep(pause)
            pause = min(pause * 1.5, 10)

    def pages(
        self,
        list_page: Callable[..., Answer[PageT] | Failure | BadRequest | InvalidRequest | Conflict | None],
        *path: Any,
        **query: Any,
    ) -> Iterator[PageT]:
        """Yield the pages of a list: ``slipway.pages(list_posts.sync, limit=100)``."""
        while True:
            page = data(list_page(*path, client=self, **query))
            yield page
            if page.next_cursor is None or isinstance(page.next_cursor, Unset):
                return
            query["cursor"] = page.next_cursor
