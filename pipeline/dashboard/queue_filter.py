"""The filter of the queue, as the address of its page has it and as the store takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.api.http.timestamp import InvalidTimestamp, parse
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import Hold
from pipeline.store.dashboard.queue import find_accounts_named, find_named
from pipeline.store.dashboard.walks import Within
from pipeline.store.deliveries.listing import NO_HOLD, ListFilter

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
