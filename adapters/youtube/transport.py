"""How Google is asked: one request, and a read's answer as a model."""

from __future__ import annotations

from adapters import transport as speech
from adapters.error_table import Step
from adapters.http import Answer, Client
from adapters.transport import Model, Request
from adapters.youtube.errors import SERVICE, of_answer


def send(client: Client, request: Request, step: Step) -> Answer:
    """As ``adapters.transport`` says."""
    return speech.send(client, SERVICE, request, step)


def read(client: Client, request: Request, model: type[Model], step: Step) -> Model:
    """A read's answer as ``model``. Unavailable when it cannot be understood, the table's errors otherwise."""
    return speech.read(send(client, request, step), model, SERVICE, step, of_answer)
