"""/api/operator/v1/dead-letters: list, show, replay and discard what failed or waits for a person.

A key sees and deals with its own workspace's (and accounts', where it is bound to some); the operator's token with
all. What is out of scope is answered as what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from pipeline.actions import dead_letters as stage
from pipeline.api.http.body import read_body, require_json
from pipeline.api.http.envelope import HttpRefusal, success
from pipeline.api.http.timestamp import written
from pipeline.api.operator import schema as bodies
from pipeline.api.operator.scope import Asker, asker_of
from pipeline.api.posts.routes import identity_of, json_of
from pipeline.api.state import Site, site_of
from pipeline.store.deliveries import dead_letters as store
from pipeline.store.deliveries.dead_letters import Cause, Letter, Which
from pipeline.store.deliveries.inspection import attempts_of, moves_of

BASE = "/api/operator/v1/dead-letters"
Work = Callable[[Sequence[UUID]], stage.Dealt]


def route(app: FastAPI) -> None:
    """Adds the routes; they are no part of the partners' specification."""
    for path, handler, method in (
        (BASE, index, "GET"),
        (f"{BASE}/replay", replay, "POST"),
        (f"{BASE}/discard", discard, "POST"),
        (f"{BASE}/{{delivery_id}}", show, "GET"),
    ):
        app.add_api_route(path, handler, methods=[method], include_in_schema=False)


async def index(request: Request) -> Response:
    """A page, those that have been dead for longest first, and how many there are by cause."""
    site, asker = site_of(request), await asker_of(request)
    wanted = bodies.read(bodies.ListBody, bodies.query(request.query_params))
    which = bodies.which_of(asker.scope, wanted)
    return success("Dead letters", await site.reading.run(partial(_page, site, which, wanted)))


async def show(request: Request) -> Response:
    """One, with its evidence."""
    site, asker = site_of(request), await asker_of(request)
    identity = identity_of(request.path_params["delivery_id"])
    found = None
    if identity is not None:
        found = await site.reading.run(partial(_evidence, site, asker, identity))
    if found is None:
        raise HttpRefusal(404, "not_found", "There is no such dead letter.")
    return success("Dead letter", found)


async def replay(request: Request) -> Response:
    """Send letters again, so many a minute on each platform. What may be live is never sent again."""
    site, asker = site_of(request), await asker_of(request)
    asker.may_publish()
    wanted = bodies.read(bodies.ReplayBody, await _body(request))
    work = partial(stage.replay, site.context, asker.scope, who=asker.who, per_minute=wanted.per_minute)
    return success("Dead letters replayed", await _deal(site, asker, wanted, work, "replayed"))


async def discard(request: Request) -> Response:
    """Give letters up; their evidence stays."""
    site, asker = site_of(request), await asker_of(request)
    asker.may_change()
    wanted = bodies.read(bodies.DiscardBody, await _body(request))
    work = partial(stage.discard, site.context, asker.scope, why=wanted.why, who=asker.who)
    return success("Dead letters discarded", await _deal(site, asker, wanted, work, "discarded"))


async def _body(request: Request) -> Any:
    raw = await read_body(request, site_of(request).context.settings.api.max_body)
    require_json(request, raw)
    return json_of(raw) if raw else {}


async def _deal(
    site: Site, asker: Asker, wanted: bodies.ReplayBody | bodies.DiscardBody, work: Work, done: str
) -> dict[str, Any]:
    key = None if asker.caller is None else asker.caller.key_id
    if wanted.ids is not None:
        return await site.steering.run(partial(_dealt, work, list(dict.fromkeys(wanted.ids)), done), key)
    which = bodies.which_of(asker.scope, wanted.filter or bodies.Filter())
    chosen = (
        partial(_counted, site, which) if wanted.dry_run else partial(_some, site, which, wanted, work, done)
    )
    return await site.steering.run(chosen, key)


def _counted(site: Site, which: Which) -> dict[str, Any]:
    with site.context.database.begin() as c:
        found = store.causes(c, which)
    return {"dry_run": True, "letters": sum(x.letters for x in found), "causes": _causes(found)}


def _some(
    site: Site, which: Which, wanted: bodies.ReplayBody | bodies.DiscardBody, work: Work, done: str
) -> dict[str, Any]:
    """As many of those chosen as one request takes; the cursor passes by what was skipped."""
    with site.context.database.begin() as c:
        page = store.list_letters(c, which, limit=bodies.MOST, after=wanted.cursor)
    return {**_dealt(work, [letter.id for letter in page], done), "next_cursor": _next(page, bodies.MOST)}


def _dealt(work: Work, letters: Sequence[UUID], done: str) -> dict[str, Any]:
    dealt = work(letters)
    skipped = [{"id": str(k), "why": why} for k, why in dealt.skipped.items()]
    return {done: len(dealt.done), "ids": [str(i) for i in dealt.done], "skipped": skipped}


def _page(site: Site, which: Which, wanted: bodies.ListBody) -> dict[str, Any]:
    with site.context.database.begin() as c:
        page = store.list_letters(c, which, limit=wanted.limit, after=wanted.cursor)
        found = store.causes(c, which)
    return {
        "letters": [_letter(x) for x in page],
        "causes": _causes(found),
        "next_cursor": _next(page, wanted.limit),
    }


def _next(page: Sequence[Letter], full: int) -> str | None:
    return bodies.written((page[-1].died_at, page[-1].id)) if len(page) == full else None


def _evidence(site: Site, asker: Asker, delivery: UUID) -> dict[str, Any] | None:
    with site.context.database.begin() as c:
        found = store.find_letter(c, delivery, asker.scope)
        if found is None:
            return None
        return {
            **_letter(found),
            "crashes": store.crashes_of(c, delivery),
            "moves": [_told(m) for m in moves_of(c, delivery)],
            "attempts": [_told(a) for a in attempts_of(c, delivery)],
            "discards": [_told(d) for d in store.discards_of(c, delivery)],
        }


def _letter(x: Letter) -> dict[str, Any]:
    return {
        "id": str(x.id),
        "post_id": str(x.post_id),
        "workspace_id": str(x.workspace_id),
        "account_id": str(x.account_id),
        "platform": x.platform,
        "username": x.username,
        "state": x.state,
        "reason": x.reason,
        "died_at": written(x.died_at),
        "due_at": written(x.due_at),
        "attempts_spent": x.spent,
        "crashes": x.crashes,
        "may_be_live": x.armed,
        "error": x.error,
    }


def _causes(found: Sequence[Cause]) -> list[dict[str, Any]]:
    return [
        {"platform": x.platform, "error_class": x.error_class, "code": x.code, "letters": x.letters}
        for x in found
    ]


def _told(fact: Any) -> dict[str, Any]:
    return {k: written(v) if isinstance(v, datetime) else v for k, v in asdict(fact).items()}
