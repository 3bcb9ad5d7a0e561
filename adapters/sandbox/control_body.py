"""Parse request bodies of the control API; each error names what is allowed."""

import json

from aiohttp import web

from adapters.sandbox.faults import FAULTS, STEPS, WITH_STATUS
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

_DEFAULT_DELAY_MS = 1000
_STATUSES = (200, 599)


def error_response(status: int, message: str) -> web.Response:
    """Return an error response of the control API."""
    return json_response({"error": message}, status)


class Body:
    """A JSON object with a checked getter per type; each raises Refused (422) for a bad value."""

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

    def get_text(self, name: str) -> str:
        """Return a non-empty string."""
        value = self._fields.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(error_response(422, f"{name} must be a non-empty string."))
        return value

    def get_string(self, name: str) -> str:
        """Return a string that may be empty."""
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise Refused(error_response(422, f"{name} must be a string."))
        return value

    def get_texts(self, name: str) -> list[str]:
        """Return a list of non-empty strings."""
        value = self._fields.get(name)
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise Refused(error_response(422, f"{name} must be a list of non-empty strings."))
        return value

    def get_one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed values."""
        value = self._fields.get(name)
        if value not in allowed:
            raise Refused(error_response(422, f"{name} must be one of: {', '.join(allowed)}; got {value!r}."))
        return str(value)

    def get_flag(self, name: str) -> bool:
        """Return a boolean."""
        value = self._fields.get(name)
        if not isinstance(value, bool):
            raise Refused(error_response(422, f"{name} must be true or false."))
        return value

    def get_whole(self, name: str) -> int:
        """Return an integer of at least 0."""
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Refused(error_response(422, f"{name} must be a whole number of at least 0."))
        return value

    def get_object(self, name: str) -> Record:
        """Return a JSON object."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise Refused(error_response(422, f"{name} must be an object."))
        return value


def parse_fault(body: Body, platforms: tuple[str, ...]) -> Record:
    """Return the fault in the body; without `times` it lasts until it is cleared."""
    fault = body.get_one_of("fault", FAULTS)
    return {
        "platform": body.get_one_of("platform", platforms),
        "step": body.get_one_of("step", STEPS),
        "fault": fault,
        "times": body.get_whole("times") if body.has("times") else None,
        "account": body.get_text("account") if body.has("account") else None,
        "delay_ms": body.get_whole("delay_ms") if body.has("delay_ms") else _DEFAULT_DELAY_MS,
        "retry_after": body.get_whole("retry_after") if body.has("retry_after") else None,
        "reason": body.get_text("reason") if body.has("reason") else None,
        "status": _parse_status(body) if fault in WITH_STATUS else None,
        "body": body.get_string("body") if body.has("body") else "",
    }


def _parse_status(body: Body) -> int:
    """Return the status that a fault responds with."""
    if not body.has("status"):
        raise Refused(error_response(422, f"The faults {' and '.join(WITH_STATUS)} need a status."))
    status = body.get_whole("status")
    if not _STATUSES[0] <= status <= _STATUSES[1]:
        raise Refused(error_response(422, f"status must be from {_STATUSES[0]} to {_STATUSES[1]}."))
    return status
