"""GET /imports/template.csv and GET /imports/template.xlsx: a file with every column, to fill in and to import."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.representation import VARY, NegotiatedResponse
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import (
    KEY_ERRORS,
    PARTNER_API,
    REQUEST_ID_HEADER,
    Operation,
    error_responses,
)
from pipeline.api.posts.schema import PostBody
from pipeline.api.state import get_app_state
from pipeline.imports.columns import Format, build_columns
from pipeline.imports.export import write_template

_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/octet-stream",  # generated clients know no spreadsheets
}
_SCHEMAS = {Format.CSV: {"type": "string"}, Format.XLSX: {"type": "string", "format": "binary"}}


def _serve(form: Format) -> Callable[[Request], Awaitable[Response]]:
    async def get_template(request: Request) -> Response:
        """Return a file with every column and one example row, due tomorrow."""
        app_state = get_app_state(request)
        caller = await app_state.authenticator.authenticate(request)
        body = await app_state.read_bulkhead.run(partial(_build, form), caller.key_id)
        headers = {
            "Content-Disposition": f'attachment; filename="template.{form}"',
            "Cache-Control": "no-store",
            "Vary": VARY,
        }
        return NegotiatedResponse(body, media_type=_TYPES[form], headers=headers)

    return get_template


def _build(form: Format) -> bytes:
    tomorrow = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    target = io.BytesIO()
    write_template(target, form, build_columns(PostBody), rows=1, accounts=(), start=tomorrow)
    return target.getvalue()


OPERATIONS = tuple(
    Operation(
        id=f"getImportTemplate{form.value.capitalize()}",
        method="GET",
        path=f"{PARTNER_API}/imports/template.{form}",
        handler=_serve(form),
        tag=IMPORTS,
        returns="The file.",
        response_class=Response,
        responses={
            200: {
                "description": "The file.",
                "headers": {**REQUEST_ID_HEADER, "Content-Disposition": {"schema": {"type": "string"}}},
                "content": {kind.partition(";")[0]: {"schema": _SCHEMAS[form]}},
            }
        },
        errors=error_responses(*KEY_ERRORS, "rate_limited", "internal_error"),
    )
    for form, kind in _TYPES.items()
)
