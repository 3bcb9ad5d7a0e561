"""The envelope of every JSON answer as pydantic models: handlers return them, the OpenAPI document describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from pipeline.api.http.timestamp import format_timestamp

Timestamp = Annotated[
    datetime,
    PlainSerializer(format_timestamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, written in UTC with milliseconds and Z."""


def is_empty(value: Any) -> bool:
    """Return True if the field is to be left out of the JSON: ``Field(exclude_if=is_empty)``."""
    return not value


class ResponseModel(BaseModel):
    """Base of the response models: exactly the declared keys, in their order; also made from objects' attributes."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


DataT = TypeVar("DataT", bound=ResponseModel)


class Success(ResponseModel, Generic[DataT]):
    """The request was carried out."""

    ok: Literal[True]
    code: int = Field(description="The HTTP status.")
    message: str
    data: DataT


class Issue(ResponseModel):
    """One thing that is wrong with a request, and where."""

    path: str = Field(description="Position in the body, for example media.urls.3.")
    message: str
    type: str
    value: str | int | float | bool | None = Field(None, description="The value found, shortened.")


class Failure(ResponseModel):
    """The request was refused; nothing was stored or changed."""

    ok: Literal[False]
    code: int = Field(description="The HTTP status.")
    message: str = Field(description="For people; it may change.")
    error_code: str = Field(description="For programs.")
    help: str = Field(description="Where the reference explains the code, relative to the server.")


class InvalidRequest(Failure):
    """The request does not match the schema."""

    issues: list[Issue]
