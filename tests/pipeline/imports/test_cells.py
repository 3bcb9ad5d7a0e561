"""What cells mean: times, lists, booleans, numbers, accounts; and bodies that survive being exported and read."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.imports.cells import RowReader, defuse, format_row, restore
from pipeline.imports.columns import POST_ID, FileProblem, Format, Kind, build_columns
from pipeline.imports.export import UTF_8_MARK, write_rows, write_template
from tests.pipeline.imports.conftest import COLUMNS, Files
from tests.pipeline.imports.spreadsheets import build_xlsx

PDF = {"type": "document", "url": "https://x.y/C.PDF?a=1", "title": "C"}
ID = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"


def read_one(files: Files, names: str, cells: Sequence[str], zone: str | None = None) -> Any:
    buffer = io.BytesIO()
    buffer.write(UTF_8_MARK + write_rows([names.split(), cells]))
    (row,) = files.read(buffer.getvalue(), time_zone=zone)
    return row


def test_the_columns_are_those_of_the_body_and_of_its_sections() -> None:
    assert COLUMNS.names[:8] == (
        "caption",
        "media_type",
        "media_urls",
        "accounts",
        "scheduled_at",
        "local_time",
        "time_zone",
        "external_id",
    )
    for platform, model in PostBody.models_by_platform.items():
        for field in model.model_fields:
            assert f"{platform}.{field}" in COLUMNS.names
    kinds = {name: column.kind for name, column in COLUMNS.by_name.items()}
    assert kinds["caption"] is kinds["tiktok.title"] is Kind.TEXT
    assert kinds["external_id"] is kinds["expires_at"] is kinds["tiktok.privacy_level"] is Kind.WORD
    assert (kinds["pinterest.tags"], kinds["tiktok.disable_duet"]) == (Kind.LIST, Kind.BOOLEAN)


@pytest.mark.parametrize(
    ("cell", "zone", "expected"),
    [
        ("2026-12-01 09:00", "Europe/Berlin", "2026-12-01T08:00:00Z"),
        ("2026-07-01T9:00:30", "europe/berlin", "2026-07-01T07:00:30Z"),
        ("01.12.2026 09:00", "America/New_York", "2026-12-01T14:00:00Z"),
        ("1.7.2026, 9:00 Uhr", "Europe/Berlin", "2026-07-01T07:00:00Z"),
    ],
)
def test_a_local_time_is_read_in_its_zone(files: Files, cell: str, zone: str, expected: str) -> None:
    assert read_one(files, "local_time time_zone", [cell, zone]).body == {"scheduled_at": expected}
    assert read_one(files, "local_time time_zone", [cell, ""], zone).body == {"scheduled_at": expected}


@pytest.mark.parametrize(
    ("names", "cells", "path", "message"),
    [
        (
            "local_time time_zone",
            ["28.03.2027 02:30", "Europe/Berlin"],
            "local_time",
            "does not exist in Europe/Berlin",
        ),
        (
            "local_time time_zone",
            ["31.10.2027 02:30", "Europe/Berlin"],
            "local_time",
            "2027-10-31T02:30:00+02:00 or 20",
        ),
        (
            "local_time time_zone",
            ["2026-12-01 09:00", "Europe/Berln"],
            "time_zone",
            "did you mean Europe/Berlin?",
        ),
        ("local_time time_zone", ["2026-12-01 09:00", "../etc/passwd"], "time_zone", "no such time zone"),
        ("local_time time_zone", ["2026-12-01 09:00", ""], "time_zone", "needs a time zone"),
        ("local_time time_zone", ["0001-01-01 00:00", "Asia/Tokyo"], "local_time", "no such date or time"),
        (
            "local_time time_zone",
            ["2026-12-01T09:00:00Z", "UTC"],
            "local_time",
            "has no offset. Fill scheduled_at",
        ),
        ("scheduled_at caption", ["2026-12-01 09:00", ""], "scheduled_at", "has no offset"),
        ("scheduled_at local_time", ["now", "2026-12-01 09:00"], "local_time", "not both"),
        ("scheduled_at caption", ["  ", "x"], "scheduled_at", "It has no time."),
        ("caption external_id", ["x", "y"], "scheduled_at", "write now to publish at once"),
        (
            "scheduled_at tiktok.disable_duet",
            ["now", "maybe"],
            "tiktok.disable_duet",
            "Must be TRUE or FALSE",
        ),
        ("scheduled_at media.width", ["now", "12.5"], "media.width", "whole number"),
        ("scheduled_at media.duration_sec", ["now", "1,234"], "media.duration_sec", "Must be a number"),
        ("scheduled_at external_id", ["now", "1.23457E+17"], "external_id", "rounded this number"),
        ("scheduled_at post_id", ["now", "7"], "post_id", "Must be the id of a post."),
        ("scheduled_at accounts", ["now", "tiktok:a|somebody"], "accounts", "id, or platform:username"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(
    files: Files, names: str, cells: list[str], path: str, message: str
) -> None:
    row = read_one(files, names, cells)
    assert row.body is None
    assert [issue["path"] for issue in row.issues] == [path]
    assert message in row.issues[0]["message"]


@pytest.mark.parametrize(
    ("names", "cells", "media"),
    [
        ("media_type", ["Text"], {"type": "text"}),
        ("media_urls media.title", ["https://x.y/C.PDF?a=1", "C"], PDF),
        ("media_type media_urls media.title", ["document", "https://x.y/C.PDF?a=1", "C"], PDF),
    ],
)
def test_a_text_is_named_and_a_document_known_by_its_name(
    files: Files, names: str, cells: list[str], media: dict[str, str]
) -> None:
    row = read_one(files, f"{names} scheduled_at", [*cells, "now"])
    assert (row.issues, row.body) == ([], {"media": media})
    assert [format_row(COLUMNS, names.split(), row.body)[-1]] == [
        cells[-1].lower() if len(cells) == 1 else "C"
    ]


def test_a_document_has_one_url(files: Files) -> None:
    row = read_one(files, "media_type media_urls scheduled_at", ["document", "a|b", "now"])
    assert [issue["message"] for issue in row.issues] == ["A document has one URL; there are 2."]


def test_the_issues_of_a_row_are_listed(files: Files) -> None:
    row = read_one(files, "media_type media_urls accounts media.width", ["video", "a|b", "x", "y"])
    assert [issue["path"] for issue in row.issues] == [
        "accounts",
        "media.width",
        "media_urls",
        "scheduled_at",
    ]
    assert [issue.get("value") for issue in row.issues] == ["x", "y", None, None]


@pytest.mark.parametrize("cell", ["now", " NOW "])
@pytest.mark.parametrize("name", ["scheduled_at", "local_time"])
def test_only_the_word_now_publishes_at_once(files: Files, name: str, cell: str) -> None:
    assert read_one(files, f"{name} caption", [cell, "x"]).body == {"caption": "x"}


@pytest.mark.parametrize(
    ("cell", "value"),
    [(yes, True) for yes in ("TRUE", "yes", "1", "Wahr", " ja ")]
    + [(no, False) for no in ("False", "NO", "0", "falsch", "nein")],
)
def test_booleans(files: Files, cell: str, value: bool) -> None:
    row = read_one(files, "scheduled_at tiktok.disable_duet", ["now", cell])
    assert row.body == {"tiktok": {"disable_duet": value}}


@pytest.mark.parametrize("cell", ["a|b c", " a \n b c|", '["a", "b c"]'])
def test_lists_are_split_at_bars_and_newlines(files: Files, cell: str) -> None:
    assert read_one(files, "scheduled_at pinterest.tags", ["now", cell]).body == {
        "pinterest": {"tags": ["a", "b c"]}
    }


class _Described(BaseModel):
    """A body with the shapes of fields that no option has yet."""

    class _Media(BaseModel):
        alt_texts: list[str | None] | None = None
        cover: float | str | None = None

    media: _Media


DESCRIBED = build_columns(_Described)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("a||b", ["a", None, "b"]),
        ("a|", ["a", None]),
        ('["a|b", null, ""]', ["a|b", None, ""]),
        ("[x]", ["[x]"]),
    ],
)
def test_a_list_may_have_gaps_where_the_field_allows_null(cell: str, value: list[str | None]) -> None:
    names = ["scheduled_at", "media.alt_texts"]
    _, body, _, issues = RowReader(DESCRIBED, names, None).read(["now", cell])
    assert (body, issues) == ({"media": {"alt_texts": value}}, [])


def test_accounts_are_ids_or_names(files: Files) -> None:
    row = read_one(files, "scheduled_at accounts", ["now", f"{ID.upper()}\ntiktok:a b:c"])
    assert row.body == {"accounts": [{"id": ID.upper()}, {"account": "tiktok:a b:c"}]}


SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet may take for a formula; the second four are the fullwidth forms of the first."""


@pytest.mark.parametrize("text", [*(f"{sign}1+1" for sign in SIGNS), "'=1", "''\uff1d1", "'x", "x=", ""])
def test_a_defused_cell_is_no_formula_and_can_be_restored(text: str) -> None:
    assert not defuse(text).startswith(SIGNS)
    assert restore(defuse(text)) == text


def test_only_a_file_that_was_written_here_is_restored(files: Files) -> None:
    assert read_one(files, "caption scheduled_at", ["'@a is back", "now"]).body == {"caption": "'@a is back"}
    row = read_one(files, "caption scheduled_at error", ["'@a is back", "now", "caption: too long"])
    assert (row.body, dict(row.source)["error"]) == ({"caption": "@a is back"}, "caption: too long")


# --- round trips -----------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
_WORD = st.text(
    st.characters(categories=["L", "N"], include_characters="|[]:/-_'=@"), min_size=1, max_size=20
)
_BY_KIND: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: _TEXT,
    Kind.WORD: _WORD,
    Kind.BOOLEAN: st.booleans(),
    Kind.INTEGER: st.integers(-(10**17), 10**17),
    Kind.NUMBER: st.floats(1e-9, 1e9),
    Kind.LIST: st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9), max_size=4
    ),
    Kind.SPARSE_LIST: st.lists(st.none() | st.just("") | _TEXT, max_size=4),
    Kind.JSON: st.recursive(
        st.booleans() | st.integers() | _TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=4
    ),
}


_FREE = sorted(set(COLUMNS.names) & COLUMNS.by_name.keys() - {"media_type", "media_urls", "accounts"})
_ENTRY = st.fixed_dictionaries({"id": st.uuids().map(str)}, optional={"caption": _TEXT})


@st.composite
def build_body(draw: st.DrawFn) -> dict[str, Any]:
    """Return a body with any of the fields that there are columns for."""
    urls = draw(st.lists(_TEXT, min_size=1, max_size=3))
    is_video = draw(st.booleans())
    body: dict[str, Any] = {
        "media": {"type": "video", "url": urls[0]} if is_video else {"type": "slideshow", "urls": urls},
        "accounts": draw(st.lists(_ENTRY, min_size=1, max_size=3)),
        "scheduled_at": draw(st.sampled_from(["2026-12-01T09:00:00Z", "2026-12-01T09:00:00.123+02:00"])),
    }
    for name in draw(st.sets(st.sampled_from(_FREE), max_size=8)):
        column = COLUMNS.by_name[name]
        value = draw(_BY_KIND[column.kind])
        section = body
        for key in column.path[:-1]:
            section = section.setdefault(key, {})
        section[column.path[-1]] = value
    return body


@given(
    bodies=st.lists(build_body(), min_size=1, max_size=4), form=st.sampled_from([Format.CSV, Format.NDJSON])
)
def test_what_is_exported_is_read_as_it_was(bodies: list[dict[str, Any]], form: Format) -> None:
    buffer, names = io.BytesIO(), [*COLUMNS.names, POST_ID]
    if form is Format.CSV:
        rows = [map(defuse, format_row(COLUMNS, names, body, ID)) for body in bodies]
        buffer.write(UTF_8_MARK + write_rows([names, *map(list, rows)]))
    else:
        buffer.write(b"".join(json.dumps({**body, "post_id": ID}).encode() + b"\n" for body in bodies))
    with TemporaryDirectory() as folder:
        read = Files(Path(folder)).read(buffer.getvalue(), form)
    assert [(row.body, row.issues, row.post_id) for row in read] == [(body, [], ID) for body in bodies]


@given(
    texts=st.lists(st.none() | st.just("") | _TEXT, max_size=4), cover=st.floats(0, 99) | st.just("") | _TEXT
)
def test_gaps_and_fields_of_several_types_are_read_as_they_were(texts: list[str | None], cover: Any) -> None:
    body = {"media": {"alt_texts": texts, "cover": cover}}
    names = ["scheduled_at", "media.alt_texts", "media.cover"]
    cells = format_row(DESCRIBED, names, body)
    assert RowReader(DESCRIBED, names, None).read(cells)[1:] == (body, None, [])


@given(bodies=st.lists(build_body(), min_size=1, max_size=6), data=st.data())
def test_reading_resumes_behind_any_row(bodies: list[dict[str, Any]], data: st.DataObject) -> None:
    buffer = io.BytesIO()
    rows = [format_row(COLUMNS, COLUMNS.names, body) for body in bodies]
    buffer.write(UTF_8_MARK + write_rows([COLUMNS.names, *rows]))
    with TemporaryDirectory() as folder:
        files = Files(Path(folder))
        files.convert(buffer.getvalue())
        read = files.open(Format.CSV)
        done = data.draw(st.sampled_from(read))
        assert files.open(Format.CSV, position=done.next_position, number=done.number) == read[done.number :]


@pytest.mark.parametrize("form", [Format.CSV, Format.XLSX, Format.NDJSON])
def test_a_template_can_be_read_and_posted(files: Files, form: Format) -> None:
    buffer, start = io.BytesIO(), datetime(2026, 12, 1, 9, tzinfo=UTC)
    accounts = [ID, "tiktok:a"]
    write_template(buffer, form, COLUMNS, rows=5, accounts=accounts, start=start, every=timedelta(hours=2))
    rows = files.read(buffer.getvalue(), form)
    times = []
    for row in rows:
        assert row.body is not None
        request = read_post({**row.body, "accounts": [{"id": ID}]}, Rules())
        assert (request.media["type"], request.account_ids) == ("video", [UUID(ID)])
        times.append(request.scheduled_at)
    assert times == [start + timedelta(hours=2 * turn) for turn in (0, 0, 1, 1, 2)]
    assert [row.body and row.body["accounts"] for row in rows[:2]] == [
        [{"id": ID}],
        [{"account": "tiktok:a"}],
    ]
    assert len({row.body["external_id"] for row in rows if row.body}) == 5


def test_there_is_no_template_in_ods() -> None:
    with pytest.raises(FileProblem, match="open the one in XLSX"):
        write_template(io.BytesIO(), Format.ODS, COLUMNS, rows=1, accounts=[], start=datetime.now(UTC))


def test_a_spreadsheet_of_exported_cells_is_read_as_it_was(files: Files) -> None:
    body = {"caption": "=1+1", "media": {"type": "slideshow", "urls": ["a", "b|c"]}, "external_id": "0012"}
    cells = format_row(COLUMNS, COLUMNS.names, body)
    (row,) = files.read(build_xlsx([COLUMNS.names, ["'" + cells[0], *cells[1:]]]), Format.XLSX)
    assert row.body == {**body, "caption": "'=1+1"}
