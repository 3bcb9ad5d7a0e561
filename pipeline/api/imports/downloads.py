"""The files that imports give out: the receipts or the table of the rows of one, and templates to fill in."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipeline.api.http.dependencies import Call, Reader
from pipeline.api.http.envelope import HttpRefusal
from pipeline.api.http.representation import VARY, NegotiatedResponse
from pipeline.api.imports.models import RowQuery
from pipeline.api.imports.routes import FoundImport
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import REQUEST_ID_HEADER, Routes
from pipeline.api.posts.schema import build_known_columns
from pipeline.domain.bulk_import import RowVerdict
from pipeline.domain.delivery import to_public
from pipeline.imports.cells import defuse
from pipeline.imports.columns import ERROR, Cells, Format, fold_name
from pipeline.imports.export import build_template
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowRecord, list_rows

PAGE = 500
"""Rows read at once: no connection is held while a client reads them."""
TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
Writer = Callable[[Sequence[RowRecord]], bytes]


routes = Routes(tag=IMPORTS, path="/imports")
_CONTENT = {
    "application/x-ndjson": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}},
}


@routes.add(
    "GET",
    "/{import_id:import}/rows",
    "The rows, one a line.",
    "import_state",
    meanings={"validation_failed": "the rows of an NDJSON file have no columns"},
    response_class=Response,
    responses={200: {"description": "The rows, one a line.", "content": _CONTENT}},
)
async def list_import_rows(request: Request, call: Reader, query: RowQuery, job: FoundImport) -> Response:
    """Return the rows of an import: a receipt on each line, or a table to correct and send again."""
    if job.is_removed:
        raise HttpRefusal(409, "import_state", "The rows of this import are removed.")
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
        _stream(call, job, query.verdict, write), headers=headers, media_type=TYPES[form]
    )


async def _stream(call: Call, job: Import, verdict: RowVerdict | None, write: Writer) -> AsyncIterator[bytes]:
    after, has_more = 0, True
    while has_more:
        read = partial(call.app_state.transact, list_rows, job.id, verdict, after, PAGE)
        rows = await call.app_state.read_bulkhead.run(read)
        has_more = len(rows) == PAGE
        if rows:
            after = rows[-1].number
            yield write(rows)


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
        "warnings": row.warnings or [],
        "error": describe_issues(row, row.issues),
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


def describe_issues(row: RowRecord, issues: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Return issues of a row as one text, None without any."""
    if not issues:
        return None
    found = [
        f"{issue['path']}: {issue['message']}" if issue["path"] else issue["message"] for issue in issues
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
    error = describe_issues(row, row.issues or row.warnings) or ""
    line = [error if fold_name(name) == ERROR else named.get(name, "") for name in header]
    return map(defuse, [*line, *(cell for name, cell in cells if not name)])


_TEMPLATE_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/octet-stream",  # generated clients know no spreadsheets
}
_SCHEMAS = {Format.CSV: {"type": "string"}, Format.XLSX: {"type": "string", "format": "binary"}}


def _serve(form: Format) -> Callable[[Call], Awaitable[Response]]:
    async def get_template(call: Reader) -> Response:
        """Return a file with every column and one example row, due tomorrow."""
        work = partial(build_template, form, build_known_columns())
        body = await call.app_state.read_bulkhead.run(work, call.caller.key_id)
        headers = {
            "Content-Disposition": f'attachment; filename="template.{form}"',
            "Cache-Control": "no-store",
            "Vary": VARY,
        }
        return NegotiatedResponse(body, media_type=_TEMPLATE_TYPES[form], headers=headers)

    return get_template


templates = Routes(tag=IMPORTS, path="/imports")
for _form, _kind in _TEMPLATE_TYPES.items():
    templates.add(
        "GET",
        f"/template.{_form}",
        "The file.",
        id=f"getImportTemplate{_form.value.capitalize()}",
        response_class=Response,
        responses={
            200: {
                "description": "The file.",
                "headers": {**REQUEST_ID_HEADER, "Content-Disposition": {"schema": {"type": "string"}}},
                "content": {_kind.partition(";")[0]: {"schema": _SCHEMAS[_form]}},
            }
        },
    )(_serve(_form))
