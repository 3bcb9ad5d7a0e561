"""Write files of posts that an import takes: exports, and templates to fill in.

Exports are NDJSON with the body of a POST /posts on each line, or CSV. Both carry ``post_id``, by which an import
recognises a post first, and ``status``, which it ignores. NDJSON names accounts by id, as POST /posts does; CSV by
``platform:username`` where that is the name of one account only, in a JSON array where one has content of its own.
Templates have example rows, in any format that is read but ODS.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Any, BinaryIO
from uuid import UUID

import xlsxwriter

from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import NO_TIME, hide_no_time
from pipeline.imports.cells import defuse, format_row
from pipeline.imports.columns import (
    LOCAL_TIME,
    POST_ID,
    STATUS,
    TIME_ZONE,
    Columns,
    Format,
    build_unsupported,
)
from pipeline.stages.post_state import derive_status
from pipeline.store.accounts.accounts import AccountRow
from pipeline.store.posts.views import DeliveryView, PostView

EXAMPLE_URL = "https://example.com/video.mp4"
_CREATED = datetime(2026, 1, 1)  # noqa: DTZ001  XLSX has no zones; the same columns make the same file
_WIDTH = 24  # of a column, in characters


def write_template(
    target: BinaryIO,
    format: Format,  # noqa: A002  the interface's word
    columns: Columns,
    *,
    rows: int,
    accounts: Sequence[str],
    start: datetime,
    every: timedelta = timedelta(days=1),
    media_url: str = EXAMPLE_URL,
) -> None:
    """Write a header and ``rows`` posts, each of a video to one of ``accounts`` (ids or ``platform:username``).

    The accounts take turns: the first posts are due at ``start``, which has an offset, those of the next turn ``every``
    later. Raises FileProblem for ODS.
    """
    bodies = _build_bodies(rows, accounts, start, every, media_url)
    rows_of_cells = (format_row(columns, columns.names, body) for body in bodies)
    if format is Format.NDJSON:
        target.writelines(json.dumps(body, ensure_ascii=False).encode() + b"\n" for body in bodies)
    elif format is Format.CSV:
        target.write(UTF_8_MARK)
        target.writelines(write_rows([row]) for row in chain([columns.names], rows_of_cells))
    elif format is Format.XLSX:
        _write_xlsx(target, columns.names, rows_of_cells)
    else:
        raise build_unsupported(f"There is no template in {format}: open the one in XLSX.")


def build_template(
    form: Format, columns: Columns, accounts: Sequence[str] = (), media_url: str = EXAMPLE_URL
) -> bytes:
    """Return a template with a row for each account, or one example; the first are due tomorrow at noon."""
    target = io.BytesIO()
    tomorrow = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    rows = max(1, len(accounts))
    write_template(target, form, columns, rows=rows, accounts=accounts, start=tomorrow, media_url=media_url)
    return target.getvalue()


def _build_bodies(
    rows: int, accounts: Sequence[str], start: datetime, every: timedelta, media_url: str
) -> Iterator[Mapping[str, Any]]:
    names = accounts or ["tiktok:username"]
    for number in range(rows):
        name = names[number % len(names)]
        yield {
            "caption": f"Post {number + 1}",
            "media": {"type": "video", "url": media_url},
            "accounts": [{"account": name} if ":" in name else {"id": name}],
            "scheduled_at": (start + number // len(names) * every).isoformat(timespec="seconds"),
            "external_id": f"{start:%Y%m%d-%H%M%S}-{number + 1}",
        }


def _write_xlsx(target: BinaryIO, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write every cell as text, in a column formatted as text: ids keep their digits, and nothing is a formula."""
    with xlsxwriter.Workbook(target, {"constant_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        sheet, bold = book.add_worksheet("posts"), book.add_format({"bold": True})
        sheet.set_column(0, len(names) - 1, _WIDTH, book.add_format({"num_format": "@"}))
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(names):
            sheet.write_string(0, column, name, bold)
        for number, cells in enumerate(rows, 1):
            for column, cell in enumerate(cells):
                if cell:
                    sheet.write_string(number, column, cell)


UTF_8_MARK = b"\xef\xbb\xbf"
"""Begins a file, so that Excel reads it as UTF-8."""
PAGE = 500
"""Posts that are read and written at once."""


class ExportFormat(StrEnum):
    """The formats of exports."""

    NDJSON = "ndjson"
    CSV = "csv"


class ExportWriter:
    """Writes one file: ``begin``, then ``write`` for each page of posts.

    ``accounts``: those of the workspace, whose names CSV shows.
    """

    def __init__(self, form: ExportFormat, columns: Columns, accounts: Iterable[AccountRow]) -> None:
        self._columns, self._is_csv = columns, form is ExportFormat.CSV
        self._cells = (
            POST_ID,
            STATUS,
            *(name for name in columns.names if name not in (LOCAL_TIME, TIME_ZONE)),
        )
        self._names = name_accounts(accounts)

    def begin(self) -> bytes:
        """Return what stands before the first post: of CSV the mark and the header."""
        return UTF_8_MARK + write_rows([self._cells]) if self._is_csv else b""

    def write(self, posts: Sequence[PostView]) -> bytes:
        """Return the lines of these posts."""
        if self._is_csv:
            return write_rows(map(self._to_cells, posts))
        return b"".join(map(_to_line, posts))

    def _to_cells(self, post: PostView) -> list[str]:
        body = build_body(post)
        body["accounts"] = [
            _build_entry(d, self._names.get(d.account_id, {"id": str(d.account_id)}))
            for d in _list_kept(post)
        ]
        _, _, *cells = format_row(self._columns, self._cells, body)
        return [str(post.id), derive_status(post).value, *map(defuse, cells)]


def build_body(post: PostView) -> dict[str, Any]:
    """Return the body of a POST /posts that asks for this post as it is now, without what equals a default."""
    optional = {
        "external_id": post.external_id,
        "music_url": post.music_url,
        **{platform.value: section for platform, section in post.options.items()},
        "ai_generated": post.ai_generated or None,
        "first_comment": post.first_comment,
        "expires_at": _format_time(post.expires_at),
        "on_late": None if post.on_late == "publish" else post.on_late,
        "draft": post.base_due_at >= NO_TIME or None,
    }
    return {
        "caption": post.caption,
        "media": dict(post.media),
        "accounts": [
            _build_entry(delivery, {"id": str(delivery.account_id)}) for delivery in _list_kept(post)
        ],
        "scheduled_at": _format_time(hide_no_time(post.base_due_at)),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _build_entry(delivery: DeliveryView, name: Mapping[str, str]) -> Mapping[str, Any]:
    own = OwnContent.from_dict(delivery.own)
    return name if own is None else {**name, **own.to_body()}


def name_accounts(accounts: Iterable[AccountRow]) -> Mapping[UUID, Mapping[str, str]]:
    """Return ``{"account": "platform:username"}`` by account, for each name that one account has."""
    names = {account.id: f"{account.platform}:{account.username}" for account in accounts}
    count = Counter(name.casefold() for name in names.values())
    return {i: {"account": name} for i, name in names.items() if count[name.casefold()] == 1}


def _list_kept(post: PostView) -> list[DeliveryView]:
    return [delivery for delivery in post.deliveries if not delivery.removed]


def _to_line(post: PostView) -> bytes:
    line = {POST_ID: str(post.id), STATUS: derive_status(post).value, **build_body(post)}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def write_rows(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows of CSV as spreadsheets expect it: lines end with CR LF. Others' cells are given through `defuse`."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _format_time(instant: datetime | None) -> str | None:
    """Return a time in UTC to the microsecond, as stored: a time that is rounded would be another one."""
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
