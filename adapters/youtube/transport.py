"""How Google is asked: one request, and a read's answer as a model."""

from __future__ import annotations

from adapters import transport as speech
from adapters.error_table import Phase
from adapters.http import HttpClient, Response
from adapters.transport import Model, Request
from adapters.youtube.errors import SERVICE, of_answer


def send(client: HttpClient, request: Request, step: Phase) -> Response:
    """As ``adapters.transport`` says."""
    return speech.send(client, SERVICE, request, step)


def read(client: HttpClient, request: Request, model: type[Model], step: Phase) -> Model:
    """A read's answer as ``model``. Unavailable when it cannot be understood, the table's errors otherwise."""
    return speech.parse_response(send(client, request, step), model, SERVICE, step, of_answer)
