"""NDJSON: the body of a POST on each line."""

from __future__ import annotations

import json

import pytest

from config.groups import Imports
from pipeline.imports.columns import FileProblem, Format
from tests.pipeline.imports.conftest import Files

ID = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"
POST = {
    "caption": "x|y\n'z",
    "media": {"type": "video", "url": "https://a.example/1.mp4"},
    "accounts": [{"account": "tiktok:a"}],
    "scheduled_at": "2026-12-01T09:00:00Z",
}


def test_a_line_is_the_body_of_a_post(files: Files) -> None:
    line = json.dumps(POST)
    (row,) = files.read(f"\n{line}\r\n\n", Format.NDJSON)
    assert (row.body, row.source, row.number, row.line) == (POST, line, 1, 2)


_NO_TIME = (
    "It has no time. Fill scheduled_at; write now to publish at once, or auto for the next free posting time."
)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": NaN}', "NaN is not JSON: numbers must be finite."),
        (
            '{"a": 1} {"b": 2}',
            "Something follows the JSON value at column 10. Send one value and nothing after it.",
        ),
        ('{"a": "b', "The line is not JSON: Unterminated string starting at column 7."),
        ("17", "The line must be a JSON object."),
        ("{}", _NO_TIME),
        ('{"scheduled_at": null}', _NO_TIME),
        ('{"scheduled_at": "now", "post_id": 7}', "Must be the id of a post."),
        (
            '{"caption": "' + "x" * 1_000_000 + '"}',
            "The row has more than 65,536 bytes, which is the maximum.",
        ),
    ],
)
def test_a_bad_line_blocks_no_other(files: Files, line: str, message: str) -> None:
    rows = files.read(f'{line}\n{{"caption": "b", "scheduled_at": " NOW "}}\n', Format.NDJSON)
    assert [issue["message"] for issue in rows[0].issues] == [message]
    assert [row.body for row in rows] == [None, {"caption": "b"}]


def test_bytes_that_are_not_utf8_reject_their_line(files: Files) -> None:
    good = '{"caption": "ä", "scheduled_at": "now"}\n'.encode()
    rows = files.read(good * 2 + good.replace(b"\xc3", b"") + good, Format.NDJSON)
    assert [row.body is None for row in rows] == [False, False, True, False]
    assert "not UTF-8" in rows[2].issues[0]["message"]


def test_keys_of_an_export_are_not_part_of_the_body(files: Files) -> None:
    (row,) = files.read(json.dumps({**POST, "post_id": ID, "error": "e"}), Format.NDJSON)
    assert (row.body, row.post_id) == (POST, ID)


def test_what_the_maker_of_a_row_refused_rejects_it(files: Files) -> None:
    (row,) = files.read(json.dumps({**POST, "refused": [["poll", "No counterpart.", 7]]}), Format.NDJSON)
    assert row.body is None
    assert row.issues == [{"path": "poll", "message": "No counterpart.", "type": "rule", "value": 7}]
    (row,) = files.read(json.dumps({**POST, "refused": []}), Format.NDJSON)
    assert row.body == POST
    for other in (7, [7], [["poll"]], {"poll": 7}):
        (row,) = files.read(json.dumps({**POST, "refused": other}), Format.NDJSON)
        assert row.body == {**POST, "refused": other}, "an unknown field of a post, which the API refuses"


@pytest.mark.parametrize(("text", "message"), [("", "empty"), ("\n\n", "no row"), ("[\n{}\n]", "JSON array")])
def test_a_file_without_lines_is_refused(files: Files, text: str, message: str) -> None:
    with pytest.raises(FileProblem, match=message):
        files.read(text, Format.NDJSON)


def test_reading_resumes_behind_any_row(files: Files) -> None:
    files.convert("".join(json.dumps({**POST, "caption": f"ä{n}"}) + "\n\n" for n in range(5)), Format.NDJSON)
    rows = files.open(Format.NDJSON)
    for done in rows:
        assert (
            files.open(Format.NDJSON, position=done.next_position, number=done.number) == rows[done.number :]
        )
    with pytest.raises(FileProblem, match="more than 4 rows"):
        files.open(Format.NDJSON, Imports(max_rows=4), position=rows[2].next_position, number=3)
