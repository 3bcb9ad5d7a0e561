"""The table of a vendor, `<platform>/vendor.toml`, and what is made from it: errors, checks of fields, answers.

The section `requests` has the names and types of the vendor's machine-readable document: `source`, the schemas of
bodies and parameters, and the rows that refuse unknown names.

Its sections go by name to `AccountKind`, `ConsentScreen`, `TokenEndpoint`, `Dialect`, `check_fields`, `find_flaw` and
`fill`.
"""

from __future__ import annotations

import json
import re
import string
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from adapters.sandbox.store import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from adapters.sandbox.endpoint import Call

encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

_WHOLE = re.compile(r"\{([^{}]+)\}\Z")
_FORMATTER = string.Formatter()
_WITHOUT_ROW = {"expired": "unknown_token", "revoked": "unknown_token"}
"""Rows that take the place of a missing one."""


class Refused(Exception):
    """A request is refused before it has any effect."""

    def __init__(self, response: web.Response) -> None:
        """Hold the platform's error response."""
        super().__init__(response.status)
        self.response = response


def proxy_response(status: int, body: str) -> web.Response:
    """Return a response that is not the platform's: an HTML page, JSON, or plain text."""
    kinds = {"<": "text/html", "{": "application/json", "[": "application/json"}
    kind = kinds.get(body.lstrip()[:1], "text/plain")
    return web.Response(text=body, status=status, content_type=kind)


def json_response(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None, *, wait: int | None = None
) -> web.Response:
    """Return `body` as a JSON response; `wait`: seconds for Retry-After."""
    if wait is not None:
        headers = {**(headers or {}), "Retry-After": str(wait)}
    return web.Response(
        body=encode(body).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def read_bearer_token(call: Call) -> str | None:
    """Return the Bearer token of the request, or None."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    return text if scheme == "Bearer" and text else None


@dataclass(frozen=True, slots=True)
class Dialect:
    """The errors of one platform: rows of its table.

    Every dialect has the rows unknown_token, missing_scope, rate_limited, server_error and malformed. Without rows of
    their own, expired and revoked tokens get unknown_token.
    """

    render: Callable[..., web.Response]
    """Return a response, given the values of a row (a last dict by keyword) and the seconds to wait as `wait`."""
    rows: Mapping[str, tuple[Any, ...]]
    """By name; `{name}` in a text is replaced by the value of that name."""
    read_token: Callable[[Call], str | None] = read_bearer_token
    """Return the access token of a request, or None."""
    requests: Record = field(default_factory=dict)
    """The section of the table with the names and types of requests."""

    def respond(self, row: str, /, *, wait: int | None = None, **values: object) -> web.Response:
        """Return the error response of a row."""
        parts = self.rows[row if row in self.rows else _WITHOUT_ROW[row]]
        more = {} if wait is None else {"wait": wait}
        if isinstance(parts[-1], dict):
            parts, more = parts[:-1], more | parts[-1]
        return self.render(*(_replace(part, values) for part in parts), **more)

    def refuse(self, row: str, /, **values: Any) -> Refused:
        """Return the exception that responds with a row."""
        return Refused(self.respond(row, **values))

    def check_types(self, schema: str, values: Record, *place: str) -> None:
        """Raise Refused for the first value that is not of its type, or whose name the vendor refuses as unknown.

        `place`: the path of `values` in the request.
        """
        types, ignores_null = self.requests["schemas"][schema], self.requests["ignores_null"]
        for name, value in values.items():
            if name in types:
                if value is not None or not (ignores_null or types[name].endswith("?")):
                    self._check_type(types[name], value, *place, name)
            elif schema in self.requests["closed"]:
                path, parent = self._join((*place, name)), self._join(place)
                raise self.refuse(self.requests["closed"][schema], path=path, place=parent, name=name)

    def _join(self, path: tuple[str, ...]) -> str:
        return str(self.requests.get("separator", ".")).join(path)

    def _check_type(self, type_name: str, value: Any, *path: str) -> None:
        is_list, is_schema = type_name.startswith("["), type_name in self.requests["schemas"]
        outer = "list" if is_list else "object" if is_schema else type_name.rstrip("?")
        kind, shown = self.requests["types"][outer]
        if not KINDS[kind](value, None):
            raise self.refuse("wrong_type", path=self._join(path), kind=shown, value=encode(value))
        if is_list and isinstance(value, list):
            for number, item in enumerate(value):
                self._check_type(type_name[1:-1], item, *path, str(number))
        if is_schema:
            self.check_types(type_name, value, *path)


def _replace(part: Any, values: Record) -> Any:
    if isinstance(part, str):
        for name, value in values.items():
            part = part.replace(f"{{{name}}}", str(value))
    return part


def load_table(platform: str) -> Record:
    """Return the table of a platform; its lists are tuples."""
    return read_table(f"{platform}/vendor.toml")


def read_table(name: str) -> Record:
    """Return a table of this folder; its lists are tuples."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return {name: _freeze(section) for name, section in tomllib.loads(text).items()}


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _freeze(part) for name, part in value.items()}
    return tuple(_freeze(part) for part in value) if isinstance(value, list) else value


def fill(template: Record, /, **values: Any) -> Record:
    """Return an object of the table, filled: `{name}` or `{name[key]}` alone keeps the type of its value.

    `{none}` is null.
    """
    return {name: _fill_part(part, {"none": None, **values}) for name, part in template.items()}


def _fill_part(template: Any, values: Record) -> Any:
    if isinstance(template, dict):
        return {name: _fill_part(part, values) for name, part in template.items()}
    if isinstance(template, tuple):
        return [_fill_part(part, values) for part in template]
    if not isinstance(template, str):
        return template
    if (whole := _WHOLE.match(template)) is not None:
        return _FORMATTER.get_field(whole[1], (), values)[0]
    return template.format_map(values)


if TYPE_CHECKING:
    Kind = Callable[[Any, Any], bool]

KINDS: Final[Mapping[str, Kind]] = {
    "integer": lambda value, _: type(value) is int,
    "array": lambda value, _: isinstance(value, list),
    "text_string": lambda value, _: isinstance(value, str | bytes | int | float) and type(value) is not bool,
    "text_boolean": lambda value, _: str(value).lower() in ("", "true", "false", "1", "0"),
    "text_integer": lambda value, _: str(value).removeprefix("-").isdecimal(),
    "text_natural": lambda value, _: str(value).isdecimal(),
    "text_array": lambda value, _: isinstance(value, list | str),
    "text_object": lambda value, _: isinstance(value, dict | str),
    "string": lambda value, _: isinstance(value, str),
    "filled": lambda value, _: isinstance(value, str) and value != "",
    "text": lambda value, most: isinstance(value, str) and len(value) <= most,
    "units": lambda value, most: isinstance(value, str) and count_utf16_units(value) <= most,
    "decimal": lambda value, _: isinstance(value, str) and value.isdecimal(),
    "boolean": lambda value, _: isinstance(value, bool),
    "whole": lambda value, limits: type(value) is int and limits[0] <= value <= limits[1],
    "list": lambda value, limits: isinstance(value, list) and limits[0] <= len(value) <= limits[1],
    "object": lambda value, _: isinstance(value, dict),
    "one_of": lambda value, allowed: value in allowed,
}
"""Kinds of fields: checks of a value, given the row's limit. Kinds with `text_` also take a form's text."""


def count_utf16_units(text: str) -> int:
    """Return the length in UTF-16 code units, as TikTok counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_fields(
    values: Record,
    rows: Iterable[tuple[Any, ...]],
    refuse: Callable[..., Exception],
    kinds: Mapping[str, Kind] = KINDS,
) -> None:
    """Raise `refuse(error)` for the first row (name, kind, limit, error) whose field is not of its kind.

    An absent field passes if its kind has a question mark, null too if it has two. `{field}` and `{limit}` in the
    error's text are those of the row.
    """
    for name, kind, limit, error in rows:
        value, base = values.get(name), kind.rstrip("?")
        if kind != base and (name not in values or (value is None and kind.endswith("??"))):
            continue
        if not kinds[base](value, limit):
            raise refuse(error, field=name, limit=limit)
