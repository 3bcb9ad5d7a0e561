"""The page of the queue: what a filter selects, why each waits or failed, and what can be done to some or all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.contract import Platform
from pipeline.actions.explain import build_situation
from pipeline.api.http.timestamp import InvalidTimestamp, parse
from pipeline.dashboard.actions import ACTIONS, DECIDE
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import page
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.delivery import Reason, State
from pipeline.domain.explanation import Explanation, explain
from pipeline.domain.hold import Hold
from pipeline.store.deliveries.history import Evidence
from pipeline.store.deliveries.queue import (
    Place,
    QueuedDelivery,
    QueuePage,
    Within,
    choose_walk,
    find_accounts_named,
    find_named,
    is_place,
    list_queue,
)
from pipeline.store.deliveries.selection import NO_HOLD, ListFilter

PATH = "/dashboard/queue"
PAGE = 50
FIRST_FIELDS = frozenset({"text", "state", "reason", "platform"})
"""Conditions that are always shown; the form shows the others when one is given."""
SEPARATOR = "~"
"""Between the parts of a place in an address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRow:
    """One line of the list."""

    queued: QueuedDelivery
    explanation: Explanation
    may_decide: bool
    """True if this visitor may resolve it."""


@page(Role.VIEWER)
async def show_queue(request: Request, visitor: Visitor) -> Response:
    """List what the address selects; 400 with the reasons if it cannot be used."""
    asked = read_filter(request.query_params, visitor)
    found, problem = None, ""
    if not asked.problems:
        try:
            found = await read(request, _read, asked, _read_place(request.query_params))
        except InvalidFilter as error:
            problem = str(error)
    return render(
        request,
        visitor,
        "queue.html",
        200 if found else 400,
        asked=asked,
        problem=problem,
        rows=_explain(found, visitor) if found else (),
        following=found and found.after and asked.build_address(PATH, after=SEPARATOR.join(found.after)),
        is_cut=found is not None and found.is_cut,
        here=asked.build_address(PATH, after=request.query_params.get("after")),
        is_narrow=bool(asked.given.keys() - FIRST_FIELDS),
        is_first="after" not in request.query_params,
        actions=[action for action in ACTIONS.values() if visitor.has(action.role)],
        choices={"platform": [*Platform], "state": [*State]},
        reasons={"Blocked": [*Reason], "Waits": [*Hold]},
        path_of_page=PATH,
    )


def _read_place(query: QueryParams) -> Place | None:
    text = query.get("after")
    return tuple(text.split(SEPARATOR)) if text else None


def _read(c: Connection, asked: Asked, after: Place | None) -> QueuePage:
    chosen = resolve_filter(c, asked)
    if after is not None and not is_place(choose_walk(chosen, asked.within), after):
        raise InvalidFilter("The address of this page does not fit its filter: begin with the first page.")
    return list_queue(c, chosen, asked.within, limit=PAGE, after=after)


def _explain(found: QueuePage, visitor: Visitor) -> Sequence[QueueRow]:
    return [
        QueueRow(
            queued=one,
            explanation=explain(build_situation(one.facts, _gather_evidence(one))),
            may_decide=one.facts.state in {State.UNKNOWN, State.BLOCKED}
            and visitor.roles.get(one.workspace_id, Role.VIEWER) >= DECIDE,
        )
        for one in found.deliveries
    ]


def _gather_evidence(one: QueuedDelivery) -> Evidence:
    """Return what the list knows of a delivery in addition to its row; the page of its post knows more."""
    return Evidence(
        delivery_id=one.facts.id,
        account_id=one.facts.account_id,
        moved_at=one.updated_at,
        why=None,
        attempt=None,
        attempt_opened_at=None,
        attempt_armed_at=None,
        attempt_outcome=None,
        account_status="",
        grant_ends_at=None,
        derived=one.derived,
    )


ROUTES = (Route("/queue", show_queue),)


MAX_TEXT = 200
ALL_REASONS = (*Reason, *Hold, NO_HOLD)


class InvalidFilter(ValueError):
    """A field of the filter cannot be used; ``str()`` is a sentence for the visitor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The request of an address. ``given``: its fields, without empty ones; ``problems``: the unusable fields."""

    given: Mapping[str, str]
    problems: Mapping[str, str]
    chosen: ListFilter
    """Without the account, which is looked up."""
    within: Within
    """The workspaces that the visitor sees; None: all."""

    def build_address(self, path: str, **changes: str | None) -> str:
        """Return the address of a page with this filter; a change to None leaves the field out."""
        fields = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"{path}?{urlencode(fields)}" if fields else path


def get_within(visitor: Visitor, role: Role) -> Within:
    """Return the workspaces where the visitor has this role; None: all."""
    return None if visitor.has_everywhere(role) else visitor.workspaces(role)


def read_query(text: str) -> dict[str, str]:
    """Return the fields of an address's query. Raises InvalidFilter."""
    try:
        return dict(parse_qsl(text, max_num_fields=50))
    except ValueError:
        raise InvalidFilter("The filter has too many fields.") from None


def read_filter(query: Mapping[str, str], visitor: Visitor) -> Asked:
    """Return the filter of an address; what cannot be used is named in ``problems``."""
    given = {name: query[name].strip() for name in FIELDS if query.get(name, "").strip()}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, text in given.items():
        try:
            values |= FIELDS[name](text)
        except InvalidFilter as problem:
            problems[name] = str(problem)
    if values.get("workspace") is not None and values["workspace"] not in visitor.roles:
        problems["workspace"] = "There is no such workspace, or you may not see it."
    if (start := values.get("due_from")) and (end := values.get("due_until")) and start >= end:
        problems["due_to"] = "It has to be later than the other end."
    return Asked(
        given=given, problems=problems, chosen=ListFilter(**values), within=get_within(visitor, Role.VIEWER)
    )


def resolve_filter(c: Connection, asked: Asked) -> ListFilter:
    """Return the filter with its account and what its text names. Raises InvalidFilter."""
    chosen = asked.chosen
    if (name := asked.given.get("account")) is not None:
        chosen = replace(chosen, account=_parse_id_or_none(name) or _find_account(c, name, asked))
    return find_named(c, chosen, asked.within)


def _find_account(c: Connection, name: str, asked: Asked) -> UUID:
    within = [asked.chosen.workspace] if asked.chosen.workspace else asked.within
    match find_accounts_named(c, name, within):
        case [one]:
            return one
        case []:
            raise InvalidFilter(f"There is no account {name!r}.")
        case _:
            raise InvalidFilter(f"Several accounts are named {name!r}: choose a workspace, or give the id.")


def _read_one_of(field: str, names: tuple[str, ...]) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if text not in names:
            raise InvalidFilter(f"{text[:50]!r} is none of {', '.join(names)}.")
        return {field: text}

    return read


def _read_reason(text: str) -> dict[str, Any]:
    """A reason of blocked deliveries or a hold: no word is both."""
    return _read_one_of("reason" if text in [*Reason] else "held_for", (*map(str, ALL_REASONS),))(text)


def _read_id(field: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if (found := _parse_id_or_none(text)) is None:
            raise InvalidFilter(f"{text[:50]!r} is not an id.")
        return {field: found}

    return read


def _read_text(field: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if len(text) > MAX_TEXT:
            raise InvalidFilter(f"It has more than {MAX_TEXT} characters.")
        return {field: text}

    return read


def parse_time(text: str) -> datetime:
    """Return a time, in UTC unless it says otherwise. Raises InvalidFilter."""
    try:
        return parse(text)
    except InvalidTimestamp as problem:
        try:
            return parse(f"{text}Z")
        except InvalidTimestamp:
            raise InvalidFilter(str(problem)) from None


def format_time(instant: datetime) -> str:
    """Return a time as a field of a form holds it, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _parse_id_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


FIELDS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "workspace": _read_id("workspace"),
    "account": lambda text: _read_text("account")(text) and {},  # its id is looked up
    "platform": _read_one_of("platform", (*map(str, Platform),)),
    "state": _read_one_of("state", (*map(str, State),)),
    "reason": _read_reason,
    "error_class": _read_text("error_class"),
    "code": _read_text("code"),
    "due_from": lambda text: {"due_from": parse_time(text)},
    "due_to": lambda text: {"due_until": parse_time(text)},
    "late_from": lambda text: {"late_from": parse_time(text)},
    "late_to": lambda text: {"late_until": parse_time(text)},
    "text": _read_text("text"),
    "import": _read_id("import_id"),
    "discarded": lambda text: {
        "discarded": _read_one_of("discarded", ("yes", "no"))(text)["discarded"] == "yes"
    },
}
"""Field of an address -> the function that reads it for ``ListFilter``. Raises InvalidFilter."""
