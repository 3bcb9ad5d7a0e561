"""Read the staged rows of a file of posts from any position: each as the body of a post, or as what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.domain.validation_issue import build_issue
from pipeline.imports.cells import RowReader, parse_post_id
from pipeline.imports.columns import (
    ERROR,
    POST_ID,
    SCHEDULED_AT,
    STATUS,
    Cells,
    Columns,
    FileProblem,
    Format,
    ImportRow,
    ReadLimits,
    build_too_large,
)
from pipeline.imports.local_time import NO_TIME, NOW, InvalidCell
from pipeline.imports.stage import UNKNOWN, Issue, parse_body


def open_rows(
    path: Path,
    format: Format,  # noqa: A002  the interface's word
    limits: ReadLimits,
    *,
    columns: Columns,
    time_zone: str | None = None,
    position: int = 0,
    number: int = 0,
) -> Iterator[ImportRow]:
    """Yield the rows of a staged file, each with its body or its issues; a bad row ends nothing.

    ``time_zone``: of local times in rows without one. ``position, number``: of the last row that was read before.
    Raises FileProblem for a file without a row, and for more rows than ``limits`` has.
    """
    most = limits.count_rows(format)
    with path.open("rb") as file:
        read, unread = _read_json, None
        if format is not Format.NDJSON:
            dates, delimiter, *names = json.loads(file.readline())
            dates = "" if dates == UNKNOWN else dates
            reader = RowReader(columns, names, time_zone, dates, comma=delimiter == ";")
            read, unread = reader.read, reader.name_cells()
        position = file.seek(position or file.tell())
        while raw := file.readline():
            number, position = number + 1, position + len(raw)
            if number > most:
                raise build_too_large(f"The file has more than {most:,} rows, which is the maximum.")
            yield _build_row(json.loads(raw), read, unread, number, position)
    if not number:
        raise FileProblem("The file has no row.")


Read = Callable[[Sequence[str]], tuple[Cells | str, dict[str, Any], str | None, list[Issue]]]


def _build_row(staged: list[Any], read: Read, unread: Cells | None, number: int, position: int) -> ImportRow:
    """Return a row; ``unread``: the cells of one that cannot be read, None for NDJSON."""
    line, *texts = staged
    found = [texts.pop()] if texts and isinstance(texts[-1], dict) else []
    if found and (unread is None or not texts):
        return ImportRow(
            number=number,
            line=line,
            body=None,
            issues=found,
            source=unread or texts[0],
            next_position=position,
        )
    source, body, post_id, issues = read(texts)
    issues += found
    return ImportRow(
        number=number,
        line=line,
        body=None if issues else body,
        issues=issues,
        source=source,
        next_position=position,
        post_id=post_id,
    )


def _read_json(texts: Sequence[str]) -> tuple[Cells | str, dict[str, Any], str | None, list[Issue]]:
    """Read a line. An account may be ``{"account": "platform:username"}``; ``post_id`` is of an export."""
    body, issues = parse_body(texts[0].encode())
    return texts[0], body, None if issues else _take_extras(body, issues), issues


def _take_extras(body: dict[str, Any], issues: list[Issue]) -> str | None:
    """Take the keys that only files have out of a body, and return the id of the post that it was exported from."""
    for name in (STATUS, ERROR):
        body.pop(name, None)
    instant = body.get(SCHEDULED_AT)
    if instant is None or instant == "":
        issues.append(
            build_issue((SCHEDULED_AT,), NO_TIME.replace(", or local_time and time_zone", ""), "missing")
        )
    elif isinstance(instant, str) and instant.strip().casefold() == NOW:
        del body[SCHEDULED_AT]
    try:
        return parse_post_id(body.pop(POST_ID, None))
    except InvalidCell as error:
        issues.append(error.build_issue(POST_ID))
        return None
