"""POST /imports/{id}/apply, /pause, /resume, /cancel and /rollback.

Apply and resume need a plan that publishes; the others do not: a customer whose subscription lapsed can still stop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import Request

from pipeline.api.http.dependencies import parse_id, parse_json_or_empty, read_json_body, validate_body
from pipeline.api.http.envelope import SuccessResponse, success
from pipeline.api.imports.models import ApplyBody, ImportJob
from pipeline.api.imports.routes import IMPORT_ID, IMPORT_PATH, no_such_import
from pipeline.api.openapi.introduction import IMPORTS
from pipeline.api.openapi.operation import BODY_ERRORS, KEY_ERRORS, PLAN_ERRORS, Operation, error_responses
from pipeline.api.state import get_app_state
from pipeline.imports import control
from pipeline.store.auth.keys import Caller
from pipeline.store.imports.imports import Import


async def apply_import(request: Request) -> SuccessResponse[ImportJob]:
    """Make the posts of a plan. Nothing is done if the plan is another one by now."""
    caller = await get_app_state(request).authenticator.require_publisher(request)
    raw = await read_json_body(request, caller.key_id)
    body = validate_body(ApplyBody, parse_json_or_empty(raw))
    job = await _run(request, caller, control.apply, plan_hash=body.plan)
    return success(f"Import is {control.describe(job)}", ImportJob.from_import(job), code=202)


async def pause_import(request: Request) -> SuccessResponse[ImportJob]:
    """Stop an import after the chunk of rows in progress."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    return success("Import paused", ImportJob.from_import(await _run(request, caller, control.pause)))


async def resume_import(request: Request) -> SuccessResponse[ImportJob]:
    """Go on with a paused import."""
    caller = await get_app_state(request).authenticator.require_publisher(request)
    return success("Import resumed", ImportJob.from_import(await _run(request, caller, control.resume)))


async def cancel_import(request: Request) -> SuccessResponse[ImportJob]:
    """End an import. The posts that it made stay, until they are rolled back."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    job = await _run(request, caller, control.cancel)
    return success(f"Import is {control.describe(job)}", ImportJob.from_import(job))


async def roll_back_import(request: Request) -> SuccessResponse[ImportJob]:
    """Cancel the posts that an import made, where nothing was sent or edited since."""
    caller = await get_app_state(request).authenticator.require_writer(request)
    job = await _run(request, caller, control.rollback)
    return success(f"Import is {control.describe(job)}", ImportJob.from_import(job), code=202)


async def _run(request: Request, caller: Caller, action: Callable[..., Import], **more: Any) -> Import:
    app_state, identity = get_app_state(request), parse_id(request.path_params["import_id"])
    if identity is None:
        raise no_such_import()
    work = partial(action, app_state.context, caller, identity, **more)
    return await app_state.action_bulkhead.run(work, caller.key_id)


def _operation(
    name: str, verb: str, handler: Callable[[Request], Awaitable[SuccessResponse[ImportJob]]], **more: Any
) -> Operation:
    return Operation(
        id=name,
        method="POST",
        path=f"{IMPORT_PATH}/{verb}",
        handler=handler,
        tag=IMPORTS,
        parameters=[IMPORT_ID],
        **more,
    )


_COMMON = (*KEY_ERRORS, "insufficient_scope", "not_found", "import_state", "rate_limited", "internal_error")

OPERATIONS = (
    _operation(
        "applyImport",
        "apply",
        apply_import,
        status=202,
        returns="Posts are made from now on.",
        body=ApplyBody,
        errors=error_responses(
            *_COMMON,
            *BODY_ERRORS,
            *PLAN_ERRORS,
            "plan_changed",
            validation_failed="the import is strict, and rows are rejected",
        ),
    ),
    _operation("pauseImport", "pause", pause_import, returns="Paused.", errors=error_responses(*_COMMON)),
    _operation(
        "resumeImport",
        "resume",
        resume_import,
        returns="It goes on.",
        errors=error_responses(*_COMMON, *PLAN_ERRORS),
    ),
    _operation(
        "cancelImport", "cancel", cancel_import, returns="Canceled.", errors=error_responses(*_COMMON)
    ),
    _operation(
        "rollBackImport",
        "rollback",
        roll_back_import,
        status=202,
        returns="Its posts are canceled from now on.",
        errors=error_responses(*_COMMON),
    ),
)
