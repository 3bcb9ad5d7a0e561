"""Send a request to Google, and parse the response of a read."""

from __future__ import annotations

from adapters import transport
from adapters.error_table import Phase
from adapters.http import HttpClient, Response
from adapters.transport import Model, Request
from adapters.youtube.errors import SERVICE, translate_error


def send(http: HttpClient, request: Request, phase: Phase) -> Response:
    """Return the response, whatever its status; raise as ``adapters.transport.send``."""
    return transport.send(http, SERVICE, request, phase)


def read(http: HttpClient, request: Request, model: type[Model], phase: Phase) -> Model:
    """Return the response parsed as *model*. Raise Unavailable if it is unreadable, else the table's error."""
    return transport.parse_response(send(http, request, phase), model, SERVICE, phase, translate_error)
