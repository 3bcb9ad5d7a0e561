"""GET /posts/export: every post of the key as a file that an import takes, page by page at the client's speed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.bulkhead import Bulkhead
from pipeline.api.http.dependencies import Reader
from pipeline.api.http.representation import VARY, ReleasingStream, choose_encoding, create_compressor
from pipeline.api.openapi.introduction import POSTS
from pipeline.api.openapi.operation import REQUEST_ID_HEADER, Routes
from pipeline.api.posts.pagination import ExportQuery, Position
from pipeline.api.posts.schema import build_known_columns
from pipeline.api.state import AppState
from pipeline.imports.export import PAGE, ExportFormat, ExportWriter
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.posts import pages

_TYPES = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv; charset=utf-8"}


routes = Routes(tag=POSTS, path="/posts")
_DESCRIBED = {
    "headers": {**REQUEST_ID_HEADER, "Content-Disposition": {"schema": {"type": "string"}}},
    "description": "The posts. A connection that closes before the end of the body says that some are missing.",
    "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _TYPES.values()},
}


@routes.add(
    "GET",
    "/export",
    "The posts.",
    response_class=Response,
    is_stream=True,
    responses={200: _DESCRIBED},
)
async def export_posts(request: Request, call: Reader, query: ExportQuery) -> Response:
    """Write all posts as NDJSON or CSV, newest first, with the columns that an import takes."""
    app_state, caller = call.app_state, call.caller
    headers = {
        "Content-Type": _TYPES[query.format],
        "Content-Disposition": f'attachment; filename="posts.{query.format}"',
        "Cache-Control": "no-store",
        "Vary": VARY,
        "X-Content-Type-Options": "nosniff",
    }
    encoding = choose_encoding(request.headers.get("accept-encoding", ""))
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    if request.method == "HEAD":
        return Response(headers=headers)
    exported = _read_pages(app_state, caller, query, encoding)
    app_state.exports.acquire(caller.key_id)
    release = partial(app_state.exports.release, caller.key_id)
    try:
        # before the response has begun: an error here is still answered as such
        start = await app_state.export_bulkhead.run(partial(next, exported))
    except BaseException:
        release()
        raise
    return ReleasingStream(_stream(app_state.export_bulkhead, start, exported), release, headers=headers)


async def _stream(bulkhead: Bulkhead, start: bytes, pages: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield *start* and the other pages.

    A page that cannot be read closes the connection before the end of the body: no client takes it for whole.
    """
    page: bytes | None = start
    while page is not None:
        yield page
        page = await bulkhead.run(partial(next, pages, None))


def _read_pages(
    app_state: AppState, caller: Caller, query: ExportQuery, encoding: str | None
) -> Iterator[bytes]:
    """Yield the pages. Each is read in a transaction of its own: a slow client holds none open."""
    compressor = None if encoding is None else create_compressor(encoding)
    writer: ExportWriter | None = None
    before: Position | None = None
    has_more = True
    while has_more:
        head = b""
        with app_state.context.database.read() as c:
            if writer is None:
                accounts = find_accounts(c, caller.workspace_id, caller.accounts)
                writer = ExportWriter(query.format, build_known_columns(), accounts)
                head = writer.begin()
            posts = pages.list_posts(
                c,
                caller.workspace_id,
                status=query.status,
                since=query.since,
                until=query.until,
                before=before,
                limit=PAGE,
                accounts=caller.accounts,
            )
        has_more = len(posts) == PAGE
        before = (posts[-1].created_at, posts[-1].id) if posts else before
        page = head + writer.write(posts)
        if compressor is not None:
            page = compressor.compress(page) + (b"" if has_more else compressor.flush())
        yield page
