"""Turns the cells of a row into the body of a post, and a body into cells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from mimetypes import guess_type
from typing import Any
from uuid import UUID

from pipeline.domain import strict_json
from pipeline.domain.validation_issue import build_issue
from pipeline.imports.columns import (
    ACCOUNTS,
    BY_PLATFORM,
    ERROR,
    MEDIA_TYPE,
    MEDIA_URLS,
    OWN_COLUMNS,
    POST_ID,
    REFUSED,
    SCHEDULED_AT,
    STATUS,
    TIMES,
    Cells,
    Column,
    Columns,
    Kind,
)
from pipeline.imports.local_time import NO_TIME, NOW, InvalidCell, read_time

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "1", "wahr", "ja"), True),
    **dict.fromkeys(("false", "no", "0", "falsch", "nein"), False),
}
_TYPES = {"video": "video", "image": "slideshow", "application/pdf": "document"}
"""The media of one file, by the type that its name tells, or the part before the slash."""
_UUID_LENGTH = 36
_ROUNDED = re.compile(r"-?\d(?:[.,]\d+)?E\+\d{2,3}", re.IGNORECASE | re.ASCII)
_FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
"""The second four signs are the fullwidth forms of the first, which spreadsheets read as well."""

ReadCells = tuple[Cells, dict[str, Any], str | None, list[dict[str, Any]]]
"""The cells, the body, the id of the post that they were exported from, and the issues."""


class RowReader:
    """Reads the rows of one file, whose header is ``header``. ``dates``: their order. ``comma``: decimals have one.

    ``blank``: the time of rows without one; "": they are refused.
    """

    def __init__(
        self,
        columns: Columns,
        header: Sequence[str],
        time_zone: str | None,
        dates: str = "",
        *,
        comma: bool = False,
        blank: str = "",
    ) -> None:
        self._header, self._zone, self._dates, self._blank = header, time_zone, dates, blank
        self._names = names = [columns.find(cell) for cell in header]
        known = [columns.by_name[name] for name in names if name in columns.by_name]
        self._fields = [(one.name, one.path, partial(_parse, one, comma=comma)) for one in known]
        self._is_ours = not OWN_COLUMNS.isdisjoint(names)

    def read(self, texts: Sequence[str]) -> ReadCells:
        """Return what a row holds, or as many of its issues as can be found."""
        width = len(self._names)
        texts = [restore(text) for text in texts] if self._is_ours else texts
        if len(texts) < width or any(map(str.strip, texts[width:])):
            message = f"The row has {len(texts)} cells, and the header {width}."
            return self.name_cells(texts), {}, None, [build_issue((), message, "row_width")]
        cells = dict(zip(self._names, texts, strict=False))
        body: dict[str, Any] = {}
        issues: list[dict[str, Any]] = []
        for name, path, parse in self._fields:
            if cell := cells[name]:
                set_field(body, path, _attempt(issues, name, parse, cell))
        _attempt(issues, MEDIA_URLS, complete_media, body.get("media"))
        for platform, own in body.get(BY_PLATFORM, {}).items():
            _attempt(issues, f"{MEDIA_URLS}:{platform}", complete_media, own.get("media"))
        if not body.get("draft") or any(cells.get(name, "").strip() for name in TIMES):
            time = _attempt(issues, SCHEDULED_AT, read_time, cells, self._zone, self._dates, self._blank)
            set_field(body, (SCHEDULED_AT,), time)
        post_id = _attempt(issues, POST_ID, parse_post_id, cells.get(POST_ID))
        return self.name_cells(texts[:width]), body, post_id, issues

    def name_cells(self, texts: Sequence[str] = ()) -> Cells:
        """Return cells with their columns: blank ones where there are fewer, "" as the name of those beyond."""
        return list(zip_longest(self._header, texts, fillvalue=""))


def _attempt(issues: list[dict[str, Any]], name: str, read: Callable[..., Any], *given: Any) -> Any:
    """Return what ``read`` returns; None if it raises InvalidCell, which becomes an issue of the column ``name``."""
    try:
        return read(*given)
    except InvalidCell as error:
        issues.append(error.build_issue(name))
        return None


def set_field(body: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set what *path* leads to in *body*, unless it is None."""
    if value is not None:
        for key in path[:-1]:
            body = body.setdefault(key, {})
        body[path[-1]] = value


def complete_media(media: dict[str, Any] | None) -> None:
    """Give media their type where the row has none, and a video or document its one URL. Raises InvalidCell."""
    if media and "type" not in media and (urls := media.get("urls")):
        media["type"] = _find_type(urls)
    if media and media.get("type") in ("video", "document") and (urls := media.pop("urls", None)):
        if len(urls) > 1:
            raise InvalidCell(f"A {media['type']} has one URL; there are {len(urls)}.", "too_long")
        media["url"] = urls[0]


def _find_type(urls: Sequence[str]) -> str:
    """Return the type of media by their names. Raises InvalidCell for one file whose name does not tell."""
    if len(urls) > 1:
        return "slideshow"
    guessed = guess_type(urls[0].partition("?")[0].casefold())[0] or ""
    found = _TYPES.get(guessed) or _TYPES.get(guessed.partition("/")[0])
    if found is None:
        message = f"It is blank, and {urls[0]} does not tell what it is. Write video, slideshow or document."
        raise InvalidCell(message, "missing", name=MEDIA_TYPE)
    return found


def parse_post_id(value: Any) -> str | None:
    """Return the id of the post that a row was exported from. Raises InvalidCell."""
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    if not isinstance(text, str) or not _is_uuid(text):
        raise InvalidCell("Must be the id of a post.", "uuid_parsing", value)
    return text


def _parse(column: Column, cell: str, *, comma: bool) -> Any:
    """Return the value of a cell, None for a blank one. Raises InvalidCell."""
    if "\0" in cell:
        raise InvalidCell("It holds a NUL character.", "string_unicode")
    name = column.name.partition(":")[0]
    if name != "caption" and _ROUNDED.fullmatch(cell):
        message = "A spreadsheet has rounded this number. Format the column as text."
        raise InvalidCell(message, "rounded", cell)
    if column.kind is Kind.TEXT:
        return cell
    cell = cell.strip()
    if comma and column.kind is Kind.NUMBER:
        cell = cell.replace(",", ".")
    parse = _SPECIAL.get(name) or _PARSERS[column.kind]
    return parse(cell) if cell else None


def _parse_entries(cell: str) -> list[dict[str, Any]]:
    """Return the accounts of a cell: names, or a JSON array of names and of entries with content of their own."""
    entries = _parse_any(cell) if cell.startswith("[") else None
    return parse_accounts(entries if isinstance(entries, list) else _split_at_commas(cell, ","))


def parse_accounts(names: Sequence[Any]) -> list[dict[str, Any]]:
    """Return accounts as a body has them, by id or ``platform:username``. Raises InvalidCell."""
    accounts: list[dict[str, Any]] = []
    for one in names:
        if isinstance(one, dict):
            accounts.append(one)
            continue
        name = str(one)
        platform, _, username = name.partition(":")
        if not _is_uuid(name) and not (platform and username):
            raise InvalidCell("Must be an account's id, or platform:username.", "account", name)
        accounts.append({"id" if _is_uuid(name) else "account": name})
    return accounts


def _is_uuid(text: str) -> bool:
    try:
        return len(text) == _UUID_LENGTH and bool(UUID(text))
    except ValueError:
        return False


def _split(cell: str) -> list[str]:
    return [item for item in _split_sparse(cell) if item is not None]


def _split_media(cell: str) -> list[str]:
    """Split names of files at commas too, and URLs where another URL follows: a comma may be a part of one."""
    return _split_at_commas(cell, r",\s*(?=https?:)" if "://" in cell else ",")


def _split_at_commas(cell: str, comma: str) -> list[str]:
    return _split(cell if cell.startswith("[") else re.sub(comma, "|", cell))


def _split_sparse(cell: str) -> list[str | None]:
    if cell.startswith("["):
        try:
            items = json.loads(cell)
        except ValueError:
            items = None
        if isinstance(items, list) and all(item is None or isinstance(item, str) for item in items):
            return items
    return [part.strip() or None for part in re.split(r"[|\n]", cell)]


def _parse_boolean(cell: str) -> bool:
    if (value := _BOOLEANS.get(cell.casefold())) is None:
        raise InvalidCell("Must be TRUE or FALSE (or yes or no, 1 or 0).", "bool_type", cell)
    return value


def _parse_integer(cell: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", cell, re.ASCII):
        raise InvalidCell("Must be a whole number.", "int_type", cell)
    return int(cell)


def _parse_number(cell: str) -> float:
    if not re.fullmatch(r"[+-]?\d{1,18}(?:\.\d{1,18})?(?:e-\d\d)?", cell, re.ASCII):
        raise InvalidCell("Must be a number, such as 12.5.", "float_type", cell)
    return float(cell)


def _parse_any(cell: str) -> Any:
    try:
        return strict_json.parse(cell.encode(errors="replace"))
    except strict_json.InvalidJson:
        return cell


_PARSERS: Mapping[Kind, Callable[[str], Any]] = {
    Kind.WORD: str,
    Kind.BOOLEAN: _parse_boolean,
    Kind.INTEGER: _parse_integer,
    Kind.NUMBER: _parse_number,
    Kind.LIST: _split,
    Kind.SPARSE_LIST: _split_sparse,
    Kind.JSON: _parse_any,
}
_SPECIAL: Mapping[str, Callable[[str], Any]] = {
    MEDIA_TYPE: str.lower,
    MEDIA_URLS: _split_media,
    ACCOUNTS: _parse_entries,
}


def defuse(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: with a quote before a sign, a tab or a line end."""
    return "'" + cell if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Return what ``defuse`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def format_row(
    columns: Columns, names: Sequence[str], body: Mapping[str, Any], post_id: str = ""
) -> list[str]:
    """Return the cells of a body, as ``RowReader`` reads them. A body without a time has ``now``."""
    media = body.get("media") or {}
    urls = {"urls": [media["url"]]} if "url" in media else {}
    shown = {**body, "media": {**media, **urls}}
    if ACCOUNTS in body:
        shown[ACCOUNTS] = [
            (one.get("id") or one["account"]) if len(one) == 1 else one for one in body[ACCOUNTS]
        ]
    special = {SCHEDULED_AT: body.get(SCHEDULED_AT) or NOW, POST_ID: post_id}
    by_name = columns.by_name
    return [
        _format_field(by_name[name], shown) if name in by_name else special.get(name, "") for name in names
    ]


def _format_field(column: Column, body: Any) -> str:
    value = body
    for key in column.path:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool) and column.kind is not Kind.JSON:
        return "TRUE" if value else "FALSE"
    if column.kind in (Kind.LIST, Kind.SPARSE_LIST):
        return _join(value, "," if column.name in _SPECIAL else "")
    if column.kind is Kind.JSON and not (
        value and isinstance(value, str) and _parse_any(value.strip()) == value
    ):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _join(items: Sequence[Any], also: str) -> str:
    """Return a list in one cell, as JSON where splitting it, at the sign *also* too, would give other items."""
    if any(isinstance(item, dict) for item in items):
        return json.dumps(list(items), ensure_ascii=False)
    plain = "|".join(item or "" for item in items)
    is_same = plain.strip() and _split_sparse(plain.strip()) == list(items) and not (also and also in plain)
    return plain if is_same else json.dumps(list(items), ensure_ascii=False)


def take_extras(body: dict[str, Any], issues: list[dict[str, Any]]) -> str | None:
    """Take the keys that only files have out of a body, and return the id of the post that it was exported from."""
    for name in (STATUS, ERROR):
        body.pop(name, None)
    refused = body.get(REFUSED)
    if isinstance(refused, list) and all(isinstance(one, list) and len(one) == 3 for one in refused):  # noqa: PLR2004
        issues += [
            build_issue((str(path),), str(message), "rule", value)
            for path, message, value in body.pop(REFUSED)
        ]
    instant = body.get(SCHEDULED_AT)
    if (instant is None or instant == "") and body.get("draft") is not True:
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
