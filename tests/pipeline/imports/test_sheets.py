"""XLSX and ODS: what cells mean, which sheet is read, and archives that lie."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from config.groups import Imports
from pipeline.imports.columns import FileProblem, Format
from pipeline.imports.read import stage_rows
from tests.pipeline.imports.conftest import COLUMNS, Files
from tests.pipeline.imports.spreadsheets import (
    build_bomb,
    build_far_cell,
    build_ods,
    build_xlsx,
    replace_text,
)

HEADER = ["caption", "scheduled_at"]
HALF_PAST_9 = datetime(2026, 12, 1, 9, 30)  # noqa: DTZ001  as cells are
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("form", "build"), [(Format.XLSX, build_xlsx), (Format.ODS, build_ods)])
def test_both_formats_are_read(files: Files, form: Format, build: Any) -> None:
    header = "Caption |MEDIA_TYPE|media_urls|accounts|local_time|time_zone|tiktok.disable_duet"
    cells = [
        "Grüße 😀",
        "Video",
        "https://a.example/1.mp4",
        "tiktok:a | instagram:b",
        HALF_PAST_9,
        "UTC",
        True,
    ]
    rows = files.read(build([header.split("|"), cells]), form)
    assert [(row.number, row.line, row.issues) for row in rows] == [(1, 2, [])]
    assert rows[0].body == {
        "caption": "Grüße 😀",
        "media": {"type": "video", "url": "https://a.example/1.mp4"},
        "accounts": [{"account": "tiktok:a"}, {"account": "instagram:b"}],
        "scheduled_at": "2026-12-01T09:30:00Z",
        "tiktok": {"disable_duet": True},
    }


def test_numbers_keep_their_digits(files: Files) -> None:
    header = [*HEADER, "external_id", "pinterest.board_id", "media.duration_sec", "media.width"]
    (row,) = files.read(
        build_xlsx([header, ["x", "now", 700001000, 123456789012345, 12.5, 1080]]), Format.XLSX
    )
    assert row.body is not None
    assert (row.body["external_id"], row.body["pinterest"]) == ("700001000", {"board_id": "123456789012345"})
    assert row.body["media"] == {"duration_sec": 12.5, "width": 1080}


def test_a_number_that_a_spreadsheet_has_rounded_is_an_error(files: Files) -> None:
    (row,) = files.read(
        build_xlsx([[*HEADER, "external_id"], ["x", "now", 1234567890123456789]]), Format.XLSX
    )
    assert row.body is None
    assert row.issues[0]["path"] == "external_id"
    assert "rounded this number" in row.issues[0]["message"]


def test_a_formula_counts_as_its_cached_value(files: Files) -> None:
    (row,) = files.read(build_xlsx([HEADER, [('="a"&"b"', "ab"), "now"]]), Format.XLSX)
    assert row.body == {"caption": "ab"}


def test_the_first_visible_sheet_is_read(files: Files) -> None:
    (row,) = files.read(build_xlsx([HEADER, ["x", "now"]], hidden_first=True), Format.XLSX)
    assert row.body == {"caption": "x"}


def test_a_sheet_is_needed_that_is_visible(files: Files) -> None:
    data = build_xlsx([HEADER, ["x", "now"]])
    hidden = replace_text(
        data, "xl/workbook.xml", b'<sheet name="posts"', b'<sheet state="hidden" name="posts"'
    )
    with pytest.raises(FileProblem, match="no visible sheet"):
        files.read(hidden, Format.XLSX)


def test_blank_rows_are_left_out_and_lines_are_those_of_the_sheet(files: Files) -> None:
    rows = files.read(build_xlsx([[], HEADER, [], ["a", "now"], ["", ""], [], ["b", "now"]]), Format.XLSX)
    assert [(row.number, row.line) for row in rows] == [(1, 4), (2, 7)]


def test_a_date_without_a_time_of_day_is_an_error(files: Files) -> None:
    (row,) = files.read(
        build_xlsx(
            [
                ["caption", "local_time", "time_zone"],
                ["x", HALF_PAST_9.replace(hour=0, minute=0), "Europe/Berlin"],
            ]
        ),
        Format.XLSX,
    )
    assert row.issues[0]["path"] == "local_time"
    assert "no time of day" in row.issues[0]["message"]


def test_rows_of_a_spreadsheet_have_a_limit_of_their_own(files: Files) -> None:
    data = build_xlsx([HEADER, *[["x", "now"]] * 11])
    with pytest.raises(FileProblem, match="more than 10 rows") as caught:
        files.read(data, Format.XLSX, limits=Imports(max_sheet_rows=10))
    assert (caught.value.status, caught.value.code) == (413, "payload_too_large")
    assert len(files.read(data, Format.XLSX, limits=Imports(max_sheet_rows=11))) == 11


@pytest.mark.parametrize(
    "line", [b"", b"17", b'{"a": 1}', b"[1, 2]", b'["x", "caption"]', b"[" * 100_000, b'[1,"' + b"x" * 70_000]
)
def test_what_a_process_writes_that_was_taken_over_is_not_believed(files: Files, line: bytes) -> None:
    files.source.write_bytes(line + b"\n")
    with pytest.raises(FileProblem, match="damaged"):
        stage_rows(files.source, files.plain, Format.XLSX, Imports(), COLUMNS)


def test_a_cell_over_the_limit_rejects_its_row_only(files: Files) -> None:
    rows = files.read(
        build_xlsx([HEADER, ["x" * 30_000, "now"], ["y", "now"]]),
        Format.XLSX,
        limits=Imports.model_construct(max_row_bytes=20_000),
    )
    assert [row.body for row in rows] == [None, {"caption": "y"}]
    assert rows[0].issues[0]["type"] == "too_long"


@pytest.mark.parametrize("declared", [None, 4000], ids=["an honest directory", "a directory that lies"])
def test_a_zip_bomb_is_refused(files: Files, declared: int | None) -> None:
    with pytest.raises(FileProblem, match="inflates to more than") as caught:
        files.read(build_bomb(300 << 20, declared), Format.XLSX)
    assert (caught.value.status, caught.value.code) == (413, "payload_too_large")
    assert not files.plain.exists()


def test_a_cell_far_away_ends_the_process_that_reads_it_and_no_other(files: Files) -> None:
    with pytest.raises(FileProblem, match="512 MiB of memory") as caught:
        files.read(build_far_cell(), Format.XLSX)
    assert caught.value.status == 413
    (row,) = files.read(build_xlsx([HEADER, ["x", "now"]]), Format.XLSX)
    assert row.body == {"caption": "x"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and no more", "damaged"),
        (build_xlsx([HEADER])[:-200], "damaged"),
        (replace_text(build_xlsx([HEADER]), "xl/workbook.xml", b"<sheets>", b"<she"), "damaged"),
        (build_xlsx([]), "empty"),
        (build_xlsx([HEADER]), "no row"),
        (build_xlsx([["captoin"], ["x"]]), "names of the columns"),
    ],
    ids=[
        "nothing",
        "only its mark",
        "cut off",
        "bad XML",
        "blank sheet",
        "header alone",
        "no column is known",
    ],
)
def test_a_spreadsheet_without_rows_is_refused(files: Files, data: bytes, message: str) -> None:
    with pytest.raises(FileProblem, match=message):
        files.read(data, Format.XLSX)


def test_the_library_is_never_loaded_by_the_process_that_imports(files: Files) -> None:
    files.source.write_bytes(build_xlsx([HEADER, ["x", "now"]]))
    program = (
        "import sys; from pathlib import Path; from pipeline.imports.convert import convert_file;"
        "from config.groups import Imports; from pipeline.imports.columns import Columns, Format;"
        "convert_file(Path(sys.argv[1]), Path(sys.argv[2]), Format.XLSX, Imports(), Columns([]));"
        "assert 'python_calamine' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program, files.source, files.plain], cwd=ROOT, check=True, timeout=120
    )
    assert files.plain.read_bytes() == b'["---","1","caption","scheduled_at"]\n[2,"x","now"]\n'
