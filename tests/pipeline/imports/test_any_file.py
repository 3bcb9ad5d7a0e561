"""Files as agencies have them: any encoding, any order of dates, any header, with no type of media."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.imports.cells import RowReader
from pipeline.imports.columns import FileProblem, Format, ImportRow
from pipeline.imports.encodings import EncodingSurvey
from pipeline.imports.local_time import InvalidCell, read_time
from pipeline.imports.presets import parse_renamed
from tests.pipeline.imports.conftest import COLUMNS, Files
from tests.pipeline.imports.spreadsheets import build_xlsx

CAPTIONS = tomllib.loads(Path(__file__).with_name("captions.toml").read_text())
ZONE = "Europe/Berlin"


def list_captions(language: str) -> list[str]:
    found = CAPTIONS[language]
    return [f"{start} {end}" for start in found["starts"] for end in found["ends"]]


def write_table(header: Sequence[str], *rows: Sequence[str], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    return text.getvalue()


def get_bodies(found: Sequence[ImportRow]) -> list[Mapping[str, Any]]:
    assert [row.issues for row in found] == [[]] * len(found)
    return [row.body or {} for row in found]


# --- encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", CAPTIONS)
def test_forty_captions_of_a_language_are_read_as_they_were_written(files: Files, language: str) -> None:
    captions, encoding = list_captions(language), CAPTIONS[language]["encoding"]
    assert len(captions) == 40
    data = write_table(["caption", "scheduled_at"], *([one, "now"] for one in captions)).encode(encoding)
    assert [body["caption"] for body in get_bodies(files.read(data))] == captions
    assert f"was read as {encoding}" in files.notes[0]


def test_captions_of_several_western_languages_are_one_file(files: Files) -> None:
    captions = [one for name in ("French", "German", "Spanish", "Portuguese") for one in list_captions(name)]
    data = write_table(["caption", "scheduled_at"], *([one, "now"] for one in captions)).encode("cp1252")
    assert [body["caption"] for body in get_bodies(files.read(data))] == captions


def test_a_sign_that_the_pages_have_at_different_places_is_western_in_english() -> None:
    survey = EncodingSurvey()
    survey.add("Now only £5, was £9 — at the Łódź café".replace("Łódź ", "").encode("cp1252"))
    assert survey.choose().name == "cp1252"


def test_the_plan_shows_captions_in_both_readings(files: Files) -> None:
    rows = [[one, "now"] for one in ("Plain", "Crème brûlée", "Été", "Goûter", "Pâques")]
    files.read(write_table(["caption", "scheduled_at"], *rows).encode("cp1252"))
    [note] = files.notes
    assert note == (
        "The file is not UTF-8 and was read as cp1252, which is a guess. As cp1250 'Crème brûlée' would be "
        "'Crčme brűlée'; 'Goûter' would be 'Goűter'. If its letters are wrong, name its encoding."
    )


def test_its_author_decides_about_the_encoding(files: Files) -> None:
    data = "caption,scheduled_at\nGrüße,now\n".encode("mac_roman")
    assert get_bodies(files.read(data))[0]["caption"] != "Grüße"
    found = files.read(data, text_encoding="mac_roman")
    assert (get_bodies(found)[0]["caption"], files.notes) == ("Grüße", [])
    with pytest.raises(FileProblem, match="not utf-16 throughout"):
        files.read(b"\xff\xfe\x00", text_encoding="utf-16")


# --- dates -----------------------------------------------------------------------------------------------------------


def read_times(files: Files, *cells: str, **said: Any) -> list[Any]:
    found = files.read(
        write_table(["caption", "local_time"], *(["Hi", c] for c in cells)), time_zone=ZONE, **said
    )
    return [row.body["scheduled_at"] if row.body else row.issues[0]["message"] for row in found]


def test_a_date_that_admits_one_order_decides_for_all(files: Files) -> None:
    assert read_times(files, "01/12/2030 09:00", "25/12/2030 09:00") == [
        "2030-12-01T08:00:00Z",
        "2030-12-25T08:00:00Z",
    ]
    assert read_times(files, "01/12/2030 9:00 AM", "12/25/2030 6:30 pm") == [
        "2030-01-12T08:00:00Z",
        "2030-12-25T17:30:00Z",
    ]
    assert read_times(files, "30/12/01 09:00", "41-12-31 09:00") == [
        "2030-12-01T08:00:00Z",
        "2041-12-31T08:00:00Z",
    ]


def test_dates_that_admit_different_orders_only_are_refused(files: Files) -> None:
    with pytest.raises(FileProblem) as caught:
        read_times(files, "01/12/2030 09:00", "25/12/2030 09:00", "12/25/2030 09:00")
    assert "'25/12/2030 09:00' in line 3 is 25 December 2030 (day/month/year)" in str(caught.value)
    assert "'12/25/2030 09:00' in line 4 is 25 December 2030 (month/day/year)" in str(caught.value)


def test_dates_that_all_admit_both_are_refused_until_their_order_is_said(files: Files) -> None:
    with pytest.raises(FileProblem) as caught:
        read_times(files, "2030-01-02 09:00", "01/12/2030 09:00", "02/11/2030 09:00")
    assert str(caught.value) == (
        "The order of the dates cannot be told: '01/12/2030 09:00' in line 3 is 1 December 2030 (day/month/year) "
        "or 12 January 2030 (month/day/year). Say which: dates is dmy, mdy or ymd."
    )
    assert read_times(files, "01/12/2030 09:00", dates="mdy") == ["2030-01-12T08:00:00Z"]
    assert read_times(files, "01/12/2030 09:00", dates="dmy") == ["2030-12-01T08:00:00Z"]
    assert read_times(files, "25/12/2030 09:00", dates="mdy") == ["There is no such date or time."]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2030-12-01 09:00", "2030-12-01T08:00:00Z"),
        ("2030/12/01 09:00", "2030-12-01T08:00:00Z"),
        ("01.12.2030 09:00 Uhr", "2030-12-01T08:00:00Z"),
        ("2030-12-01, 12:05 a.m.", "2030-11-30T23:05:00Z"),
        ("2030-12-01 12 PM", "2030-12-01T11:00:00Z"),
        ("47818.375", "2030-12-01T08:00:00Z"),
        ("47818,3958333333", "2030-12-01T08:30:00Z"),
    ],
)
def test_a_time_may_be_written_in_many_ways(files: Files, cell: str, expected: str) -> None:
    assert read_times(files, cell) == [expected]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("2030-12-01 13:00 PM", "With AM or PM the hour is 1 to 12."),
        ("2030-12-01", "It has no time of day."),
        ("2030-12-01 9", "Not a date and time, such as "),
        ("1/2/3 09:00", "It may be read as day/month/year or month/day/year or year/month/day."),
        ("31.02.2030 09:00", "There is no such date or time."),
    ],
)
def test_what_is_no_time_is_said(cell: str, message: str) -> None:
    with pytest.raises(InvalidCell) as caught:
        read_time({"local_time": cell}, ZONE)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("2030-12-01", "9:00"),
        ("12/1/2030", "9:00 AM"),
        ("47818", "0.375"),
        ("2030-12-01 00:00:00", "09:00:00"),
    ],
)
def test_date_and_time_may_have_columns_of_their_own(files: Files, date: str, time: str) -> None:
    rows = [["Hi", date, time], ["Hi", "12/25/2030", "9:00 PM"]]
    found = files.read(write_table(["Caption", "Date", "Time"], *rows), time_zone=ZONE)
    assert get_bodies(found)[0]["scheduled_at"] == "2030-12-01T08:00:00Z"


def test_a_time_without_a_date_and_two_times_are_refused() -> None:
    for cells, kind in (
        ({"time": "9:00"}, "missing"),
        ({"local_time": "2030-12-01 09:00", "date": "2030-12-01"}, "exclusive"),
    ):
        with pytest.raises(InvalidCell) as caught:
            read_time(cells, ZONE)
        assert caught.value.build_issue("")["type"] == kind


# --- headers ---------------------------------------------------------------------------------------------------------


def test_our_names_may_be_spelled_in_any_way(files: Files) -> None:
    header = ["Caption", "Media Type", "MEDIA-URLS", "External ID", "scheduledAt", "TikTok Privacy Level"]
    data = write_table(header, ["Hi", "video", "https://a.example/v.mp4", "x1", "now", "SELF_ONLY"])
    assert get_bodies(files.read(data)) == [
        {
            "caption": "Hi",
            "media": {"type": "video", "url": "https://a.example/v.mp4"},
            "external_id": "x1",
            "tiktok": {"privacy_level": "SELF_ONLY"},
        }
    ]


def test_no_two_columns_share_a_spelling() -> None:
    found = [COLUMNS.find(name) for name in COLUMNS.names]
    assert found == list(COLUMNS.names)


def test_every_unknown_column_is_named_with_the_nearest(files: Files) -> None:
    with pytest.raises(FileProblem) as caught:
        files.read("Captoin,Notes,acounts,external_id\nHi,x,y,z\n")
    assert str(caught.value) == (
        "Column Captoin: There is no such column; did you mean `caption`? Column Notes: There is no such column. "
        "Column acounts: There is no such column; did you mean `accounts`?"
    )
    assert caught.value.status == 422
    assert [(issue["path"], issue["type"]) for issue in caught.value.issues] == [
        (name, "extra_forbidden") for name in ("Captoin", "Notes", "acounts")
    ]


def test_a_map_names_columns_and_those_that_are_not_read(files: Files) -> None:
    renamed = parse_renamed('Text=caption,Date=local_time,Notes=,"Media, all=media urls"')
    assert renamed == {"Text": "caption", "Date": "local_time", "Notes": "", "Media, all": "media urls"}
    data = write_table(
        ["TEXT", "date", "notes", "Media, all"],
        ["Hi", "2030-12-01 09:00", "for us", "https://a.example/1.jpg, https://a.example/2,3.jpg"],
    )
    [body] = get_bodies(files.read(data, renamed=renamed, time_zone=ZONE))
    assert body == {
        "caption": "Hi",
        "scheduled_at": "2030-12-01T08:00:00Z",
        "media": {"type": "slideshow", "urls": ["https://a.example/1.jpg", "https://a.example/2,3.jpg"]},
    }
    assert files.notes == ["These columns are not read: notes."]


@pytest.mark.parametrize("text", ["Text", "=caption", "Text=captoin"])
def test_a_map_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(FileProblem):
        COLUMNS.rename(parse_renamed(text))


def test_two_columns_of_one_field_are_refused(files: Files) -> None:
    with pytest.raises(FileProblem, match="Columns 1 and 2 have the same name"):
        files.read("Text,caption\na,b\n", renamed={"Text": "caption"})


def test_a_sheet_has_them_too(files: Files) -> None:
    data = build_xlsx(
        [["Text", "Date", "Time"], ["Hi", "12/1/2030", "9:00 AM"], ["Hi", "12/31/2030", "9:00 AM"]]
    )
    bodies = get_bodies(files.read(data, Format.XLSX, renamed={"Text": "caption"}, time_zone=ZONE))
    assert [body["scheduled_at"] for body in bodies] == ["2030-12-01T08:00:00Z", "2030-12-31T08:00:00Z"]


# --- media and accounts ----------------------------------------------------------------------------------------------


def read_cells(**cells: str) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    given = {"scheduled_at": "now", **cells}
    _, body, _, issues = RowReader(COLUMNS, list(given), ZONE).read(list(given.values()))
    return body, issues


@pytest.mark.parametrize(
    ("urls", "media"),
    [
        ("https://a.example/V.MP4?x=1", {"type": "video", "url": "https://a.example/V.MP4?x=1"}),
        ("https://a.example/a.jpg", {"type": "slideshow", "urls": ["https://a.example/a.jpg"]}),
        ("b.mov", {"type": "video", "url": "b.mov"}),
        ("a.jpg, b.png|c.webp", {"type": "slideshow", "urls": ["a.jpg", "b.png", "c.webp"]}),
        (
            "https://a.example/1,https://a.example/2",
            {"type": "slideshow", "urls": ["https://a.example/1", "https://a.example/2"]},
        ),
    ],
)
def test_the_type_of_media_follows_from_their_names(urls: str, media: Mapping[str, Any]) -> None:
    body, issues = read_cells(media_urls=urls)
    assert (body["media"], issues) == (media, [])


def test_a_name_that_does_not_tell_asks_for_the_type() -> None:
    _, [issue] = read_cells(media_urls="https://a.example/download")
    assert (issue["path"], issue["type"]) == ("media_type", "missing")
    assert "https://a.example/download does not tell what it is" in issue["message"]


def test_accounts_are_separated_by_bars_or_commas() -> None:
    body, _ = read_cells(accounts="tiktok:a, instagram:b|youtube:c")
    assert [one["account"] for one in body["accounts"]] == ["tiktok:a", "instagram:b", "youtube:c"]
