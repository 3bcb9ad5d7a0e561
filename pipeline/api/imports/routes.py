"""GET /imports and GET /imports/{id}."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from starlette.requests import Request

from pipeline.api.http.dependencies import parse_id, read_query
from pipeline.api.http.envelope import HttpRefusal, SuccessResponse, success
from pipeline.api.imports.models import DEFAULT_LIMIT, MAX_LIMIT, ImportJob, ImportPage, ListQuery
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import (
    KEY_ERRORS,
    PARTNER_API,
    Operation,
    error_responses,
    path_parameter,
    query_parameter,
)
from pipeline.api.posts.pagination import write_cursor
from pipeline.api.state import AppState, get_app_state
from pipeline.store.auth.keys import Caller
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

IMPORT_ID = path_parameter("import_id", {"type": "string", "format": "uuid"})
IMPORT_PATH = f"{PARTNER_API}/imports/{{import_id}}"


async def list_imports(request: Request) -> SuccessResponse[ImportPage]:
    """List imports, newest first."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    query = read_query(ListQuery, request.scope["query_string"])
    page = await app_state.read_bulkhead.run(partial(_read_page, app_state, caller, query), caller.key_id)
    return success("Imports retrieved", page)


async def get_import(request: Request) -> SuccessResponse[ImportJob]:
    """Return one import."""
    app_state = get_app_state(request)
    caller = await app_state.authenticator.authenticate(request)
    job = await find_import(app_state, caller, request)
    return success("Import retrieved", ImportJob.from_import(job))


async def find_import(app_state: AppState, caller: Caller, request: Request) -> Import:
    """Return the import that the path names. Raises Refusal 404."""
    identity = parse_id(request.path_params["import_id"])
    job = None
    if identity is not None:
        read = partial(read_import, app_state, caller, identity)
        job = await app_state.read_bulkhead.run(read, caller.key_id)
    if job is None:
        raise no_such_import()
    return job


def no_such_import() -> HttpRefusal:
    """Build the 404."""
    return HttpRefusal(404, "not_found", "There is no such import.")


def read_import(app_state: AppState, caller: Caller, identity: UUID) -> Import | None:
    """Return an import that the caller may see."""
    with app_state.context.database.begin() as c:
        return store.find_import(c, caller, identity)


def _read_page(app_state: AppState, caller: Caller, query: ListQuery) -> ImportPage:
    with app_state.context.database.begin() as c:
        found = store.list_imports(c, caller, limit=query.limit + 1, before=query.cursor)
    shown, has_more = found[: query.limit], len(found) > query.limit
    return ImportPage(
        imports=[*map(ImportJob.from_import, shown)],
        next_cursor=write_cursor((shown[-1].created_at, shown[-1].id)) if has_more else None,
    )


OPERATIONS = (
    Operation(
        id="listImports",
        method="GET",
        path=f"{PARTNER_API}/imports",
        handler=list_imports,
        tag=IMPORTS,
        returns="A page of imports.",
        parameters=[
            query_parameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
            ),
            query_parameter("cursor", {"type": "string"}, "next_cursor of the previous page."),
        ],
        errors=error_responses(
            *KEY_ERRORS, "rate_limited", "internal_error", invalid_payload="a value of the query"
        ),
    ),
    Operation(
        id="getImport",
        method="GET",
        path=IMPORT_PATH,
        handler=get_import,
        tag=IMPORTS,
        returns="The import.",
        parameters=[IMPORT_ID],
        errors=error_responses(*KEY_ERRORS, "not_found", "rate_limited", "internal_error"),
    ),
)
