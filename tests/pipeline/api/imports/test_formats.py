"""Files of every format and encoding over HTTP, and files that cannot be read as a whole."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from pipeline.runtime.interpreter import zstd
from tests.pipeline.api.imports.importing import Importer, write_lines
from tests.pipeline.api.imports.test_applying import apply
from tests.pipeline.api.imports.test_rows import fetch

HEADER = "Caption;media_type;media_urls;accounts;local_time;tiktok.privacy_level\n"
URL = "https://cdn.example.com/v.mp4"


def write_table(*lines: str) -> bytes:
    return (HEADER + "".join(f"{line}\n" for line in lines)).encode()


def test_a_german_csv_with_a_zone_is_imported(importer: Importer) -> None:
    data = write_table(f"Grüße;video;{URL};tiktok:tiktok_user;01.07.2031 09:00;SELF_ONLY")
    identity = importer.upload(data, "?time_zone=Europe/Berlin&name=juli.csv", **{"Content-Type": "text/csv"})
    done = apply(importer, importer.work(identity))
    assert (done["format"], done["result"]) == ("csv", {"created": 1})
    [post] = importer.posts()
    assert (post.caption, post.tiktok) == ("Grüße", {"privacy_level": "SELF_ONLY"})
    assert post.due_at == datetime(2031, 7, 1, 7, tzinfo=UTC)


def test_rejected_rows_are_fetched_corrected_and_sent_again(importer: Importer) -> None:
    good = f"Good;video;{URL};tiktok:tiktok_user;2031-07-01 09:00;"
    data = write_table(good, f"=Bad;video;{URL};tiktok:nobody;2031-07-01 09:00;")
    query = "?time_zone=Europe/Berlin&format=csv"
    first = apply(importer, importer.work(importer.upload(data, query)))
    assert (first["result"], first["counts"]["rejected"]) == ({"created": 1}, 1)
    answer = fetch(importer, first["id"], "?verdict=rejected")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert row["Caption"] == "'=Bad", "no spreadsheet takes it for a formula"
    assert row["error"] == "line 3: accounts.0: The account tiktok:nobody is not yours or not active."
    corrected = answer.content.replace(b"tiktok:nobody", b"tiktok:tiktok_user")
    again = apply(importer, importer.work(importer.upload(corrected, query)))
    assert again["result"] == {"created": 1}
    assert [p.caption for p in importer.posts()] == ["Good", "=Bad"]


def test_rejected_rows_have_the_header_the_order_and_the_cells_of_their_file(importer: Importer) -> None:
    header = [" Status", "Accounts", "CAPTION", "media_urls", "Media_Type", "local_time "]
    good = ["draft", "tiktok:tiktok_user", "Good", URL, "video", "2031-07-01 09:00"]
    wrong = [
        ["-x", "tiktok:nobody", "=Bad", URL, "video", "2031-07-01 09:00"],
        [*good, "", "=beyond"],
        good[:3],
    ]
    lines = [header, good, *wrong]
    data = "".join(",".join(line) + "\n" for line in lines) + '"open,\n'
    query = "?time_zone=Europe/Berlin&format=csv"
    found = importer.work(importer.upload(data.encode(), query))
    assert found["counts"] == {"rows": 5, "accepted": 1, "duplicate": 0, "rejected": 4}
    answer = fetch(importer, found["id"], "?verdict=rejected")
    table = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert table[0] == [*header, "error"]
    errors = [row[6] for row in table[1:]]
    assert [error.partition(":")[0] for error in errors] == ["line 3", "line 4", "line 5", "line 6"]
    assert table[1] == ["'-x", "tiktok:nobody", "'=Bad", *wrong[0][3:], errors[0]]
    assert table[2] == [*good, errors[1], "", "'=beyond"]
    assert table[3] == [*good[:3], "", "", "", errors[2]]
    assert table[4] == ["", "", "", "", "", "", errors[3]]
    receipts = fetch(importer, found["id"], "?verdict=rejected&format=ndjson").text.splitlines()
    source = dict(zip(header, good, strict=True))
    assert json.loads(receipts[1])["source"] == {**source, "column 7": "", "column 8": "=beyond"}

    again = importer.work(importer.upload(answer.content, query))
    second = fetch(importer, again["id"], "?verdict=rejected").text
    table_again = list(csv.reader(io.StringIO(second, newline="")))
    assert table_again[0] == table[0], "the error of the file sent is replaced, in its place"
    without_errors = [[*row[:6], *row[7:]] for row in table_again[1:]]
    assert without_errors == [[*row[:6], *row[7:]] for row in table[1:]]


def test_a_compressed_file_is_imported(importer: Importer) -> None:
    packed = zstd.compress(write_lines(importer.body(1)))
    assert importer.work(importer.upload(packed, **{"Content-Encoding": "zstd"}))["plan"]["new"] == 1


@pytest.mark.parametrize(
    ("data", "headers", "code", "said"),
    [
        (gzip.compress(b" " * 10_000_000), {"Content-Encoding": "gzip"}, "payload_too_large", "200"),
        (b"caption,capton,accounts\na,b,c\n", {"Content-Type": "text/csv"}, "invalid_payload", "capton"),
    ],
    ids=["gzip bomb", "unknown column"],
)
def test_a_file_that_cannot_be_read_fails_and_says_why(
    importer: Importer, data: bytes, headers: dict[str, str], code: str, said: str
) -> None:
    found = importer.work(importer.upload(data, **headers))
    assert (found["state"], found["error"]["code"]) == ("failed", code)
    assert said in found["error"]["message"]
    assert importer.act(UUID(found["id"]), "apply", {"plan": "0" * 64}).json()["error_code"] == "import_state"


def test_a_file_of_no_format_is_refused_at_once(importer: Importer) -> None:
    answer = importer.send(b"%PDF-1.7 ...")
    assert (answer.status_code, answer.json()["error_code"]) == (415, "unsupported_media_type")
    answer = importer.send(b"x", **{"Content-Encoding": "br"})
    assert (answer.status_code, answer.json()["error_code"]) == (415, "unsupported_media_type")


def test_a_row_without_a_time_is_rejected_unless_it_says_now(importer: Importer) -> None:
    bodies = [importer.body(1), importer.body(2, scheduled_at="now"), importer.body(3, scheduled_at=None)]
    planned = importer.plan(*bodies)
    assert [r.verdict for r in importer.records(planned["id"])] == ["accepted", "accepted", "rejected"]
