"""Send a request to TikTok, and parse its two envelopes: the ``data`` of a success, or the table's error."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from adapters import transport
from adapters.error_table import Phase
from adapters.http import HttpClient, Response
from adapters.tiktok.errors import (
    SERVICE,
    build_unclear_error,
    translate_business_error,
    translate_creator_error,
)
from adapters.tiktok.wire import BusinessEnvelope, Envelope
from adapters.transport import Model, Request


def send(http: HttpClient, request: Request, phase: Phase) -> Response:
    """Return the response, whatever its status; raise as ``adapters.transport.send``."""
    return transport.send(http, SERVICE, request, phase)


def parse_creator_response(response: Response, phase: Phase, model: type[Model]) -> Model:
    """Return the ``data`` of a v2 success. It is one if ``error.code`` is ``ok``: TikTok says to ignore the status."""
    try:
        envelope = Envelope.model_validate_json(response.body)
    except ValidationError:
        raise translate_creator_error(response, phase, None) from None
    if envelope.error.code != "ok":
        raise translate_creator_error(response, phase, envelope.error.code, envelope.error.message or "")
    return _parse_data(model, envelope.data, response.status, phase)


def parse_business_response(response: Response, phase: Phase, model: type[Model]) -> Model:
    """Return the ``data`` of a Business success. It is one if ``code`` is 0."""
    try:
        envelope = BusinessEnvelope.model_validate_json(response.body)
    except ValidationError:
        raise translate_business_error(response, phase, None) from None
    if envelope.code != 0:
        raise translate_business_error(response, phase, envelope.code, envelope.message or "")
    return _parse_data(model, envelope.data, response.status, phase)


def _parse_data(model: type[Model], data: Any, status: int, phase: Phase) -> Model:
    if status >= 400:  # noqa: PLR2004 - "ok" with a failing status proves nothing
        raise build_unclear_error(phase, platform_code=f"http_{status}", status=status)
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError:
        raise build_unclear_error(phase, platform_code="unreadable_answer", status=status) from None
