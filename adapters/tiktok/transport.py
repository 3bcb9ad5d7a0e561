"""What TikTok's two envelopes say: the ``data`` of a success, or the error of a table's row."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from adapters import transport as speech
from adapters.error_table import Phase, parse_retry_after
from adapters.http import HttpClient, Response
from adapters.tiktok.errors import SERVICE, of_business, of_creator, unclear
from adapters.tiktok.wire import BusinessEnvelope, Envelope
from adapters.transport import Model, Request


def send(client: HttpClient, request: Request, step: Phase) -> Response:
    """As ``adapters.transport`` says."""
    return speech.send(client, SERVICE, request, step)


def creator_answer(answer: Response, step: Phase, model: type[Model]) -> Model:
    """The ``data`` of a v2 answer. Success iff ``error.code`` is ``ok``: the vendor says not to go by the status."""
    try:
        envelope = Envelope.model_validate_json(answer.body)
    except ValidationError:
        raise of_creator(None, answer.status, step, parse_retry_after(answer)) from None
    if envelope.error.code != "ok":
        raise of_creator(envelope.error.code, answer.status, step, parse_retry_after(answer))
    return _data(model, envelope.data, answer.status, step)


def business_answer(answer: Response, step: Phase, model: type[Model]) -> Model:
    """The ``data`` of a Business answer. Success iff ``code`` is 0."""
    try:
        envelope = BusinessEnvelope.model_validate_json(answer.body)
    except ValidationError:
        raise of_business(None, "", answer.status, step, parse_retry_after(answer)) from None
    if envelope.code != 0:
        message = envelope.message or ""
        raise of_business(envelope.code, message, answer.status, step, parse_retry_after(answer))
    return _data(model, envelope.data, answer.status, step)


def _data(model: type[Model], data: Any, status: int, step: Phase) -> Model:
    if status >= 400:  # noqa: PLR2004 - "ok" under a failing status tells nothing
        raise unclear(step, platform_code=f"http_{status}", status=status)
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError:
        raise unclear(step, platform_code="unreadable_answer", status=status) from None
