"""Parse request bodies of the control API; each error names what is allowed."""

import json
from typing import Any

from aiohttp import web

from adapters.sandbox.faults import FAULTS, STEPS, WITH_STATUS
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

_DEFAULT_DELAY_MS = 1000
_STATUSES = (200, 599)


def error_response(status: int, message: str) -> web.Response:
    """Return an error response of the control API."""
    return json_response({"error": message}, status)


_KINDS: Record = {
    "text": (lambda value: isinstance(value, str) and value, "a non-empty string"),
    "string": (lambda value: isinstance(value, str), "a string"),
    "texts": (
        lambda value: isinstance(value, list) and all(isinstance(text, str) and text for text in value),
        "a list of non-empty strings",
    ),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "whole": (lambda value: type(value) is int and value >= 0, "a whole number of at least 0"),
    "object": (lambda value: isinstance(value, dict), "an object"),
}
"""Kinds of fields: what holds for a value, and what the error says that it must be."""


class Body:
    """A JSON object whose fields are checked when they are read; each raises Refused (422) for a bad value."""

    def __init__(self, fields: Record) -> None:
        """Wrap the parsed fields."""
        self._fields = fields

    @classmethod
    async def read(cls, request: web.Request) -> "Body":
        """Parse the body of a request; an empty body is {}."""
        try:
            fields = json.loads(await request.read() or b"{}")
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise Refused(error_response(422, "The body must be a JSON object."))
        return cls(fields)

    def has(self, name: str) -> bool:
        """Return whether the field is present and not null."""
        return self._fields.get(name) is not None

    def get(self, name: str, kind: str = "text") -> Any:
        """Return a field of one of the kinds."""
        is_good, words = _KINDS[kind]
        value = self._fields.get(name)
        if not is_good(value):
            raise Refused(error_response(422, f"{name} must be {words}."))
        return value

    def get_or(self, name: str, kind: str, default: Any) -> Any:
        """Return a field of one of the kinds; `default` if it is absent or null."""
        return self.get(name, kind) if self.has(name) else default

    def get_one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed values."""
        value = self._fields.get(name)
        if value not in allowed:
            raise Refused(error_response(422, f"{name} must be one of: {', '.join(allowed)}; got {value!r}."))
        return str(value)


def parse_fault(body: Body, platforms: tuple[str, ...]) -> Record:
    """Return the fault in the body; without `times` it lasts until it is cleared."""
    fault = body.get_one_of("fault", FAULTS)
    return {
        "platform": body.get_one_of("platform", platforms),
        "step": body.get_one_of("step", STEPS),
        "fault": fault,
        "times": body.get_or("times", "whole", None),
        "account": body.get_or("account", "text", None),
        "delay_ms": body.get_or("delay_ms", "whole", _DEFAULT_DELAY_MS),
        "retry_after": body.get_or("retry_after", "whole", None),
        "reason": body.get_or("reason", "text", None),
        "status": _parse_status(body) if fault in WITH_STATUS else None,
        "body": body.get_or("body", "string", ""),
    }


def _parse_status(body: Body) -> int:
    """Return the status that a fault responds with."""
    if not body.has("status"):
        raise Refused(error_response(422, f"The faults {' and '.join(WITH_STATUS)} need a status."))
    status: int = body.get("status", "whole")
    if not _STATUSES[0] <= status <= _STATUSES[1]:
        raise Refused(error_response(422, f"status must be from {_STATUSES[0]} to {_STATUSES[1]}."))
    return status
