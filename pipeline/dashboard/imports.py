"""The pages of imports: the list with the place to drop a file, and one import with its plan, rows and verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.api.http.auth import require_plan
from pipeline.broker.queues import IMPORTS
from pipeline.dashboard.clock import find_page_zone
from pipeline.dashboard.filter import MOST, get_within, parse_id_or_none
from pipeline.dashboard.ledger import act, get_state, read, read_own_caller
from pipeline.dashboard.page import find_client, page, parse_choice, parse_place, require_found, write_place
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.dashboard.words import STATES, explain_row, name_import_state
from pipeline.domain.account import Role
from pipeline.domain.bulk_import import ALLOWED, WORKING, Action, ImportState
from pipeline.domain.delivery import State
from pipeline.imports import control
from pipeline.imports.columns import Columns, Format
from pipeline.imports.encodings import ENCODINGS
from pipeline.imports.export import EXAMPLE_URL, build_template, name_accounts
from pipeline.imports.forecast import forecast
from pipeline.imports.local_time import ORDERS
from pipeline.imports.presets import Preset, list_presets
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.audit import find_actor
from pipeline.store.auth.keys import Caller
from pipeline.store.canaries import read_silences
from pipeline.store.database import new_id
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.queue_posts import count_queued_posts
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from pipeline.store.imports.rows import RowGroup, RowRecord, list_group
from pipeline.store.jobs import find_workspace_of_job

PATH = "/dashboard/imports"
PAGE = 50
AUTHOR = Role.AUTHOR
"""The role that a visitor needs in a workspace to import, apply and roll back."""
SILENT = timedelta(seconds=30)
"""After which the queue of imports counts as one that no worker takes messages from."""
ALL = (RowGroup.REFUSED, RowGroup.WARNED, RowGroup.REST)
"""The groups of all rows, in the order in which they are shown."""
ARGUMENTS: Mapping[str, str] = {"apply": "plan", "rename": "name"}
"""The field of a verb's form that is its argument."""
OUTCOMES = (State.PUBLISHED, State.BLOCKED, State.FAILED)
"""States whose posts are counted."""
BEGUN = frozenset(
    {ImportState.APPLYING, ImportState.APPLIED, ImportState.ROLLING_BACK, ImportState.ROLLED_BACK}
)
"""States of an import that has a part of its posts."""


@page("/imports", Role.VIEWER)
async def show_imports(request: Request, visitor: Visitor) -> Response:
    """List imports, newest first, under the place to drop a file."""
    clients = visitor.list_clients(AUTHOR)
    chosen = _read_client(request, visitor) or (clients[0] if len(clients) == 1 else None)
    after, within = request.query_params.get("after", ""), get_within(visitor, Role.VIEWER)
    before = parse_place(after, UUID, f"after: {after[:50]!r} is no place in this list.")
    listed, presets = await read(request, _read_list, within, before, chosen)
    return render(
        request,
        "imports.html",
        imports=listed[:PAGE],
        following=write_place(listed[PAGE - 1][0].created_at, listed[PAGE - 1][0].id)
        if len(listed) > PAGE
        else None,
        presets=presets,
        clients=clients,
        chosen=chosen,
        encodings=ENCODINGS,
        orders=ORDERS,
        name_import_state=name_import_state,
    )


def _read_list(
    c: Connection, within: Within, before: tuple[datetime, UUID] | None, chosen: UUID | None
) -> tuple[Sequence[tuple[Import, str | None]], Sequence[Preset]]:
    """Return the newest imports, and the presets of a workspace; without one, those of other products."""
    return store.list_newest(c, within, limit=PAGE + 1, before=before), list_presets(c, chosen or new_id())


def _read_client(request: Request, visitor: Visitor) -> UUID | None:
    """Return the workspace that the address names, where the visitor may import. Raises as `Visitor.require` does."""
    return find_client(visitor, request.query_params.get("workspace"), "workspace", AUTHOR)


@page("/imports", AUTHOR, "POST", reads_form=False)
async def send_file(request: Request, visitor: Visitor) -> Response:
    """Store the body as the file of a new import, as POST /imports does, and lead to its page."""
    workspace = _read_client(request, visitor)
    if workspace is None:
        raise HTTPException(400, "workspace: choose the client whose posts these are.")
    caller = await read(request, _read_caller, visitor, workspace)
    require_plan(caller)
    job = await get_state(request).receivers.table(request, caller)
    return Response(status_code=204, headers={"HX-Redirect": f"{PATH}/{job.id}"})


@page("/imports/sample.csv", AUTHOR)
async def send_sample(request: Request, visitor: Visitor) -> Response:
    """Send a file with every column, and a row for each account of the client; without a client, one row."""
    workspace = _read_client(request, visitor)
    found = [] if workspace is None else await read(request, find_accounts, workspace)
    names = [named["account"] for named in name_accounts(found).values()]
    state = get_state(request)
    sandbox = state.context.settings.sandbox.media_url
    media_url = f"{sandbox}/media/sample.mp4" if sandbox else EXAMPLE_URL
    headers = {"Content-Disposition": 'attachment; filename="sample.csv"'}
    sample = build_template(Format.CSV, state.posts.columns, names, media_url)
    return Response(sample, headers=headers, media_type="text/csv; charset=utf-8")


# --- one import ------------------------------------------------------------------------------------------------------


@page("/imports/{import_id}", Role.VIEWER)
async def show_import(request: Request, visitor: Visitor) -> Response:
    """Show an import and a page of its rows, refused ones first."""
    return await _render(request, visitor)


async def _render(request: Request, visitor: Visitor, refused: Refusal | None = None) -> Response:
    found = await read(request, _read, visitor, request.path_params["import_id"], request.query_params)
    status, columns = refused.status if refused else 200, get_state(request).posts.columns
    read_cells = partial(_read_cells, columns.rename(found["job"].columns))
    return render(request, "import.html", status, refused=refused, read_cells=read_cells, **found)


def _read(c: Connection, visitor: Visitor, text: str, query: QueryParams) -> Mapping[str, Any]:
    """Return what the template shows. Raises HTTPException."""
    _, job = _find(c, visitor, text)
    actor, silence = find_actor(c, ("create",), "import", job.id), read_silences(c).get(IMPORTS)
    rows, following = _list_rows(c, job, query)
    ids = sorted({account for _, row in rows for account in row.accounts or ()})
    made = [ListFilter(import_id=job.id, state=state) for state in OUTCOMES if job.result.get("created")]
    return {
        "job": job,
        "word": name_import_state(job),
        "who": actor.name if actor else "",
        "sections": [(group, [row for _, row in found]) for group, found in groupby(rows, lambda r: r[0])],
        "following": following,
        "accounts": {one.id: one for one in find_accounts(c, job.workspace_id, ids)},
        "outcomes": {one.state: count_queued_posts(c, one, None, most=MOST) for one in made},
        "most": MOST,
        "states": STATES,
        "verbs": [verb for verb in Action if job.state in ALLOWED[verb] and not job.is_removed],
        "may_act": visitor.roles[job.workspace_id] >= AUTHOR,
        "is_working": job.state in WORKING,
        "is_silent": silence is None or silence > SILENT,
        "is_begun": bool(job.result) or (job.paused_from or job.state) in BEGUN,
        "chosen": query.get("rows", ""),
        "explain_row": explain_row,
        "path_of_page": f"{PATH}/{job.id}",
    }


def _read_cells(columns: Columns, record: RowRecord) -> Mapping[str, str]:
    """Return what the file has in a row that could not be read, by our columns; a line of JSON as it is."""
    if isinstance(record.source, str):
        return {"caption": record.source}
    return {columns.find(cell): text for cell, text in record.source or ()}


def _list_rows(
    c: Connection, job: Import, query: QueryParams
) -> tuple[Sequence[tuple[RowGroup, RowRecord]], str | None]:
    """Return a page of rows by group, and where the next one begins. Raises HTTPException 400."""
    chosen = parse_choice(RowGroup, query.get("rows"), "rows")
    groups = [chosen] if chosen else [*ALL]
    name, _, number = query.get("after", f"{groups[0]}~0").partition("~")
    if name not in groups or not number.isdecimal() or len(number) > 18:  # noqa: PLR2004  a bigint
        raise HTTPException(400, f"after: {name[:50]!r} is no place in this list: begin with the first page.")
    found: list[tuple[RowGroup, RowRecord]] = []
    for group in groups[groups.index(RowGroup(name)) :]:
        after = int(number) if group == name else 0
        found += [(group, row) for row in list_group(c, job.id, group, after, PAGE + 1 - len(found))]
    following = f"{found[PAGE - 1][0]}~{found[PAGE - 1][1].number}" if len(found) > PAGE else None
    return found[:PAGE], following


def _find(c: Connection, visitor: Visitor, text: str) -> tuple[Caller, Import]:
    """Return an import that the visitor sees, and the visitor as a caller in its workspace. Raises HTTPException."""
    identity = require_found(parse_id_or_none(text))
    caller = _read_caller(c, visitor, find_workspace_of_job(c, store.JOBS, identity))
    return caller, require_found(store.find_import(c, caller, identity))


def _read_caller(c: Connection, visitor: Visitor, workspace: UUID | None) -> Caller:
    """Return the visitor as the caller of actions in a workspace that they see. Raises HTTPException 404."""
    return read_own_caller(c, visitor.actor, workspace if workspace in visitor.roles else None)


@page("/imports/{import_id}/forecast", Role.VIEWER)
async def show_forecast(request: Request, visitor: Visitor) -> Response:
    """Show the posts that a plan adds to each day of the session's clock, and what does not go out on time."""
    zone, context = find_page_zone(request), get_state(request).context
    text = request.path_params["import_id"]
    found = await read(request, lambda c: forecast(context, c, _find(c, visitor, text)[1], zone))
    return render(request, "forecast.html", forecast=found, one_day=timedelta(days=1))


@page("/imports/{import_id}/{verb}", AUTHOR, "POST")
async def change_import(request: Request, visitor: Visitor) -> Response:
    """Apply an import, roll it back, rename it or throw it away, as the verb says; a refusal is shown on its page."""
    verb, text = request.path_params["verb"], request.path_params["import_id"]
    if verb not in {*Action, *ARGUMENTS}:
        raise HTTPException(404)
    arguments = [str(request.state.form.get(ARGUMENTS[verb], ""))] if verb in ARGUMENTS else []
    try:
        await act(request, _change, visitor, text, verb, arguments)
    except Refusal as refusal:
        return await _render(request, visitor, refusal)
    return RedirectResponse(PATH if verb == Action.delete else f"{PATH}/{text}", 303)


def _change(context: Context, visitor: Visitor, text: str, verb: str, arguments: Sequence[str]) -> None:
    with context.database.begin() as c:
        caller, job = _find(c, visitor, text)
    visitor.require(job.workspace_id, AUTHOR)
    if verb in {Action.apply, Action.resume}:
        require_plan(caller)
    getattr(control, verb)(context, caller, job.id, *arguments)
