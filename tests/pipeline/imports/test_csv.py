"""CSV: delimiters, headers, and rows that cannot be read beside rows that can."""

from __future__ import annotations

from typing import Any

import pytest

from config.groups import Imports
from pipeline.imports.columns import FileProblem, Format
from tests.pipeline.imports.conftest import Files

HEADER = "caption,scheduled_at\n"


def list_captions(files: Files, text: bytes | str, limits: Imports | None = None) -> list[Any]:
    return [row.body and row.body["caption"] for row in files.read(text, limits=limits)]


@pytest.mark.parametrize(
    "text",
    [
        "caption,scheduled_at\nx,now\n",
        "\ufeffcaption;scheduled_at\r\nx;now\r\n",
        "caption\tscheduled_at\nx\tnow",
        "sep=;\r\ncaption;scheduled_at\r\nx;now",
        '"caption","scheduled_at"\n"x","now"\n',
        "\n  Caption ,SCHEDULED_AT  ,,\nx,now\n",
    ],
    ids=["commas", "German Excel", "tabs", "named delimiter", "all quoted", "case, spaces, unnamed columns"],
)
def test_what_programs_write_is_read(files: Files, text: str) -> None:
    assert list_captions(files, text) == ["x"]


def test_german_excel_is_read(files: Files) -> None:
    header = (
        "Caption;media_type;media_urls;accounts;Local_Time;time_zone;media.duration_sec;tiktok.disable_duet"
    )
    cells = 'Grüße aus Köln;video;https://a.example/1.mp4;tiktok:a;"01.12.2026 09:00";Europe/Berlin;12,5;WAHR'
    (row,) = files.read(f"{header}\r\n{cells}\r\n{';' * 7}\r\n".encode("cp1252"))
    assert row.body == {
        "caption": "Grüße aus Köln",
        "media": {"type": "video", "url": "https://a.example/1.mp4", "duration_sec": 12.5},
        "accounts": [{"account": "tiktok:a"}],
        "scheduled_at": "2026-12-01T08:00:00Z",
        "tiktok": {"disable_duet": True},
    }


def test_a_row_says_where_it_is_and_what_it_was(files: Files) -> None:
    rows = files.read(HEADER + '"a\nb",now\n\n,\nc,tomorrow\n')
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 6)]
    assert rows[1].source == [("caption", "c"), ("scheduled_at", "tomorrow")]
    assert rows[1].body is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\r\n", "no row"),
        (HEADER, "no row"),
        (HEADER + ",\n\n", "no row"),
        ("caption,,scheduled_at\nx,,now\n", "Column 2 has no name"),
        ("Hello,2026\nx,now\n", "must hold the names"),
        ('"caption,scheduled_at\nx,now\n', "header cannot be read. A quote opens"),
        ("caption," * 10_000 + "\n", "header cannot be read. The row has more than 65,536 bytes"),
    ],
)
def test_a_file_without_rows_or_header_is_refused(files: Files, text: str, message: str) -> None:
    with pytest.raises(FileProblem, match=message):
        files.read(text)


def test_an_unclosed_quote_rejects_its_line_only(files: Files) -> None:
    rows = files.read(HEADER + 'a,now\n"b,now\nc,now\n"d ""e""",now\n')
    assert [row.body and row.body["caption"] for row in rows] == ["a", None, "c", 'd "e"']
    assert rows[1].line == 3
    assert rows[1].issues[0]["type"] == "quote"


def test_an_unclosed_quote_far_from_the_next_swallows_nothing(files: Files) -> None:
    rows = files.read(HEADER + '"a,now\n' + "b,now\n" * 20_000 + '"c",now\n"d,now\n')
    assert [row.number for row in rows if row.body is None] == [1, 20_003]
    assert "does not close it" in rows[0].issues[0]["message"]
    assert rows[-2].body == {"caption": "c"}
    assert [rows[-2].line, rows[-1].line] == [20_003, 20_004]


@pytest.mark.parametrize(
    "cell",
    ["x" * 1_000_000, '"' + "x" * 1_000_000 + '"', '"' + "x\n" * 500_000 + '"'],
    ids=["plain", "quoted", "lines"],
)
def test_a_cell_of_a_megabyte_rejects_its_row_only(files: Files, cell: str) -> None:
    rows = files.read(f"{HEADER}a,now\n{cell},now\nc,now\n")
    assert [row.body and row.body["caption"] for row in rows] == ["a", None, "c"]
    assert rows[1].issues[0]["message"] == "The row has more than 65,536 bytes, which is the maximum."
    assert rows[1].source == [("caption", ""), ("scheduled_at", "")]
    assert rows[2].line == 4 + cell.count("\n")


def test_the_limit_counts_the_bytes_of_a_row(files: Files) -> None:
    limits = Imports.model_construct(max_row_bytes=30)
    fits, over = "ä" * 13 + ",now", "ä" * 13 + "a,now"
    assert list_captions(files, f"{HEADER}{fits}\r\n{over}\r\n{fits}", limits) == ["ä" * 13, None, "ä" * 13]


def test_a_nul_rejects_its_row_only(files: Files) -> None:
    rows = files.read(HEADER + "a\0b,now\nc,now\n")
    assert [row.body for row in rows] == [None, {"caption": "c"}]
    assert rows[0].issues == [
        {"path": "caption", "message": "It holds a NUL character.", "type": "string_unicode"}
    ]


@pytest.mark.parametrize(("row", "found"), [("x", 1), ("x,now,y", 3)])
def test_a_row_has_as_many_cells_as_the_header(files: Files, row: str, found: int) -> None:
    rows = files.read(f"{HEADER}{row}\nz,now,,\n")
    assert rows[0].issues[0]["message"] == f"The row has {found} cells, and the header 2."
    assert rows[1].body == {"caption": "z"}


def test_more_rows_than_the_limit_are_refused(files: Files) -> None:
    files.convert(HEADER + "x,now\n" * 6)
    assert len(files.open(Format.CSV, Imports(max_rows=6))) == 6
    with pytest.raises(FileProblem, match="more than 5 rows") as caught:
        files.open(Format.CSV, Imports(max_rows=5))
    assert (caught.value.status, caught.value.code) == (413, "payload_too_large")


@pytest.mark.parametrize(("form", "start"), [(Format.CSV, HEADER), (Format.NDJSON, "")])
def test_blank_rows_have_a_limit(files: Files, form: Format, start: str) -> None:
    text = start + "\n" * 11 + ("x,now" if start else '{"scheduled_at": "now"}')
    assert len(files.read(text, form, limits=Imports(max_rows=6))) == 1
    with pytest.raises(FileProblem, match="more than 10 blank rows") as caught:
        files.convert(text, form, Imports(max_rows=5))
    assert caught.value.status == 413
