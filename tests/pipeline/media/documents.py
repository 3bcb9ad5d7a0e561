"""Small PDFs: with a table of objects, or compressed as most programs write them."""

from __future__ import annotations

import io
import zlib
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import NameObject, StreamObject


def write(writer: PdfWriter) -> bytes:
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def document(pages: int, content: bytes = b"", **passwords: Any) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        page = writer.add_blank_page(200, 200)
        if content:
            stream = StreamObject()
            stream.set_data(content)
            page[NameObject("/Contents")] = writer._add_object(stream)
    writer.add_metadata({"/Title": "Katalog 目录"})
    if passwords:
        writer.encrypt(**passwords)
    return write(writer)


def from_objects(*objects: bytes, trailer: bytes = b"") -> bytes:
    """Return a PDF of these objects, numbered from 1, the first of them its catalogue."""
    data, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(places) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF"
    return data + end % (size, table, size, trailer, len(data))


def compressed(packed: bytes, first: int, count: int) -> bytes:
    """Return a PDF whose catalogue and page tree lie in a compressed object stream, as most programs write it."""
    data = b"%PDF-1.7\n"
    head = b"<</Type/ObjStm/N %d/First %d/Filter/FlateDecode/Length %d>>stream\n"
    stream_at = len(data)
    data += b"9 0 obj\n" + head % (count, first, len(packed)) + packed + b"\nendstream\nendobj\n"
    rows = b"".join(bytes([2, 0, 0, 9, n]) for n in range(count)) + bytes([1, *stream_at.to_bytes(3), 0])
    table = b"10 0 obj\n<</Type/XRef/Size 11/W[1 3 1]/Index[1 %d 9 1]/Root 1 0 R/Length %d>>stream\n"
    where = len(data)
    data += table % (count, len(rows)) + rows + b"\nendstream\nendobj\n"
    return data + b"startxref\n%d\n%%%%EOF" % where


TREE = (
    b"<</Type/Catalog/Pages 2 0 R>>",
    b"<</Type/Pages/Count 2/Kids[3 0 R 4 0 R]>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Names(\xfe\xff\x76\xee)/\xe7\x9b\xae 1>>",
)


def pack(filler: bytes = b"") -> bytes:
    """Return the tree in an object stream."""
    numbers, at = b"", 0
    for number, body in enumerate(TREE, 1):
        numbers += b"%d %d " % (number, at)
        at += len(body) + 1
    return compressed(zlib.compress(numbers + b" ".join(TREE) + filler), len(numbers), len(TREE))
