"""Measure every page of the dashboard in a workspace with very many posts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import requests
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.actions.steering import Steering, steer
from pipeline.dashboard.app import create_dashboard
from pipeline.dashboard.calendar import View
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.domain.hold import Hold
from pipeline.domain.steering import Arguments, Verb
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import rows
from pipeline.store.deliveries.selection import ListFilter
from tests.bench.environment import BenchEnvironment
from tests.bench.figures import Figure, InvalidMeasurement
from tests.bench.reading import Client, ServedApi, generate_posts
from tests.pipeline.api.running_server import Server, Tenant
from tests.pipeline.dashboard.site import Site
from tests.stack import Stack

PREFIX = "/dashboard"
HOME = f"{PREFIX}/"
ATTENTION, OTHERS = "p99 under 300 ms", "p99 under 200 ms"
NO_PAGES = frozenset(
    {
        "/events",
        "/login",
        "/static/{digest}/{name:path}",
        "/thumbnails/{name}",
        "/jobs/toast",
        "/approve/{token}",
        "/approve/{token}/thumbnails/{name}",
        "/uploads/{upload_id}",
        "/settings/webhooks/{webhook_id}",
        "/imports/{import_id}",
        "/imports/{import_id}/forecast",
    }
)
"""A stream, what is shown before there is a visitor, a picture, and what is about a change that this stack lacks."""
_QUERIES = {
    "/queue/count": "?action=replay&scope=all&filter=error_class%3DUnavailable",
    "/numbers/month": "?client={workspace}",
    "/numbers/month.csv": "?client={workspace}",
}
"""What a path needs to be a page."""
SHARE = 5
"""Pages are several times as heavy as the API's: this part of the scale's reads is enough."""
_ARRANGE = (
    """UPDATE deliveries SET error = jsonb_build_object(
           'class', 'Unavailable', 'code', 'outage_' || (hashtext(id::text) & 3), 'fault', 'platform',
           'message', 'It answered 503.') WHERE state = 'failed'""",
    """UPDATE deliveries SET state = 'blocked', reason = 'person_needed'
       WHERE id IN (SELECT id FROM deliveries WHERE state = 'failed' ORDER BY id LIMIT 500)""",
    """UPDATE deliveries SET due_at = now() - interval '1 hour', next_at = now() - interval '1 hour'
       WHERE id IN (SELECT id FROM deliveries WHERE state = 'scheduled' ORDER BY id LIMIT 500)""",
)
"""Errors of every failed delivery, and some hundred that are blocked or overdue."""


class Browser(Client):
    """One keep-alive connection of a logged-in user."""

    def __init__(self, stack: Stack, cookies: Mapping[str, str]) -> None:
        super().__init__(stack, stack.key)
        self._headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def measure(environment: BenchEnvironment) -> Iterator[Figure]:
    """Measure each page, and the queue by many filters, for a user of all workspaces and one of the largest."""
    many, reads = environment.scale.posts_to_read, environment.scale.reads // SHARE
    with environment.stack() as stack:
        generate_posts(stack, many)
        with stack.context.database.begin() as c:
            for statement in _ARRANGE:
                rows(c, f"{statement} RETURNING id")
            create_workspace(c, name="Other")
        with stack.context.database.once() as c:
            c.exec_driver_sql("VACUUM (ANALYZE) deliveries")
        served = ServedApi(stack, reads)
        for who, browser in log_in(stack).items():
            for name, paths in _list_pages(stack).items():
                target = ATTENTION if name == HOME else OTHERS
                yield served.compare(f"{name}, {who}, {many:,} posts", browser, paths, target)


def log_in(stack: Stack) -> dict[str, Browser]:
    """Return browsers of users, by what they see."""
    server = Server(url=stack.api, log=Path(), context=stack.context, http=requests.Session())
    site = Site(server=server, tenant=Tenant(workspace=stack.workspace, key=stack.key))
    users = {
        "all workspaces": site.add_user({None: Role.ADMIN}),
        "one workspace": site.add_user({stack.workspace: Role.ADMIN}),
    }
    return {who: Browser(stack, site.log_in(user).cookies.get_dict()) for who, user in users.items()}


def _list_pages(stack: Stack) -> dict[str, Sequence[str]]:
    """Return the paths of each page: those of the table of pages, and the queue by filters of each kind."""
    examples = _find_examples(stack)
    routes = {
        route.path
        for route in create_dashboard().routes
        if isinstance(route, Route) and route.path not in NO_PAGES and "GET" in (route.methods or ())
    }
    found = {PREFIX + path: _fill(path, examples, stack.workspace) for path in sorted(routes)}
    account, post = examples["account_id"][0], examples["post_id"][0]
    found |= _list_calendars(stack)
    filters: dict[str, list[dict[str, str]]] = {
        "by state": [{"state": state} for state in State],
        "by hold": [{"reason": hold} for hold in Hold],
        "by cause": [
            {"state": "failed", "error_class": "Unavailable", "code": f"outage_{n}"} for n in range(4)
        ],
        "by text": [{"text": text} for text in ("generated 7", "nowhere", post, "ID 00")],
        "by account": [{"account": account, "state": state} for state in ("", *State)],
        "by due time": [{"due_to": "2026-01-01T00:00", "state": state} for state in ("", *State)],
        "of what is not there": [
            {"platform": "youtube"},
            {"import": post},
            {"error_class": "Rejected"},
            {"workspace": str(stack.workspace), "platform": "pinterest"},
        ],
    }
    return found | {
        f"{PREFIX}/queue {kind}": [f"{PREFIX}/queue?{urlencode(one)}" for one in some]
        for kind, some in filters.items()
    }


def _list_calendars(stack: Stack) -> dict[str, Sequence[str]]:
    """Return the paths of the calendar: views of all clients, of one and of a platform, past and to come."""
    today = datetime.now(UTC).date()

    def ask(view: str, ahead: int, **more: str) -> str:
        at = today + timedelta(days=ahead)
        query = {"view": view, "date": at, **({"day": at} if view == "month" else {}), **more}
        return f"{PREFIX}/calendar?{urlencode(query)}"

    some = {
        "": {},
        " of a client": {"workspace": str(stack.workspace)},
        " of a platform": {"platform": Platform.TIKTOK.value},
    }
    return {
        f"{PREFIX}/calendar {view}{whose}": [ask(view, ahead, **chosen) for ahead in (-14, -7, 0, 7, 30)]
        for view in View
        for whose, chosen in some.items()
    }


def _find_examples(stack: Stack) -> dict[str, Sequence[str]]:
    """Return values for the parameters of paths."""
    with stack.context.database.begin() as c:
        some = rows(
            c,
            """SELECT d.post_id, d.account_id, d.id AS delivery_id
               FROM (SELECT id FROM posts TABLESAMPLE SYSTEM (1) LIMIT 200) p JOIN deliveries d ON d.post_id = p.id""",
        )
    ids = {name: [str(getattr(r, name)) for r in some] for name in ("post_id", "account_id", "delivery_id")}
    return {**ids, "job_id": [str(_select_for_job(stack))]}


def _select_for_job(stack: Stack) -> UUID:
    """Return a steering job that has selected failed deliveries, and done nothing."""
    with stack.context.database.begin() as c:
        caller = read_caller(c, stack.workspace, None)
    if caller is None:
        raise InvalidMeasurement("The workspace is gone.")
    asked = Steering(verb=Verb.RETRY, filter=ListFilter(state=State.FAILED), arguments=Arguments())
    job = steer(stack.context, caller, asked, confirm=True).job
    if job is None:
        raise InvalidMeasurement("There is no job.")
    return job.id


def _fill(path: str, examples: Mapping[str, Sequence[str]], workspace: UUID) -> Sequence[str]:
    for name, values in examples.items():
        if f"{{{name}}}" in path:
            return [PREFIX + path.replace(f"{{{name}}}", value) for value in values]
    if "{" in path:
        raise InvalidMeasurement(f"There is no example for {path}.")
    return [PREFIX + path + _QUERIES.get(path, "").format(workspace=workspace)]
