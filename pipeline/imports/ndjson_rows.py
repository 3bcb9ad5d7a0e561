"""Reads NDJSON: on each line the body of a POST /posts, as strictly as one that is posted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.domain import strict_json
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.cells import parse_post_id
from pipeline.imports.columns import ERROR, POST_ID, SCHEDULED_AT, STATUS, Columns
from pipeline.imports.formats import FileProblem, ImportRow, ReadLimits
from pipeline.imports.lines import Place, build_too_long, read_lines
from pipeline.imports.local_time import NO_TIME, NOW, InvalidCell


def read_ndjson(
    file: BinaryIO,
    place: Place,
    limits: ReadLimits,
    columns: Columns,  # noqa: ARG001  as every reader
    time_zone: str | None,  # noqa: ARG001
) -> Iterator[ImportRow]:
    """Yield the rows. An account may be ``{"account": "platform:username"}``; ``post_id`` is of an export."""
    if not place.offset and file.read(64).lstrip().startswith(b"["):
        raise FileProblem("The file is a JSON array. Write one object on each line, without brackets around.")
    file.seek(place.offset)
    for raw, head in read_lines(file, place, limits):
        place.number += 1
        if raw is None:
            yield place.reject(build_too_long(limits), head.decode(errors="replace"))
            continue
        line = raw.rstrip(b"\r\n")
        try:
            body = strict_json.parse(line)
        except strict_json.InvalidJson as error:
            message = str(error).replace("The body", "The line").replace("line 1, column", "column")
            yield place.reject(build_issue((), message, "invalid_json"), line.decode(errors="replace"))
            continue
        issues = (
            []
            if isinstance(body, dict)
            else [build_issue((), "The line must be a JSON object.", "model_type")]
        )
        post_id = None if issues else _take_extras(body, issues)
        yield place.build_row(line.decode(), body, post_id, issues)


def _take_extras(body: dict[str, Any], issues: list[dict[str, Any]]) -> str | None:
    """Take the keys that only files have out of a body, and return the id of the post that it was exported from."""
    for name in (STATUS, ERROR):
        body.pop(name, None)
    moment = body.get(SCHEDULED_AT)
    if moment is None or moment == "":
        issues.append(
            build_issue((SCHEDULED_AT,), NO_TIME.replace(", or local_time and time_zone", ""), "missing")
        )
    elif isinstance(moment, str) and moment.strip().casefold() == NOW:
        del body[SCHEDULED_AT]
    try:
        return parse_post_id(body.pop(POST_ID, None))
    except InvalidCell as error:
        issues.append(error.build_issue(POST_ID))
        return None
