"""The filter of the pages: the conditions that an address names, read into the one selection of deliveries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.api.http.timestamp import InvalidTimestamp, parse
from pipeline.dashboard.clock import split_days
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.attention import OVERDUE
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.domain.post import PostStatus
from pipeline.store.deliveries.queue import SOME, Within, find_accounts_named, find_named
from pipeline.store.deliveries.selection import NO_HOLD, ListFilter

MAX_TEXT = 200
SHORT = 12
"""Characters at the end of an id that name a workspace where an address has many: every link of a page repeats them."""
_END = re.compile(rf"[0-9a-f]{{{SHORT}}}")
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
    """The workspaces that are asked for, if they are several; else those that the visitor sees, None for all."""

    def build_address(self, path: str, **changes: str | None) -> str:
        """Return the address of a page with this filter; a change to None leaves the field out."""
        fields = {name: value for name, value in {**self.given, **changes}.items() if value}
        return f"{path}?{urlencode(fields)}" if fields else path


def get_within(visitor: Visitor, role: Role) -> Within:
    """Return the workspaces where the visitor has this role; None: all, and they are many."""
    own = visitor.workspaces(role)
    return None if visitor.has_everywhere(role) and len(own) > SOME else own


def read_query(text: str) -> dict[str, str]:
    """Return the fields of an address's query. Raises InvalidFilter."""
    try:
        return dict(parse_qsl(text, max_num_fields=50))
    except ValueError:
        raise InvalidFilter("The filter has too many fields.") from None


def read_filter(query: Mapping[str, str], visitor: Visitor, zone: ZoneInfo) -> Asked:
    """Return the filter of an address; what cannot be used is named in ``problems``. *zone*: of times without one."""
    names = (*FIELDS, *TIMES, WHEN)
    given = {name: query[name].strip() for name in names if query.get(name, "").strip()}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, text in given.items():
        try:
            is_space = name == "workspace"
            values |= {name: find_workspaces(text, visitor)} if is_space else _read_field(name, text, zone)
        except InvalidFilter as problem:
            problems[name] = str(problem)
    named = values.pop("workspace", ())
    values["workspace"] = named[0] if len(named) == 1 else None
    if given.get(ORDER) == BY_TIME and not values.keys() & {"due_from", "due_until", "status"}:
        values["due_from"] = build_when("today", datetime.now(UTC), zone)["due_from"]
    if (start := values.get("due_from")) and (end := values.get("due_until")) and start >= end:
        problems["due_to"] = "It has to be later than the other end."
    return Asked(
        given=given,
        problems=problems,
        chosen=ListFilter(**values),
        within=named if len(named) > 1 else get_within(visitor, Role.VIEWER),
    )


def find_workspaces(text: str, visitor: Visitor) -> tuple[UUID, ...]:
    """Return the workspaces that a field names by their ids, or the ends of these, with dots between them.

    Raises InvalidFilter.
    """
    named = {one[-SHORT:] for one in text.split(".") if one}
    if wrong := [one for one in named if not _END.fullmatch(one)]:
        raise InvalidFilter(f"{wrong[0]!r} is not an id.")
    found = tuple(one for one in visitor.roles if one.hex[-SHORT:] in named)
    if len(found) < len(named):
        raise InvalidFilter("There is no such workspace, or you may not see it.")
    return found


def _read_field(name: str, text: str, zone: ZoneInfo) -> dict[str, Any]:
    if name == WHEN:
        return build_when(text, datetime.now(UTC), zone)
    return {TIMES[name]: parse_time(text, zone)} if name in TIMES else FIELDS[name](text)


def build_when(name: str, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Return the conditions of a named time: of what people look at every day. Raises InvalidFilter."""
    [(midnight, end)] = split_days(now.astimezone(zone).date(), 1, zone)
    found: Mapping[str, dict[str, Any]] = {
        "all": {},
        "open": {"is_open": True},
        "now": {"goes_out": True},
        "today": {"due_from": midnight, "due_until": end, "is_open": True},
        "hour": {"due_from": now, "due_until": now + timedelta(hours=1), "unsent": True},
        "late": {"due_until": now - OVERDUE, "unsent": True},
        "drafts": {"status": PostStatus.DRAFT},
        "failed": {"state": State.FAILED, "younger": now - midnight, "discarded": False},
    }
    if name not in found:
        raise InvalidFilter(f"{name[:50]!r} is none of {', '.join(found)}.")
    return found[name]


def resolve_filter(c: Connection, asked: Asked) -> ListFilter:
    """Return the filter with its account and what its text names. Raises InvalidFilter."""
    chosen = asked.chosen
    if (name := asked.given.get("account")) is not None:
        chosen = replace(chosen, account=parse_id_or_none(name) or _find_account(c, name, asked))
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
        if (found := parse_id_or_none(text)) is None:
            raise InvalidFilter(f"{text[:50]!r} is not an id.")
        return {field: found}

    return read


def _read_text(field: str) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if len(text) > MAX_TEXT:
            raise InvalidFilter(f"It has more than {MAX_TEXT} characters.")
        return {field: text}

    return read


def parse_time(text: str, zone: ZoneInfo) -> datetime:
    """Return a time, in *zone* unless it says otherwise. Raises InvalidFilter."""
    try:
        return parse(text)
    except InvalidTimestamp as problem:
        try:
            return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            raise InvalidFilter(str(problem)) from None


def format_time(instant: datetime) -> str:
    """Return a time as an address holds it, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_id_or_none(text: str) -> UUID | None:
    """Return an id, or None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None


WHEN, ORDER = "when", "order"
BY_TIME, NEWEST = "time", "newest"
"""Orders that an address may ask for. By time, a list without a span of time begins today."""
MOST = 1000
"""Posts that a page counts."""
FIELDS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "workspace": lambda _: {},  # `find_workspaces`, by whose they are
    "account": lambda text: _read_text("account")(text) and {},  # its id is looked up
    "platform": _read_one_of("platform", (*map(str, Platform),)),
    "state": _read_one_of("state", (*map(str, State),)),
    "reason": _read_reason,
    "error_class": _read_text("error_class"),
    "code": _read_text("code"),
    "text": _read_text("text"),
    "import": _read_id("import_id"),
    ORDER: lambda text: _read_one_of(ORDER, (BY_TIME, NEWEST))(text) and {},  # `choose_walk` takes it
    "discarded": lambda text: {
        "discarded": _read_one_of("discarded", ("yes", "no"))(text)["discarded"] == "yes"
    },
}
"""Field of an address -> the function that reads it for ``ListFilter``. Raises InvalidFilter."""
TIMES: Mapping[str, str] = {
    "due_from": "due_from",
    "due_to": "due_until",
    "late_from": "late_from",
    "late_to": "late_until",
}
"""Field of an address that is a time -> that of ``ListFilter``."""
