"""Reads what the control API is sent; every refusal names what is allowed."""

import json

from aiohttp import web

from adapters.sandbox.faults import FAULTS, STEPS
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.store import Record

_DEFAULT_DELAY_MS = 1000


def error_response(status: int, sentence: str) -> web.Response:
    """A refusal of the control API."""
    return json_response({"error": sentence}, status)


class Body:
    """A JSON object whose fields are asked for one by one; each question raises Refused (422) on a bad answer."""

    def __init__(self, fields: Record) -> None:
        """Ask about `fields`."""
        self._fields = fields

    @classmethod
    async def read(cls, request: web.Request) -> "Body":
        """The body of a request; {} when there is none."""
        try:
            fields = json.loads(await request.read() or b"{}")
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise Refused(error_response(422, "The body must be a JSON object."))
        return cls(fields)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        """A text that is not empty."""
        value = self._fields.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(error_response(422, f"{name} must be a text."))
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._fields.get(name)
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise Refused(error_response(422, f"{name} must be a list of texts."))
        return value

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of the allowed words."""
        value = self._fields.get(name)
        if value not in allowed:
            raise Refused(error_response(422, f"{name} must be one of: {', '.join(allowed)}; got {value!r}."))
        return str(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._fields.get(name)
        if not isinstance(value, bool):
            raise Refused(error_response(422, f"{name} must be true or false."))
        return value

    def whole(self, name: str) -> int:
        """A whole number of at least 0."""
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Refused(error_response(422, f"{name} must be a whole number of at least 0."))
        return value

    def object(self, name: str) -> Record:
        """A JSON object."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise Refused(error_response(422, f"{name} must be an object."))
        return value


def fault_of(body: Body, platforms: tuple[str, ...]) -> Record:
    """The fault that is ordered; `times` null means until it is cleared."""
    return {
        "platform": body.one_of("platform", platforms),
        "step": body.one_of("step", STEPS),
        "fault": body.one_of("fault", FAULTS),
        "times": body.whole("times") if body.has("times") else None,
        "account": body.text("account") if body.has("account") else None,
        "delay_ms": body.whole("delay_ms") if body.has("delay_ms") else _DEFAULT_DELAY_MS,
        "retry_after": body.whole("retry_after") if body.has("retry_after") else None,
        "reason": body.text("reason") if body.has("reason") else None,
    }
