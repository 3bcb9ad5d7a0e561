"""Files as they arrive: content encodings, encodings of text, formats."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from config.groups import Imports
from pipeline.imports.columns import FileProblem, Format, detect_format
from pipeline.imports.convert import PIECE, convert_file, read_head, read_pieces
from pipeline.runtime.interpreter import zstd
from tests.pipeline.imports.conftest import COLUMNS, Files
from tests.pipeline.imports.spreadsheets import build_ods, build_xlsx

TEXT = "caption,scheduled_at\n" + "".join(f"Grüße {n},now\n" for n in range(5000))
STAGED = (
    b'["---",",","caption","scheduled_at"]\n'
    + "".join(f'[{n + 2},"Grüße {n}","now"]\n' for n in range(5000)).encode()
)
COMPRESSORS = [("gzip", gzip.compress), ("zstd", zstd.compress)]
Compress = Callable[[bytes], bytes]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS)
class TestContentEncoding:
    def test_it_is_inflated(self, files: Files, encoding: str, compress: Compress) -> None:
        rows = files.read(compress(TEXT.encode()), encoding=encoding.upper())
        assert [row.body and row.body["caption"] for row in rows] == [f"Grüße {n}" for n in range(5000)]

    def test_a_file_may_have_several_members(self, files: Files, encoding: str, compress: Compress) -> None:
        data = TEXT.encode()
        assert len(files.read(compress(data[:999]) + compress(data[999:]), encoding=encoding)) == 5000

    @pytest.mark.parametrize("cut", [3, 1000])
    def test_a_truncated_file_is_refused(
        self, files: Files, encoding: str, compress: Compress, cut: int
    ) -> None:
        with pytest.raises(FileProblem, match="cut off") as caught:
            files.read(compress(TEXT.encode())[:-cut], encoding=encoding)
        assert caught.value.status == 422
        assert list(files.plain.parent.iterdir()) == [files.source]

    def test_other_bytes_are_refused(self, files: Files, encoding: str, compress: Compress) -> None:
        with pytest.raises(FileProblem, match="damaged"):
            files.read(TEXT.encode() + compress(b""), encoding=encoding)

    def test_a_bomb_ends_early_and_in_pieces(self, files: Files, encoding: str, compress: Compress) -> None:
        files.source.write_bytes(compress(bytes(300 << 20)))
        sizes: list[int] = []
        with pytest.raises(FileProblem, match="more than 200 times its size") as caught:
            sizes.extend(map(len, read_pieces(files.source, encoding, Imports())))
        assert (caught.value.status, caught.value.code) == (413, "payload_too_large")
        assert max(sizes) <= PIECE
        assert sum(sizes) < 5 << 20

    def test_text_over_the_limit_is_refused(self, files: Files, encoding: str, compress: Compress) -> None:
        with pytest.raises(FileProblem, match="more than 1,000 bytes") as caught:
            files.read(compress(TEXT.encode()), encoding=encoding, limits=Imports(max_bytes=1000))
        assert caught.value.status == 413

    def test_the_format_is_found_inside(self, files: Files, encoding: str, compress: Compress) -> None:
        files.source.write_bytes(compress(build_ods([["caption"]])))
        assert detect_format(None, None, read_head(files.source, encoding, Imports())) is Format.ODS
        with pytest.raises(FileProblem, match=f"Content-Encoding: {encoding}"):
            detect_format("posts.csv", None, files.source.read_bytes())


def test_a_spreadsheet_may_be_compressed_too(files: Files) -> None:
    data = gzip.compress(build_xlsx([["caption", "scheduled_at"], ["x", "now"]]))
    (row,) = files.read(data, Format.XLSX, encoding="gzip")
    assert row.body == {"caption": "x"}


def test_a_zstd_window_over_8_mib_is_refused(files: Files) -> None:
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 24,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    compressor = zstd.ZstdCompressor(options=options)
    data = compressor.compress(bytes(range(256)) * 80_000) + compressor.flush()
    with pytest.raises(FileProblem, match="cannot be inflated as zstd"):
        files.read(data, encoding="zstd")


def test_another_content_encoding_is_refused(files: Files) -> None:
    with pytest.raises(FileProblem, match="'br' is not read: send gzip, zstd or none") as caught:
        files.read(TEXT, encoding="br")
    assert (caught.value.status, caught.value.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
    ids=["UTF-8 with a mark", "UTF-16, little", "UTF-16, big"],
)
def test_unicode_is_read_without_a_note(files: Files, data: bytes) -> None:
    rows = files.read(data)
    assert (len(rows), rows[7].body, files.notes) == (5000, {"caption": "Grüße 7"}, [])


@pytest.mark.parametrize(
    ("encoding", "caption"),
    [
        ("cp1252", "Grüße aus München für 5 €"),
        ("cp1251", "Привет, мир, это запись"),
        ("cp932", "これはテストです。日本語"),
    ],
)
def test_another_encoding_is_guessed_and_said(files: Files, encoding: str, caption: str) -> None:
    (row,) = files.read(f"caption;scheduled_at\n{caption};now\n".encode(encoding))
    assert row.body == {"caption": caption}
    assert files.notes == [
        f"The file is not UTF-8 and was read as {encoding}, which is a guess. If its letters are wrong, name its "
        "encoding."
    ]


def test_a_bad_byte_in_utf8_is_not_guessed_over(files: Files) -> None:
    rows = files.read("caption,scheduled_at\nä,now\nö,now\n".encode() + b"\xe4,now\n")
    assert [row.body and row.body["caption"] for row in rows] == ["ä", "ö", None]
    assert rows[2].issues[0]["message"] == "It holds bytes that are not UTF-8."
    assert files.notes == []


@pytest.mark.parametrize(
    "data", [TEXT.encode("utf-16-le"), TEXT.encode("utf-32"), TEXT.encode("utf-16")[:-1]]
)
def test_text_that_cannot_be_decoded_is_refused(files: Files, data: bytes) -> None:
    with pytest.raises(FileProblem, match="Save it as UTF-8"):
        files.read(data)


def test_converting_again_makes_the_same_file(files: Files, tmp_path: Path) -> None:
    files.convert(TEXT)
    first = files.plain.read_bytes()
    files.plain.write_bytes(b"cut off by a crash")
    files.convert(TEXT)
    assert files.plain.read_bytes() == first == STAGED


def test_two_may_convert_at_once(files: Files, tmp_path: Path) -> None:
    files.source.write_bytes(TEXT.encode("utf-16"))
    both = Barrier(2)

    def convert(_: int) -> int:
        pieces: list[int] = []

        def meet() -> None:
            if not pieces:
                both.wait(60)  # each has begun before either goes on
            pieces.append(1)

        convert_file(files.source, files.plain, Format.CSV, Imports(), COLUMNS, on_piece=meet)
        return len(pieces)

    with ThreadPoolExecutor(2) as threads:
        assert min(threads.map(convert, range(2))) > 1
    assert files.plain.read_bytes() == STAGED
    assert sorted(tmp_path.iterdir()) == sorted([files.source, files.plain])


@pytest.mark.parametrize(
    ("name", "content_type", "head", "expected"),
    [
        ("a.CSV", None, b"caption", Format.CSV),
        ("a.jsonl", "text/csv", b"", Format.NDJSON),
        (None, "application/x-ndjson; charset=utf-8", b"", Format.NDJSON),
        (None, "application/octet-stream", b'\xef\xbb\xbf\n{"caption": 1}', Format.NDJSON),
        ("-", None, b"caption;scheduled_at", Format.CSV),
        ("a.csv", "text/csv", build_xlsx([["a"]])[:512], Format.XLSX),
        (None, None, build_ods([["a"]])[:512], Format.ODS),
    ],
)
def test_the_format_is_recognized(
    name: str | None, content_type: str | None, head: bytes, expected: Format
) -> None:
    assert detect_format(name, content_type, head) is expected


@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1", "before 2007, or has a password"),
        ("a.pdf", b"%PDF-1.7", "PDF"),
        ("a.xlsx", b"caption,", "not those of a spreadsheet"),
    ],
)
def test_another_format_is_refused(name: str, head: bytes, message: str) -> None:
    with pytest.raises(FileProblem, match=message):
        detect_format(name, None, head)
