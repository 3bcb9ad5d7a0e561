"""What a client says about files: the body of POST /files and the query of GET /files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError
from starlette.datastructures import QueryParams

from pipeline.api.posts.schema import Body, invalid
from pipeline.api.posts.unsafe_text import hostile
from pipeline.api.posts.validation_issue import issue, of_pydantic

MOST, USUAL = 100, 50
DEEPEST = 1_000_000
"""Largest offset: PostgreSQL reads over everything before it."""
FILENAME = 255
CONTEXT, ALL = "media-upload", "all"
"""The one context that files here have, and the word for every context."""

ContentType = Literal[
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/heic",
    "image/heif",
    "video/mp4",
    "video/quicktime",
    "video/x-msvideo",
    "video/webm",
    "video/x-m4v",
]


class FileBody(Body):
    """A file that is about to be uploaded."""

    contentType: ContentType = Field(description="What it is; the upload is held to it.")  # noqa: N815  the contract's
    filename: str | None = Field(None, min_length=1, max_length=FILENAME, description="For people.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which files to list."""

    limit: int = USUAL
    offset: int = 0
    kind: str | None = None
    context: str | None = None

    @property
    def any(self) -> bool:
        """Whether our files are among the contexts that were asked for."""
        asked = (self.context or ALL).split(",")
        return any(one.strip() in (CONTEXT, ALL) for one in asked)


def read_file(body: Any) -> FileBody:
    """What is to be uploaded. Raises Refusal 422."""
    if not isinstance(body, dict):
        raise invalid([issue((), "The body must be a JSON object.", "model_type")])
    if found := hostile(body):
        raise invalid(found)
    try:
        return FileBody.model_validate(body)
    except ValidationError as error:
        issues = of_pydantic(error.errors(include_url=False), {}, lambda _: FileBody.model_fields)
        raise invalid(issues) from None


def read_files_query(query: QueryParams) -> Wanted:
    """Which files to list; names we do not know are left alone. Raises Refusal 422."""
    values: dict[str, Any] = {}
    issues: list[dict[str, Any]] = []
    for name, (field, read) in _READERS.items():
        given = [text for text in query.getlist(name) if text]
        try:
            if len(given) > 1:
                raise ValueError("It stands twice in the query.")
            if given:
                values[field] = read(given[0])
        except ValueError as error:
            issues.append(issue((name,), str(error), "value_error", given[0]))
    if issues:
        raise invalid(issues)
    return Wanted(**values)


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not plain or not least <= int(text) <= most:
            raise ValueError(f"Must be a whole number from {least} to {most}.")
        return int(text)

    return read


def _kind(text: str) -> str:
    if text not in ("image", "video"):
        raise ValueError("Must be image or video.")
    return text


def _context(text: str) -> str:
    if len(text) > FILENAME or "\0" in text:
        raise ValueError("Must be a context such as media-upload, several with commas between them, or all.")
    return text


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "limit": ("limit", _number(1, MOST)),
    "offset": ("offset", _number(0, DEEPEST)),
    "type": ("kind", _kind),
    "context": ("context", _context),
}
