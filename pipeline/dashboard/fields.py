"""Fields of forms and queries: parse them, or say which one is wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from starlette.exceptions import HTTPException

E = TypeVar("E", bound=StrEnum)


def parse_id(text: object, field: str) -> UUID | None:
    """Return an id; None for an empty field. Raises HTTPException 400."""
    if not text:
        return None
    try:
        return UUID(str(text))
    except ValueError:
        raise HTTPException(400, f"{field} has to be an id: {str(text)[:100]!r} is none.") from None


def parse_choice(kind: type[E], text: object, field: str) -> E | None:
    """Return one of the values of an enumeration; None for an empty field. Raises HTTPException 400."""
    if not text:
        return None
    try:
        return kind(str(text))
    except ValueError:
        raise HTTPException(
            400, f"{field} has to be one of {', '.join(kind)}: {str(text)[:100]!r} is not."
        ) from None
