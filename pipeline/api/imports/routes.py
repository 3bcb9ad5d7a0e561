"""The operations on imports: list, get, forecast, apply, pause, resume, cancel, roll back, delete.

Apply and resume need a plan that publishes; the others do not: a customer whose subscription lapsed can still stop.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends
from sqlalchemy import Connection

from pipeline.api.http.dependencies import Publisher, Reader, Writer, path_id
from pipeline.api.http.envelope import SuccessResponse, refuse_unknown, success
from pipeline.api.imports.models import (
    ApplyBody,
    ColumnPreset,
    ColumnPresets,
    ImportForecast,
    ImportJob,
    ImportPage,
    ListQuery,
)
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import Routes
from pipeline.api.posts.pagination import cut_page, write_cursor
from pipeline.imports import control
from pipeline.imports.forecast import forecast
from pipeline.imports.presets import list_presets
from pipeline.runtime.context import Context
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import

routes = Routes(tag=IMPORTS, path="/imports")


ImportId = Annotated[UUID, path_id("import_id", "import")]


async def find_job(call: Reader, import_id: ImportId) -> Import:
    """Return the import within the key's scope. Raises Refusal 404."""
    job = await call.read(store.find_import, call.caller, import_id)
    if job is None:
        raise refuse_unknown("import")
    return job


FoundImport = Annotated[Import, Depends(find_job)]
"""The import that the path names, within the key's scope."""


@routes.add("GET", "", "A page of imports.")
async def list_imports(call: Reader, query: ListQuery) -> SuccessResponse[ImportPage]:
    """List imports, newest first."""
    found = await call.read(store.list_imports, call.caller, limit=query.limit + 1, before=query.cursor)
    shown, cursor = cut_page(found, query.limit, lambda last: write_cursor((last.created_at, last.id)))
    page = ImportPage(imports=[*map(ImportJob.from_import, shown)], next_cursor=cursor)
    return success("Imports retrieved", page)


@routes.add("GET", "/presets", "The presets.")
async def list_import_presets(call: Reader) -> SuccessResponse[ColumnPresets]:
    """List what the headers of files call our columns: by products, and as the workspace keeps it."""
    found = await call.read(list_presets, call.caller.workspace_id)
    return success("Presets retrieved", ColumnPresets(presets=[*map(ColumnPreset.model_validate, found)]))


@routes.add("GET", "/{import_id:import}", "The import.")
async def get_import(job: FoundImport) -> SuccessResponse[ImportJob]:
    """Return one import."""
    return success("Import retrieved", ImportJob.from_import(job))


@routes.add("GET", "/{import_id:import}/forecast", "The forecast.")
async def get_import_forecast(call: Reader, job: FoundImport) -> SuccessResponse[ImportForecast]:
    """Return what a plan adds to each account and day, and its conflicts with quotas, paces and grants."""
    return success("Forecast", await call.read(_forecast, call.app_state.context, job))


def _forecast(c: Connection, context: Context, job: Import) -> ImportForecast:
    return ImportForecast.from_forecast(forecast(context, c, job))


@routes.add(
    "POST",
    "/{import_id:import}/apply",
    "Posts are made from now on.",
    "import_state",
    "plan_changed",
    status=202,
    meanings={"validation_failed": "the import is strict, and rows are rejected"},
)
async def apply_import(call: Publisher, body: ApplyBody, import_id: ImportId) -> SuccessResponse[ImportJob]:
    """Make the posts of a plan. Nothing is done if the plan is another one by now."""
    job = await call.act(control.apply, import_id, plan_hash=body.plan)
    return success(f"Import is {control.describe(job)}", ImportJob.from_import(job), code=202)


@routes.add("POST", "/{import_id:import}/pause", "Paused.", "import_state")
async def pause_import(call: Writer, import_id: ImportId) -> SuccessResponse[ImportJob]:
    """Stop an import after the chunk of rows in progress."""
    return success("Import paused", ImportJob.from_import(await call.act(control.pause, import_id)))


@routes.add("POST", "/{import_id:import}/resume", "It goes on.", "import_state")
async def resume_import(call: Publisher, import_id: ImportId) -> SuccessResponse[ImportJob]:
    """Go on with a paused import."""
    return success("Import resumed", ImportJob.from_import(await call.act(control.resume, import_id)))


@routes.add("POST", "/{import_id:import}/cancel", "Canceled.", "import_state")
async def cancel_import(call: Writer, import_id: ImportId) -> SuccessResponse[ImportJob]:
    """End an import. The posts that it made stay, until they are rolled back."""
    job = await call.act(control.cancel, import_id)
    return success(f"Import is {control.describe(job)}", ImportJob.from_import(job))


@routes.add(
    "POST", "/{import_id:import}/rollback", "Its posts are canceled from now on.", "import_state", status=202
)
async def roll_back_import(call: Writer, import_id: ImportId) -> SuccessResponse[ImportJob]:
    """Cancel the posts that an import made, where nothing was sent or edited since."""
    job = await call.act(control.rollback, import_id)
    return success(f"Import is {control.describe(job)}", ImportJob.from_import(job), code=202)


@routes.add("DELETE", "/{import_id:import}", "Its file and its rows are removed.", "import_state")
async def delete_import(call: Writer, import_id: ImportId) -> SuccessResponse[ImportJob]:
    """Delete the file and the rows of an import that is at rest. Its counts, and the posts that it made, stay."""
    return success("Import deleted", ImportJob.from_import(await call.act(control.delete, import_id)))
