"""Reads a multipart form that has been received whole."""

import re
from email.message import Message

from adapters.sandbox.store import Record

_NAME = re.compile(rb'[ ;]name="?([^";\r]*)"?')
_FILE = re.compile(rb"[ ;]filename\*?=")


def parse_boundary(content_type: str) -> bytes:
    """The boundary that a Content-Type names; empty when it names none."""
    header = Message()
    header["Content-Type"] = content_type
    return str(header.get_param("boundary", "")).encode()


def parse_fields(content_type: str, body: bytes) -> Record:
    """The form's fields by name: texts, and bytes where a file name stands beside them."""
    border = parse_boundary(content_type)
    found: Record = {}
    if not border:
        return found
    for part in (b"\r\n" + body).split(b"\r\n--" + border)[1:]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if part.startswith(b"--") or name is None:
            continue
        is_file = _FILE.search(head) is not None
        found[name[1].decode("utf-8", "replace")] = data if is_file else data.decode("utf-8", "replace")
    return found
