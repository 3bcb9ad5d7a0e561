"""GET /imports/{id}/rows: the receipts of rows, or a table of the original columns with the error of each row."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.api.http.dependencies import read_query
from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.imports.models import RowQuery
from pipeline.api.imports.routes import IMPORT_ID, IMPORT_PATH, find_import
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import KEY_ERRORS, Operation, error_responses, query_parameter
from pipeline.api.state import AppState, get_app_state
from pipeline.domain.bulk_import import RowVerdict
from pipeline.domain.delivery import to_public
from pipeline.imports.cells import defuse
from pipeline.imports.columns import ERROR, Cells, Format, fold_name
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord, list_rows

PAGE = 500
"""Rows read at once: no connection is held while a client reads them."""
TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
Writer = Callable[[Sequence[RowRecord]], bytes]


async def list_import_rows(request: Request) -> Response:
    """Return the rows of an import: a receipt on each line, or a table to correct and send again."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    query = read_query(RowQuery, request.scope["query_string"])
    job = await find_import(app_state, caller, request)
    if job.removed_at is not None:
        raise HttpRefusal(409, "import_state", "The rows of this import have expired and are removed.")
    form = query.format or ("ndjson" if job.format == Format.NDJSON else "csv")
    if form == "csv" and job.format == Format.NDJSON:
        raise HttpRefusal(
            400, "validation_failed", "The rows of an NDJSON file have no columns: format is ndjson."
        )
    headers = {
        "Content-Disposition": f'attachment; filename="{job.id}.{form}"',
        "X-Content-Type-Options": "nosniff",
    }
    if request.method == "HEAD":
        return Response(headers=headers, media_type=TYPES[form])
    write = write_receipts if form == "ndjson" else build_table_writer()
    return StreamingResponse(
        _stream(app_state, job, query.verdict, write), headers=headers, media_type=TYPES[form]
    )


async def _stream(
    app_state: AppState, job: Import, verdict: RowVerdict | None, write: Writer
) -> AsyncIterator[bytes]:
    after, has_more = 0, True
    while has_more:
        rows = await app_state.read_bulkhead.run(partial(_read, app_state, job, verdict, after))
        has_more = len(rows) == PAGE
        if rows:
            after = rows[-1].number
            yield write(rows)


def _read(app_state: AppState, job: Import, verdict: RowVerdict | None, after: int) -> list[RowRecord]:
    with app_state.context.database.begin() as c:
        return list_rows(c, job.id, verdict, after, PAGE)


def write_receipts(rows: Sequence[RowRecord]) -> bytes:
    """Return a line of JSON for each row: where it stands, its verdict, why, its post, and what the file has."""
    return b"".join(to_json(_to_receipt(row)) + b"\n" for row in rows)


def _to_receipt(row: RowRecord) -> Mapping[str, Any]:
    return {
        "row": row.number,
        "line": row.line,
        "verdict": row.verdict,
        "action": row.action,
        "post_id": row.post_id,
        "rollback": row.rollback and to_public(row.rollback),
        "issues": row.issues or [],
        "error": describe_issues(row),
        "source": row.body if row.source is None else _show_source(row),
    }


def _show_source(row: RowRecord) -> Any:
    """Return the line of a row, or its cells by column; one beyond the header by its number."""
    if isinstance(row.source, str):
        return row.source
    return {name or f"column {n}": cell for n, (name, cell) in enumerate(_list_cells(row), 1)}


def _list_cells(row: RowRecord) -> Cells:
    """Return the cells of a row."""
    return row.source or ()


def describe_issues(row: RowRecord) -> str | None:
    """Return what is wrong with a row as a text, None if nothing is."""
    if not row.issues:
        return None
    found = [
        f"{issue['path']}: {issue['message']}" if issue["path"] else issue["message"] for issue in row.issues
    ]
    return f"line {row.line}: " + " ".join(found)


def build_table_writer() -> Writer:
    """Return a writer of CSV: the file's own header and cells, and `error`. The header stands before the first rows."""
    header: list[str] = []

    def write(rows: Sequence[RowRecord]) -> bytes:
        text = io.StringIO()
        lines = csv.writer(text)
        if not header:
            header.extend(_find_header(rows))
            lines.writerow(map(defuse, header))
        lines.writerows(_to_line(header, row) for row in rows)
        return text.getvalue().encode()

    return write


def _find_header(rows: Sequence[RowRecord]) -> Sequence[str]:
    cells = next((found for row in rows if (found := _list_cells(row))), ())
    header = [name for name, _ in cells if name]
    return header if ERROR in map(fold_name, header) else [*header, ERROR]


def _to_line(header: Sequence[str], row: RowRecord) -> Iterable[str]:
    """Return the cells of a row, those beyond the header last, which are refused again until they are mended."""
    cells = _list_cells(row)
    named = {name: cell for name, cell in cells if name}
    error = describe_issues(row) or ""
    line = [error if fold_name(name) == ERROR else named.get(name, "") for name in header]
    return map(defuse, [*line, *(cell for name, cell in cells if not name)])


_CONTENT = {
    "application/x-ndjson": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}},
}
OPERATIONS = (
    Operation(
        id="listImportRows",
        method="GET",
        path=f"{IMPORT_PATH}/rows",
        handler=list_import_rows,
        tag=IMPORTS,
        returns="The rows, one a line.",
        response_class=Response,
        parameters=[
            IMPORT_ID,
            query_parameter(
                "verdict", {"type": "string", "enum": [*RowVerdict]}, "Only rows of this verdict."
            ),
            query_parameter(
                "format",
                {"type": "string", "enum": ["ndjson", "csv"]},
                "ndjson: receipts. csv: the original columns and `error`; not of an NDJSON file. Default: as the file.",
            ),
        ],
        responses={200: {"description": "The rows, one a line.", "content": _CONTENT}},
        errors=error_responses(
            *KEY_ERRORS,
            "not_found",
            "import_state",
            "rate_limited",
            "internal_error",
            invalid_payload="a value of the query",
            validation_failed="the rows of an NDJSON file have no columns",
        ),
    ),
)
