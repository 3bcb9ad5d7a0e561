"""The envelope of every JSON answer as pydantic models: handlers return them, the OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from pipeline.api.http.timestamp import format_timestamp
from pipeline.api.openapi.codes import CODES
from pipeline.domain.delivery import State as LedgerState
from pipeline.domain.delivery import to_public
from pipeline.domain.validation_issue import ISSUE_TYPES

Timestamp = Annotated[
    datetime,
    PlainSerializer(format_timestamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time, written in UTC with milliseconds and Z."""


@dataclass(frozen=True, slots=True)
class DocumentedAs:
    """Annotation that documents a value as *type*: it was validated when it was stored, and is returned unchanged."""

    type: Any

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON schema of ``type``."""
        return handler(TypeAdapter(self.type).core_schema)


def one_of(names: Sequence[str]) -> WithJsonSchema:
    """Return the annotation of a string that is documented as one of *names*."""
    return WithJsonSchema({"type": "string", "enum": [*names]})


ErrorCode = TypeAliasType("ErrorCode", Annotated[str, one_of([*CODES])])
"""An error code. A named alias becomes a component of the document, and a named type in generated clients."""


PUBLIC_STATES = tuple(map(to_public, LedgerState))
State = TypeAliasType("State", Annotated[str, BeforeValidator(to_public), one_of(PUBLIC_STATES)])
"""The state of a delivery, as the API spells it."""


IssueType = TypeAliasType("IssueType", Annotated[str, one_of(ISSUE_TYPES)])


def is_empty(value: Any) -> bool:
    """Return True if the field is to be left out of the JSON: ``Field(exclude_if=is_empty)``."""
    return not value


_ABSENT = object()


class ResponseModel(BaseModel):
    """Base of the response models: exactly the declared keys, in their order; also made from objects' attributes."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    @classmethod
    def from_rows(cls, *rows: Any, **more: Any) -> Self:
        """Return the model of *rows*: each field is in *more*, or of the first row that has one of its name."""
        for name in cls.model_fields:
            for row in rows if name not in more else ():
                if (value := getattr(row, name, _ABSENT)) is not _ABSENT:
                    more[name] = value
                    break
        return cls.model_validate(more)


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
    type: IssueType
    value: str | int | float | bool | None = Field(None, description="The value found, shortened.")


class Failure(ResponseModel):
    """The request was refused; nothing was stored or changed."""

    ok: Literal[False]
    code: int = Field(description="The HTTP status.")
    message: str = Field(description="For people; it may change.")
    error_code: ErrorCode = Field(description="For programs.")
    help: str = Field(description="Where the reference explains the code: an absolute URL.")


class BadRequest(Failure):
    """A rule about values, accounts, media or time is broken, or the body is not JSON."""

    issues: list[Issue] = Field(
        default=[], description="The field whose rule is broken, where it is one field."
    )


class Conflict(BadRequest):
    """The plan that was named is not the present one; the rows that changed, where they are known."""


class InvalidRequest(Failure):
    """The request does not match the schema."""

    issues: list[Issue]
